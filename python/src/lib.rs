//! The Python face: the machines of `aiowebsocket` on the event loop that the program has, asyncio's or uvloop's; and, for programs
//! with threads, the library's blocking face.
//!
//! No tokio and no thread: the socket is ours, the event loop says when it can be read or written, and the machine runs inside
//! that callback. What this converts has no rules of its own; those stand in the library.
//!
//! `limited/` has what the limited API (feature `abi3`) does in another way, file by file.

mod accepting;
mod awaitable;
mod backlog;
mod batches;
mod blocking;
mod clock;
mod close_code;
mod connecting;
mod connection;
#[cfg_attr(feature = "abi3", path = "limited/context.rs")]
mod context;
mod cork;
mod destination;
mod direct;
mod driver;
mod engine;
mod errors;
#[cfg(feature = "for-tests")]
mod for_tests;
mod futures;
mod gil;
mod globals;
mod methods;
mod opening;
mod operations;
mod payload;
mod pump;
mod raw;
#[cfg_attr(feature = "abi3", path = "limited/resize.rs")]
mod resize;
mod settings;
mod socket;
mod state;
mod streams;
#[cfg_attr(feature = "abi3", path = "limited/text.rs")]
mod text;
#[cfg(target_os = "linux")]
mod timer;
mod tls;
mod turn;
mod waiter;
mod watch;
mod wire;

/// The extension module of the package `aiowebsocket`; its documented surface is the package.
#[pyo3::pymodule(gil_used = true)]
mod _aiowebsocket {
    use pyo3::prelude::*;
    use pyo3::types::PyType;

    #[pymodule_export]
    use crate::accepting::Accepting;
    #[pymodule_export]
    use crate::batches::Batches;
    #[pymodule_export]
    use crate::blocking::Blocking;
    #[pymodule_export]
    use crate::close_code::{_close_codes, _explain_close, _may_send_close};
    #[pymodule_export]
    use crate::connecting::{Connecting, Retries};
    #[pymodule_export]
    use crate::connection::Connection;
    #[pymodule_export]
    use crate::cork::Cork;
    #[cfg(feature = "for-tests")]
    #[pymodule_export]
    use crate::for_tests::{_defaults, _panics};
    #[pymodule_export]
    use crate::opening::{Opened, Opening};
    #[pymodule_export]
    use crate::settings::Settings;
    #[pymodule_export]
    use crate::streams::{_read_close, Machine};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use crate::timer::Timer;
    #[pymodule_export]
    use crate::tls::Tls;

    /// Draws new keys from now on: a child process must not use those of its parent.
    #[pyfunction]
    fn _forget_keys() {
        aiowebsocket::keys::forget();
    }

    /// Gives a class derived from `Connection` its own `recv` and `send`, see methods.rs.
    #[pyfunction]
    fn _add_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
        if !class.is_subclass_of::<Connection>()? {
            return Err(pyo3::exceptions::PyTypeError::new_err("the class is not derived from Connection"));
        }
        crate::methods::add_to(class)
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("_INCOMPLETE", crate::errors::INCOMPLETE)?;
        crate::methods::add_to(&module.py().get_type::<Connection>())?;
        crate::globals::Globals::load(module.py())
    }
}
