//! An open connection on an event loop: who is called when the socket can be read or written, and who waits for what.
//!
//! The order of every turn: step through what was read before, read, and only when the socket has nothing more judge the
//! deadline. A pong that lies in the kernel is therefore never mistaken for a dead peer.
//!
//! A task that waits for a message is stepped from within the callback that read it. Such a step runs any code, also code that
//! calls this connection again, so after each one everything is looked at afresh, and no borrow of the state lasts over one.

use std::cell::RefMut;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use aiowebsocket::protocol::{CloseCode, Connection as Machine, Kind, Role};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::backlog::Backlog;
use crate::batches::Batches;
use crate::clock::now;
use crate::cork::Cork;
use crate::errors;
use crate::gil::GilCell;
use crate::globals::Globals;
use crate::opening::Opened;
use crate::operations::{Beginning, Close, Closed, How, Once, Ping, Receive, Send, SendMany, Wants};
use crate::pump::{Next, Pump, Read, Written};
use crate::raw::dropping;
use crate::settings::Settings;
use crate::streams;
use crate::turn::Turn;
use crate::waiter::Waiter;
use crate::wire::{Memory, Wire};

/// Queued bytes from which a corked connection writes all the same: what one write can usually put into a socket.
pub(crate) const WRITE_AHEAD: usize = 128 << 10;

/// An open WebSocket connection.
#[pyclass(frozen, subclass, weakref, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) event_loop: Py<PyAny>,
    pub(crate) waiter: Waiter,
    /// Who is asked to call when the socket can be read or written: the event loop, or `fallback.py` for one that cannot.
    watcher: Py<PyAny>,
    /// Who is asked to call for the time: the event loop, or `_alarm.py` where the loop is better not asked.
    clock: Py<PyAny>,
    /// Who is called with each message, in place of receivers.
    on_message: Option<Py<PyAny>>,
    /// `_on_end` is to be called at the end.
    tells_end: bool,
    fd: i32,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    subprotocol: Option<Py<PyAny>>,
    pub(crate) state: GilCell<State>,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) pump: Pump,
    /// Messages that came while nobody waited.
    pub(crate) backlog: Backlog,
    pub(crate) turn: Turn,
    /// A turn was asked for, because this one was long.
    turn_asked: bool,
    /// How many `cork()` are entered.
    pub(crate) corks: u32,
    /// `close()` was called: messages are dropped.
    is_closing: bool,
    /// The end was reached: nothing is read or written any more.
    has_ended: bool,
    /// The event loop was told of the end.
    is_released: bool,
    /// The event loop calls when there is something to read.
    watches_reads: bool,
    /// The event loop calls when there is room to write.
    watches_writes: bool,
    /// When it is called for the time, and the handle of that.
    timer: Option<(Instant, Py<PyAny>)>,
    /// Futures of those who wait until this many bytes have left.
    senders: VecDeque<(u64, Py<PyAny>)>,
    /// Futures of those who wait for the pong to this ping.
    pings: Vec<(u64, Py<PyAny>)>,
    /// Futures of those who wait for the end.
    closers: Vec<Py<PyAny>>,
    /// Somebody sends a message in parts.
    pub(crate) sends_parts: bool,
    /// Futures of those who send behind it.
    behind_parts: Vec<Py<PyAny>>,
}

/// How far the messages that were read were given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    /// All of them.
    All,
    /// There is no room to keep more.
    Full,
    /// The event loop has its turn first.
    TurnOver,
    /// The end.
    End,
}

