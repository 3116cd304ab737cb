//! What a task waits for when it waits for a message: something like a future that its connection keeps and uses again.
//!
//! ```text
//! Idle ──park──► Parked ──wake──► Woken ──park──► Parked
//!                  └──cancel, time out──► Cancelled, TimedOut ──park──► Parked
//! ```
//!
//! It keeps the wake-up function that the task gives it, and the context to call it in, so that the connection can step the task
//! itself when a message has come, without another turn of the event loop.
#![expect(unsafe_code, reason = "a type object is made of C functions")]

use std::ffi::{c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCFunction, PyDict};

use crate::context;
use crate::gil::GilCell;
use crate::globals::Globals;
use crate::raw::{Arguments, fast_method, guarded, method, type_object};

/// The object's Rust side. Users get none: `recv()` has its waiter yielded to its task.
#[derive(Debug)]
pub(crate) struct Waiter {
    event_loop: Py<PyAny>,
    parked: GilCell<Parking>,
}

/// The object. A type object of its own, as for awaitables: a task asks it five things at each wait, and through `#[pyclass]` each
/// costs some hundred instructions.
#[repr(C)]
struct Object {
    head: ffi::PyObject,
    /// `_asyncio_future_blocking`: set when this is yielded, cleared by the task that accepts it.
    blocking: c_char,
    waiter: ManuallyDrop<Waiter>,
}

#[derive(Debug, Default)]
struct Parking {
    state: State,
    /// Who is to be called, and in which context.
    wakeup: Option<(Py<PyAny>, Option<Py<PyAny>>)>,
    /// The call steps exactly one `asyncio.Task` and does nothing else.
    steps_task: bool,
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
    /// A new waiter, as an object.
    pub(crate) fn object(event_loop: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = event_loop.py();
        let waiter = Self { event_loop: event_loop.clone().unbind(), parked: GilCell::default() };
        // SAFETY: the type is `Object`'s, with room for it and the collector's head; the new object is filled before the collector
        // or anybody else sees it.
        unsafe {
            let object = ffi::PyObject_GC_New::<Object>(Globals::get(py).waiter.as_ptr().cast());
            if object.is_null() {
                return Err(PyErr::fetch(py));
            }
            (&raw mut (*object).blocking).write(0);
            (&raw mut (*object).waiter).write(ManuallyDrop::new(waiter));
            ffi::PyObject_GC_Track(object.cast());
            Ok(Bound::from_owned_ptr(py, object.cast()).unbind())
        }
    }

