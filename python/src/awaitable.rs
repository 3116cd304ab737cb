//! Awaitables: the objects that `recv()`, `send()` and the others return.
//!
//! `#[pyclass]` has no `am_send`, through which CPython takes the result of an awaitable without an exception in between, and its
//! methods cost more than a short message does. So this is a type object of its own, once for each [`Operation`], which is what
//! there is to be done, in safe Rust.
//!
//! ```text
//! New ──first step──► Running ──result, exception, throw, close──► Done
//! ```
#![expect(unsafe_code, reason = "a type object is made of C functions")]

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::gil::GilCell;
use crate::globals::Globals;
use crate::raw::{Arguments, called, fast_method, guarded, method, type_object};

/// What an awaitable does. All state is behind `&self`: stepping may run any Python code, which may step another one.
pub(crate) trait Operation: Sized + 'static {
    /// The name of the type, with its module.
    const TYPE: &'static CStr;
    /// What was called, for messages.
    const CALL: &'static str;

    /// What a coroutine of Python would have as its `__qualname__`, which asyncio shows of a task.
    fn name(&self) -> &'static CStr;

    /// Whether its steps drop a `Py` where all goes well, so that pyo3 is told of each that this thread holds the interpreter's lock. Told all
    /// the same, each step of an operation took some 75 instructions more.
    const DROPS: bool = true;

    /// Its type.
    fn awaitable_type(globals: &Globals) -> &AwaitableType;

    /// Goes on: a result, or something that the task is to wait for.
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>>;

    /// Whether somebody else waits in it still, after a step that failed.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Nobody waits any more: the task was cancelled, or the awaitable closed.
    fn abandon(&self, py: Python<'_>);

    /// Lets go of what it holds, when it is done. Whoever is used for each message says so object by object: pyo3 need not be told then
    /// that this thread holds the interpreter's lock.
    fn release(self, _py: Python<'_>) {
        Python::try_attach(|_| drop(self));
    }

    /// Names the objects that it holds, for the cycle collector.
    fn traverse(&self, visit: &mut dyn FnMut(&Py<PyAny>));
}

/// How far an operation is.
pub(crate) enum Step<'py> {
    /// Done, with this result.
    Done(Bound<'py, PyAny>),
    /// The task yields this, something like a future.
    Wait(Bound<'py, PyAny>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Running,
    Done,
}

/// The object.
#[repr(C)]
struct Object<T> {
    head: ffi::PyObject,
    state: Cell<State>,
    /// The collector knows it.
    is_tracked: Cell<bool>,
    operation: ManuallyDrop<T>,
}

/// What `am_send` is to be: the limited API has the slot, and the bindings no name for this then.
type SendFunction = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut ffi::PyObject,
    *mut *mut ffi::PyObject,
) -> ffi::PySendResult;

/// Memory of awaitables that is kept for the next ones: a loop over messages needs one again and again.
const SPARE: usize = 16;

/// Memory that was given back, without an object in it.
#[derive(Debug, Default)]
struct Spare(Vec<*mut c_void>);

// SAFETY: memory without an object, of which this is the only owner.
unsafe impl Send for Spare {}

/// The type object of an operation, made once when the module is loaded, and its spare memory.
#[derive(Debug)]
pub(crate) struct AwaitableType {
    object: Py<PyAny>,
    spare: GilCell<Spare>,
}

