//! New `bytes` that get another size where they lie, if they can.
#![expect(unsafe_code, reason = "bytes change where Python keeps them")]

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;

unsafe extern "C" {
    // Public API of CPython ("Bytes Objects"), which the bindings do not export.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

/// The same `bytes` with this size; those that fit stay.
///
/// # Safety
/// `bytes` is an object of type `bytes` that has one reference, this one.
pub(crate) unsafe fn resized(
    py: Python<'_>,
    bytes: Py<PyAny>,
    size: ffi::Py_ssize_t,
) -> PyResult<Bound<'_, PyAny>> {
    let mut object = bytes.into_ptr();
    // SAFETY: the only reference is ours (the caller's word), and it is given away by `into_ptr`. On failure the old object is
    // freed, `object` is null, and an exception is set.
    unsafe {
        if _PyBytes_Resize(&raw mut object, size) != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(Bound::from_owned_ptr(py, object))
    }
}
