//! A connection for streams of asyncio's own: bytes are handed in and out, and the machine is the same.

use std::cell::RefMut;

use aiowebsocket::keys::next_key;
use aiowebsocket::protocol::{CannotSend, CloseCode, CloseFrame, Config, Connection, Kind, Role};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::clock::now;
use crate::errors;
use crate::gil::GilCell;
use crate::payload;
use crate::pump::{Next, Pump};
use crate::wire::Wire;

/// An open connection without a socket: whoever has the streams reads, writes and sleeps.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Machine(GilCell<Pump>);

#[pymethods]
impl Machine {
    #[new]
    fn new() -> Self {
        Self::of(Role::Client, &[])
    }

    /// Bytes of the peer: the messages that are whole with them.
    fn receive<'py>(&self, py: Python<'py>, mut bytes: &[u8]) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut messages = Vec::new();
        let mut pump = self.0.borrow(py);
        loop {
            while pump.advance(py)? == Next::Message {
                messages.extend(pump.take(py, false)?.map(|(message, _)| message));
            }
            if bytes.is_empty() || pump.machine.ending().is_some() {
                return Ok(messages);
            }
            let space = pump.machine.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            pump.machine.received(n, now());
            bytes = &bytes[n..];
        }
    }

    /// The peer ended its stream.
    fn receive_end(&self, py: Python<'_>) -> PyResult<()> {
        let mut pump = self.0.borrow(py);
        pump.machine.received_end();
        pump.advance(py).map(drop)
    }

    /// Queues a message or a part of one; see [`queue_part`].
    #[pyo3(signature = (message, opcode=None, last=true))]
    fn send(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        opcode: Option<u8>,
        last: bool,
    ) -> PyResult<()> {
        queue_part(message, opcode, last, false, || self.0.borrow(py))?
            .map_err(|error| cannot_send(error, || self.closed(py)))
    }

    /// Queues a ping.
    fn ping(&self, py: Python<'_>) -> PyResult<()> {
        let queued = self.0.borrow(py).ping(now());
        queued.map(drop).map_err(|_| self.closed(py))
    }

    /// Begins the closing handshake.
    fn close(&self, py: Python<'_>, code: u16, reason: &str) -> PyResult<()> {
        let mut pump = self.0.borrow(py);
        pump.machine.close(CloseCode::new(code), reason, now()).map_err(|error| errors::value(&error))
    }

    /// The bytes to be written now; they count as written.
    fn output<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut pump = self.0.borrow(py);
        let mut bytes = Vec::new();
        while pump.machine.wants_write() {
            let front = pump.machine.output(&mut next_key).front();
            bytes.extend_from_slice(front);
            let n = front.len();
            pump.machine.written(n);
        }
        Ok(PyBytes::new(py, &bytes))
    }

    /// Seconds until `handle_timeout` is to be called, if at all.
    #[getter]
    fn timeout(&self, py: Python<'_>) -> Option<f64> {
        let next = self.0.borrow(py).machine.next_timeout()?;
        Some(next.saturating_duration_since(now()).as_secs_f64())
    }

    /// The time has come.
    fn handle_timeout(&self, py: Python<'_>) {
        self.0.borrow(py).handle_timeout(now());
    }

    /// Whether messages can be sent.
    #[getter]
    fn is_open(&self, py: Python<'_>) -> bool {
        self.0.borrow(py).machine.is_open()
    }

    /// Whether the connection is over.
    #[getter]
    fn is_closed(&self, py: Python<'_>) -> bool {
        self.0.borrow(py).machine.ending().is_some()
    }

    /// Whether our side of the stream is to be shut, now that everything is written.
    #[getter]
    fn shuts_first(&self, py: Python<'_>) -> bool {
        self.0.borrow(py).machine.shuts_first()
    }

    /// The exception for the end.
    fn closed_error<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.closed(py).into_value(py).into_bound(py).into_any()
    }
}

impl Machine {
    /// The server's end; `leftover` are bytes that came behind the handshake.
    pub(crate) fn of_server(leftover: &[u8]) -> Self {
        Self::of(Role::Server, leftover)
    }

    fn of(role: Role, leftover: &[u8]) -> Self {
        let mut config = Config::default();
        // Nobody sleeps between two calls.
        config.keepalive = None;
        Self(GilCell::new(Pump::new(Wire::None, Connection::new(role, config, leftover, now()))))
    }

    fn closed(&self, py: Python<'_>) -> PyErr {
        let ending = self.0.borrow(py).outcome();
        errors::closed(py, ending.as_ref(), None, None)
    }
}

/// The code and the reason in the payload of a Close frame.
#[pyfunction]
pub(crate) fn _read_close(payload: &[u8]) -> PyResult<(u16, String)> {
    let frame = CloseFrame::decode(payload).map_err(|error| match error {
        aiowebsocket::protocol::PeerError::CloseCodeForbidden(code) => {
            errors::value(&aiowebsocket::protocol::UsageError::CloseCodeForbidden(code))
        }
        _ => {
            PyValueError::new_err("the payload of a Close frame is a code in two bytes and a reason in UTF-8")
        }
    })?;
    Ok((frame.code.get(), frame.reason))
}

/// Queues a message, or a part of one. The opcode is that of the message: 1 for text, 2 for binary, 0 for what is being sent in
/// parts; without one, `str` is text and bytes-like objects are binary.
pub(crate) fn queue_part<'a>(
    message: &Bound<'_, PyAny>,
    opcode: Option<u8>,
    last: bool,
    plain: bool,
    pump: impl FnOnce() -> RefMut<'a, Pump>,
) -> PyResult<Result<(), CannotSend>> {
    payload::with_bytes(message, |is_str, bytes| {
        let mut pump = pump();
        let kind = match opcode {
            None if is_str => Kind::Text,
            None | Some(2) => Kind::Binary,
            Some(1) => Kind::Text,
            Some(0) => pump.machine.sending().ok_or_else(|| {
                PyValueError::new_err("there is no message to continue: none is being sent in parts")
            })?,
            Some(other) => {
                return Err(PyValueError::new_err(format!(
                    "the opcode of a message is 0, 1 or 2, and this is {other}"
                )));
            }
        };
        if !is_str && kind == Kind::Text && std::str::from_utf8(bytes).is_err() {
            return Err(errors::not_utf8());
        }
        Ok(pump.queue_part(kind, bytes, last, plain))
    })?
}

/// What a part that was not queued is refused with.
pub(crate) fn cannot_send(error: CannotSend, closed: impl FnOnce() -> PyErr) -> PyErr {
    match error {
        CannotSend::NotOpen => closed(),
        CannotSend::MessageUnfinished => errors::unfinished(),
        CannotSend::OtherKind => errors::other_kind(),
    }
}
