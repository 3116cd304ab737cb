//! How the program ends: the exit codes, and a line for a person.

use std::fmt;
use std::io;

/// What `--help` says about the codes below.
pub(crate) const CODES: &str = "\
Exit codes:
    0  done; a connection was closed cleanly (1000, 1001, or no code)
    1  no connection could be made, or it broke; a ping was not answered; --max-time is over
    2  wrong usage: an option, a file that it names, the address, a header
    3  the server refused the upgrade, or did not answer as a WebSocket server does
    4  the server closed the connection with any other code
  130  Ctrl-C (SIGINT); 143: SIGTERM; the connection was closed with 1001 first";

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Success = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Closed = 4,
    Interrupted = 130,
    Terminated = 143,
}

/// An end before its time: with a line for a person, or quietly.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: Option<String>,
}

/// What every command comes to.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: Some(message.into()) }
    }

    pub(crate) fn quiet(exit: Exit) -> Self {
        Self { exit, message: None }
    }
}

impl fmt::Display for Failure {
    /// One line, whatever a server wrote into it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message.as_deref().unwrap_or_default().replace('\n', "\\n"))
    }
}

/// Standard output: a reader who has gone (`| head`) wants no more, and that is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::quiet(Exit::Success),
            _ => Self::new(Exit::Failed, format!("standard output cannot be written: {error}")),
        }
    }
}
