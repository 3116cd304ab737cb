//! Sends held back, so that many leave in one write.

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::connection::Connection;

/// Queued bytes from which a corked connection writes all the same: what one write can usually put into a socket.
pub(crate) const WRITE_AHEAD: usize = 128 << 10;

/// `with ws.cork():` — what is sent in the block leaves at its end.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Cork {
    connection: Py<Connection>,
}

impl Cork {
    pub(crate) fn new(connection: &Bound<'_, Connection>) -> Self {
        Self { connection: connection.clone().unbind() }
    }
}

#[pymethods]
impl Cork {
    fn __enter__(&self, py: Python<'_>) {
        self.connection.get().state.borrow(py).corks += 1;
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<()> {
        let connection = self.connection.bind(py);
        {
            let mut state = connection.get().state.borrow(py);
            if state.corks == 0 {
                return Err(PyRuntimeError::new_err("this cork was not put in"));
            }
            state.corks -= 1;
        }
        Connection::settle(connection, None)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.connection)
    }
}
