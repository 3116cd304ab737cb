//! What a task waits for when it waits for a message: a future that its connection keeps and uses again.
//!
//! ```text
//! Idle ──park──► Parked ──wake──► Woken ──park──► Parked
//!                  └──time out──► TimedOut ──park──► Parked
//! ```
//!
//! The future is one of asyncio's, which a task accepts without asking it anything. Where all goes well it is never done: when a message has
//! come, the connection takes the task's wake-up function out of it and steps the task itself, without another turn of the event loop.
//! Where that cannot be, the future is given a result, and another one takes its place. A task that is cancelled cancels it, as any.
//!
//! An object of our own with the methods of a future was there before, and a task asked it five things at each wait: of an echo of 256 bytes on
//! uvloop `task_step_impl` took 6,350 instructions then and takes 4,440 now, and taking the function out takes 446 (`is_taken_out`).
#![expect(unsafe_code, reason = "whose function it is, only C tells")]

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCFunction, PyDict, PyList, PyTuple};

use crate::context;
use crate::gil::GilCell;
use crate::globals::Globals;

/// Whoever waits on a connection.
#[derive(Debug, Default)]
pub(crate) struct Waiter(GilCell<Parking>);

#[derive(Debug, Default)]
struct Parking {
    state: State,
    /// Not done, as far as we know, and nobody's callback in it but of the one who waits now.
    future: Option<Py<PyAny>>,
    /// How the one who probably waits now was stepped before: only held while somebody waits, for it holds the task.
    known: Option<Step>,
}

/// What steps a task: its wake-up function, and the context to call it in.
#[derive(Debug)]
struct Step {
    wakeup: Py<PyAny>,
    context: Py<PyAny>,
}

/// The same in use.
struct BoundStep<'py> {
    wakeup: Bound<'py, PyAny>,
    context: Bound<'py, PyAny>,
}

impl Step {
    fn into_bound(self, py: Python<'_>) -> BoundStep<'_> {
        BoundStep { wakeup: self.wakeup.into_bound(py), context: self.context.into_bound(py) }
    }
}

impl BoundStep<'_> {
    fn unbind(self) -> Step {
        Step { wakeup: self.wakeup.unbind(), context: self.context.unbind() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Idle,
    Parked,
    Woken,
    TimedOut,
}

impl Waiter {
    /// Whether somebody waits and was not woken yet; one who was cancelled and does not know it yet may still be meant.
    #[inline]
    pub(crate) fn is_parked(&self, py: Python<'_>) -> bool {
        self.state(py) == State::Parked
    }

    /// The same without the one who was cancelled.
    pub(crate) fn is_waited_for(&self, py: Python<'_>) -> PyResult<bool> {
        if !self.is_parked(py) {
            return Ok(false);
        }
        let future = self.0.borrow(py).future.as_ref().map(|future| future.clone_ref(py));
        future.map_or(Ok(false), |future| is_done(&future.into_bound(py)).map(|is_done| !is_done))
    }

    #[inline]
    pub(crate) fn state(&self, py: Python<'_>) -> State {
        self.0.borrow(py).state
    }

    /// Somebody waits from now on: for this, which a task is to be given.
    #[inline]
    pub(crate) fn park<'py>(&self, event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let kept = self.0.borrow(py).future.as_ref().map(|future| future.clone_ref(py));
        let future = match kept {
            Some(future) => future.into_bound(py),
            None => self.make(event_loop)?,
        };
        Globals::get(py).blocking.set(&future, &PyBool::new(py, true))?;
        self.0.borrow(py).state = State::Parked;
        Ok(future)
    }

    #[cold]
    fn make<'py>(&self, event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "loop"), event_loop)?;
        let future = Globals::get(py).future_type.bind(py).call((), Some(&keywords))?;
        self.0.borrow(py).future = Some(future.clone().unbind());
        Ok(future)
    }

    /// The one who waits goes on, or was given up. How it came to that.
    #[inline]
    pub(crate) fn leave(&self, py: Python<'_>) -> State {
        let (state, left) = {
            let mut parking = self.0.borrow(py);
            let state = std::mem::take(&mut parking.state);
            // Given up: the future is cancelled, or has a callback in it for ever.
            let left = (state == State::Parked).then(|| (parking.future.take(), parking.known.take()));
            (state, left)
        };
        // Dropped without the borrow: what is dropped may run anything.
        if let Some(left) = left {
            drop_all(py, left);
        }
        state
    }

