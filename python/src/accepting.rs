//! The server's side of the opening handshake, for the echo server of the demo.

use aiowebsocket::opening::{AcceptProgress, Accepting as Machine, HeadLimits};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::clock::now;
use crate::errors;
use crate::gil::GilCell;
use crate::streams;

/// Reads a request and agrees to it.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Accepting(GilCell<Machine>);

#[pymethods]
impl Accepting {
    #[new]
    fn new() -> Self {
        Self(GilCell::new(Machine::new(HeadLimits::default())))
    }

    /// Bytes of the client: the open connection, or `None` where more are needed. What is to be said before it stands in `output`, also
    /// after an exception.
    fn receive(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<Option<streams::Machine>> {
        let mut machine = self.0.borrow(py);
        match machine.receive(bytes, now()).map_err(|error| errors::value(&error))? {
            AcceptProgress::More => Ok(None),
            AcceptProgress::Request(_) => {
                machine.accept(None, &[]).map_err(|error| errors::value(&error))?;
                Ok(Some(streams::Machine::of_server(&machine.take_leftover())))
            }
        }
    }

    /// The bytes to be written now; they count as written.
    fn output<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut machine = self.0.borrow(py);
        let bytes = PyBytes::new(py, machine.output());
        machine.written(bytes.as_bytes().len());
        bytes
    }
}
