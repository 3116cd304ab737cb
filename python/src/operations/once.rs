//! `ping()`, `close()` and `wait_closed()`: begin something once, then wait for what comes of it.

use pyo3::prelude::*;

use super::{Future, none, result};
use crate::awaitable::{AwaitableType, Operation, Step};
use crate::clock::now;
use crate::connection::Connection;
use crate::globals::Globals;

/// An operation that begins something once and then waits for one future, whose result is its own.
#[derive(Debug)]
pub(crate) struct Once<B> {
    connection: Py<Connection>,
    beginning: B,
    future: Future,
}

/// What such an operation begins.
pub(crate) trait Beginning: Sized + 'static {
    /// As for [`Operation`].
    const TYPE: &'static std::ffi::CStr;
    /// As for [`Operation`].
    const CALL: &'static str;
    /// What [`Operation::name`] gives.
    const NAME: &'static std::ffi::CStr;

    /// Its type.
    fn awaitable_type(globals: &Globals) -> &AwaitableType;

    /// Begins it: the future to wait for, or none where it is done already.
    fn begin<'py>(&self, connection: &Bound<'py, Connection>) -> PyResult<Option<Bound<'py, PyAny>>>;
}

impl<B> Once<B> {
    pub(crate) fn new(connection: Py<Connection>, beginning: B) -> Self {
        Self { connection, beginning, future: Future::default() }
    }
}

impl<B: Beginning> Operation for Once<B> {
    const TYPE: &'static std::ffi::CStr = B::TYPE;
    const CALL: &'static str = B::CALL;

    fn name(&self) -> &'static std::ffi::CStr {
        B::NAME
    }

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        B::awaitable_type(globals)
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        if let Some(future) = self.future.take(py) {
            return Ok(Step::Done(result(&future)?));
        }
        match self.beginning.begin(self.connection.bind(py))? {
            Some(future) => self.future.wait(future),
            None => Ok(none(py)),
        }
    }

    fn abandon(&self, py: Python<'_>) {
        self.future.abandon(self.connection.bind(py));
    }

    fn traverse(&self, visit: &mut dyn FnMut(&Py<PyAny>)) {
        visit(self.connection.as_any());
        self.future.traverse(visit);
    }
}

/// `ping()`.
#[derive(Debug)]
pub(crate) struct Ping;

impl Beginning for Ping {
    const TYPE: &'static std::ffi::CStr = c"aiowebsocket._aiowebsocket.Ping";
    const CALL: &'static str = "ping()";
    const NAME: &'static std::ffi::CStr = c"WebSocket.ping";

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.ping
    }

    fn begin<'py>(&self, connection: &Bound<'py, Connection>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = connection.py();
        let id = connection.get().state.borrow(py).pump.ping(now());
        let Ok(id) = id else { return Err(connection.get().closed_error(py)) };
        let future = connection.get().wait_pong(py, id)?;
        Connection::settle(connection, None)?;
        Ok(Some(future))
    }
}

/// `close()`.
#[derive(Debug)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Beginning for Close {
    const TYPE: &'static std::ffi::CStr = c"aiowebsocket._aiowebsocket.Close";
    const CALL: &'static str = "close()";
    const NAME: &'static std::ffi::CStr = c"WebSocket.close";

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.close
    }

    fn begin<'py>(&self, connection: &Bound<'py, Connection>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Connection::begin_close(connection, self.code, &self.reason)?;
        connection.get().wait_end(connection.py())
    }
}

/// `wait_closed()`.
#[derive(Debug)]
pub(crate) struct Closed;

impl Beginning for Closed {
    const TYPE: &'static std::ffi::CStr = c"aiowebsocket._aiowebsocket.Closed";
    const CALL: &'static str = "wait_closed()";
    const NAME: &'static std::ffi::CStr = c"WebSocket.wait_closed";

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.closed
    }

    fn begin<'py>(&self, connection: &Bound<'py, Connection>) -> PyResult<Option<Bound<'py, PyAny>>> {
        connection.get().wait_end(connection.py())
    }
}
