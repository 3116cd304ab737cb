//! Who waits on a connection for anything but a message: futures of the event loop, and what each of them is told.

use std::collections::VecDeque;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::connection::Connection;

/// The futures.
#[derive(Debug, Default)]
pub(crate) struct Futures {
    /// Of those who wait until this many bytes have left.
    senders: VecDeque<(u64, Py<PyAny>)>,
    /// Of those who wait for the pong to this ping.
    pings: Vec<(u64, Py<PyAny>)>,
    /// Of those who wait for the end.
    closers: Vec<Py<PyAny>>,
    /// Of those who send behind a message in parts.
    behind_parts: Vec<Py<PyAny>>,
}

impl Futures {
    /// Whether somebody waits until bytes have left.
    pub(crate) fn has_senders(&self) -> bool {
        !self.senders.is_empty()
    }

    /// Whether somebody waits for a pong.
    pub(crate) fn has_pings(&self) -> bool {
        !self.pings.is_empty()
    }

    /// Whoever waited for this one has gone, and what he waited for may be far away: what was kept of it, to be dropped without a borrow. Those of
    /// senders stay, beside the messages that they wait for.
    pub(crate) fn forget(&mut self, future: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
        if let Some(at) = self.pings.iter().position(|(_, held)| held.is(future)) {
            return Some(self.pings.swap_remove(at).1);
        }
        let lists = [&mut self.closers, &mut self.behind_parts];
        lists.into_iter().find_map(|held| Some(held.remove(held.iter().position(|held| held.is(future))?)))
    }

    /// Shows them to the cycle collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let counted = self.senders.iter().chain(&self.pings).map(|(_, future)| future);
        counted.chain(&self.closers).chain(&self.behind_parts).try_for_each(|future| visit.call(future))
    }
}

impl Connection {
    /// A future that is done when everything queued now has left.
    pub(crate) fn wait_sent<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let future = slf.get().future(py)?;
        {
            let mut state = slf.get().state.borrow(py);
            let target = state.pump.sent_when_empty();
            state.futures.senders.push_back((target, future.clone().unbind()));
        }
        Self::settle(slf, None)?;
        Ok(future)
    }

    /// A future that is done with the answer to this ping.
    pub(crate) fn wait_pong<'py>(&self, py: Python<'py>, id: u64) -> PyResult<Bound<'py, PyAny>> {
        let future = self.future(py)?;
        self.state.borrow(py).futures.pings.push((id, future.clone().unbind()));
        Ok(future)
    }

    /// A future that is done at the end; none where that has come.
    pub(crate) fn wait_end<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.state.borrow(py).is_released {
            return Ok(None);
        }
        let future = self.future(py)?;
        self.state.borrow(py).futures.closers.push(future.clone().unbind());
        Ok(Some(future))
    }

    /// A future that is done when the message that is being sent in parts is whole.
    pub(crate) fn wait_parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let future = self.future(py)?;
        self.state.borrow(py).futures.behind_parts.push(future.clone().unbind());
        Ok(future)
    }

    /// A future of the event loop.
    fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop.bind(py).call_method0(intern!(py, "create_future"))
    }

    /// Those whose messages have left may go on; after the end, or where the socket takes no more, they are told so.
    pub(crate) fn tell_senders(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        loop {
            let (sender, broken) = {
                let mut state = slf.get().state.borrow(py);
                let broken = state.has_ended || state.pump.is_write_broken();
                let Some((target, _)) = state.futures.senders.front() else { return Ok(()) };
                if !broken && !state.pump.has_sent(*target) {
                    return Ok(());
                }
                let sender = state.futures.senders.pop_front().map(|(_, sender)| sender);
                (sender, broken)
            };
            let Some(sender) = sender else { return Ok(()) };
            let error = broken.then(|| slf.get().closed_error(py));
            conclude(sender.bind(py), error, py.None())?;
        }
    }

    /// Those whose pongs have come may go on; after the end they are told so.
    pub(crate) fn tell_pings(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        loop {
            let (ping, answer) = {
                let mut state = slf.get().state.borrow(py);
                let answered = state.pump.machine.round_trip();
                let has_ended = state.has_ended;
                let due =
                    state.futures.pings.iter().position(|(id, _)| {
                        has_ended || answered.is_some_and(|(answered, _)| *id <= answered)
                    });
                let Some(due) = due else { return Ok(()) };
                let (id, ping) = state.futures.pings.swap_remove(due);
                (ping, answered.filter(|(answered, _)| id <= *answered).map(|(_, time)| time))
            };
            let (error, result) = match answer {
                Some(time) => (None, time.as_secs_f64().into_pyobject(py)?.into_any().unbind()),
                None => (Some(slf.get().closed_error(py)), py.None()),
            };
            conclude(ping.bind(py), error, result)?;
        }
    }

    /// The message in parts is whole: who sends behind it goes on.
    pub(crate) fn tell_behind_parts(slf: &Bound<'_, Self>) -> PyResult<()> {
        let waiting = std::mem::take(&mut slf.get().state.borrow(slf.py()).futures.behind_parts);
        conclude_all(slf.py(), waiting)
    }

    /// The end has come: everybody is told.
    pub(crate) fn tell_all(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::tell_senders(slf)?;
        Self::tell_pings(slf)?;
        let closers = std::mem::take(&mut slf.get().state.borrow(slf.py()).futures.closers);
        conclude_all(slf.py(), closers)?;
        Self::tell_behind_parts(slf)
    }
}

fn conclude_all(py: Python<'_>, waiting: Vec<Py<PyAny>>) -> PyResult<()> {
    waiting.into_iter().try_for_each(|future| conclude(future.bind(py), None, py.None()))
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
