//! The same without the feature `deflate`: there are no options, so nothing is offered, judged or answered.

use super::error::ParameterFault;
use super::extension::Extension;
use crate::deflate::{Agreed, Deflate};

pub(super) const NAME: &str = "permessage-deflate";

impl Deflate {
    pub(super) fn offer(&self) -> String {
        match *self {}
    }

    pub(super) fn judge<'a>(&self, _: &'a Extension) -> Result<Agreed, (&'a str, ParameterFault)> {
        match *self {}
    }

    pub(super) fn choose(&self, _: &[Extension]) -> Option<Agreed> {
        match *self {}
    }
}
