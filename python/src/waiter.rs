//! What a task waits for when it waits for a message: something like a future that its connection keeps and uses again.
//!
//! ```text
//! Idle ──park──► Parked ──wake──► Woken ──park──► Parked
//!                  └──cancel, time out──► Cancelled, TimedOut ──park──► Parked
//! ```
//!
//! It keeps the wake-up function that the task gives it, and the context to call it in, so that the connection can step the task
//! itself when a message has come, without another turn of the event loop.

use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::asyncio::CancelledError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};

use crate::context;
use crate::gil::GilCell;
use crate::globals::Globals;

/// Not to be made by users: `recv()` has one yielded to its task.
#[pyclass(frozen, weakref, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Waiter {
    event_loop: Py<PyAny>,
    parked: GilCell<Parking>,
}

#[derive(Debug, Default)]
struct Parking {
    state: State,
    /// Who is to be called, and in which context.
    wakeup: Option<(Py<PyAny>, Option<Py<PyAny>>)>,
    /// The call steps exactly one `asyncio.Task` and does nothing else.
    steps_task: bool,
    /// `_asyncio_future_blocking`: set when this is yielded, cleared by the task that accepts it.
    blocking: bool,
    /// The argument of `Task.cancel`.
    message: Option<Py<PyAny>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Idle,
    Parked,
    Woken,
    Cancelled,
    TimedOut,
}

impl Waiter {
    pub(crate) fn new(event_loop: Py<PyAny>) -> Self {
        Self { event_loop, parked: GilCell::default() }
    }

    /// Whether somebody waits and was not woken yet.
    #[inline]
    pub(crate) fn is_parked(&self, py: Python<'_>) -> bool {
        self.state(py) == State::Parked
    }

    #[inline]
    pub(crate) fn state(&self, py: Python<'_>) -> State {
        self.parked.borrow(py).state
    }

    /// Somebody waits from now on.
    pub(crate) fn park(&self, py: Python<'_>) {
        let mut parked = self.parked.borrow(py);
        parked.state = State::Parked;
        parked.blocking = true;
    }

    /// The one who waited goes on, or was given up.
    pub(crate) fn leave(&self, py: Python<'_>) {
        let left = {
            let mut parked = self.parked.borrow(py);
            parked.state = State::Idle;
            (parked.wakeup.take(), parked.message.take())
        };
        // Dropped without the borrow: what is dropped may run anything.
        drop(left);
    }

    /// Wakes the one who waits. Steps its task at once where that is possible; else the event loop does in its next turn.
    pub(crate) fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (wakeup, steps_task) = {
            let mut parked = slf.get().parked.borrow(py);
            parked.state = State::Woken;
            (parked.wakeup.take(), parked.steps_task)
        };
        // A task that has not given its wake-up yet is told at once when it does.
        let Some((wakeup, context)) = wakeup else { return Ok(()) };
        if !steps_task {
            return slf.get().call_soon(slf, &wakeup, context.as_ref());
        }
        let Some(context) = context else {
            return slf.get().call_soon(slf, &wakeup, None);
        };
        match context::call_in(context.bind(py), wakeup.bind(py), slf.as_any()) {
            Ok(()) => Ok(()),
            // Another task runs, or its context does: nothing was stepped.
            Err(error)
                if slf.get().state(py) == State::Woken && error.is_instance_of::<PyRuntimeError>(py) =>
            {
                slf.get().call_soon(slf, &wakeup, Some(&context))
            }
            Err(error) => Err(error),
        }
    }

    fn call_soon(
        &self,
        slf: &Bound<'_, Self>,
        wakeup: &Py<PyAny>,
        context: Option<&Py<PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let keywords = PyDict::new(py);
        if let Some(context) = context {
            keywords.set_item(intern!(py, "context"), context)?;
        }
        self.event_loop.bind(py).call_method(intern!(py, "call_soon"), (wakeup, slf), Some(&keywords))?;
        Ok(())
    }

    /// Ends the wait in another way than by a wake-up. False where nobody waits.
    fn end(slf: &Bound<'_, Self>, state: State, message: Option<Py<PyAny>>) -> PyResult<bool> {
        let py = slf.py();
        let wakeup = {
            let mut parked = slf.get().parked.borrow(py);
            if parked.state != State::Parked {
                return Ok(false);
            }
            parked.state = state;
            parked.message = message;
            parked.wakeup.take()
        };
        if let Some((wakeup, context)) = wakeup {
            slf.get().call_soon(slf, &wakeup, context.as_ref())?;
        }
        Ok(true)
    }
}

#[pymethods]
impl Waiter {
    #[getter(_asyncio_future_blocking)]
    fn blocking(&self, py: Python<'_>) -> bool {
        self.parked.borrow(py).blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, py: Python<'_>, blocking: bool) {
        self.parked.borrow(py).blocking = blocking;
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    #[pyo3(signature = (wakeup, /, *, context=None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        wakeup: &Bound<'_, PyAny>,
        context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let steps_task = steps_exact_task(wakeup);
        let call = (wakeup.clone().unbind(), context.map(|context| context.clone().unbind()));
        let (is_over, other) = {
            let mut parked = slf.get().parked.borrow(py);
            parked.steps_task = steps_task;
            if parked.state == State::Parked {
                (false, parked.wakeup.replace(call))
            } else {
                (true, Some(call))
            }
        };
        match other {
            Some((wakeup, context)) if is_over => slf.get().call_soon(slf, &wakeup, context.as_ref()),
            _ => Ok(()),
        }
    }

    fn remove_done_callback(&self, py: Python<'_>, wakeup: &Bound<'_, PyAny>) -> PyResult<usize> {
        let known = self.parked.borrow(py).wakeup.as_ref().map(|(known, _)| known.clone_ref(py));
        let Some(known) = known else { return Ok(0) };
        if !known.bind(py).eq(wakeup)? {
            return Ok(0);
        }
        let removed = self.parked.borrow(py).wakeup.take();
        drop(removed);
        Ok(1)
    }

    /// What the task asks for when it is woken.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        match self.state(py) {
            State::Cancelled => {
                let message = self.parked.borrow(py).message.take();
                Err(match message {
                    Some(message) => CancelledError::new_err((message,)),
                    None => CancelledError::new_err(()),
                })
            }
            _ => Ok(()),
        }
    }

    fn done(&self, py: Python<'_>) -> bool {
        !self.is_parked(py)
    }

    fn cancelled(&self, py: Python<'_>) -> bool {
        self.state(py) == State::Cancelled
    }

    fn exception(&self, py: Python<'_>) -> PyResult<()> {
        self.result(py)
    }

    /// False where the wait is over already: a message that has come is not lost by a cancellation in the same turn, and the task
    /// is told of it at its next wait.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        Self::end(slf, State::Cancelled, msg)
    }

    /// The time limit of a `recv(timeout)`.
    fn _time_out(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::end(slf, State::TimedOut, None).map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        let held = self.parked.with_collector(|parked| {
            if let Some((wakeup, context)) = &parked.wakeup {
                visit.call(wakeup)?;
                visit.call(context)?;
            }
            visit.call(&parked.message)
        });
        held.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| self.leave(py));
    }
}

/// Whether this is the wake-up function of an `asyncio.Task` of the C implementation, and not of a class derived from it.
fn steps_exact_task(wakeup: &Bound<'_, PyAny>) -> bool {
    wakeup.cast_exact::<PyCFunction>().is_ok_and(|function| {
        function
            .getattr(intern!(wakeup.py(), "__self__"))
            .is_ok_and(|task| task.get_type().is(Globals::get(wakeup.py()).task_type.bind(wakeup.py())))
    })
}
