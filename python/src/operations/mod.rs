//! What the awaitables of a connection do, step by step.

mod once;
mod receive;
mod send;

use pyo3::intern;
use pyo3::prelude::*;

use crate::awaitable::Step;
use crate::connection::Connection;
use crate::gil::GilCell;
pub(crate) use once::{Beginning, Close, Closed, Once, Ping};
pub(crate) use receive::{Receive, Wants};
pub(crate) use send::{How, Send, SendMany};

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

    /// Nobody waits any more: the connection forgets it, or sees that it is done.
    fn abandon(&self, connection: &Bound<'_, Connection>) {
        let py = connection.py();
        let Some(future) = self.take(py) else { return };
        let forgotten = connection.get().state.borrow(py).futures.forget(&future);
        drop(forgotten);
        if let Err(error) = future.call_method0(intern!(py, "cancel")) {
            error.write_unraisable(py, None);
        }
    }

    /// Drops it.
    fn release(self, py: Python<'_>) {
        drop(self.0.into_inner().map(|future| future.into_bound(py)));
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