impl State {
    /// The next message, `bytes` or `str`, where one is there.
    #[inline]
    pub(crate) fn next_message<'py>(
        &mut self,
        py: Python<'py>,
        raw: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.backlog.is_empty() {
            return Ok(self.next_kept(py));
        }
        if self.has_ended || self.pump.advance(py)? != Next::Message {
            return Ok(None);
        }
        let Some((message, size)) = self.pump.take(py, raw)? else { return Ok(None) };
        self.turn.count(size);
        Ok(Some(message))
    }

    fn next_kept<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let (message, size) = self.backlog.pop(py)?;
        self.turn.count(size);
        Some(message)
    }

    /// The next part of a message: whether it is text, what there is of it, and whether it is the last one. What was kept whole
    /// comes whole.
    pub(crate) fn next_part<'py>(
        &mut self,
        py: Python<'py>,
    ) -> PyResult<Option<(bool, Bound<'py, PyAny>, bool)>> {
        if let Some(message) = self.next_kept(py) {
            return Ok(Some((message.is_instance_of::<PyString>(), message, true)));
        }
        self.pump.want_parts();
        if self.has_ended || self.pump.advance(py)? != Next::Message {
            return Ok(None);
        }
        let part = self.pump.take_part(py)?;
        if let Some((_, bytes, _)) = &part {
            self.turn.count(bytes.len()?);
        }
        Ok(part)
    }

    /// Whether there is nothing to be given away.
    fn is_quiet(&self) -> bool {
        !self.has_ended && self.backlog.is_empty() && self.pump.has_nothing()
    }

    fn backlog_has_room(&self) -> bool {
        self.backlog.has_room(self.pump.machine.config().max_backlog)
    }

    /// Reading stopped for want of room, and half of it is free again.
    pub(crate) fn may_resume(&self) -> bool {
        !self.watches_reads
            && !self.is_released
            && self.backlog.is_half_free(self.pump.machine.config().max_backlog)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }
}

impl Connection {
    /// The callback for a socket that can be read, and the loop behind it. What drops a `Py` here says so, see [`called`](crate::raw::called).
    pub(crate) fn read_on(slf: &Bound<'_, Self>, mut may_read: bool) -> PyResult<()> {
        let py = slf.py();
        let (mut began, mut is_quiet) = {
            let mut state = slf.get().state.borrow(py);
            (Some(state.turn.begin()), state.is_quiet())
        };
        let delivered = loop {
            let delivered = if std::mem::take(&mut is_quiet) { Delivered::All } else { Self::deliver(slf)? };
            if delivered != Delivered::All || !may_read {
                break delivered;
            }
            let mut state = slf.get().state.borrow(py);
            if state.has_ended || state.turn.is_over() {
                break delivered;
            }
            // One look at the clock serves the beginning of a turn and its first read.
            let at = began.take().filter(|_| state.turn.is_new()).unwrap_or_else(now);
            match state.pump.read(py, at)? {
                Read::Filled(_) => {}
                // What is there is delivered, then the socket is left until it can be read again.
                Read::Some(_) | Read::End => may_read = false,
                Read::Nothing => break delivered,
            }
        };
        if delivered == Delivered::All {
            slf.get().state.borrow(py).pump.machine.park();
        }
        Self::settle(slf, Some(delivered != Delivered::Full))
    }

