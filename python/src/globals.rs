//! What is looked up once, when the module is loaded.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::awaitable::AwaitableType;
use crate::direct::{Function, Setter};
use crate::operations::{Close, Closed, Once, Ping, Receive, Send, SendMany};

/// Types and functions of Python that are needed while a connection runs.
#[derive(Debug)]
pub(crate) struct Globals {
    /// `_asyncio.Task`, which is what `asyncio.Task` is where the C implementation is there.
    pub(crate) task_type: Py<PyAny>,
    /// `asyncio.Future`.
    pub(crate) future_type: Py<PyAny>,
    /// Its `remove_done_callback`, to be called with it: looked up each time it took 130 instructions more.
    pub(crate) remove_done_callback: Function,
    /// Its `_asyncio_future_blocking`, by which a task knows that it is to wait for it.
    pub(crate) blocking: Setter,
    /// A future that is done, of no event loop: what a task is woken with.
    pub(crate) finished: Py<PyAny>,
    /// The module with the exceptions.
    pub(crate) exceptions: Py<PyAny>,
    pub(crate) receive: AwaitableType,
    pub(crate) send: AwaitableType,
    pub(crate) send_many: AwaitableType,
    pub(crate) ping: AwaitableType,
    pub(crate) close: AwaitableType,
    pub(crate) closed: AwaitableType,
    #[cfg(feature = "for-tests")]
    pub(crate) panics: AwaitableType,
}

static GLOBALS: PyOnceLock<Globals> = PyOnceLock::new();

impl Globals {
    pub(crate) fn load(py: Python<'_>) -> PyResult<()> {
        GLOBALS.get_or_try_init(py, || {
            let future_type = py.import("asyncio")?.getattr("Future")?;
            Ok::<_, PyErr>(Self {
                task_type: py.import("asyncio")?.getattr("Task")?.unbind(),
                remove_done_callback: Function::new(future_type.getattr("remove_done_callback")?),
                blocking: Setter::new(&future_type, "_asyncio_future_blocking")?,
                future_type: future_type.unbind(),
                finished: py.import("aiowebsocket._finished")?.getattr("FINISHED")?.unbind(),
                exceptions: py.import("aiowebsocket.exceptions")?.into_any().unbind(),
                receive: AwaitableType::new::<Receive>(py)?,
                send: AwaitableType::new::<Send>(py)?,
                send_many: AwaitableType::new::<SendMany>(py)?,
                ping: AwaitableType::new::<Once<Ping>>(py)?,
                close: AwaitableType::new::<Once<Close>>(py)?,
                closed: AwaitableType::new::<Once<Closed>>(py)?,
                #[cfg(feature = "for-tests")]
                panics: AwaitableType::new::<crate::for_tests::Panics>(py)?,
            })
        })?;
        Ok(())
    }

    #[inline]
    pub(crate) fn get(py: Python<'_>) -> &'static Self {
        GLOBALS.get(py).expect("the module was loaded before its objects were made")
    }
}
