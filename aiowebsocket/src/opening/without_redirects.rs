//! Redirects without the feature `redirects`: none is followed, so each is a refusal like any other.

use std::fmt;

use super::refusal::Refusal;
use super::url::Address;

/// None is followed: that takes the feature `redirects`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirects;

impl Redirects {
    pub(super) fn none() -> Self {
        Self
    }

    pub(super) fn follow(&self, _: &Refusal, _: &Address) -> Result<Option<Address>, RedirectError> {
        Ok(None)
    }
}

/// What is followed nowhere fails nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectError {}

impl fmt::Display for RedirectError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for RedirectError {}
