//! UTF-8 into Python's strings, which keep one, two or four bytes a character.
//!
//! The machine has checked the bytes, so nothing is checked a second time: one pass finds the width and the count of the
//! characters, a second one writes them.
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
    // SAFETY: the machine has checked the bytes (asserted above where assertions are on) and nobody has changed them since.
    let text = unsafe { str::from_utf8_unchecked(utf8) };
    match highest {
        0..=0xc3 => filled::<u8>(py, chars, 0xff, |to| write(text, to)),
        0xc4..=0xef => filled::<u16>(py, chars, 0xffff, |to| write(text, to)),
        _ => filled::<u32>(py, chars, 0x0010_ffff, |to| write(text, to)),
    }
}

/// Whether a `str` is UTF-8 as it lies in memory: ASCII is.
#[inline]
pub(crate) fn lies_as_utf8(text: &Bound<'_, PyString>) -> bool {
    // SAFETY: a str that is held meanwhile.
    unsafe { ffi::PyUnicode_IS_ASCII(text.as_ptr()) != 0 }
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

/// One code unit of a `str`, for characters that fit into it.
trait Unit: Copy {
    fn from_char(char: char) -> Self;
}

impl Unit for u8 {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the widest character was measured before")]
    fn from_char(char: char) -> Self {
        u32::from(char) as Self
    }
}

impl Unit for u16 {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the widest character was measured before")]
    fn from_char(char: char) -> Self {
        u32::from(char) as Self
    }
}

impl Unit for u32 {
    #[inline(always)]
    fn from_char(char: char) -> Self {
        Self::from(char)
    }
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

/// Characters taken one by one before the next look at whether a block of ASCII begins: text of other scripts has few such blocks, and
/// each look costs about as much as a character.
const SOME: usize = 12;

/// Writes the characters, whose width is known to be enough for each.
fn write<U: Unit>(text: &str, to: &mut [U]) {
    let mut text = text;
    let mut to = to.iter_mut();
    while !text.is_empty() {
        if let Some((block, rest)) = ascii_block(text) {
            for (from, to) in block.iter().zip(&mut to) {
                *to = U::from_char(char::from(*from));
            }
            text = rest;
            continue;
        }
        let mut chars = text.chars();
        for (from, to) in chars.by_ref().take(SOME).zip(&mut to) {
            *to = U::from_char(from);
        }
        text = chars.as_str();
    }
}

/// The first eight characters, where they are ASCII, and the rest.
#[inline(always)]
fn ascii_block(text: &str) -> Option<(&[u8; 8], &str)> {
    let block = text.as_bytes().first_chunk::<8>()?;
    if u64::from_ne_bytes(*block) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    Some((block, text.get(8..)?))
}