    /// Gives away what was read: to the task that waits as long as it does, then to the backlog, so that pings behind messages
    /// are answered. For `read_on` alone, of which it is a part.
    #[inline(always)]
    fn deliver(slf: &Bound<'_, Self>) -> PyResult<Delivered> {
        let py = slf.py();
        loop {
            let mut state = slf.get().state.borrow(py);
            if state.has_ended {
                return Ok(Delivered::End);
            }
            let parked = slf.get().waiter.is_parked(py);
            if !parked || state.backlog.is_empty() {
                match state.pump.advance(py)? {
                    Next::Message => {}
                    Next::Read => return Ok(Delivered::All),
                    Next::End => {
                        state.has_ended = true;
                        return Ok(Delivered::End);
                    }
                }
            }
            if state.is_closing {
                state.pump.discard();
            } else if let Some(callback) = &slf.get().on_message {
                if state.turn.is_over() {
                    drop(state);
                    Self::ask_turn(slf)?;
                    return Ok(Delivered::TurnOver);
                }
                let taken = state.pump.take(py, false)?;
                let Some((message, size)) = taken else { continue };
                state.turn.count(size);
                drop(state);
                if let Err(error) = callback.bind(py).call1((slf, message)) {
                    // The event loop is told, as of any callback, and calls for what is behind.
                    Self::ask_turn(slf)?;
                    return Err(error);
                }
            } else if parked {
                if state.turn.is_over() {
                    drop(state);
                    Self::ask_turn(slf)?;
                    return Ok(Delivered::TurnOver);
                }
                drop(state);
                if let Err(error) = slf.get().waiter.wake(py) {
                    // The program is told to end, by what its task raised. Should it go on, so do we.
                    Self::ask_turn(slf)?;
                    return Err(error);
                }
            } else if state.backlog_has_room() && !state.pump.is_in_parts() {
                if let Some((message, size)) = state.pump.take(py, false)? {
                    state.backlog.push(message, size);
                }
            } else {
                return Ok(Delivered::Full);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn deliver_apart(slf: &Bound<'_, Self>) -> PyResult<Delivered> {
        Self::deliver(slf)
    }

    /// After anything that may have moved the machine: writes, tells those who wait, and asks the event loop for what is needed next;
    /// `reads` says whether to watch for bytes, where that changes.
    pub(crate) fn settle(slf: &Bound<'_, Self>, reads: Option<bool>) -> PyResult<()> {
        let py = slf.py();
        let state = slf.get().state.borrow(py);
        // Who waits for room may be the one who is to take the cork out.
        let is_corked = state.corks > 0 && state.senders.is_empty();
        let holds_back = is_corked && state.pump.machine.queued() < WRITE_AHEAD;
        let needs_no_write = holds_back || state.pump.has_written();
        drop(state);
        let written = if needs_no_write { Written::All } else { Self::write(slf)? };
        let mut state = slf.get().state.borrow(py);
        if state.pump.machine.ending().is_some() && !state.has_ended {
            // What came before the end is given away first.
            drop(state);
            Self::deliver_apart(slf)?;
            state = slf.get().state.borrow(py);
        }
        if state.has_ended {
            drop(state);
            return dropping(|| Self::release(slf));
        }
        let wants_writes = written == Written::Blocked;
        let wants_reads = reads.unwrap_or(state.watches_reads);
        let needs_loop = wants_writes != state.watches_writes
            || wants_reads != state.watches_reads
            || !state.senders.is_empty()
            || !state.pings.is_empty();
        if needs_loop {
            drop(state);
            dropping(|| {
                Self::ask_calls(slf, wants_reads, wants_writes)?;
                Self::tell_senders(slf)?;
                Self::tell_pings(slf)
            })?;
            state = slf.get().state.borrow(py);
        }
        let next = state.pump.machine.next_timeout();
        let is_armed = match (next, &state.timer) {
            (None, _) => true,
            (Some(next), Some((at, _))) => *at <= next,
            (Some(_), None) => false,
        };
        drop(state);
        if is_armed { Ok(()) } else { dropping(|| Self::arm(slf)) }
    }

    /// Writes what is queued, as far as it can be.
    #[inline]
    pub(crate) fn write(slf: &Bound<'_, Self>) -> PyResult<Written> {
        let mut state = slf.get().state.borrow(slf.py());
        let written = state.pump.write();
        if state.pump.wire.memory().is_none() {
            return Ok(written);
        }
        drop(state);
        Self::hand_over(slf, written)
    }

    /// The same where a transport writes.
    #[cold]
    fn hand_over(slf: &Bound<'_, Self>, mut written: Written) -> PyResult<Written> {
        let py = slf.py();
        let watcher = slf.get().watcher.bind(py);
        loop {
            let handed = slf.get().state.borrow(py).pump.wire.memory().and_then(Memory::hand);
            let Some((bytes, shuts)) = handed else { break };
            watcher.call_method1(intern!(py, "write"), (PyBytes::new(py, &bytes), shuts))?;
            let mut state = slf.get().state.borrow(py);
            let Some(memory) = state.pump.wire.memory() else { return Ok(Written::Broken) };
            memory.handed();
            written = state.pump.write_apart();
        }
        let state = slf.get().state.borrow(py);
        Ok(if written == Written::All && state.pump.wire.in_flight() > 0 {
            Written::Blocked
        } else {
            written
        })
    }

    /// Asks the event loop to call, or not to, when the socket can be read and written.
    #[cold]
    fn ask_calls(slf: &Bound<'_, Self>, reads: bool, writes: bool) -> PyResult<()> {
        let py = slf.py();
        let (had_reads, had_writes) = {
            let mut state = slf.get().state.borrow(py);
            if reads != state.watches_reads {
                state.pump.machine.pause_reading(!reads);
            }
            (
                std::mem::replace(&mut state.watches_reads, reads),
                std::mem::replace(&mut state.watches_writes, writes),
            )
        };
        let watcher = slf.get().watcher.bind(py);
        let fd = slf.get().fd;
        match (had_reads, reads) {
            (false, true) => {
                let callback = slf.getattr(intern!(py, "_on_readable"))?;
                watcher.call_method1(intern!(py, "add_reader"), (fd, callback))?;
            }
            (true, false) => {
                watcher.call_method1(intern!(py, "remove_reader"), (fd,))?;
            }
            _ => {}
        }
        match (had_writes, writes) {
            (false, true) => {
                let callback = slf.getattr(intern!(py, "_on_writable"))?;
                watcher.call_method1(intern!(py, "add_writer"), (fd, callback))?;
            }
            (true, false) => {
                watcher.call_method1(intern!(py, "remove_writer"), (fd,))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks the event loop for another turn.
    #[cold]
    pub(crate) fn ask_turn(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if !std::mem::replace(&mut slf.get().state.borrow(py).turn_asked, true) {
            let turn = slf.getattr(intern!(py, "_on_turn"))?;
            slf.get().event_loop.bind(py).call_method1(intern!(py, "call_soon"), (turn,))?;
        }
        Ok(())
    }

    /// Asks to be called when the machine's next deadline is due.
    #[cold]
    fn arm(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let Some(next) = slf.get().state.borrow(py).pump.machine.next_timeout() else { return Ok(()) };
        let seconds = next.saturating_duration_since(now()).as_secs_f64();
        let handle = slf
            .get()
            .clock
            .bind(py)
            .call_method1(intern!(py, "call_later"), (seconds, slf.getattr(intern!(py, "_on_time"))?))?
            .unbind();
        let old = slf.get().state.borrow(py).timer.replace((next, handle));
        if let Some((_, old)) = old {
            old.bind(py).call_method0(intern!(py, "cancel"))?;
        }
        Ok(())
    }

    /// Those whose messages have left may go on; after the end, or where the socket takes no more, they are told so.
    fn tell_senders(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        loop {
            let (sender, broken) = {
                let mut state = slf.get().state.borrow(py);
                let broken = state.has_ended || state.pump.is_write_broken();
                let Some((target, _)) = state.senders.front() else { return Ok(()) };
                if !broken && !state.pump.has_sent(*target) {
                    return Ok(());
                }
                let sender = state.senders.pop_front().map(|(_, sender)| sender);
                (sender, broken)
            };
            let Some(sender) = sender else { return Ok(()) };
            let error = broken.then(|| slf.get().closed_error(py));
            conclude(sender.bind(py), error, py.None())?;
        }
    }

    fn tell_pings(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        loop {
            let (ping, answer) = {
                let mut state = slf.get().state.borrow(py);
                let answered = state.pump.machine.round_trip();
                let has_ended = state.has_ended;
                let due = state
                    .pings
                    .iter()
                    .position(|(id, _)| has_ended || answered.is_some_and(|(answered, _)| *id <= answered));
                let Some(due) = due else { return Ok(()) };
                let (id, ping) = state.pings.swap_remove(due);
                (ping, answered.filter(|(answered, _)| id <= *answered).map(|(_, time)| time))
            };
            let (error, result) = match answer {
                Some(time) => (None, time.as_secs_f64().into_pyobject(py)?.into_any().unbind()),
                None => (Some(slf.get().closed_error(py)), py.None()),
            };
            conclude(ping.bind(py), error, result)?;
        }
    }

    /// The connection is over: the event loop is asked for nothing more, the socket is closed, and everybody is told.
    #[cold]
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if std::mem::replace(&mut slf.get().state.borrow(py).is_released, true) {
            return Ok(());
        }
        Self::ask_calls(slf, false, false)?;
        let (timer, closers, behind_parts, is_socket) = {
            let mut state = slf.get().state.borrow(py);
            let is_socket = matches!(state.pump.wire, Wire::Socket(_));
            state.pump.release();
            let behind_parts = std::mem::take(&mut state.behind_parts);
            (state.timer.take(), std::mem::take(&mut state.closers), behind_parts, is_socket)
        };
        if !is_socket {
            slf.get().watcher.bind(py).call_method0(intern!(py, "close"))?;
        }
        if let Some((_, timer)) = timer {
            timer.bind(py).call_method0(intern!(py, "cancel"))?;
        }
        Self::tell_senders(slf)?;
        Self::tell_pings(slf)?;
        for waiting in closers.into_iter().chain(behind_parts) {
            conclude(waiting.bind(py), None, py.None())?;
        }
        if slf.get().tells_end {
            slf.call_method0(intern!(py, "_on_end"))?;
        }
        let waiter = &slf.get().waiter;
        if waiter.is_parked(py) { waiter.wake(py) } else { Ok(()) }
    }

    /// What `recv` and `send` raise after the end.
    pub(crate) fn closed_error(&self, py: Python<'_>) -> PyErr {
        let (ending, broken, tls) = {
            let state = self.state.borrow(py);
            let tls = state.pump.machine.tls_error().cloned();
            (state.pump.outcome(), state.pump.broken().map(errors::copy), tls)
        };
        errors::closed(py, ending.as_ref(), broken, tls.as_ref())
    }

    /// A future of the event loop.
    pub(crate) fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop.bind(py).call_method0(intern!(py, "create_future"))
    }

    /// A future that is done when everything queued now has left.
    pub(crate) fn wait_sent<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let future = slf.get().future(py)?;
        {
            let mut state = slf.get().state.borrow(py);
            let target = state.pump.sent_when_empty();
            state.senders.push_back((target, future.clone().unbind()));
        }
        Self::settle(slf, None)?;
        Ok(future)
    }

    /// A future that is done with the answer to this ping.
    pub(crate) fn wait_pong<'py>(&self, py: Python<'py>, id: u64) -> PyResult<Bound<'py, PyAny>> {
        let future = self.future(py)?;
        self.state.borrow(py).pings.push((id, future.clone().unbind()));
        Ok(future)
    }

    /// A future that is done at the end; none where that has come.
    pub(crate) fn wait_end<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.state.borrow(py).is_released {
            return Ok(None);
        }
        let future = self.future(py)?;
        self.state.borrow(py).closers.push(future.clone().unbind());
        Ok(Some(future))
    }

