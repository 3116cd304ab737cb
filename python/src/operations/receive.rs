//! `recv()` and its kind: waits for a message, a part of one, or all that are there.

use std::cell::Cell;

use pyo3::exceptions::PyUnicodeDecodeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::awaitable::{AwaitableType, Operation, Step};
use crate::batches::drain;
use crate::connection::Connection;
use crate::errors;
use crate::gil::GilCell;
use crate::globals::Globals;
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

    /// While somebody waits for parts, the next message comes in parts: it may be larger than one that comes whole.
    #[inline]
    fn want_parts(&self, py: Python<'_>, waits: bool) {
        if matches!(self.wants, Wants::Part) {
            let pump = &mut self.connection.get().state.borrow(py).pump;
            if waits { pump.want_parts() } else { pump.want_whole() }
        }
    }

    /// The wait is over, in whichever way.
    fn leave(&self, py: Python<'_>) -> PyResult<Wait> {
        self.is_waiting.set(false);
        self.want_parts(py, false);
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
            _ => {
                self.want_parts(py, false);
                return Ok(Step::Wait(py.None().into_bound(py)));
            }
        }
        let turn_is_over = {
            let mut state = this.state.borrow(py);
            if state.has_ended && !state.backlog.is_empty() {
                // What was kept is given away behind the end too, and nobody else begins another turn then: this one does, and goes on
                // in it.
                _ = state.turn.begin();
                return Ok(Step::Wait(py.None().into_bound(py)));
            }
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
        // Also where the turn was over, and nothing was asked for yet.
        self.want_parts(py, true);
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

    fn name(&self) -> &'static std::ffi::CStr {
        match self.wants {
            Wants::One => c"WebSocket.recv",
            Wants::Next => c"WebSocket.__anext__",
            Wants::Many(_) => c"WebSocket.recv_many",
            Wants::NextMany(_) => c"Batches.__anext__",
            Wants::Part => c"WebSocket._recv_part",
        }
    }

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
