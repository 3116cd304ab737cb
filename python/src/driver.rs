//! How an open connection is driven in the callbacks of its event loop: reads, gives away, writes, asks for what is next, and ends.
//!
//! The order of every turn: step through what was read before, read, and only when the socket has nothing more judge the
//! deadline. A pong that lies in the kernel is therefore never mistaken for a dead peer.
//!
//! A task that waits for a message is stepped from within the callback that read it. Such a step runs any code, also code that
//! calls this connection again, so after each one everything is looked at afresh, and no borrow of the state lasts over one.

use aiowebsocket::protocol::CloseCode;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::clock::now;
use crate::connection::Connection;
use crate::cork::WRITE_AHEAD;
use crate::errors;
use crate::pump::{Next, Read, Written};
use crate::raw::dropping;
use crate::wire::{Memory, Wire};

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

impl Connection {
    /// Begins to read. What came behind the handshake is looked at when the program asks for it, or in the next turn of the event loop:
    /// a program that answers its first message can do so although the peer breaks a rule right behind it.
    pub(crate) fn start(slf: &Bound<'_, Self>) -> PyResult<()> {
        _ = slf.get().state.borrow(slf.py()).turn.begin();
        Self::ask_turn(slf)?;
        Self::settle(slf, Some(true))
    }

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

    /// The callback for another turn.
    pub(crate) fn go_on(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state.borrow(slf.py()).watch.take_turn();
        Self::read_on(slf, false)
    }

    /// The callback for the time.
    pub(crate) fn expire(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        // Dropped without the borrow: what is dropped may run anything.
        let handle = slf.get().state.borrow(py).watch.take_timer();
        drop(handle);
        // Where reading is paused the machine judges nobody; else what the socket has is heard first.
        if slf.get().state.borrow(py).watch.reads() {
            Self::read_on(slf, true)?;
        }
        slf.get().state.borrow(py).pump.handle_timeout(now());
        Self::settle(slf, None)
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
            } else if state.may_keep() {
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
        // Who waits for room, for a pong or for the end may be the one who is to take the cork out.
        let is_awaited =
            state.futures.has_senders() || state.futures.has_pings() || !state.pump.machine.is_open();
        let is_corked = state.corks > 0 && !is_awaited;
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
        let wants_reads = reads.unwrap_or(state.watch.reads());
        let needs_loop = !state.watch.has_calls(wants_reads, wants_writes)
            || state.futures.has_senders()
            || state.futures.has_pings();
        if needs_loop {
            drop(state);
            dropping(|| {
                Self::ask_calls(slf, wants_reads, wants_writes)?;
                Self::tell_senders(slf)?;
                Self::tell_pings(slf)
            })?;
            state = slf.get().state.borrow(py);
        }
        let is_armed = state.pump.machine.next_timeout().is_none_or(|next| state.watch.is_armed(next));
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

    /// Goes on reading after the backlog was emptied far enough.
    #[cold]
    pub(crate) fn resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        // In a turn of its own: the caller is in the middle of taking a message.
        Self::ask_turn(slf)
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
            state.is_incomplete |= reason == errors::INCOMPLETE;
            std::mem::take(&mut state.backlog)
        };
        drop(dropped);
        Self::deliver_apart(slf)?;
        Self::settle(slf, Some(true))
    }

    /// The connection is over: the event loop is asked for nothing more, the socket is closed, and everybody is told.
    #[cold]
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if std::mem::replace(&mut slf.get().state.borrow(py).is_released, true) {
            return Ok(());
        }
        Self::ask_calls(slf, false, false)?;
        let is_socket = {
            let mut state = slf.get().state.borrow(py);
            let is_socket = matches!(state.pump.wire, Wire::Socket(_));
            state.pump.release();
            is_socket
        };
        if !is_socket {
            slf.get().watcher.bind(py).call_method0(intern!(py, "close"))?;
        }
        Self::disarm(slf)?;
        Self::tell_all(slf)?;
        let told =
            if slf.get().tells_end { slf.call_method0(intern!(py, "_on_end")).map(drop) } else { Ok(()) };
        // Whatever a program's logger raised: nobody else wakes the one who waits.
        let waiter = &slf.get().waiter;
        if waiter.is_parked(py) {
            waiter.wake(py)?;
        }
        told
    }
}
