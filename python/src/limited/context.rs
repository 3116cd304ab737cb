//! context.rs by the limited API, which enters no context: `Context.run` does.

use pyo3::intern;
use pyo3::prelude::*;

/// Calls `function(argument)` in `context`. A context that is entered already is an error, and nothing is called.
pub(crate) fn call_in(
    context: &Bound<'_, PyAny>,
    function: &Bound<'_, PyAny>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<()> {
    context.call_method1(intern!(context.py(), "run"), (function, argument)).map(drop)
}
