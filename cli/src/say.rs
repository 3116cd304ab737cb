//! What is said on standard error: steps, warnings, and why the program ends. Nobody is told where it is closed.

use std::io::{IsTerminal, Write, stderr};

use crate::escape::escape;
use crate::terminal::print_above;

/// Tells a step of `-v`, or what a person should know.
pub(crate) fn tell(step: &str) {
    let step = escape(step);
    // Where a line is typed on the same terminal it would be written into that.
    if !(stderr().is_terminal() && print_above(&step)) {
        _ = writeln!(stderr().lock(), "{step}");
    }
}

/// The same under the program's name: what is about the program and not about the conversation.
pub(crate) fn complain(what: &str) {
    tell(&format!("aiows: {what}"));
}