    /// A future that is done when the message that is being sent in parts is whole.
    pub(crate) fn wait_parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let future = self.future(py)?;
        self.state.borrow(py).behind_parts.push(future.clone().unbind());
        Ok(future)
    }

    /// Begins the closing handshake. What waits to be received is dropped.
    pub(crate) fn begin_close(slf: &Bound<'_, Self>, code: u16, reason: &str) -> PyResult<()> {
        let py = slf.py();
        let dropped = {
            let mut state = slf.get().state.borrow(py);
            if state.has_ended {
                return Ok(());
            }
            state
                .pump
                .machine
                .close(CloseCode::new(code), reason, now())
                .map_err(|error| PyValueError::new_err(error.to_string()))?;
            state.is_closing = true;
            std::mem::take(&mut state.backlog)
        };
        drop(dropped);
        Self::deliver_apart(slf)?;
        Self::settle(slf, Some(true))
    }

    /// Goes on reading after the backlog was emptied far enough.
    #[cold]
    pub(crate) fn resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        // In a turn of its own: the caller is in the middle of taking a message.
        Self::ask_turn(slf)
    }

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

    fn once<'py, B: Beginning>(slf: &Bound<'py, Self>, beginning: B) -> PyResult<Bound<'py, PyAny>> {
        let operation = Once::new(slf.clone().unbind(), beginning);
        B::awaitable_type(Globals::get(slf.py())).awaitable(slf.py(), operation)
    }
}

