//! UTF-8 into Python's strings, which keep one, two or four bytes a character.
//!
//! The machine has checked the bytes, so nothing is checked a second time: one pass finds the width and the count of the
//! characters, a second one writes them. Scripts come in runs, so the writing loops stay in one kind of character as long as it
//! lasts.
#![expect(unsafe_code, reason = "a str is written where Python keeps it")]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A `str` of bytes that the machine has found to be UTF-8.
pub(crate) fn decode<'py>(py: Python<'py>, utf8: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    debug_assert!(std::str::from_utf8(utf8).is_ok(), "text is checked before it gets here");
    if utf8.is_ascii() {
        return filled::<u8>(py, utf8.len(), 0x7f, |to| to.copy_from_slice(utf8));
    }
    let (chars, highest) = measure(utf8);
    match highest {
        0..=0xc3 => filled(py, chars, 0xff, |to| write_latin1(utf8, to)),
        0xc4..=0xef => filled(py, chars, 0xffff, |to| write_bmp(utf8, to)),
        _ => filled(py, chars, 0x0010_ffff, |to| write_all(utf8, to)),
    }
}

/// How many characters there are, and the highest byte, which tells the widest of them.
fn measure(utf8: &[u8]) -> (usize, u8) {
    let mut continuations = 0;
    let mut highest = 0;
    // Blocks that a byte can count, so that the compiler counts in bytes.
    for block in utf8.chunks(192) {
        let mut some = 0_u8;
        for &byte in block {
            some += u8::from(is_continuation(byte));
            highest = highest.max(byte);
        }
        continuations += usize::from(some);
    }
    (utf8.len() - continuations, highest)
}

#[inline(always)]
fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// One code unit of a `str`.
trait Unit: Copy {}
impl Unit for u8 {}
impl Unit for u16 {}
impl Unit for u32 {}

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

/// Characters up to U+00FF: one byte, or 110000xx and one more.
fn write_latin1(mut utf8: &[u8], to: &mut [u8]) {
    let mut to = to.iter_mut();
    while let [first, rest @ ..] = utf8 {
        let (unit, rest) = match (*first, rest) {
            (first @ 0..=0x7f, rest) => (first, rest),
            (first, [second, rest @ ..]) => (first << 6 | second & 0x3f, rest),
            _ => return,
        };
        utf8 = rest;
        let Some(to) = to.next() else { return };
        *to = unit;
    }
}

/// Characters up to U+FFFF: one, two or three bytes.
fn write_bmp(mut utf8: &[u8], to: &mut [u16]) {
    let mut to = to.iter_mut();
    while !utf8.is_empty() {
        while let [a @ 0..=0x7f, rest @ ..] = utf8 {
            let Some(to) = to.next() else { return };
            *to = u16::from(*a);
            utf8 = rest;
        }
        while let [a @ 0xc0..=0xdf, b, rest @ ..] = utf8 {
            let Some(to) = to.next() else { return };
            *to = u16::from(*a & 0x1f) << 6 | u16::from(*b & 0x3f);
            utf8 = rest;
        }
        while let [a @ 0xe0..=0xef, b, c, rest @ ..] = utf8 {
            let Some(to) = to.next() else { return };
            *to = u16::from(*a & 0x0f) << 12 | u16::from(*b & 0x3f) << 6 | u16::from(*c & 0x3f);
            utf8 = rest;
        }
    }
}

/// All characters.
fn write_all(mut utf8: &[u8], to: &mut [u32]) {
    let mut to = to.iter_mut();
    while !utf8.is_empty() {
        while let [a @ 0..=0x7f, rest @ ..] = utf8 {
            let Some(to) = to.next() else { return };
            *to = u32::from(*a);
            utf8 = rest;
        }
        while let [a @ 0xc0..=0xdf, b, rest @ ..] = utf8 {
            let Some(to) = to.next() else { return };
            *to = u32::from(*a & 0x1f) << 6 | u32::from(*b & 0x3f);
            utf8 = rest;
        }
        while let [a @ 0xe0..=0xef, b, c, rest @ ..] = utf8 {
            let Some(to) = to.next() else { return };
            *to = u32::from(*a & 0x0f) << 12 | u32::from(*b & 0x3f) << 6 | u32::from(*c & 0x3f);
            utf8 = rest;
        }
        while let [a @ 0xf0..=0xff, b, c, d, rest @ ..] = utf8 {
            let Some(to) = to.next() else { return };
            *to = u32::from(*a & 0x07) << 18
                | u32::from(*b & 0x3f) << 12
                | u32::from(*c & 0x3f) << 6
                | u32::from(*d & 0x3f);
            utf8 = rest;
        }
    }
}
