//! What changes of an open connection: the machine with its wire, what waits on either side, and how far the connection is.
//!
//! Whoever borrows it gives it back before anything that can run Python code, dropping an object included: such code may call the
//! connection again. What was seen before is looked at afresh then.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::backlog::Backlog;
use crate::futures::Futures;
use crate::pump::{Next, Pump};
use crate::turn::Turn;
use crate::watch::Watch;

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) pump: Pump,
    /// Messages that came while nobody waited.
    pub(crate) backlog: Backlog,
    /// Who waits for anything but a message.
    pub(crate) futures: Futures,
    pub(crate) turn: Turn,
    /// What the event loop was asked for.
    pub(crate) watch: Watch,
    /// How many `cork()` are entered.
    pub(crate) corks: u32,
    /// Somebody sends a message in parts.
    pub(crate) sends_parts: bool,
    /// `close()` was called: messages are dropped.
    pub(crate) is_closing: bool,
    /// It is closed with the words of a message in parts that could not be completed: what is sent behind that is told so, for nobody else
    /// called `close()`.
    pub(crate) is_incomplete: bool,
    /// The end was reached: nothing is read or written any more.
    pub(crate) has_ended: bool,
    /// The event loop was told of the end.
    pub(crate) is_released: bool,
}

impl State {
    pub(crate) fn new(pump: Pump) -> Self {
        Self {
            pump,
            backlog: Backlog::default(),
            futures: Futures::default(),
            turn: Turn::default(),
            watch: Watch::default(),
            corks: 0,
            sends_parts: false,
            is_closing: false,
            is_incomplete: false,
            has_ended: false,
            is_released: false,
        }
    }

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

    /// The next one of those that were kept.
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
    pub(crate) fn is_quiet(&self) -> bool {
        !self.has_ended && self.backlog.is_empty() && self.pump.has_nothing()
    }

    /// Whether the message that is there may be kept: there is room, and it is whole.
    pub(crate) fn may_keep(&self) -> bool {
        self.backlog.has_room(self.pump.machine.config().max_backlog) && !self.pump.is_in_parts()
    }

    /// Whether what is sent has to wait for the end of a message in parts. Behind the end it waits for nothing: who gives the parts may never
    /// give another one.
    pub(crate) fn waits_behind_parts(&self) -> bool {
        self.sends_parts && !self.has_ended
    }

    /// Reading stopped for want of room, and half of it is free again.
    pub(crate) fn may_resume(&self) -> bool {
        !self.watch.reads()
            && !self.is_released
            && self.backlog.is_half_free(self.pump.machine.config().max_backlog)
    }
}
