//! Where a large message lands: the socket is read straight into the `bytes` that its receiver gets.
#![expect(unsafe_code, reason = "bytes are filled where Python keeps them")]

use std::io;
use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::resize::resized;
use crate::text;
use crate::wire::Wire;

/// A destination gets its whole memory at once up to this size; above it, memory doubles as bytes arrive, so that a
/// header alone never takes more.
const AT_ONCE: usize = 4 << 20;

/// The memory of one large message that is arriving.
#[derive(Debug, Default)]
pub(crate) enum Destination {
    #[default]
    None,
    /// Binary: becomes the message.
    Bytes { bytes: Growing, filled: usize },
    /// Text: UTF-8 as it came, decoded at the end.
    Text(Vec<u8>),
}

/// `bytes` that nobody else has seen yet.
///
/// INVARIANT: `object` is a new `bytes` of `size` bytes with one reference, ours.
#[derive(Debug)]
pub(crate) struct Growing {
    object: Py<PyAny>,
    size: usize,
}

impl Growing {
    fn new(py: Python<'_>, size: usize) -> PyResult<Self> {
        let length = ffi::Py_ssize_t::try_from(size).expect("within the limit on messages");
        // SAFETY: without a source the bytes are made but not filled; a new reference, or null with an exception set.
        let object = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), length))?
        };
        Ok(Self { object: object.unbind(), size })
    }

    /// Gives it this many bytes; those that it has stay.
    fn resize(&mut self, py: Python<'_>, size: usize) -> PyResult<()> {
        let length = ffi::Py_ssize_t::try_from(size).expect("within the limit on messages");
        let empty = PyBytes::new(py, b"").unbind().into_any();
        let object = std::mem::replace(&mut self.object, empty);
        self.size = 0;
        // SAFETY: the only reference is ours (the invariant). On failure `self` holds empty bytes.
        let object = unsafe { resized(py, object, length)? }.unbind();
        drop(std::mem::replace(&mut self.object, object).into_bound(py));
        self.size = size;
        Ok(())
    }

    fn all(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the object has `size` bytes and no other user (the invariant), so they are ours to write; uninitialised ones are
        // seen as such.
        unsafe {
            let start = ffi::PyBytes_AsString(self.object.as_ptr());
            std::slice::from_raw_parts_mut(start.cast(), self.size)
        }
    }
}

impl Destination {
    /// Whether a byte has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.filled() > 0
    }

    pub(crate) fn filled(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes { filled, .. } => *filled,
            Self::Text(text) => text.len(),
        }
    }

    /// Makes room for `more` bytes of a message of `len` bytes in all.
    pub(crate) fn grow(&mut self, py: Python<'_>, is_text: bool, len: usize, more: usize) -> PyResult<()> {
        let have = self.filled();
        let target = if len <= AT_ONCE { len } else { len.min((2 * have).max(AT_ONCE)) };
        let target = target.max(have + more);
        match self {
            Self::None if is_text => *self = Self::Text(Vec::with_capacity(target)),
            Self::None => *self = Self::Bytes { bytes: Growing::new(py, target)?, filled: 0 },
            Self::Bytes { bytes, .. } if bytes.size < have + more => bytes.resize(py, target)?,
            Self::Text(text) if text.capacity() < have + more => text.reserve_exact(target - have),
            _ => {}
        }
        Ok(())
    }

    /// Reads the socket once, for at most `most` bytes and into the room that was made: how many there was room for, and
    /// what came.
    pub(crate) fn read(&mut self, wire: &mut Wire, most: usize) -> io::Result<(usize, &mut [u8])> {
        let spare = self.spare();
        let room = spare.len().min(most);
        let n = wire.read_uninit(&mut spare[..room])?;
        Ok((room, self.added(n)))
    }

    /// Room that was made and not filled.
    fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        match self {
            Self::None => &mut [],
            Self::Bytes { bytes, filled } => &mut bytes.all()[*filled..],
            Self::Text(text) => text.spare_capacity_mut(),
        }
    }

    /// The first `n` bytes of [`spare`](Self::spare) were written, by the socket or by us: returns them.
    fn added(&mut self, n: usize) -> &mut [u8] {
        match self {
            Self::None => &mut [],
            Self::Bytes { bytes, filled } => {
                let new = std::ptr::from_mut(&mut bytes.all()[*filled..*filled + n]);
                *filled += n;
                // SAFETY: private, and called right after they were written.
                unsafe { &mut *(new as *mut [u8]) }
            }
            Self::Text(text) => {
                let before = text.len();
                assert!(n <= text.capacity() - before, "no more was read than there was room");
                // SAFETY: within the capacity (just asserted), and private, and called right after they were written.
                unsafe { text.set_len(before + n) };
                &mut text[before..]
            }
        }
    }

    /// Appends bytes for which there is room.
    pub(crate) fn append(&mut self, from: &[u8]) {
        match self {
            Self::Text(text) => text.extend_from_slice(from),
            _ => {
                for (to, from) in self.spare()[..from.len()].iter_mut().zip(from) {
                    to.write(*from);
                }
                self.added(from.len());
            }
        }
    }

    /// The message, whole: `bytes` or `str`; with `raw`, text is `bytes` too.
    pub(crate) fn finish<'py>(&mut self, py: Python<'py>, raw: bool) -> PyResult<Bound<'py, PyAny>> {
        match std::mem::take(self) {
            Self::None => Ok(PyBytes::new(py, b"").into_any()),
            Self::Bytes { mut bytes, filled } => {
                if filled != bytes.size {
                    bytes.resize(py, filled)?;
                }
                Ok(bytes.object.into_bound(py))
            }
            Self::Text(text) if raw => Ok(PyBytes::new(py, &text).into_any()),
            Self::Text(text) => text::decode(py, &text),
        }
    }
}