impl AwaitableType {
    /// Makes the type of `T`.
    pub(crate) fn new<T: Operation>(py: Python<'_>) -> PyResult<Self> {
        let methods = [
            method(c"send", send::<T>, ffi::METH_O),
            fast_method(c"throw", throw::<T>),
            method(c"close", close::<T>, ffi::METH_NOARGS),
            ffi::PyMethodDef::zeroed(),
        ];
        let slots = vec![
            (ffi::Py_tp_dealloc, deallocate::<T> as ffi::destructor as *mut c_void),
            (ffi::Py_tp_traverse, traverse::<T> as ffi::traverseproc as *mut c_void),
            (ffi::Py_tp_iter, itself as ffi::getiterfunc as *mut c_void),
            (ffi::Py_tp_iternext, next::<T> as ffi::iternextfunc as *mut c_void),
            (ffi::Py_am_await, itself as ffi::unaryfunc as *mut c_void),
            (ffi::Py_am_send, am_send::<T> as SendFunction as *mut c_void),
            (ffi::Py_tp_getset, names(name::<T>)),
            // The type keeps a pointer to its methods for as long as it lives, which is for ever.
            (ffi::Py_tp_methods, Box::leak(Box::new(methods)).as_mut_ptr().cast()),
        ];
        let object = type_object(py, T::TYPE, size_of::<Object<T>>(), slots)?;
        Ok(Self { object, spare: GilCell::default() })
    }

    /// A new awaitable. `T` is the operation that this type was made of.
    #[inline]
    pub(crate) fn awaitable<'py, T: Operation>(
        &self,
        py: Python<'py>,
        operation: T,
    ) -> PyResult<Bound<'py, PyAny>> {
        let spare = self.spare.borrow(py).0.pop();
        // SAFETY: the type is `Object<T>`'s, with room for it and the collector's head, and spare memory was made for it. The new
        // object is filled before anybody sees it, and the collector does not know it before it waits.
        unsafe {
            let kind = self.object.as_ptr().cast();
            let object = match spare {
                Some(memory) => ffi::PyObject_Init(memory.cast(), kind).cast(),
                None => ffi::PyObject_GC_New::<Object<T>>(kind),
            };
            if object.is_null() {
                return Err(PyErr::fetch(py));
            }
            (&raw mut (*object).state).write(Cell::new(State::New));
            (&raw mut (*object).is_tracked).write(Cell::new(false));
            (&raw mut (*object).operation).write(ManuallyDrop::new(operation));
            Ok(Bound::from_owned_ptr(py, object.cast()))
        }
    }

    /// Keeps memory, where there is room to keep it.
    #[inline]
    fn keep(&self, py: Python<'_>, memory: *mut c_void) -> bool {
        let mut spare = self.spare.borrow(py);
        let has_room = spare.0.len() < SPARE;
        if has_room {
            spare.0.push(memory);
        }
        has_room
    }
}

/// The object behind a pointer that CPython gives to one of its type's functions.
///
/// # Safety
/// `slf` is an `Object<T>` that outlives `'a`.
#[inline]
unsafe fn object<'a, T>(slf: *mut ffi::PyObject) -> &'a Object<T> {
    // SAFETY: the caller's word.
    unsafe { &*slf.cast() }
}

impl<T: Operation> Object<T> {
    /// One step. For `am_send` alone, of which it is a part: it is long, and its result is.
    #[inline(always)]
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        match self.state.get() {
            State::New => self.state.set(State::Running),
            State::Running => {}
            State::Done => return Err(reused(T::CALL)),
        }
        let step = self.operation.step(py);
        if !matches!(step, Ok(Step::Wait(_))) && !self.operation.is_waiting() {
            self.state.set(State::Done);
        }
        step
    }

    fn give_up(&self, py: Python<'_>) {
        if self.state.replace(State::Done) == State::Running {
            self.operation.abandon(py);
        }
    }
}

#[cold]
fn reused(call: &str) -> PyErr {
    PyRuntimeError::new_err(format!("{call} was awaited already"))
}

/// Lets the collector know of an object that waits: only such a one can be part of a cycle for long.
///
/// # Safety
/// `slf` is `this`.
#[inline]
unsafe fn track<T>(slf: *mut ffi::PyObject, this: &Object<T>) {
    if !this.is_tracked.replace(true) {
        // SAFETY: an object of a type with the collector's head, which the collector does not know: nobody else tells it.
        unsafe { ffi::PyObject_GC_Track(slf.cast()) };
    }
}

