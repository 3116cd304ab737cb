//! What the awaitables of a connection do, step by step.

use std::cell::Cell;

use aiowebsocket::protocol::{CannotSend, Kind};
use pyo3::exceptions::PyUnicodeDecodeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};

use crate::awaitable::{AwaitableType, Operation, Step};
use crate::batches::drain;
use crate::clock::now;
use crate::connection::Connection;
use crate::cork::WRITE_AHEAD;
use crate::errors;
use crate::gil::GilCell;
use crate::globals::Globals;
use crate::payload;
use crate::pump::Written;
use crate::raw::dropping;
use crate::waiter::State as Wait;

/// What a receiver gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wants {
    /// A message; the end is an exception.
    One,
    /// A message; a clean end stops the iteration.
    Next,
    /// All messages that are there, up to so many.
    Many(usize),
    /// The same, and a clean end stops the iteration.
    NextMany(usize),
    /// A part of a message.
    Part,
}

/// `recv()` and its kind.
#[derive(Debug)]
pub(crate) struct Receive {
    connection: Py<Connection>,
    wants: Wants,
    timeout: Option<f64>,
    /// `str` or `bytes`, whatever kind the message is of.
    decode: Option<bool>,
    is_waiting: Cell<bool>,
    timer: GilCell<Option<Py<PyAny>>>,
}

impl Receive {
    #[inline]
    pub(crate) fn new(
        connection: Py<Connection>,
        wants: Wants,
        timeout: Option<f64>,
        decode: Option<bool>,
    ) -> Self {
        let (is_waiting, timer) = (Cell::new(false), GilCell::default());
        Self { connection, wants, timeout, decode, is_waiting, timer }
    }

    /// Takes what is there, where it is this connection's turn.
    #[inline]
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let connection = self.connection.bind(py);
        match self.wants {
            Wants::One | Wants::Next => {
                let (message, resumes) = {
                    let mut state = connection.get().state.borrow(py);
                    if state.turn.is_over() {
                        return Ok(None);
                    }
                    if state.pump.is_in_parts() {
                        drop(state);
                        return Err(errors::in_parts(py));
                    }
                    (state.next_message(py, self.decode == Some(false))?, state.may_resume())
                };
                if resumes {
                    Connection::resume(connection)?;
                }
                match (self.decode, message) {
                    (Some(decode), Some(message)) => decoded(connection, message, decode).map(Some),
                    (_, message) => Ok(message),
                }
            }
            Wants::Part => {
                let (part, resumes) = {
                    let mut state = connection.get().state.borrow(py);
                    if state.turn.is_over() {
                        return Ok(None);
                    }
                    (state.next_part(py)?, state.may_resume())
                };
                if resumes {
                    Connection::resume(connection)?;
                }
                part.map(|part| Ok(part.into_pyobject(py)?.into_any())).transpose()
            }
            Wants::Many(max) | Wants::NextMany(max) => {
                let batch = drain(connection, max)?;
                if connection.get().state.borrow(py).may_resume() {
                    Connection::resume(connection)?;
                }
                Ok(batch)
            }
        }
    }

    /// The wait is over, in whichever way.
    fn leave(&self, py: Python<'_>) -> PyResult<Wait> {
        self.is_waiting.set(false);
        if matches!(self.wants, Wants::Part) {
            self.connection.get().state.borrow(py).pump.want_whole();
        }
        let state = self.connection.get().waiter.leave(py);
        let timer = self.timer.borrow(py).take();
        if let Some(timer) = timer {
            timer.into_bound(py).call_method0(intern!(py, "cancel"))?;
        }
        Ok(state)
    }

    /// Waits: the task yields a future.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        let connection = self.connection.bind(py);
        let this = connection.get();
        match this.waiter.state(py) {
            Wait::Idle => {}
            Wait::Parked if this.waiter.is_waited_for(py)? => return Err(errors::concurrency(py)),
            // The one who waited before was cancelled or woken and goes on in the next turn of the event loop: ask again then.
            _ => return Ok(Step::Wait(py.None().into_bound(py))),
        }
        let turn_is_over = {
            let state = this.state.borrow(py);
            if state.has_ended {
                drop(state);
                return Err(self.end(py));
            }
            state.turn.is_over()
        };
        if turn_is_over {
            Connection::ask_turn(connection)?;
        }
        if let Some(timeout) = self.timeout {
            let expire = connection.getattr(intern!(py, "_time_out"))?;
            let timer = this
                .event_loop
                .bind(py)
                .call_method1(intern!(py, "call_later"), (timeout.max(0.0), expire))?;
            *self.timer.borrow(py) = Some(timer.unbind());
        }
        let future = this.waiter.park(this.event_loop.bind(py))?;
        self.is_waiting.set(true);
        Ok(Step::Wait(future))
    }

    /// The end, as this receiver is told of it.
    #[cold]
    fn end(&self, py: Python<'_>) -> PyErr {
        let error = self.connection.get().closed_error(py);
        match self.wants {
            Wants::Next | Wants::NextMany(_) if errors::is_clean(py, &error) => {
                pyo3::exceptions::PyStopAsyncIteration::new_err(())
            }
            _ => error,
        }
    }
}

