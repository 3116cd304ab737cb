//! Calls in a context of `contextvars`.
#![expect(unsafe_code, reason = "the bindings do not enter contexts")]

use pyo3::ffi;
use pyo3::prelude::*;

/// Calls `function(argument)` in `context`. A context that is entered already is an error, and nothing is called.
pub(crate) fn call_in(
    context: &Bound<'_, PyAny>,
    function: &Bound<'_, PyAny>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = context.py();
    // SAFETY: `Context.run` without its wrapping: objects that are held meanwhile; anything else than a context is an error. What was
    // entered is left again, also after an exception, which is set aside for it.
    unsafe {
        if ffi::PyContext_Enter(context.as_ptr()) != 0 {
            return Err(PyErr::fetch(py));
        }
        let result = function.call1((argument,));
        if ffi::PyContext_Exit(context.as_ptr()) != 0 {
            return Err(PyErr::fetch(py));
        }
        result.map(drop)
    }
}
