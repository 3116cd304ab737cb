//! What the event loop was asked for: a call when the socket can be read, when it can be written, at a time, and another turn.

use std::time::Instant;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use crate::clock::now;
use crate::connection::Connection;

/// What is asked for now.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// A call when there is something to read.
    reads: bool,
    /// Tells that the event loop has dropped the callback for that.
    dropped: Option<Py<PyWeakrefReference>>,
    /// A call when there is room to write.
    writes: bool,
    /// Another turn, because one was long.
    turn: bool,
    /// A call at this time, and the handle of that.
    timer: Option<(Instant, Py<PyAny>)>,
}

impl Watch {
    /// Whether there is a call when there is something to read.
    pub(crate) fn reads(&self) -> bool {
        self.reads
    }

    /// Whether these are the calls for the socket.
    pub(crate) fn has_calls(&self, reads: bool, writes: bool) -> bool {
        self.reads == reads && self.writes == writes
    }

    /// Whether there is a call at this time, or before it.
    pub(crate) fn is_armed(&self, time: Instant) -> bool {
        self.timer.as_ref().is_some_and(|(at, _)| *at <= time)
    }

    /// The other turn has come.
    pub(crate) fn take_turn(&mut self) {
        self.turn = false;
    }

    /// The time has come, or nobody waits for it any more: the handle, to be dropped without a borrow.
    pub(crate) fn take_timer(&mut self) -> Option<Py<PyAny>> {
        self.timer.take().map(|(_, timer)| timer)
    }

    /// What it holds, to be dropped without a borrow.
    pub(crate) fn take_objects(&mut self) -> (Option<Py<PyWeakrefReference>>, Option<Py<PyAny>>) {
        (self.dropped.take(), self.take_timer())
    }

    /// Shows what it holds to the cycle collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.dropped)?;
        visit.call(self.timer.as_ref().map(|(_, timer)| timer))
    }
}

impl Connection {
    /// Asks the event loop to call, or not to, when the socket can be read and written.
    #[cold]
    pub(crate) fn ask_calls(slf: &Bound<'_, Self>, reads: bool, writes: bool) -> PyResult<()> {
        let py = slf.py();
        let (had_reads, had_writes) = {
            let mut state = slf.get().state.borrow(py);
            if reads != state.watch.reads {
                state.pump.machine.pause_reading(!reads);
            }
            (
                std::mem::replace(&mut state.watch.reads, reads),
                std::mem::replace(&mut state.watch.writes, writes),
            )
        };
        let watcher = slf.get().watcher.bind(py);
        let fd = slf.get().fd;
        match (had_reads, reads) {
            (false, true) => Self::add_reader(slf)?,
            (true, false) => Self::remove_reader(slf)?,
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

    fn add_reader(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let callback = slf.getattr(intern!(py, "_on_readable"))?;
        let dropped = PyWeakrefReference::new_with(&callback, slf.getattr(intern!(py, "_on_dropped"))?)?;
        slf.get().state.borrow(py).watch.dropped = Some(dropped.unbind());
        slf.get().watcher.bind(py).call_method1(intern!(py, "add_reader"), (slf.get().fd, callback))?;
        Ok(())
    }

    fn remove_reader(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        // It is we who have the callback dropped.
        let dropped = slf.get().state.borrow(py).watch.dropped.take();
        drop(dropped);
        slf.get().watcher.bind(py).call_method1(intern!(py, "remove_reader"), (slf.get().fd,))?;
        Ok(())
    }

    /// The event loop has dropped the callback for reading by itself, as uvloop does once it has told of an error of the socket, though that call may
    /// not have read all that lies before the error. It is asked again, in a turn of its own: here it is in the middle of that.
    pub(crate) fn dropped_reader(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let event_loop = slf.get().event_loop.bind(py);
        // One that is closed drops all.
        if event_loop.call_method0(intern!(py, "is_closed"))?.is_truthy()? {
            return Ok(());
        }
        let again = slf.getattr(intern!(py, "_read_again"))?;
        event_loop.call_method1(intern!(py, "call_soon"), (again,)).map(drop)
    }

    /// Asks the event loop once more to call when there is something to read.
    pub(crate) fn read_again(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().state.borrow(slf.py()).watch.reads {
            return Ok(());
        }
        Self::remove_reader(slf)?;
        Self::add_reader(slf)
    }

    /// Asks the event loop for another turn.
    #[cold]
    pub(crate) fn ask_turn(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if !std::mem::replace(&mut slf.get().state.borrow(py).watch.turn, true) {
            let turn = slf.getattr(intern!(py, "_on_turn"))?;
            slf.get().event_loop.bind(py).call_method1(intern!(py, "call_soon"), (turn,))?;
        }
        Ok(())
    }

    /// Asks to be called when the machine's next deadline is due.
    #[cold]
    pub(crate) fn arm(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let Some(next) = slf.get().state.borrow(py).pump.machine.next_timeout() else { return Ok(()) };
        let seconds = next.saturating_duration_since(now()).as_secs_f64();
        let handle = slf
            .get()
            .clock
            .bind(py)
            .call_method1(intern!(py, "call_later"), (seconds, slf.getattr(intern!(py, "_on_time"))?))?
            .unbind();
        let old = slf.get().state.borrow(py).watch.timer.replace((next, handle));
        if let Some((_, old)) = old {
            old.bind(py).call_method0(intern!(py, "cancel"))?;
        }
        Ok(())
    }

    /// Asks to be called for no time any more.
    pub(crate) fn disarm(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let timer = slf.get().state.borrow(py).watch.take_timer();
        timer.map_or(Ok(()), |timer| timer.bind(py).call_method0(intern!(py, "cancel")).map(drop))
    }
}
