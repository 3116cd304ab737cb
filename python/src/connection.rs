//! An open connection as a class of Python: what it is made of, its methods, and what it can be asked. The bindings take the methods of a class
//! from one block, which is the length of this file. How it is driven stands in `driver.rs`, what changes of it in `state.rs`.

use std::cell::RefMut;
use std::net::SocketAddr;

use aiowebsocket::protocol::{Connection as Machine, Role};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::batches::Batches;
use crate::clock::now;
use crate::cork::Cork;
use crate::errors;
use crate::gil::GilCell;
use crate::globals::Globals;
use crate::opening::Opened;
use crate::operations::{Beginning, Close, Closed, How, Once, Ping, Receive, Send, SendMany, Wants};
use crate::pump::Pump;
use crate::settings::{self, Settings};
use crate::state::State;
use crate::streams;
use crate::waiter::Waiter;
use crate::wire::Wire;

/// An open WebSocket connection.
#[pyclass(frozen, subclass, weakref, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) event_loop: Py<PyAny>,
    pub(crate) waiter: Waiter,
    /// Who is asked to call when the socket can be read or written: the event loop, or `fallback.py` for one that cannot.
    pub(crate) watcher: Py<PyAny>,
    /// Who is asked to call for the time: the event loop, or `_alarm.py` where the loop is better not asked.
    pub(crate) clock: Py<PyAny>,
    /// Who is called with each message, in place of receivers.
    pub(crate) on_message: Option<Py<PyAny>>,
    /// `_on_end` is to be called at the end.
    pub(crate) tells_end: bool,
    pub(crate) fd: i32,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    subprotocol: Option<Py<PyAny>>,
    pub(crate) state: GilCell<State>,
}

impl Connection {
    /// What `recv` and `send` raise after the end.
    pub(crate) fn closed_error(&self, py: Python<'_>) -> PyErr {
        let (ending, broken, tls, is_incomplete) = {
            let state = self.state.borrow(py);
            let tls = state.pump.machine.tls_error().cloned();
            (state.pump.outcome(), state.pump.broken().map(errors::copy), tls, state.is_incomplete)
        };
        if is_incomplete && ending.is_none() {
            return errors::incomplete(py);
        }
        errors::closed(py, ending.as_ref(), broken, tls.as_ref())
    }

