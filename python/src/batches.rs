//! Messages in lists: whatever is there when somebody asks.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::connection::Connection;
use crate::errors;
use crate::operations::Wants;

/// `async for batch in ws.batches()`.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Batches {
    connection: Py<Connection>,
    max: usize,
}

impl Batches {
    pub(crate) fn new(connection: &Bound<'_, Connection>, max: usize) -> Self {
        Self { connection: connection.clone().unbind(), max }
    }
}

#[pymethods]
impl Batches {
    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Connection::receive(self.connection.bind(py), Wants::NextMany(self.max), None, None)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.connection)
    }
}

/// Fills a list with what is there.
pub(crate) fn drain<'py>(slf: &Bound<'py, Connection>, max: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = slf.py();
    let list = PyList::empty(py);
    let mut state = slf.get().state.borrow(py);
    if state.pump.is_in_parts() {
        drop(state);
        return Err(errors::in_parts(py));
    }
    while list.len() < max && !state.turn.is_over() {
        let Some(message) = state.next_message(py, false)? else { break };
        // Appending makes no object that the collector tracks, so the borrow may last.
        list.append(message)?;
    }
    Ok(if list.is_empty() { None } else { Some(list.into_any()) })
}
