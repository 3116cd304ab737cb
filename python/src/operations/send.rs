//! `send()` and `send_many()`: queue, write, and wait where some of it has to.

use std::cell::Cell;

use aiowebsocket::protocol::{CannotSend, Kind};
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use super::{Future, none, result};
use crate::awaitable::{AwaitableType, Operation, Step};
use crate::connection::Connection;
use crate::cork::WRITE_AHEAD;
use crate::errors;
use crate::globals::Globals;
use crate::payload;
use crate::pump::Written;
use crate::raw::dropping;

/// How a message is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// As text or as binary, where the type of the message does not say it.
    pub(crate) text: Option<bool>,
    /// Not compressed.
    pub(crate) plain: bool,
}

impl How {
    /// `str` is text and bytes-like objects are binary, where nothing else is asked for.
    fn kind(self, is_str: bool) -> Kind {
        match self.text {
            Some(true) => Kind::Text,
            Some(false) => Kind::Binary,
            None if is_str => Kind::Text,
            None => Kind::Binary,
        }
    }
}

/// `send(message)`.
#[derive(Debug)]
pub(crate) struct Send {
    connection: Py<Connection>,
    message: Py<PyAny>,
    how: How,
    /// The message is queued, and what is waited for is that it leaves.
    is_queued: Cell<bool>,
    future: Future,
}

impl Send {
    #[inline]
    pub(crate) fn new(connection: Py<Connection>, message: Py<PyAny>, how: How) -> Self {
        Self { connection, message, how, is_queued: Cell::new(false), future: Future::default() }
    }

    /// Queues a message and writes, unless the connection is corked. Whether the queue is over what may wait.
    #[inline]
    pub(crate) fn queue(
        connection: &Bound<'_, Connection>,
        message: &Bound<'_, PyAny>,
        how: How,
    ) -> PyResult<bool> {
        let py = connection.py();
        let this = connection.get();
        let queued = payload::with_bytes(message, |is_str, bytes| {
            let kind = how.kind(is_str);
            if !is_str && kind == Kind::Text && std::str::from_utf8(bytes).is_err() {
                return Err(errors::not_utf8());
            }
            let mut state = this.state.borrow(py);
            if state.pump.is_write_broken() {
                return Ok(Err(CannotSend::NotOpen));
            }
            Ok(state.pump.queue(kind, bytes, how.plain))
        })??;
        match queued {
            Ok(()) => {}
            Err(CannotSend::NotOpen) => return Err(this.closed_error(py)),
            Err(CannotSend::MessageUnfinished | CannotSend::OtherKind) => return Err(errors::unfinished()),
        }
        Self::write(connection)
    }

    /// Writes what is queued. Whether some of it has to wait.
    #[inline]
    pub(crate) fn write(connection: &Bound<'_, Connection>) -> PyResult<bool> {
        let py = connection.py();
        {
            let state = connection.get().state.borrow(py);
            let queued = state.pump.machine.queued();
            if state.corks > 0 && queued < WRITE_AHEAD.min(state.pump.machine.config().max_queue) {
                return Ok(false);
            }
        }
        let waits = Connection::write(connection)? != Written::All;
        if waits {
            dropping(|| Connection::settle(connection, None))?;
        }
        Ok(waits)
    }
}

impl Operation for Send {
    const TYPE: &'static std::ffi::CStr = c"aiowebsocket._aiowebsocket.Send";
    const CALL: &'static str = "send()";
    const DROPS: bool = false;

    fn name(&self) -> &'static std::ffi::CStr {
        c"WebSocket.send"
    }

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.send
    }

    #[inline]
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        if let Some(future) = self.future.take(py) {
            result(&future)?;
            if self.is_queued.get() {
                return Ok(none(py));
            }
        }
        let connection = self.connection.bind(py);
        if connection.get().state.borrow(py).waits_behind_parts() {
            return self.future.wait(connection.get().wait_parts(py)?);
        }
        if Self::queue(connection, self.message.bind(py), self.how)? {
            self.is_queued.set(true);
            return self.future.wait(dropping(|| Connection::wait_sent(connection))?);
        }
        Ok(none(py))
    }

    fn abandon(&self, py: Python<'_>) {
        self.future.abandon(self.connection.bind(py));
    }

    #[inline]
    fn release(self, py: Python<'_>) {
        drop(self.connection.into_bound(py));
        drop(self.message.into_bound(py));
        self.future.release(py);
    }

    fn traverse(&self, visit: &mut dyn FnMut(&Py<PyAny>)) {
        visit(self.connection.as_any());
        visit(&self.message);
        self.future.traverse(visit);
    }
}

/// `send_many(messages)`.
#[derive(Debug)]
pub(crate) struct SendMany {
    connection: Py<Connection>,
    messages: Py<PyAny>,
    future: Future,
}

impl SendMany {
    pub(crate) fn new(connection: Py<Connection>, messages: Py<PyAny>) -> Self {
        Self { connection, messages, future: Future::default() }
    }

    /// Queues messages as long as they may, then writes. Whether all of them are queued, and whether some bytes have to wait.
    fn queue(&self, py: Python<'_>) -> PyResult<(bool, bool)> {
        let connection = self.connection.bind(py);
        let messages = self.messages.bind(py).cast::<PyIterator>()?;
        connection.get().state.borrow(py).corks += 1;
        let queued = messages.into_iter().try_for_each(|message| {
            if Send::queue(connection, &message?, How::default())? { Err(Stop::Waits) } else { Ok(()) }
        });
        connection.get().state.borrow(py).corks -= 1;
        match queued {
            Ok(()) => Ok((true, Send::write(connection)?)),
            Err(Stop::Waits) => Ok((false, true)),
            Err(Stop::Failed(error)) => {
                // What was queued before the mistake leaves.
                Send::write(connection)?;
                Err(error)
            }
        }
    }
}

/// Why no more messages are queued now.
enum Stop {
    Waits,
    Failed(PyErr),
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Self::Failed(error)
    }
}

impl Operation for SendMany {
    const TYPE: &'static std::ffi::CStr = c"aiowebsocket._aiowebsocket.SendMany";
    const CALL: &'static str = "send_many()";

    fn name(&self) -> &'static std::ffi::CStr {
        c"WebSocket.send_many"
    }

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.send_many
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        if let Some(future) = self.future.take(py) {
            result(&future)?;
        }
        let connection = self.connection.get();
        if connection.state.borrow(py).waits_behind_parts() {
            return self.future.wait(connection.wait_parts(py)?);
        }
        match self.queue(py)? {
            (true, false) => Ok(none(py)),
            _ => self.future.wait(Connection::wait_sent(self.connection.bind(py))?),
        }
    }

    fn abandon(&self, py: Python<'_>) {
        self.future.abandon(self.connection.bind(py));
    }

    fn traverse(&self, visit: &mut dyn FnMut(&Py<PyAny>)) {
        visit(self.connection.as_any());
        visit(&self.messages);
        self.future.traverse(visit);
    }
}