impl Operation for Receive {
    const TYPE: &'static std::ffi::CStr = c"aiowebsocket._aiowebsocket.Receive";
    const CALL: &'static str = "recv()";
    const DROPS: bool = false;

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.receive
    }

    #[inline]
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        let is_waiting = self.is_waiting.get();
        let waiter = &self.connection.get().waiter;
        if waiter.is_parked(py) && waiter.is_waited_for(py)? {
            return Err(if is_waiting {
                errors::awaited_by_two(Self::CALL)
            } else {
                errors::concurrency(py)
            });
        }
        let woken = if is_waiting { self.leave(py)? } else { Wait::Idle };
        match self.take(py)? {
            Some(message) => Ok(Step::Done(message)),
            None if woken == Wait::TimedOut => Err(errors::timed_out(py, self.timeout.unwrap_or(0.0))),
            None => self.wait(py),
        }
    }

    fn is_waiting(&self) -> bool {
        self.is_waiting.get()
    }

    fn abandon(&self, py: Python<'_>) {
        if self.is_waiting.get()
            && let Err(error) = self.leave(py)
        {
            error.write_unraisable(py, None);
        }
    }

    #[inline]
    fn release(self, py: Python<'_>) {
        drop(self.connection.into_bound(py));
        drop(self.timer.into_inner().map(|timer| timer.into_bound(py)));
    }

    fn traverse(&self, visit: &mut dyn FnMut(&Py<PyAny>)) {
        visit(self.connection.as_any());
        self.timer.with_collector(|timer| timer.as_ref().map(&mut *visit));
    }
}

/// A message as `str` or as `bytes`, whichever is asked for. Where it cannot be that, it is the next one again.
#[cold]
fn decoded<'py>(
    connection: &Bound<'py, Connection>,
    message: Bound<'py, PyAny>,
    decode: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = connection.py();
    match (decode, message.cast::<PyBytes>(), message.cast::<PyString>()) {
        (true, Ok(bytes), _) => match std::str::from_utf8(bytes.as_bytes()) {
            Ok(text) => Ok(PyString::new(py, text).into_any()),
            Err(error) => {
                let told = PyUnicodeDecodeError::new_err_from_utf8(py, bytes.as_bytes(), error);
                let size = bytes.as_bytes().len();
                connection.get().state.borrow(py).backlog.put_back(message, size);
                Err(told)
            }
        },
        (false, _, Ok(text)) => Ok(text.encode_utf8()?.into_any()),
        _ => Ok(message),
    }
}

/// A future of the event loop that is waited for in the middle of an operation.
#[derive(Debug, Default)]
struct Future(GilCell<Option<Py<PyAny>>>);

impl Future {
    /// The future that is waited for, taken: its result is asked for next.
    fn take<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let future = self.0.borrow(py).take();
        future.map(|future| future.into_bound(py))
    }

    /// Has the task wait for it.
    fn wait<'py>(&self, future: Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        let py = future.py();
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        let old = self.0.borrow(py).replace(future.clone().unbind());
        drop(old.map(|old| old.into_bound(py)));
        Ok(Step::Wait(future))
    }

    /// Nobody waits any more: whoever has it sees that it is done.
    fn abandon(&self, py: Python<'_>) {
        if let Some(future) = self.take(py)
            && let Err(error) = future.call_method0(intern!(py, "cancel"))
        {
            error.write_unraisable(py, None);
        }
    }

    fn traverse(&self, visit: &mut dyn FnMut(&Py<PyAny>)) {
        self.0.with_collector(|future| future.as_ref().map(visit));
    }
}

fn result<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    future.call_method0(intern!(future.py(), "result"))
}

fn none(py: Python<'_>) -> Step<'_> {
    Step::Done(py.None().into_bound(py))
}

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
        if connection.get().state.borrow(py).sends_parts {
            return self.future.wait(connection.get().wait_parts(py)?);
        }
        if Self::queue(connection, self.message.bind(py), self.how)? {
            self.is_queued.set(true);
            return self.future.wait(dropping(|| Connection::wait_sent(connection))?);
        }
        Ok(none(py))
    }

    fn abandon(&self, py: Python<'_>) {
        self.future.abandon(py);
    }

    #[inline]
    fn release(self, py: Python<'_>) {
        drop(self.connection.into_bound(py));
        drop(self.message.into_bound(py));
        drop(self.future.0.into_inner().map(|future| future.into_bound(py)));
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
        let queued = messages.into_iter().try_fold(true, |_, message| {
            if Send::queue(connection, &message?, How::default())? { Ok(false) } else { Ok(true) }
                .and_then(|goes_on| if goes_on { Ok(true) } else { Err(Stop::Waits) })
        });
        connection.get().state.borrow(py).corks -= 1;
        match queued {
            Ok(_) => Ok((true, Send::write(connection)?)),
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

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.send_many
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        if let Some(future) = self.future.take(py) {
            result(&future)?;
        }
        let connection = self.connection.get();
        if connection.state.borrow(py).sends_parts {
            return self.future.wait(connection.wait_parts(py)?);
        }
        match self.queue(py)? {
            (true, false) => Ok(none(py)),
            _ => self.future.wait(Connection::wait_sent(self.connection.bind(py))?),
        }
    }

    fn abandon(&self, py: Python<'_>) {
        self.future.abandon(py);
    }

    fn traverse(&self, visit: &mut dyn FnMut(&Py<PyAny>)) {
        visit(self.connection.as_any());
        visit(&self.messages);
        self.future.traverse(visit);
    }
}

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
        self.future.abandon(py);
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

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.closed
    }

    fn begin<'py>(&self, connection: &Bound<'py, Connection>) -> PyResult<Option<Bound<'py, PyAny>>> {
        connection.get().wait_end(connection.py())
    }
}
