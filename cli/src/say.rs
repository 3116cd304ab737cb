//! What is said on standard error: steps, warnings, and why the program ends. Nobody is told where it is closed.

use std::io::{Write, stderr};

use crate::escape::escape;

/// Tells a step of `-v`, or what a person should know.
pub(crate) fn tell(step: &str) {
    _ = writeln!(stderr().lock(), "{}", escape(step));
}

/// The same under the program's name: what is about the program and not about the conversation.
pub(crate) fn complain(what: &str) {
    tell(&format!("aiows: {what}"));
}
