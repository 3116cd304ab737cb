//! What is sent: `str` and bytes-like objects, as bytes that do not move meanwhile.
#![expect(unsafe_code, reason = "bytes are read where Python keeps them")]

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::text;

/// Above this size the UTF-8 of a `str` is made for the call and dropped after it; below, Python keeps it in the `str`, which
/// is faster where one text is sent often.
const KEEPS_UTF8: usize = 64 << 10;

/// Calls with the bytes of a message, and whether it is a `str`. The callee calls no Python code.
#[inline]
pub(crate) fn with_bytes<R>(message: &Bound<'_, PyAny>, call: impl FnOnce(bool, &[u8]) -> R) -> PyResult<R> {
    if let Ok(bytes) = message.cast::<PyBytes>() {
        return Ok(call(false, bytes.as_bytes()));
    }
    if let Ok(message) = message.cast::<PyString>() {
        return with_utf8(message, call);
    }
    with_buffer(message, call)
}

/// Whether this is a message by itself, and not something that gives the parts of one.
#[inline]
pub(crate) fn is_message(message: &Bound<'_, PyAny>) -> bool {
    // SAFETY: an object that is held meanwhile.
    message.is_instance_of::<PyBytes>()
        || message.is_instance_of::<PyString>()
        || unsafe { ffi::PyObject_CheckBuffer(message.as_ptr()) } != 0
}

fn with_utf8<R>(message: &Bound<'_, PyString>, call: impl FnOnce(bool, &[u8]) -> R) -> PyResult<R> {
    if text::lies_as_utf8(message) || message.len()? <= KEEPS_UTF8 {
        // Fails for lone surrogates, which UTF-8 cannot say: Python's UnicodeEncodeError tells where.
        return Ok(call(true, message.to_str()?.as_bytes()));
    }
    Ok(call(true, message.encode_utf8()?.as_bytes()))
}

/// Any other object with a buffer: `bytearray`, `memoryview`, arrays.
#[cold]
fn with_buffer<R>(message: &Bound<'_, PyAny>, call: impl FnOnce(bool, &[u8]) -> R) -> PyResult<R> {
    let Ok(buffer) = PyUntypedBuffer::get(message) else {
        return Err(PyTypeError::new_err(format!(
            "a message is str or bytes-like, and this is {}",
            message.get_type().name()?
        )));
    };
    if !buffer.is_c_contiguous() {
        return Err(PyBufferError::new_err("the bytes of a message must lie in one piece"));
    }
    // SAFETY: the buffer is held until after the call, and its exporter keeps the memory where it is. Somebody else could write to
    // it only while Python code runs, and the callee runs none.
    let bytes = unsafe {
        if buffer.len_bytes() == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes())
        }
    };
    Ok(call(false, bytes))
}
