//! How the program ends: the exit codes, and errors as one line that says what, where, and what to try.

use std::fmt;
use std::io;

use aiowebsocket::opening::{Address, FieldError, HandshakeError, Refusal, RequestError};
use aiowebsocket::{CloseCode, Error, TimeLimit};

use crate::escape::escape;

/// What `--help` says about the codes below.
pub(crate) const CODES: &str = "\
Exit codes:
    0  done; a connection was closed cleanly (1000, 1001, or no code)
    1  no connection could be made, or it broke, or a ping was not answered
    2  wrong usage: an option, the address, a header
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
        f.write_str(&escape(self.message.as_deref().unwrap_or_default()).replace('\n', "\\n"))
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

/// Where an error happened: the address, as it may be shown.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Without user, password and query.
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_secure: bool,
}

impl Place {
    /// The place of an address.
    pub(crate) fn of(url: &str) -> Result<Self, Failure> {
        match Address::parse(url) {
            Ok(address) => Ok(Self {
                url: address.to_string(),
                host: address.dial_host(),
                port: address.port(),
                is_secure: address.is_secure(),
            }),
            Err(error) => Err(Failure::new(Exit::Usage, error.to_string())),
        }
    }

    /// The library's error for a person.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        let Self { url, host, port, .. } = self;
        let (exit, message) = match error {
            Error::Url(error) => (Exit::Usage, error.to_string()),
            Error::Request(error) => (Exit::Usage, request(error)),
            Error::Dns(error) => (
                Exit::Failed,
                format!(
                    "{url}: the name {host:?} could not be resolved: {error}; check its spelling and the network"
                ),
            ),
            Error::Connect(error) if error.kind() == io::ErrorKind::Unsupported => (
                Exit::Usage,
                format!(
                    "{url}: wss:// needs TLS, which this version does not have: use ws://, or a tunnel that adds TLS"
                ),
            ),
            Error::Connect(error) => (Exit::Failed, self.connect(error)),
            Error::Handshake(error) => match &**error {
                HandshakeError::Refused(refusal) => (Exit::Refused, format!("{url}: {}", refused(refusal))),
                error => (Exit::Refused, format!("{url}: {error}")),
            },
            Error::Timeout(TimeLimit::Open(_)) => (
                Exit::Failed,
                format!(
                    "{url}: not open within its time limit: does {host}:{port} answer, and does it speak WebSocket?"
                ),
            ),
            Error::Closed { code: CloseCode::ABNORMAL, .. } => {
                (Exit::Failed, format!("{url}: the server ended the connection without a Close frame (1006)"))
            }
            Error::Closed { code, reason } => {
                // Too early, but without complaint.
                let exit = if code.is_clean() { Exit::Failed } else { Exit::Closed };
                (exit, format!("{url}: {}", closed(*code, reason)))
            }
            error => (Exit::Failed, format!("{url}: {error}")),
        };
        Failure::new(exit, message)
    }

    fn connect(&self, error: &io::Error) -> String {
        let Self { url, host, port, .. } = self;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                format!(
                    "{url}: nothing listens at {host}:{port} (connection refused): does the server run, is the port right?"
                )
            }
            _ => format!("{url}: no connection could be made: {error}"),
        }
    }
}

/// A server's closing, in words.
fn closed(code: CloseCode, reason: &str) -> String {
    let why = if reason.is_empty() { code.explain().to_owned() } else { format!("{reason:?}") };
    format!("the server closed the connection with {}: {why}", name(code))
}

/// A close code with its name.
pub(crate) fn name(code: CloseCode) -> String {
    match code.name() {
        Some(name) => format!("{} {name}", code.get()),
        None => code.get().to_string(),
    }
}

/// A mistake in a header or subprotocol, in the words of the command line.
fn request(error: &RequestError) -> String {
    match error {
        RequestError::Field(FieldError::Reserved { name, .. })
            if name.eq_ignore_ascii_case("Sec-WebSocket-Protocol") =>
        {
            format!("the header {name} cannot be set: use --subprotocol")
        }
        RequestError::Field(FieldError::Reserved { name, .. })
            if name.eq_ignore_ascii_case("Sec-WebSocket-Extensions") =>
        {
            format!("the header {name} cannot be set: this version has no extensions")
        }
        error => error.to_string(),
    }
}

/// A refusal: its status, what its body says, and what may help.
fn refused(refusal: &Refusal) -> String {
    let mut text = refusal.to_string();
    if let Some(said) = first_words(&refusal.body) {
        text += &format!(": {said:?}");
    }
    let location = refusal.location();
    match (refusal.status.as_u16(), location) {
        (401 | 403 | 407, _) => text += "; does it want --header 'Authorization: …' or --origin?",
        (404 | 405 | 410 | 426, _) | (200..=299, _) => text += "; is the path right?",
        (300..=399, Some(location)) => text += &format!("; it points to {location:?}"),
        (429 | 500..=599, _) => text += "; try again later",
        _ => {}
    }
    text
}

/// The first line of a body that is text, up to a length that a person reads.
fn first_words(body: &[u8]) -> Option<String> {
    const MOST: usize = 160;
    let start = &body[..body.len().min(4 * MOST)];
    let text = String::from_utf8_lossy(start);
    // A page is no explanation.
    let line =
        text.lines().map(str::trim).find(|line| !line.is_empty()).filter(|line| !line.starts_with('<'))?;
    let is_text = line.chars().all(|c| c == '\t' || (!c.is_control() && c != char::REPLACEMENT_CHARACTER));
    is_text.then(|| {
        if line.chars().count() > MOST {
            line.chars().take(MOST).chain(['…']).collect()
        } else {
            line.to_owned()
        }
    })
}
