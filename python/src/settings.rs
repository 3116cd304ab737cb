//! The limits and times of a connection, as keywords of Python.

use std::time::Duration;

use aiowebsocket::KeepAlive;
use aiowebsocket::opening::{OpenLimits, Proxy, ProxyChoice, ProxyRules};
use aiowebsocket::protocol::Config;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::errors;

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

/// How long opening may take.
pub(crate) fn open_limits(open_timeout: Option<f64>) -> PyResult<OpenLimits> {
    let mut limits = OpenLimits::default();
    limits.whole = seconds(open_timeout, "open_timeout")?;
    Ok(limits)
}

/// Which proxy: an address, whatever the environment names, or none.
pub(crate) fn proxy_choice(py: Python<'_>, proxy: Option<&Bound<'_, PyAny>>) -> PyResult<ProxyChoice> {
    let Some(proxy) = proxy else { return Ok(ProxyChoice::Direct) };
    if proxy.is_instance_of::<PyBool>() {
        return Ok(match proxy.is_truthy()? {
            false => ProxyChoice::Direct,
            true => {
                let rules = ProxyRules::from_variables(|name| std::env::var(name).ok());
                ProxyChoice::ByRules(Box::new(rules))
            }
        });
    }
    let address: String = proxy.extract()?;
    let proxy = Proxy::parse(&address).map_err(|error| errors::invalid_proxy(py, &error))?;
    Ok(ProxyChoice::Through(Box::new(proxy)))
}

/// The `timeout` of a call, in seconds.
#[inline(never)]
pub(crate) fn limit(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<f64>> {
    let Some(timeout) = timeout.filter(|timeout| !timeout.is_none()) else { return Ok(None) };
    match timeout.extract() {
        Ok(seconds) if f64::is_nan(seconds) => Err(no_time("timeout", seconds)),
        Err(error) if error.is_instance_of::<PyTypeError>(timeout.py()) => {
            Err(PyTypeError::new_err("timeout is a number or None"))
        }
        seconds => seconds.map(Some),
    }
}

/// The same as a time; below zero is no time at all.
pub(crate) fn time(seconds: f64) -> Duration {
    // More than can be counted is for ever.
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// A time limit in seconds; `None` for none.
fn seconds(value: Option<f64>, name: &str) -> PyResult<Option<Duration>> {
    value.map(|value| Duration::try_from_secs_f64(value).map_err(|_| no_time(name, value))).transpose()
}

#[cold]
fn no_time(name: &str, value: f64) -> PyErr {
    PyValueError::new_err(format!("{name} is {}, and no number of seconds", errors::shown(value)))
}
