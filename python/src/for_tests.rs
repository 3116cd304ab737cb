//! What only the tests call (feature `for-tests`, which no wheel has).
//!
//! Panics on purpose: nothing that a program can do is known to panic, so the guard around the C functions needs something to
//! guard against. And the library's defaults, which the package's are held equal to.

use std::cell::Cell;

use aiowebsocket::Deflate;
use aiowebsocket::opening::OPEN_TIMEOUT;
use aiowebsocket::protocol::Config;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::awaitable::{AwaitableType, Operation, Step};
use crate::globals::Globals;

/// An awaitable that panics where it is told to.
#[derive(Debug)]
pub(crate) struct Panics {
    place: String,
    waits: Cell<bool>,
}

impl Operation for Panics {
    const TYPE: &'static std::ffi::CStr = c"aiowebsocket._aiowebsocket.Panics";
    const CALL: &'static str = "panics()";

    fn name(&self) -> &'static std::ffi::CStr {
        c"Panics"
    }

    fn awaitable_type(globals: &Globals) -> &AwaitableType {
        &globals.panics
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        match &*self.place {
            "step" => panic!("on purpose, in a step"),
            // A task that gets nothing to wait for goes on in the next turn.
            _ if self.waits.replace(false) => Ok(Step::Wait(py.None().into_bound(py))),
            "second step" => panic!("on purpose, in the second step"),
            _ => Ok(Step::Done(py.None().into_bound(py))),
        }
    }

    fn abandon(&self, _py: Python<'_>) {
        assert!(self.place != "abandon", "on purpose, while it is given up");
    }

    fn traverse(&self, _visit: &mut dyn FnMut(&Py<PyAny>)) {}
}

/// `step`, `second step` or `abandon`: an awaitable that panics there. `call`: panics at once.
#[pyfunction]
pub(crate) fn _panics(py: Python<'_>, place: String) -> PyResult<Bound<'_, PyAny>> {
    assert!(place != "call", "on purpose, in a call");
    Globals::get(py).panics.awaitable(py, Panics { place, waits: Cell::new(true) })
}

/// The library's defaults, by the names of `connect`; those of `Deflate` as Rust shows them.
#[pyfunction]
pub(crate) fn _defaults(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let config = Config::default();
    let keepalive = config.keepalive.expect("it is on by default");
    let defaults = PyDict::new(py);
    defaults.set_item("open_timeout", OPEN_TIMEOUT.as_secs_f64())?;
    defaults.set_item("ping_interval", keepalive.interval.as_secs_f64())?;
    defaults.set_item("ping_timeout", keepalive.timeout.as_secs_f64())?;
    defaults.set_item("close_timeout", config.close_timeout.as_secs_f64())?;
    defaults.set_item("max_size", config.max_message)?;
    defaults.set_item("receive_window", config.max_backlog)?;
    defaults.set_item("send_window", config.max_queue)?;
    defaults.set_item("deflate", format!("{:?}", Deflate::default()))?;
    Ok(defaults)
}
