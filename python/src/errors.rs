//! Errors of the machines as Python's exceptions, which stand in `exceptions.py`.

use std::{fmt, io};

use aiowebsocket::layer::{TlsError, TlsFault};
use aiowebsocket::opening::{ConnectError, DialError, ProxyFault, ResolveError};
use aiowebsocket::protocol::{CloseFrame, Ending, Timeout, UsageError};
use aiowebsocket::{CloseCode, Error, TimeLimit};
use pyo3::exceptions::{PyBaseException, PyOSError, PyRuntimeError, PyUnicodeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyFloat;

use crate::connecting::{errno, given};
use crate::globals::Globals;

/// An exception of `exceptions.py`.
fn raised<'py>(py: Python<'py>, name: &str, arguments: impl pyo3::call::PyCallArgs<'py>) -> PyErr {
    let made =
        Globals::get(py).exceptions.bind(py).getattr(name).and_then(|exception| exception.call1(arguments));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// How the connection ended: the code, the reason, what happened, and what broke.
#[cold]
pub(crate) fn closed(
    py: Python<'_>,
    ending: Option<&Ending>,
    broken: Option<io::Error>,
    secure: Option<&TlsError>,
) -> PyErr {
    let code = ending.map(|ending| ending.code().get());
    let with_code = |what: &dyn fmt::Display| Some(format!("{what} ({})", code.unwrap_or_default()));
    let (reason, what) = match ending {
        // Our own Close frame went out, and the peer's has not come.
        None => ("", Some("close() was called".to_owned())),
        Some(Ending::Closed(frame)) => {
            let (code, reason) = (frame.code, &*frame.reason);
            // In the words of the library's own error.
            (reason, Some(Error::Closed { code, reason: reason.into() }.to_string()))
        }
        Some(Ending::Failed(error)) => ("", with_code(error)),
        Some(Ending::Timeout(Timeout::KeepAlive)) => {
            ("", with_code(&"the peer is silent: no byte came within ping_timeout after a ping"))
        }
        Some(Ending::Timeout(_)) => {
            ("", with_code(&"the peer did not complete the closing handshake within close_timeout"))
        }
        Some(_) => ("", None),
    };
    let kind = match ending {
        None => "clean",
        Some(Ending::Closed(frame)) if frame.code.is_clean() => "clean",
        Some(Ending::Failed(_)) => "fault",
        Some(Ending::Timeout(_)) => "timeout",
        Some(_) => "error",
    };
    let cause = match (broken, secure) {
        // The closing handshake was completed: that the end of TLS, or what was queued behind, found nobody any more is no fault.
        _ if matches!(ending, Some(Ending::Closed(_))) => None,
        (Some(error), _) => Some(PyErr::from(error).into_value(py)),
        (None, Some(error)) if matches!(ending, Some(Ending::Abnormal)) => {
            Some(tls(py, error).into_value(py))
        }
        (None, _) => None,
    };
    told(py, code, reason, what, kind, cause)
}

/// The exception of an ending, see `exceptions.py`.
fn told(
    py: Python<'_>,
    code: Option<u16>,
    reason: &str,
    what: Option<String>,
    kind: &str,
    cause: Option<Py<PyBaseException>>,
) -> PyErr {
    raised(py, "_closed", (code, reason, what, kind, cause))
}

/// What the peer is told with 1011, by `_send_parts` of either face, and whoever sends behind it.
pub(crate) const INCOMPLETE: &str = "a message could not be completed";

/// Our Close frame says that a message could not be completed, and the peer's has not come.
#[cold]
pub(crate) fn incomplete(py: Python<'_>) -> PyErr {
    told(py, Some(1011), "", Some(format!("{INCOMPLETE} (1011)")), "error", None)
}

/// Whether this is the error of a connection that was closed without complaint.
pub(crate) fn is_clean(py: Python<'_>, error: &PyErr) -> bool {
    Globals::get(py)
        .exceptions
        .bind(py)
        .getattr("ConnectionClosedOK")
        .is_ok_and(|clean| error.matches(py, clean).unwrap_or(false))
}

/// The reason that the peer gave.
pub(crate) fn reason(ending: Ending) -> String {
    match ending {
        Ending::Closed(frame) => frame.reason,
        _ => String::new(),
    }
}

/// A second receiver.
#[cold]
pub(crate) fn concurrency(py: Python<'_>) -> PyErr {
    raised(py, "ConcurrencyError", ("another task waits in recv() already: a message goes to one receiver",))
}

/// One awaitable, and two tasks that await it: the second is told, the first goes on.
#[cold]
pub(crate) fn awaited_by_two(call: &str) -> PyErr {
    PyRuntimeError::new_err(format!("{call} is awaited by another task already: call it once for each"))
}

/// A receiver in the middle of a message that another one takes in parts.
#[cold]
pub(crate) fn in_parts(py: Python<'_>) -> PyErr {
    raised(
        py,
        "ConcurrencyError",
        ("a message is being received in parts: take the rest of it with recv_streaming() first",),
    )
}

/// A receiver where messages go to a callback.
#[cold]
pub(crate) fn goes_to_callback() -> PyErr {
    PyRuntimeError::new_err("messages go to on_message, so there is none to be received")
}

/// `recv(timeout)` got nothing.
#[cold]
pub(crate) fn timed_out(py: Python<'_>, seconds: f64) -> PyErr {
    raised(py, "ReceiveTimeout", (format!("no message came within {} seconds", shown(seconds)),))
}

/// A number as Python writes it. Rust's own way to do that is 13 KB of code, which nothing else needs.
#[cold]
pub(crate) fn shown(number: f64) -> String {
    Python::attach(|py| PyFloat::new(py, number).call_method1(intern!(py, "__format__"), ("g",))?.extract())
        .unwrap_or_default()
}

/// `send_nowait` would have to wait.
#[cold]
pub(crate) fn queue_full(py: Python<'_>) -> PyErr {
    raised(py, "SendQueueFull", ("send_window bytes wait to be written already: use send(), which waits",))
}

/// Text that is none.
#[cold]
pub(crate) fn not_utf8() -> PyErr {
    PyUnicodeError::new_err("these bytes are not UTF-8, so they cannot be sent as text")
}

/// A message in the middle of another one.
#[cold]
pub(crate) fn unfinished() -> PyErr {
    PyRuntimeError::new_err("a message that is sent in parts is unfinished; send its last part first")
}

/// Text and binary parts in one message.
#[cold]
pub(crate) fn other_kind() -> PyErr {
    PyRuntimeError::new_err("the parts of a message are all text or all binary")
}

/// A mistake in an argument.
pub(crate) fn value(error: &impl fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The opening handshake failed.
#[cold]
pub(crate) fn handshake(py: Python<'_>, error: &aiowebsocket::opening::HandshakeError) -> PyErr {
    use aiowebsocket::opening::HandshakeError;
    match error {
        HandshakeError::Refused(refusal) => {
            let headers = lines(&refusal.headers);
            let body = pyo3::types::PyBytes::new(py, &refusal.body);
            raised(py, "InvalidStatus", (error.to_string(), refusal.status.as_u16(), headers, body))
        }
        _ => raised(py, "InvalidHandshake", (error.to_string(),)),
    }
}

/// Header lines as pairs.
fn lines(headers: &http::HeaderMap) -> Vec<(&str, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// A connection could not be opened.
#[cold]
pub(crate) fn connecting(py: Python<'_>, error: &ConnectError) -> PyErr {
    let text = error.to_string();
    match error {
        ConnectError::Handshake(error) => handshake(py, error),
        ConnectError::Tls(error) => tls(py, error),
        ConnectError::Timeout { .. } => raised(py, "OpenTimeout", (text,)),
        ConnectError::ProxyRules(_) => raised(py, "InvalidProxy", (text,)),
        ConnectError::Proxy(fault) => proxy(py, fault),
        ConnectError::Redirect(_) => raised(py, "InvalidHandshake", (text,)),
        ConnectError::Request(error) => value(error),
        ConnectError::Resolve(error) => resolve(py, error),
        ConnectError::Connect(error) => dial(py, error, &text),
        ConnectError::Random(error) => copy(error).into(),
        _ => raised(py, "InvalidHandshake", (text,)),
    }
}

/// No address could be connected to.
fn dial(py: Python<'_>, error: &DialError, text: &str) -> PyErr {
    match error.causes() {
        // What Python knows tells more than its words.
        [(_, cause)] if given(cause).is_some() => given(cause).expect("looked at above").clone_ref(py),
        causes => {
            let told = causes.iter().find(|(_, cause)| cause.kind() == error.kind());
            let number = told.and_then(|(_, cause)| errno(py, cause));
            PyOSError::new_err((number, text.to_owned()))
        }
    }
}

/// A connection could not be opened: the same as [`connecting`] tells, of the blocking face.
#[cold]
pub(crate) fn opening(py: Python<'_>, error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Handshake(error) => handshake(py, error),
        Error::Tls(error) => tls(py, error),
        Error::Timeout(_) => raised(py, "OpenTimeout", (text,)),
        Error::ProxyRules(_) => raised(py, "InvalidProxy", (text,)),
        Error::Proxy(fault) => proxy(py, fault),
        Error::Request(error) => value(error),
        Error::Url(error) => value(error),
        Error::Dns(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(error) => resolve(py, error),
            None => copy(error).into(),
        },
        Error::Connect(error) => match error.get_ref().and_then(|error| error.downcast_ref::<DialError>()) {
            Some(error) => dial(py, error, &text),
            None => copy(error).into(),
        },
        Error::Io(error) => given(error).map_or_else(|| copy(error).into(), |error| error.clone_ref(py)),
        _ => raised(py, "InvalidHandshake", (text,)),
    }
}

/// What a call of an open connection of the blocking face fails with.
#[cold]
pub(crate) fn call(py: Python<'_>, error: &Error) -> PyErr {
    let ended = |ending: Ending| closed(py, Some(&ending), None, None);
    match error {
        Error::Closed { code: CloseCode::ABNORMAL, .. } => ended(Ending::Abnormal),
        Error::Closed { code, reason } => {
            ended(Ending::Closed(CloseFrame { code: *code, reason: reason.to_string() }))
        }
        Error::Protocol(error) | Error::TooBig(error) => ended(Ending::Failed((**error).clone())),
        Error::Timeout(TimeLimit::KeepAlive) => ended(Ending::Timeout(Timeout::KeepAlive)),
        Error::Timeout(_) => ended(Ending::Timeout(Timeout::Close)),
        Error::Tls(error) => closed(py, Some(&Ending::Abnormal), None, Some(error)),
        // What a handler of a signal raised.
        Error::Io(error) if given(error).is_some() => given(error).expect("looked at above").clone_ref(py),
        Error::Io(error) => closed(py, Some(&Ending::Abnormal), Some(copy(error)), None),
        Error::Usage(UsageError::NotOpen) => closed(py, None, None, None),
        Error::Usage(UsageError::MessageInParts) => in_parts(py),
        Error::Usage(UsageError::MessageUnfinished) => unfinished(),
        Error::Usage(UsageError::PartOfOtherKind) => other_kind(),
        Error::Usage(UsageError::BacklogFull) => PyRuntimeError::new_err(
            "receive_window bytes wait to be received, and the pong is behind them: receive first",
        ),
        error => value(error),
    }
}

/// The name could not be resolved: what Python's resolver raised, where it did.
fn resolve(py: Python<'_>, error: &ResolveError) -> PyErr {
    given(error.cause()).map_or_else(|| PyOSError::new_err(error.to_string()), |raised| raised.clone_ref(py))
}

/// The proxy opened no tunnel.
fn proxy(py: Python<'_>, fault: &ProxyFault) -> PyErr {
    match fault {
        ProxyFault::Refused(refusal) => {
            let body = pyo3::types::PyBytes::new(py, &refusal.body);
            let arguments = (fault.to_string(), refusal.status.as_u16(), lines(&refusal.headers), body);
            raised(py, "InvalidProxyStatus", arguments)
        }
        _ => raised(py, "ProxyError", (fault.to_string(),)),
    }
}

/// The proxy's address is none.
#[cold]
pub(crate) fn invalid_proxy(py: Python<'_>, error: &aiowebsocket::opening::ProxyError) -> PyErr {
    raised(py, "InvalidProxy", (error.to_string(),))
}

/// TLS failed. What Python's own `ssl` raised is the cause.
#[cold]
pub(crate) fn tls(py: Python<'_>, error: &TlsError) -> PyErr {
    let name = match error.fault() {
        TlsFault::Expired { .. }
        | TlsFault::NotYetValid { .. }
        | TlsFault::WrongHost { .. }
        | TlsFault::UnknownIssuer
        | TlsFault::Revoked
        | TlsFault::NotPinned { .. }
        | TlsFault::BadCertificate => "CertificateError",
        _ => "TLSError",
    };
    let kind = format!("{:?}", error.fault());
    let kind: String = kind.chars().take_while(char::is_ascii_alphanumeric).collect();
    let raised = raised(py, name, (error.to_string(), kind));
    let cause = error.cause().and_then(|cause| cause.downcast_ref::<PyErr>());
    if let Some(cause) = cause {
        raised.set_cause(py, Some(cause.clone_ref(py)));
    }
    raised
}

/// The address is none.
#[cold]
pub(crate) fn address(py: Python<'_>, uri: &str, error: &aiowebsocket::opening::UrlError) -> PyErr {
    raised(py, "InvalidURI", (uri, error.to_string()))
}

/// The same error again: a connection tells its end to whoever asks, however often.
pub(crate) fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