    /// The Rust side of an object that [`object`](Self::object) made.
    #[inline]
    pub(crate) fn of<'a>(object: &'a Bound<'_, PyAny>) -> &'a Self {
        debug_assert!(object.get_type().is(Globals::get(object.py()).waiter.bind(object.py())));
        // SAFETY: connections keep no other object as their waiter (asserted above where assertions are on).
        unsafe { of(object.as_ptr()) }
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
    pub(crate) fn park(object: &Bound<'_, PyAny>) {
        Self::of(object).parked.borrow(object.py()).state = State::Parked;
        // SAFETY: an object of this type; only its own functions and the interpreter, which holds the lock, look at the field.
        unsafe { (*object.as_ptr().cast::<Object>()).blocking = 1 };
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
    pub(crate) fn wake(slf: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let (wakeup, steps_task) = {
            let mut parked = Self::of(slf).parked.borrow(py);
            parked.state = State::Woken;
            (parked.wakeup.take(), parked.steps_task)
        };
        // A task that has not given its wake-up yet is told at once when it does.
        let Some((wakeup, context)) = wakeup else { return Ok(()) };
        if !steps_task {
            return Self::of(slf).call_soon(slf, &wakeup, context.as_ref());
        }
        let Some(context) = context else {
            return Self::of(slf).call_soon(slf, &wakeup, None);
        };
        // The task asks what it is given for a result, and a future of its own kind without a call.
        match context::call_in(context.bind(py), wakeup.bind(py), Globals::get(py).finished.bind(py)) {
            Ok(()) => Ok(()),
            // Another task runs, or its context does: nothing was stepped.
            Err(error)
                if Self::of(slf).state(py) == State::Woken && error.is_instance_of::<PyRuntimeError>(py) =>
            {
                Self::of(slf).call_soon(slf, &wakeup, Some(&context))
            }
            Err(error) => Err(error),
        }
    }

    fn call_soon(
        &self,
        slf: &Bound<'_, PyAny>,
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
    fn end(slf: &Bound<'_, PyAny>, state: State, message: Option<Py<PyAny>>) -> PyResult<bool> {
        let py = slf.py();
        let wakeup = {
            let mut parked = Self::of(slf).parked.borrow(py);
            if parked.state != State::Parked {
                return Ok(false);
            }
            parked.state = state;
            parked.message = message;
            parked.wakeup.take()
        };
        if let Some((wakeup, context)) = wakeup {
            Self::of(slf).call_soon(slf, &wakeup, context.as_ref())?;
        }
        Ok(true)
    }
}

impl Waiter {
    fn add_done_callback(
        slf: &Bound<'_, PyAny>,
        wakeup: &Bound<'_, PyAny>,
        context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let steps_task = steps_exact_task(wakeup);
        let call = (wakeup.clone().unbind(), context.map(|context| context.clone().unbind()));
        let (is_over, other) = {
            let mut parked = Self::of(slf).parked.borrow(py);
            parked.steps_task = steps_task;
            if parked.state == State::Parked {
                (false, parked.wakeup.replace(call))
            } else {
                (true, Some(call))
            }
        };
        match other {
            Some((wakeup, context)) if is_over => Self::of(slf).call_soon(slf, &wakeup, context.as_ref()),
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

    /// False where the wait is over already: a message that has come is not lost by a cancellation in the same turn, and the task
    /// is told of it at its next wait.
    fn cancel(slf: &Bound<'_, PyAny>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        Self::end(slf, State::Cancelled, msg)
    }

    /// The time limit of a `recv(timeout)`.
    fn time_out(slf: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::end(slf, State::TimedOut, None).map(drop)
    }
}

/// The Rust side of the object behind a pointer that CPython gives to one of its type's functions.
///
/// # Safety
/// `slf` is an `Object` that outlives `'a`.
#[inline]
unsafe fn of<'a>(slf: *mut ffi::PyObject) -> &'a Waiter {
    // SAFETY: the caller's word.
    unsafe { &(*slf.cast::<Object>()).waiter }
}

/// The same as an object.
///
/// # Safety
/// As for [`of`].
unsafe fn bound<'py>(py: Python<'py>, slf: *mut ffi::PyObject) -> Bound<'py, PyAny> {
    // SAFETY: the caller's word; a borrowed pointer becomes a reference of its own.
    unsafe { Bound::from_borrowed_ptr(py, slf) }
}

/// The type object.
pub(crate) fn waiter_type(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let members = [
        ffi::PyMemberDef {
            name: c"_asyncio_future_blocking".as_ptr(),
            type_code: ffi::Py_T_BOOL,
            offset: ffi::Py_ssize_t::try_from(std::mem::offset_of!(Object, blocking))
                .expect("an object is small"),
            flags: 0,
            doc: std::ptr::null(),
        },
        ffi::PyMemberDef::default(),
    ];
    let methods = [
        method(c"get_loop", get_loop, ffi::METH_NOARGS),
        fast_method(c"add_done_callback", add_done_callback),
        method(c"remove_done_callback", remove_done_callback, ffi::METH_O),
        method(c"result", result, ffi::METH_NOARGS),
        method(c"exception", result, ffi::METH_NOARGS),
        method(c"done", done, ffi::METH_NOARGS),
        method(c"cancelled", cancelled, ffi::METH_NOARGS),
        fast_method(c"cancel", cancel),
        method(c"_time_out", time_out, ffi::METH_NOARGS),
        ffi::PyMethodDef::zeroed(),
    ];
    type_object(
        py,
        c"aiowebsocket._aiowebsocket.Waiter",
        size_of::<Object>(),
        vec![
            (ffi::Py_tp_dealloc, deallocate as ffi::destructor as *mut c_void),
            (ffi::Py_tp_traverse, traverse as ffi::traverseproc as *mut c_void),
            (ffi::Py_tp_clear, clear as ffi::inquiry as *mut c_void),
            // The type keeps pointers to these for as long as it lives, which is for ever.
            (ffi::Py_tp_members, Box::leak(Box::new(members)).as_mut_ptr().cast()),
            (ffi::Py_tp_methods, Box::leak(Box::new(methods)).as_mut_ptr().cast()),
        ],
    )
}

unsafe extern "C" fn get_loop(slf: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with an object of this type, which holds its event loop.
    unsafe { ffi::Py_NewRef(of(slf).event_loop.as_ptr()) }
}

unsafe extern "C" fn add_done_callback(
    slf: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(null_mut(), |py| {
        // SAFETY: CPython calls this with an object of this type, and holds the arguments meanwhile.
        let (slf, call) = unsafe { (bound(py, slf), Arguments::new(py, arguments, count, names)) };
        let Some(wakeup) = call.at(0) else {
            return Err(PyTypeError::new_err("add_done_callback() needs a function"));
        };
        let [context] = call.named(["context"])?;
        Waiter::add_done_callback(&slf, &wakeup, context.as_ref())?;
        Ok(py.None().into_ptr())
    })
}

unsafe extern "C" fn remove_done_callback(
    slf: *mut ffi::PyObject,
    wakeup: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(null_mut(), |py| {
        // SAFETY: CPython calls this with an object of this type and one argument, both of which it holds meanwhile.
        let (waiter, wakeup) = unsafe { (of(slf), bound(py, wakeup)) };
        Ok(waiter.remove_done_callback(py, &wakeup)?.into_pyobject(py)?.into_any().into_ptr())
    })
}

unsafe extern "C" fn result(slf: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guarded(null_mut(), |py| {
        // SAFETY: CPython calls this with an object of this type, which it holds meanwhile.
        unsafe { of(slf) }.result(py)?;
        Ok(py.None().into_ptr())
    })
}

unsafe extern "C" fn done(slf: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guarded(null_mut(), |py| {
        // SAFETY: as above.
        let is_done = !unsafe { of(slf) }.is_parked(py);
        Ok(PyBool::new(py, is_done).to_owned().into_any().into_ptr())
    })
}

unsafe extern "C" fn cancelled(slf: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guarded(null_mut(), |py| {
        // SAFETY: as above.
        let is_cancelled = unsafe { of(slf) }.state(py) == State::Cancelled;
        Ok(PyBool::new(py, is_cancelled).to_owned().into_any().into_ptr())
    })
}

unsafe extern "C" fn cancel(
    slf: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(null_mut(), |py| {
        // SAFETY: CPython calls this with an object of this type, and holds the arguments meanwhile.
        let (slf, call) = unsafe { (bound(py, slf), Arguments::new(py, arguments, count, names)) };
        let [message] = call.named(["msg"])?;
        let message = message.or_else(|| call.at(0)).filter(|message| !message.is_none());
        let is_cancelled = Waiter::cancel(&slf, message.map(Bound::unbind))?;
        Ok(PyBool::new(py, is_cancelled).to_owned().into_any().into_ptr())
    })
}

unsafe extern "C" fn time_out(slf: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guarded(null_mut(), |py| {
        // SAFETY: CPython calls this with an object of this type, which it holds meanwhile.
        Waiter::time_out(&unsafe { bound(py, slf) })?;
        Ok(py.None().into_ptr())
    })
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this with an object of this type, which keeps its type.
    let (kind, waiter) = unsafe { (ffi::Py_TYPE(slf).cast(), of(slf)) };
    let mut held = vec![kind, waiter.event_loop.as_ptr()];
    waiter.parked.with_collector(|parked| {
        if let Some((wakeup, context)) = &parked.wakeup {
            held.push(wakeup.as_ptr());
            held.extend(context.as_ref().map(Py::as_ptr));
        }
        held.extend(parked.message.as_ref().map(Py::as_ptr));
    });
    for object in held {
        // SAFETY: objects that this one holds.
        let visited = unsafe { visit(object, argument) };
        if visited != 0 {
            return visited;
        }
    }
    0
}

unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    guarded(0, |py| {
        // SAFETY: the collector calls this with an object of this type.
        unsafe { of(slf) }.leave(py);
        Ok(0)
    })
}

unsafe extern "C" fn deallocate(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, for an object of this type that nobody holds. The collector forgets it first, and the type was
    // held by its object.
    unsafe {
        ffi::PyObject_GC_UnTrack(slf.cast());
        let kind = ffi::Py_TYPE(slf);
        let this: *mut Object = slf.cast();
        // While the interpreter ends, what it holds is left to the process's end.
        _ = Python::try_attach(|_| ManuallyDrop::drop(&mut (*this).waiter));
        ffi::PyObject_GC_Del(slf.cast());
        ffi::Py_DECREF(kind.cast());
    }
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