unsafe extern "C" fn am_send<T: Operation>(
    slf: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    let failed = (ffi::PySendResult::PYGEN_ERROR, null_mut());
    let body = |py: Python<'_>| {
        // SAFETY: CPython calls this with an object of this type, which it holds meanwhile.
        let this = unsafe { object::<T>(slf) };
        Ok(match this.step(py)? {
            Step::Done(value) => (ffi::PySendResult::PYGEN_RETURN, value.into_ptr()),
            Step::Wait(value) => {
                // SAFETY: as above.
                unsafe { track(slf, this) };
                (ffi::PySendResult::PYGEN_NEXT, value.into_ptr())
            }
        })
    };
    // SAFETY: CPython calls this.
    let (sent, value) = if T::DROPS { guarded(failed, body) } else { unsafe { called(failed, body) } };
    // SAFETY: a place for the result, as the slot has it.
    unsafe { *result = value };
    sent
}

/// The same for who takes the result as an exception: what the task is to be given; else null and the result, if there is one.
fn go_on<T: Operation>(slf: *mut ffi::PyObject) -> (*mut ffi::PyObject, *mut ffi::PyObject) {
    let mut value = null_mut();
    // SAFETY: as the caller's caller, CPython, gave it; the value is not looked at.
    match unsafe { am_send::<T>(slf, null_mut(), &raw mut value) } {
        ffi::PySendResult::PYGEN_NEXT => (value, null_mut()),
        ffi::PySendResult::PYGEN_RETURN => (null_mut(), value),
        ffi::PySendResult::PYGEN_ERROR => (null_mut(), null_mut()),
    }
}

unsafe extern "C" fn next<T: Operation>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let (yielded, result) = go_on::<T>(slf);
    if result.is_null() {
        return yielded;
    }
    guarded(null_mut(), |py| {
        // SAFETY: a new reference.
        let value = unsafe { Bound::from_owned_ptr(py, result) };
        // An iterator that ends without an exception has no value.
        if value.is_none() {
            return Ok(null_mut());
        }
        // A tuple would be taken apart for the arguments of the exception.
        if value.is_instance_of::<PyTuple>() {
            return Err(PyStopIteration::new_err((value.unbind(),)));
        }
        // SAFETY: sets the exception; the value is no tuple, as just seen, and no exception, which would be raised itself.
        unsafe { ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr()) };
        Ok(null_mut())
    })
}

unsafe extern "C" fn send<T: Operation>(
    slf: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let (yielded, result) = go_on::<T>(slf);
    if result.is_null() {
        return yielded;
    }
    guarded(null_mut(), |py| {
        // SAFETY: a new reference.
        let value = unsafe { Bound::from_owned_ptr(py, result) };
        Err(PyStopIteration::new_err((value.unbind(),)))
    })
}

unsafe extern "C" fn throw<T: Operation>(
    slf: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(null_mut(), |py| {
        // SAFETY: CPython calls this with an object of this type, and holds it and the arguments meanwhile.
        let (this, call) = unsafe { (object::<T>(slf), Arguments::new(py, arguments, count, names)) };
        let (kind, value) = (call.at(0), call.at(1).filter(|value| !value.is_none()));
        this.give_up(py);
        let Some(kind) = kind else { return Err(PyTypeError::new_err("throw() needs an exception")) };
        Err(match value {
            None => PyErr::from_value(kind),
            Some(value) if value.is_instance_of::<PyBaseException>() => PyErr::from_value(value),
            Some(value) => PyErr::from_value(kind.call1((value,))?),
        })
    })
}

unsafe extern "C" fn close<T: Operation>(
    slf: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    if Python::try_attach(|_| ()).is_none() {
        // The interpreter ends, and what it holds is left to the process's end. The coroutine that waits in it is closed without complaint.
        // SAFETY: CPython calls this, with its lock held.
        return unsafe { ffi::Py_NewRef(ffi::Py_None()) };
    }
    guarded(null_mut(), |py| {
        // SAFETY: CPython calls this with an object of this type, which it holds meanwhile.
        unsafe { object::<T>(slf) }.give_up(py);
        Ok(py.None().into_ptr())
    })
}

