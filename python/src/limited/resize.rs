//! resize.rs by the limited API, in which `bytes` keep their size: they are copied to others.
#![expect(unsafe_code, reason = "bytes are filled where Python keeps them")]

use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;

/// Other `bytes` with this size, and of the old ones those that fit.
///
/// # Safety
/// `bytes` is an object of type `bytes` that has one reference, this one.
pub(crate) unsafe fn resized(
    py: Python<'_>,
    bytes: Py<PyAny>,
    size: ffi::Py_ssize_t,
) -> PyResult<Bound<'_, PyAny>> {
    let old = bytes.into_bound(py);
    // SAFETY: without a source the bytes are made but not filled: a new reference, or null with an exception set. What is copied lies
    // in both, which are two objects, and bytes that were not filled are copied as such.
    unsafe {
        let new = Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), size))?;
        let kept = ffi::PyBytes_Size(old.as_ptr()).min(size);
        let from: *const MaybeUninit<u8> = ffi::PyBytes_AsString(old.as_ptr()).cast();
        let to: *mut MaybeUninit<u8> = ffi::PyBytes_AsString(new.as_ptr()).cast();
        to.copy_from_nonoverlapping(from, usize::try_from(kept).expect("sizes are not negative"));
        Ok(new)
    }
}
