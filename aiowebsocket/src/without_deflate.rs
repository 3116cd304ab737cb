//! What there is of compression in a build without the feature `deflate`: types that have no value, so that nothing is
//! offered, agreed or compressed, and the code for it is not there.

use std::fmt;

/// No options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deflate {}

/// No agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {}

impl fmt::Display for Agreed {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}