    /// `recv` and its kind.
    pub(crate) fn receive<'py>(
        slf: &Bound<'py, Self>,
        wants: Wants,
        timeout: Option<f64>,
        decode: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().on_message.is_some() {
            return Err(errors::goes_to_callback());
        }
        let operation = Receive::new(slf.clone().unbind(), wants, timeout, decode);
        Globals::get(slf.py()).receive.awaitable(slf.py(), operation)
    }

    /// `ping`, `close` and `wait_closed`.
    fn once<'py, B: Beginning>(slf: &Bound<'py, Self>, beginning: B) -> PyResult<Bound<'py, PyAny>> {
        let operation = Once::new(slf.clone().unbind(), beginning);
        B::awaitable_type(Globals::get(slf.py())).awaitable(slf.py(), operation)
    }
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (event_loop, fd, opened, settings, *, watcher=None, clock=None, on_message=None, tells_end=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        event_loop: Py<PyAny>,
        fd: i32,
        opened: &Opened,
        settings: &Settings,
        watcher: Option<Py<PyAny>>,
        clock: Option<Py<PyAny>>,
        on_message: Option<Py<PyAny>>,
        tells_end: bool,
    ) -> PyResult<Self> {
        let (wire, local, remote) = match &watcher {
            None => {
                let socket = crate::socket::adopt(fd)?;
                let (local, remote) = crate::socket::addresses(&socket);
                (Wire::Socket(socket), local, remote)
            }
            Some(_) => {
                let (local, remote) = crate::socket::addresses_of(fd);
                (Wire::Memory(Box::default()), local, remote)
            }
        };
        let mut machine = Machine::new(Role::Client, settings.0.clone(), opened.leftover(), now());
        if let Some(agreed) = opened.compression() {
            machine.compress(agreed);
        }
        if let Some(layer) = opened.take_layer(py) {
            machine.secure(layer);
        }
        Ok(Self {
            watcher: watcher.unwrap_or_else(|| event_loop.clone_ref(py)),
            clock: clock.unwrap_or_else(|| event_loop.clone_ref(py)),
            event_loop,
            waiter: Waiter::default(),
            on_message,
            tells_end,
            fd,
            local,
            remote,
            subprotocol: opened.subprotocol(py),
            state: GilCell::new(State::new(Pump::new(wire, machine))),
        })
    }

    /// What TLS agreed on, where the address is wss://: version, cipher, and whether a session was resumed.
    #[getter]
    fn tls(&self, py: Python<'_>) -> Option<String> {
        self.state.borrow(py).pump.machine.tls_info().map(|info| info.to_string())
    }

    /// What `recv` would raise after the end.
    fn _closed_error(&self, py: Python<'_>) -> Py<PyAny> {
        self.closed_error(py).into_value(py).into_any()
    }

    /// Begins to read.
    fn _start(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::start(slf)
    }

    /// Bytes came from a transport.
    fn _feed(&self, py: Python<'_>, bytes: &[u8]) {
        if let Some(memory) = self.state.borrow(py).pump.wire.memory() {
            memory.feed(bytes);
        }
    }

    /// No more bytes come from a transport; with an error of the system, none can leave either.
    #[pyo3(signature = (lost=false, errno=None))]
    fn _feed_end(&self, py: Python<'_>, lost: bool, errno: Option<i32>) {
        let mut state = self.state.borrow(py);
        let Some(memory) = state.pump.wire.memory() else { return };
        memory.end();
        memory.block(false);
        if lost {
            state.pump.break_write(errno.map_or_else(
                || std::io::ErrorKind::ConnectionAborted.into(),
                std::io::Error::from_raw_os_error,
            ));
        }
    }

    /// Whether something came from a transport that was not read.
    #[getter]
    fn _has_unread(&self, py: Python<'_>) -> bool {
        self.state.borrow(py).pump.wire.memory().is_some_and(|memory| memory.has_unread())
    }

    /// A transport wants no more bytes, or wants them again.
    fn _block(&self, py: Python<'_>, is_blocked: bool) {
        if let Some(memory) = self.state.borrow(py).pump.wire.memory() {
            memory.block(is_blocked);
        }
    }

    /// Begins to send a message in parts; where somebody else does, a future for the end of that.
    fn _enter_parts<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let (others_do, has_ended) = {
            let mut state = slf.get().state.borrow(py);
            (std::mem::replace(&mut state.sends_parts, true), state.has_ended)
        };
        match (others_do, has_ended) {
            (false, _) => Ok(None),
            (true, false) => slf.get().wait_parts(py).map(Some),
            (true, true) => Err(slf.get().closed_error(py)),
        }
    }

    /// The message is whole, or the connection was failed: who waited behind it goes on.
    fn _leave_parts(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state.borrow(slf.py()).sends_parts = false;
        Self::tell_behind_parts(slf)
    }

    /// What is there of a message: whether it is text, the bytes, and whether the message ends with them.
    fn _recv_part<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::receive(slf, Wants::Part, None, None)
    }

    fn _on_turn(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::go_on(slf)
    }

    fn _on_dropped(slf: &Bound<'_, Self>, _reference: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::dropped_reader(slf)
    }

    fn _read_again(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::read_again(slf)
    }

    fn _on_writable(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::settle(slf, None)
    }

    /// The time limit of a `recv(timeout)`.
    fn _time_out(&self, py: Python<'_>) -> PyResult<()> {
        self.waiter.time_out(py)
    }

    fn _on_time(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::expire(slf)
    }

    /// The next message where one is there, else `None`.
    fn recv_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        if slf.get().on_message.is_some() {
            return Err(errors::goes_to_callback());
        }
        let (message, resumes, has_ended) = {
            let mut state = slf.get().state.borrow(py);
            if state.pump.is_in_parts() {
                drop(state);
                return Err(errors::in_parts(py));
            }
            (state.next_message(py, false)?, state.may_resume(), state.has_ended)
        };
        if resumes {
            Self::resume(slf)?;
        }
        if message.is_none() && has_ended {
            return Err(slf.get().closed_error(py));
        }
        Ok(message)
    }

    /// Waits for a message, then takes all that are there: a list of at most `max`.
    #[pyo3(signature = (max=None, timeout=None))]
    fn recv_many<'py>(
        slf: &Bound<'py, Self>,
        max: Option<usize>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if max == Some(0) {
            return Err(PyValueError::new_err("max is 0, so there is nothing to wait for"));
        }
        let timeout = settings::limit(timeout)?;
        Self::receive(slf, Wants::Many(max.unwrap_or(usize::MAX)), timeout, None)
    }

    /// What is there, in lists, until the connection is closed: `async for batch in ws.batches()`.
    #[pyo3(signature = (max=None))]
    fn batches(slf: &Bound<'_, Self>, max: Option<usize>) -> PyResult<Batches> {
        if max == Some(0) {
            return Err(PyValueError::new_err("max is 0, so there is nothing to wait for"));
        }
        Ok(Batches::new(slf, max.unwrap_or(usize::MAX)))
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::receive(slf, Wants::Next, None, None)
    }

    /// Sends a message without waiting; refused where `send_window` bytes wait already.
    #[pyo3(signature = (message, /, *, text=None, plain=false))]
    fn send_nowait(
        slf: &Bound<'_, Self>,
        message: &Bound<'_, PyAny>,
        text: Option<bool>,
        plain: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let is_full = {
            let state = slf.get().state.borrow(py);
            state.pump.waiting() >= state.pump.machine.config().max_queue
                // What never leaves any more still waits: who tries again later is told of the end.
                && state.pump.machine.is_open()
                && !state.pump.is_write_broken()
        };
        if is_full {
            return Err(errors::queue_full(py));
        }
        Send::queue(slf, message, How { text, plain }).map(drop)
    }

    /// Sends a message or a part of one, see `streams::queue_part`: a future where some of it has to wait.
    #[pyo3(signature = (message, opcode, last, plain=false))]
    fn _send_part<'py>(
        slf: &Bound<'py, Self>,
        message: &Bound<'py, PyAny>,
        opcode: Option<u8>,
        last: bool,
        plain: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let this = slf.get();
        if this.state.borrow(py).pump.is_write_broken() {
            return Err(this.closed_error(py));
        }
        let pump = || RefMut::map(this.state.borrow(py), |state| &mut state.pump);
        streams::queue_part(message, opcode, last, plain, pump)?
            .map_err(|error| streams::cannot_send(error, || this.closed_error(py)))?;
        if Send::write(slf)? { Self::wait_sent(slf).map(Some) } else { Ok(None) }
    }

    /// Sends messages, as many in one write as fit.
    fn send_many<'py>(slf: &Bound<'py, Self>, messages: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let operation = SendMany::new(slf.clone().unbind(), messages.try_iter()?.into_any().unbind());
        Globals::get(slf.py()).send_many.awaitable(slf.py(), operation)
    }

    /// Holds back what is sent until the block is left: many messages, one write.
    fn cork(slf: &Bound<'_, Self>) -> Cork {
        Cork::new(slf)
    }

    /// Sends a ping and waits for its pong; the time that took, in seconds.
    fn ping<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::once(slf, Ping)
    }

    /// The latest round-trip time, in seconds; 0 before there was one.
    #[getter]
    fn latency(&self, py: Python<'_>) -> f64 {
        self.state.borrow(py).pump.machine.round_trip().map_or(0.0, |(_, time)| time.as_secs_f64())
    }

    /// Closes the connection: the closing handshake, then the socket.
    #[pyo3(signature = (code=1000, reason=""))]
    fn close<'py>(slf: &Bound<'py, Self>, code: u16, reason: &str) -> PyResult<Bound<'py, PyAny>> {
        Self::once(slf, Close { code, reason: reason.to_owned() })
    }

    /// Waits until the connection is closed.
    fn wait_closed<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::once(slf, Closed)
    }

    /// The close code once the connection is closed: the peer's, 1005 without one, 1006 where it ended without a Close frame.
    #[getter]
    fn close_code(&self, py: Python<'_>) -> Option<u16> {
        self.state.borrow(py).pump.outcome().map(|ending| ending.code().get())
    }

    /// The reason in the peer's Close frame, once the connection is closed.
    #[getter]
    fn close_reason(&self, py: Python<'_>) -> Option<String> {
        self.state.borrow(py).pump.outcome().map(errors::reason)
    }

    /// The subprotocol that the server chose.
    #[getter]
    fn subprotocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.subprotocol.as_ref().map(|name| name.clone_ref(py))
    }

    /// The compression that was agreed on, as it stands in Sec-WebSocket-Extensions; `None` without.
    #[getter]
    fn compression(&self, py: Python<'_>) -> Option<String> {
        self.state.borrow(py).pump.machine.compression().map(ToString::to_string)
    }

    /// Whether messages can be sent.
    #[getter]
    fn is_open(&self, py: Python<'_>) -> bool {
        self.state.borrow(py).pump.machine.is_open()
    }

    /// Whether the connection is over.
    #[getter]
    fn is_closed(&self, py: Python<'_>) -> bool {
        self.state.borrow(py).has_ended
    }

    /// Messages that came and wait to be received.
    #[getter]
    fn pending(&self, py: Python<'_>) -> usize {
        self.state.borrow(py).backlog.len()
    }

    /// Seconds since the last byte came.
    #[getter]
    fn silence(&self, py: Python<'_>) -> f64 {
        self.state.borrow(py).pump.silence(now()).as_secs_f64()
    }

    /// Bytes that wait to be written.
    #[getter]
    fn queued(&self, py: Python<'_>) -> usize {
        self.state.borrow(py).pump.waiting()
    }

    /// Messages that were received: given to a receiver, or kept for one.
    #[getter]
    fn messages_received(&self, py: Python<'_>) -> u64 {
        self.state.borrow(py).pump.counts()[0]
    }

    /// Bytes that were read behind the opening handshake, frame headers and control frames among them.
    #[getter]
    fn bytes_received(&self, py: Python<'_>) -> u64 {
        self.state.borrow(py).pump.counts()[1]
    }

    /// Messages that were sent or wait to be written.
    #[getter]
    fn messages_sent(&self, py: Python<'_>) -> u64 {
        self.state.borrow(py).pump.counts()[2]
    }

    /// Bytes that were written behind the opening handshake, frame headers and control frames among them.
    #[getter]
    fn bytes_sent(&self, py: Python<'_>) -> u64 {
        self.state.borrow(py).pump.counts()[3]
    }

    /// The address of our end: `(host, port)`, for IPv6 with flow information and scope behind it; `None` for a socket of another family.
    #[getter]
    fn local_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.local.map(|address| crate::socket::address(py, address)).transpose()
    }

    /// The address of the peer's end, likewise.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.remote.map(|address| crate::socket::address(py, address)).transpose()
    }

    /// The number of the socket.
    fn fileno(&self, py: Python<'_>) -> i32 {
        if self.state.borrow(py).is_released { -1 } else { self.fd }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        self.waiter.traverse(&visit)?;
        visit.call(&self.watcher)?;
        visit.call(&self.clock)?;
        visit.call(&self.on_message)?;
        let held = self.state.with_collector(|state| {
            state.backlog.traverse(&visit)?;
            state.futures.traverse(&visit)?;
            state.watch.traverse(&visit)
        });
        held.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            self.waiter.clear(py);
            let held = {
                let mut state = self.state.borrow(py);
                (std::mem::take(&mut state.futures), state.watch.take_objects())
            };
            drop(held);
        });
    }
}
