//! text.rs by the limited API, which writes no `str` where Python keeps it: Python decodes, and checks a second time.

use pyo3::prelude::*;
use pyo3::types::PyString;

/// A `str` of bytes that the machine has found to be UTF-8.
pub(crate) fn decode<'py>(py: Python<'py>, utf8: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    PyString::from_bytes(py, utf8).map(Bound::into_any)
}

/// Whether a `str` is UTF-8 as it lies in memory: nobody tells here.
pub(crate) fn lies_as_utf8(_text: &Bound<'_, PyString>) -> bool {
    false
}