    /// Wakes the one who waits. Steps its task at once where that is possible; else the event loop does in its next turn.
    pub(crate) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        let (future, known) = {
            let mut parking = self.0.borrow(py);
            parking.state = State::Woken;
            (parking.future.as_ref().map(|future| future.clone_ref(py)), parking.known.take())
        };
        let Some(future) = future.map(|future| future.into_bound(py)) else { return Ok(()) };
        let known = known.map(|step| step.into_bound(py));
        let step = match known {
            Some(step) if is_taken_out(&future, &step.wakeup)? => step,
            _ => match find(&future)? {
                Some(step) => step,
                None => return self.conclude(&future),
            },
        };
        // The task asks what it is given for a result, and a future of its own kind without a call.
        match context::call_in(&step.context, &step.wakeup, Globals::get(py).finished.bind(py)) {
            Ok(()) => {
                let mut parking = self.0.borrow(py);
                if parking.state == State::Parked && parking.known.is_none() {
                    parking.known = Some(step.unbind());
                }
                Ok(())
            }
            // Another task runs, or its context does: nothing was stepped.
            Err(error) if self.state(py) == State::Woken && error.is_instance_of::<PyRuntimeError>(py) => {
                let keywords = PyDict::new(py);
                keywords.set_item(intern!(py, "context"), step.context)?;
                future.call_method(intern!(py, "add_done_callback"), (step.wakeup,), Some(&keywords))?;
                self.conclude(&future)
            }
            Err(error) => Err(error),
        }
    }

    /// The time limit of a `recv(timeout)`.
    pub(crate) fn time_out(&self, py: Python<'_>) -> PyResult<()> {
        let future = {
            let mut parking = self.0.borrow(py);
            if parking.state != State::Parked {
                return Ok(());
            }
            parking.state = State::TimedOut;
            parking.future.as_ref().map(|future| future.clone_ref(py))
        };
        future.map_or(Ok(()), |future| self.conclude(&future.into_bound(py)))
    }

    /// Has the event loop call the one who waits in its next turn, unless it does already because that one was cancelled.
    #[cold]
    fn conclude(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = future.py();
        let left = {
            let mut parking = self.0.borrow(py);
            (parking.future.take(), parking.known.take())
        };
        drop_all(py, left);
        if !is_done(future)? {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        }
        Ok(())
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let held = self.0.with_collector(|parking| {
            visit.call(&parking.future)?;
            visit.call(parking.known.as_ref().map(|step| &step.wakeup))?;
            visit.call(parking.known.as_ref().map(|step| &step.context))
        });
        held.unwrap_or(Ok(()))
    }

    /// Holds nothing any more.
    pub(crate) fn clear(&self, py: Python<'_>) {
        let held = std::mem::take(&mut *self.0.borrow(py));
        drop(held);
    }
}

/// Lets go of what was kept, object by object: pyo3 is not told that this thread holds the interpreter's lock.
#[cold]
fn drop_all(py: Python<'_>, (future, known): (Option<Py<PyAny>>, Option<Step>)) {
    drop(future.map(|future| future.into_bound(py)));
    drop(known.map(|step| step.into_bound(py)));
}

fn is_done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    future.call_method0(intern!(future.py(), "done"))?.is_truthy()
}

/// Takes a function out of a future's callbacks. False where it is not in there.
#[inline]
fn is_taken_out(future: &Bound<'_, PyAny>, wakeup: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = future.py();
    Globals::get(py).remove_done_callback.call(future, wakeup)?.is_truthy()
}

/// What steps the task that waits for a future, taken out of it; none where anybody else does, or nobody.
#[cold]
fn find<'py>(future: &Bound<'py, PyAny>) -> PyResult<Option<BoundStep<'py>>> {
    let callbacks = future.getattr(intern!(future.py(), "_callbacks"))?;
    let Ok(callbacks) = callbacks.cast_into::<PyList>() else { return Ok(None) };
    if callbacks.len() != 1 {
        return Ok(None);
    }
    let (wakeup, context) =
        callbacks.get_item(0)?.cast_into::<PyTuple>()?.extract::<(Bound<'_, PyAny>, _)>()?;
    let is_task = steps_exact_task(&wakeup) && is_taken_out(future, &wakeup)?;
    Ok(is_task.then_some(BoundStep { wakeup, context }))
}

/// Whether this is the wake-up function of an `asyncio.Task` of the C implementation, and not of a class derived from it.
fn steps_exact_task(wakeup: &Bound<'_, PyAny>) -> bool {
    if wakeup.cast_exact::<PyCFunction>().is_err() {
        return false;
    }
    // SAFETY: a C function, as just seen, which holds the object that it is bound to, if there is one.
    let task =
        unsafe { Bound::from_borrowed_ptr_or_opt(wakeup.py(), ffi::PyCFunction_GetSelf(wakeup.as_ptr())) };
    task.is_some_and(|task| task.get_type().is(Globals::get(wakeup.py()).task_type.bind(wakeup.py())))
}
