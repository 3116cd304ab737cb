//! The limits and times of a connection, as keywords of Python.

use std::time::Duration;

use aiowebsocket::KeepAlive;
use aiowebsocket::protocol::Config;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// What `connect` was asked for, judged before anything is dialled.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Settings(pub(crate) Config);

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (*, ping_interval, ping_timeout, close_timeout, max_size, receive_window, send_window))]
    fn new(
        ping_interval: Option<f64>,
        ping_timeout: Option<f64>,
        close_timeout: Option<f64>,
        max_size: Option<u64>,
        receive_window: usize,
        send_window: usize,
    ) -> PyResult<Self> {
        let mut config = Config::default();
        let timeout = seconds(ping_timeout, "ping_timeout")?.unwrap_or(Duration::MAX);
        config.keepalive =
            seconds(ping_interval, "ping_interval")?.map(|interval| KeepAlive { interval, timeout });
        config.close_timeout = seconds(close_timeout, "close_timeout")?.unwrap_or(Duration::MAX);
        config.max_message = max_size.unwrap_or(u64::MAX >> 1);
        config.max_frame = config.max_message;
        config.max_backlog = receive_window;
        config.max_queue = send_window;
        Ok(Self(config))
    }
}

/// A time limit in seconds; `None` for none.
fn seconds(value: Option<f64>, name: &str) -> PyResult<Option<Duration>> {
    value
        .map(|value| {
            Duration::try_from_secs_f64(value)
                .map_err(|_| PyValueError::new_err(format!("{name} is {value}, and no number of seconds")))
        })
        .transpose()
}