/// How much of a name an attribute has.
const WHOLE: usize = 0;
const LAST: usize = 1;

/// The attributes with the names of what was called. The type keeps a pointer to them, as to its methods.
#[cold]
fn names(get: ffi::getter) -> *mut c_void {
    let named = |attribute: &'static CStr, part: usize| ffi::PyGetSetDef {
        name: attribute.as_ptr(),
        get: Some(get),
        closure: part as *mut c_void,
        ..ffi::PyGetSetDef::default()
    };
    let names = [named(c"__qualname__", WHOLE), named(c"__name__", LAST), ffi::PyGetSetDef::default()];
    Box::leak(Box::new(names)).as_mut_ptr().cast()
}

unsafe extern "C" fn name<T: Operation>(slf: *mut ffi::PyObject, part: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with an object of this type, which it holds meanwhile.
    let whole = unsafe { object::<T>(slf) }.operation.name();
    text(whole, part as usize)
}

/// A name, or what stands behind its dot.
#[cold]
fn text(whole: &'static CStr, part: usize) -> *mut ffi::PyObject {
    let dot = whole.to_bytes().iter().position(|byte| *byte == b'.');
    let begin = if part == WHOLE { 0 } else { dot.map_or(0, |dot| dot + 1) };
    // SAFETY: text that never goes away, from within it to its end.
    unsafe { ffi::PyUnicode_FromString(whole.as_ptr().add(begin)) }
}

unsafe extern "C" fn itself(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: an object that the caller holds.
    unsafe { ffi::Py_NewRef(slf) }
}

unsafe extern "C" fn traverse<T: Operation>(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this with an object of this type; it keeps its type.
    unsafe {
        let mut visited = visit(ffi::Py_TYPE(slf).cast(), argument);
        object::<T>(slf).operation.traverse(&mut |held| {
            if visited == 0 {
                visited = visit(held.as_ptr(), argument);
            }
        });
        visited
    }
}

unsafe extern "C" fn deallocate<T: Operation>(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, for an object of this type that nobody holds, in a thread that holds the interpreter's lock. The collector
    // forgets it first; what is freed is what was made, and the type was held by its object.
    unsafe {
        let this: *mut Object<T> = slf.cast();
        if (*this).is_tracked.get() {
            ffi::PyObject_GC_UnTrack(slf.cast());
        }
        let kind = ffi::Py_TYPE(slf);
        let state = (*this).state.get();
        let py = Python::assume_attached();
        let body = AssertUnwindSafe(|| {
            let operation = ManuallyDrop::take(&mut (*this).operation);
            if state == State::Done {
                return operation.release(py);
            }
            // While the interpreter ends, what the operation holds is left to the process's end.
            let operation = ManuallyDrop::new(operation);
            Python::try_attach(|py| {
                match state {
                    State::New => warn_unawaited(py, T::CALL),
                    _ => operation.abandon(py),
                }
                drop(ManuallyDrop::into_inner(operation));
            });
        });
        // A destructor has nobody to tell.
        drop(catch_unwind(body));
        let is_kept = T::awaitable_type(Globals::get(py)).keep(py, slf.cast());
        if !is_kept {
            ffi::PyObject_GC_Del(slf.cast());
        }
        ffi::Py_DECREF(kind.cast());
    }
}

/// A call that was never awaited did nothing.
#[cold]
fn warn_unawaited(py: Python<'_>, call: &str) {
    let pending = PyErr::take(py);
    let category = py.get_type::<PyRuntimeWarning>();
    let text = std::ffi::CString::new(format!("{call} was never awaited, so nothing happened"))
        .expect("no zero byte");
    if let Err(error) = PyErr::warn(py, &category, &text, 1) {
        error.write_unraisable(py, None);
    }
    if let Some(pending) = pending {
        pending.restore(py);
    }
}