/// Gives a future its result, unless whoever waited for it has gone.
fn conclude(future: &Bound<'_, PyAny>, error: Option<PyErr>, result: Py<PyAny>) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match error {
        Some(error) => future.call_method1(intern!(py, "set_exception"), (error.into_value(py),))?,
        None => future.call_method1(intern!(py, "set_result"), (result,))?,
    };
    Ok(())
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
            state: GilCell::new(State {
                pump: Pump::new(wire, machine),
                backlog: Backlog::default(),
                turn: Turn::default(),
                turn_asked: false,
                corks: 0,
                is_closing: false,
                has_ended: false,
                is_released: false,
                watches_reads: false,
                watches_writes: false,
                timer: None,
                senders: VecDeque::new(),
                pings: Vec::new(),
                closers: Vec::new(),
                sends_parts: false,
                behind_parts: Vec::new(),
            }),
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

    /// Begins to read. What came behind the handshake is looked at when the program asks for it, or in the next turn of the event loop:
    /// a program that answers its first message can do so although the peer breaks a rule right behind it.
    fn _start(slf: &Bound<'_, Self>) -> PyResult<()> {
        _ = slf.get().state.borrow(slf.py()).turn.begin();
        Self::ask_turn(slf)?;
        Self::settle(slf, Some(true))
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
        if std::mem::replace(&mut slf.get().state.borrow(py).sends_parts, true) {
            return slf.get().wait_parts(py).map(Some);
        }
        Ok(None)
    }

    /// The message is whole: who waited behind it goes on.
    fn _leave_parts(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let waiting = {
            let mut state = slf.get().state.borrow(py);
            state.sends_parts = false;
            std::mem::take(&mut state.behind_parts)
        };
        for future in waiting {
            conclude(future.bind(py), None, py.None())?;
        }
        Ok(())
    }

    /// What is there of a message: whether it is text, the bytes, and whether the message ends with them.
    fn _recv_part<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::receive(slf, Wants::Part, None, None)
    }

    fn _on_turn(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state.borrow(slf.py()).turn_asked = false;
        Self::read_on(slf, false)
    }

    fn _on_writable(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::settle(slf, None)
    }

    /// The time limit of a `recv(timeout)`.
    fn _time_out(&self, py: Python<'_>) -> PyResult<()> {
        self.waiter.time_out(py)
    }

    fn _on_time(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        // Dropped without the borrow: what is dropped may run anything.
        let handle = slf.get().state.borrow(py).timer.take();
        drop(handle);
        // Where reading is paused the machine judges nobody; else what the socket has is heard first.
        if slf.get().state.borrow(py).watches_reads {
            Self::read_on(slf, true)?;
        }
        slf.get().state.borrow(py).pump.handle_timeout(now());
        Self::settle(slf, None)
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
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if max == Some(0) {
            return Err(PyValueError::new_err("max is 0, so there is nothing to wait for"));
        }
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
    #[pyo3(signature = (code=1000, reason=String::new()))]
    fn close<'py>(slf: &Bound<'py, Self>, code: u16, reason: String) -> PyResult<Bound<'py, PyAny>> {
        Self::once(slf, Close { code, reason })
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
            for (_, future) in state.senders.iter() {
                visit.call(future)?;
            }
            for (_, future) in &state.pings {
                visit.call(future)?;
            }
            for future in state.closers.iter().chain(&state.behind_parts) {
                visit.call(future)?;
            }
            visit.call(state.timer.as_ref().map(|(_, timer)| timer))
        });
        held.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            self.waiter.clear(py);
            let held = {
                let mut state = self.state.borrow(py);
                (
                    std::mem::take(&mut state.senders),
                    std::mem::take(&mut state.pings),
                    std::mem::take(&mut state.closers),
                    std::mem::take(&mut state.behind_parts),
                    state.timer.take(),
                )
            };
            drop(held);
        });
    }
}

/// `str` is text and bytes-like objects are binary, where nothing else is asked for.
pub(crate) fn kind_of(is_str: bool, text: Option<bool>) -> Kind {
    match text {
        Some(true) => Kind::Text,
        Some(false) => Kind::Binary,
        None if is_str => Kind::Text,
        None => Kind::Binary,
    }
}
