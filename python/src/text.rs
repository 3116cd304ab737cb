//! UTF-8 into Python's strings, which keep one, two or four bytes a character.
//!
//! The machine has checked the bytes, so nothing is checked a second time: one pass finds the width and the count of the
//! characters, a second one writes them.
#![expect(unsafe_code, reason = "a str is written where Python keeps it")]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use units::{Unit, measure};

/// A `str` of bytes that the machine has found to be UTF-8.
pub(crate) fn decode<'py>(py: Python<'py>, utf8: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    debug_assert!(std::str::from_utf8(utf8).is_ok(), "text is checked before it gets here");
    if utf8.is_ascii() {
        return filled::<u8>(py, utf8.len(), 0x7f, |to| to.copy_from_slice(utf8));
    }
    let (chars, unit) = measure(utf8);
    // SAFETY: the machine has checked the bytes (asserted above where assertions are on) and nobody has changed them since.
    let text = unsafe { str::from_utf8_unchecked(utf8) };
    match unit {
        1 => filled::<u8>(py, chars, 0xff, |to| Unit::write(text, to)),
        2 => filled::<u16>(py, chars, 0xffff, |to| Unit::write(text, to)),
        _ => filled::<u32>(py, chars, 0x0010_ffff, |to| Unit::write(text, to)),
    }
}

/// Whether a `str` is UTF-8 as it lies in memory: ASCII is.
#[inline]
pub(crate) fn lies_as_utf8(text: &Bound<'_, PyString>) -> bool {
    // SAFETY: a str that is held meanwhile.
    unsafe { ffi::PyUnicode_IS_ASCII(text.as_ptr()) != 0 }
}

/// A new `str` of `chars` characters, the widest of which is `widest`, filled by `write`.
fn filled<'py, U: Unit>(
    py: Python<'py>,
    chars: usize,
    widest: u32,
    write: impl FnOnce(&mut [U]),
) -> PyResult<Bound<'py, PyAny>> {
    if chars == 0 {
        return Ok(PyString::new(py, "").into_any());
    }
    let size = ffi::Py_ssize_t::try_from(chars).expect("no memory is larger");
    // SAFETY: a new reference, or null with an exception set.
    let text = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(size, widest))? };
    // SAFETY: the object is new, so nobody else has it, and `widest` gave it `chars` units of the size of `U`:
    // 1 byte up to 0xff, 2 up to 0xffff, 4 above (checked below). They are zeroed only in part, but any bits are a unit,
    // and all are written before anybody reads them.
    let units = unsafe {
        debug_assert_eq!(ffi::PyUnicode_KIND(text.as_ptr()) as usize, size_of::<U>());
        std::slice::from_raw_parts_mut(ffi::PyUnicode_DATA(text.as_ptr()).cast::<U>(), chars)
    };
    write(units);
    Ok(text)
}
