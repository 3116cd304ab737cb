//! What type objects of our own are made of: slots, methods, their arguments, and the guard around every C function.
#![expect(unsafe_code, reason = "a type object is made of C functions")]

use std::any::Any;
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};

/// A type whose objects the collector may know, which only this extension makes. `slots` are numbers with what belongs there.
pub(crate) fn type_object(
    py: Python<'_>,
    name: &'static CStr,
    size: usize,
    slots: Vec<(c_int, *mut c_void)>,
) -> PyResult<Py<PyAny>> {
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut slots: Vec<_> = slots.into_iter().map(|(slot, pfunc)| ffi::PyType_Slot { slot, pfunc }).collect();
    slots.push(ffi::PyType_Slot { slot: 0, pfunc: null_mut() });
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: c_int::try_from(size).expect("an object is small"),
        itemsize: 0,
        flags: flags.try_into().expect("flags of a type have 32 bits"),
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec is complete, ends with a zero slot, and its functions have the types that their slots ask for. A new
    // reference, or null with an exception set.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec))? };
    Ok(object.unbind())
}

/// A method with no argument or one.
pub(crate) fn method(name: &'static CStr, function: ffi::PyCFunction, flags: c_int) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: flags,
        ml_doc: null(),
    }
}

/// A method with any arguments.
pub(crate) fn fast_method(
    name: &'static CStr,
    function: ffi::PyCFunctionFastWithKeywords,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: null(),
    }
}

/// Gives a type a method that is not made by `#[pymethods]`.
pub(crate) fn add_method(
    kind: &Bound<'_, PyType>,
    method: ffi::PyMethodDef,
    doc: &'static CStr,
) -> PyResult<()> {
    let name = method.ml_name;
    // The type keeps a pointer to it for as long as it lives, which is for ever.
    let method = Box::leak(Box::new(ffi::PyMethodDef { ml_doc: doc.as_ptr(), ..method }));
    // SAFETY: a type and a complete definition with a name that never goes away; a new reference, or null with an exception set.
    let (descriptor, name) = unsafe {
        let descriptor = ffi::PyDescr_NewMethod(kind.as_type_ptr(), method);
        (Bound::from_owned_ptr_or_err(kind.py(), descriptor)?, CStr::from_ptr(name))
    };
    kind.setattr(name.to_str().expect("names are ASCII"), descriptor)
}

/// The arguments of a call: first those by position, then those by name.
pub(crate) struct Arguments<'a, 'py> {
    py: Python<'py>,
    values: &'a [*mut ffi::PyObject],
    by_position: usize,
    names: Option<Bound<'py, PyTuple>>,
}

impl<'py> Arguments<'_, 'py> {
    /// # Safety
    /// What CPython gave to a function with `METH_FASTCALL | METH_KEYWORDS`, which it holds for as long as this lives.
    #[inline]
    pub(crate) unsafe fn new(
        py: Python<'py>,
        arguments: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        names: *mut ffi::PyObject,
    ) -> Self {
        let by_position = usize::try_from(count).unwrap_or(0);
        // SAFETY: the caller's word: a tuple or null, and as many values as there are positions and names.
        unsafe {
            let names = Bound::from_borrowed_ptr_or_opt(py, names)
                .map(|names| names.cast_into_unchecked::<PyTuple>());
            let all = by_position + names.as_ref().map_or(0, |names| names.len());
            let values = if all == 0 { &[] } else { std::slice::from_raw_parts(arguments, all) };
            Self { py, values, by_position, names }
        }
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether any have names.
    #[inline]
    pub(crate) fn has_names(&self) -> bool {
        self.names.is_some()
    }

    /// How many there are by position.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.by_position
    }

    /// The argument at this position.
    #[inline]
    pub(crate) fn at(&self, position: usize) -> Option<Bound<'py, PyAny>> {
        let value = self.values[..self.by_position].get(position)?;
        // SAFETY: held by the caller of the function.
        Some(unsafe { Bound::from_borrowed_ptr(self.py, *value) })
    }

    /// The arguments by these names, where they are there; any other name is an error.
    #[inline]
    pub(crate) fn named<const N: usize>(
        &self,
        expected: [&str; N],
    ) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
        let mut found = [const { None }; N];
        let Some(names) = &self.names else { return Ok(found) };
        for (name, value) in names.iter_borrowed().zip(&self.values[self.by_position..]) {
            let name = name.cast::<PyString>()?;
            let name = name.to_str()?;
            let Some(position) = expected.iter().position(|expected| *expected == name) else {
                return Err(PyTypeError::new_err(format!("there is no argument {name:?}")));
            };
            // SAFETY: held by the caller of the function.
            found[position] = Some(unsafe { Bound::from_borrowed_ptr(self.py, *value) });
        }
        Ok(found)
    }
}

/// Runs a C function's body: a panic becomes an exception, and so does a call while the interpreter ends.
#[inline]
pub(crate) fn guarded<R>(failed: R, body: impl FnOnce(Python<'_>) -> PyResult<R>) -> R {
    match Python::try_attach(|py| caught(py, body)) {
        Some(Some(value)) => value,
        Some(None) => failed,
        None => {
            // SAFETY: CPython calls the function, with its lock held; pyo3 attaches nobody any more.
            unsafe { ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"the interpreter is ending".as_ptr()) };
            failed
        }
    }
}

/// The same for a body that drops no `Py` where all goes well. pyo3 is not told that this thread holds the interpreter's lock, which costs
/// some 40 instructions; a `Py` that is dropped all the same is given up when pyo3 is told next.
///
/// # Safety
/// This thread holds the interpreter's lock, as in every function that CPython calls.
#[inline]
pub(crate) unsafe fn called<R>(failed: R, body: impl FnOnce(Python<'_>) -> PyResult<R>) -> R {
    // SAFETY: the caller's word.
    caught(unsafe { Python::assume_attached() }, body).unwrap_or(failed)
}

/// Inside of [`called`]: a body that may drop a `Py`.
#[cold]
pub(crate) fn dropping<R>(body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    Python::try_attach(|_| body())
        .unwrap_or_else(|| Err(PyRuntimeError::new_err("the interpreter is ending")))
}

/// The body's result; none where it failed, and the exception is set.
#[inline]
fn caught<R>(py: Python<'_>, body: impl FnOnce(Python<'_>) -> PyResult<R>) -> Option<R> {
    let error = match catch_unwind(AssertUnwindSafe(|| body(py))) {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(error)) => error,
        Err(panic) => panicked(panic.as_ref()),
    };
    error.restore(py);
    None
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> PyErr {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    PanicException::new_err((text.unwrap_or("a panic without a message").to_owned(),))
}
