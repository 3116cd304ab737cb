//! The CONNECTING state for Python: the machine of the library, driven by `_opening.py`.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use aiowebsocket::keys;
use aiowebsocket::layer::Layer;
use aiowebsocket::opening::{
    Attempt, Backoff, ConnectError, Connecting as Machine, Failure, Host, Next, Redirects,
};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::clock::{now, time_of_day};
use crate::engine::Engine;
use crate::errors;
use crate::gil::GilCell;
use crate::opening::{Opened, Opening, too_late};
use crate::settings;
use crate::tls::Tls;

/// An address as Python's sockets have it: with port, and of version 6 with its zone.
pub(crate) fn address_of(address: &Bound<'_, PyAny>) -> Option<SocketAddr> {
    let part = |number: usize| address.get_item(number).ok();
    let ip = part(0)?.extract::<String>().ok()?.parse().ok()?;
    let address = SocketAddr::new(ip, part(1)?.extract().ok()?);
    Some(match (address, part(3).and_then(|zone| zone.extract().ok())) {
        (SocketAddr::V6(v6), Some(zone)) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, zone).into(),
        _ => address,
    })
}

/// A connection that opens.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Connecting {
    state: GilCell<State>,
}

#[derive(Debug)]
struct State {
    machine: Machine,
    /// By the number that Python knows them by.
    attempts: Vec<Attempt>,
    /// With whom a layer of TLS is wanted.
    wanted: Option<Host>,
    /// Why it could not be opened.
    failed: Option<ConnectError>,
}

#[pymethods]
impl Connecting {
    /// Takes the request of an `Opening`. `over` is for a socket that is connected already.
    #[new]
    #[pyo3(signature = (opening, *, proxy, redirects, open_timeout, over, reach_at))]
    fn new(
        py: Python<'_>,
        opening: &Opening,
        proxy: Option<&Bound<'_, PyAny>>,
        redirects: u8,
        open_timeout: Option<f64>,
        over: bool,
        reach_at: Option<(String, u16)>,
    ) -> PyResult<Self> {
        let limits = settings::open_limits(open_timeout)?;
        let (address, request) = opening.take(py)?;
        let mut machine = if over {
            Machine::over(address, request, true, limits, now())
        } else {
            let proxies = settings::proxy_choice(py, proxy)?;
            Machine::new(address, request, proxies, Redirects::new(redirects), limits, now())
        };
        if let Some((host, port)) = reach_at {
            let named = Host::parse(&host).map_err(|error| errors::value(&error))?;
            machine.reach_at(named, port);
        }
        Ok(Self { state: GilCell::new(State { machine, attempts: Vec::new(), wanted: None, failed: None }) })
    }

    /// Somebody wants each milestone.
    fn watch(&self, py: Python<'_>) {
        self.state.borrow(py).machine.watch();
    }

    /// What to do next: a word, and what belongs to it.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let next = {
            let mut state = self.state.borrow(py);
            let next = state.machine.next(now(), &mut keys::nonce);
            match &next {
                Ok(Next::Dial(attempt)) => state.attempts.push(*attempt),
                Ok(Next::Secure { host, .. }) => state.wanted = Some(host.clone()),
                _ => {}
            }
            next.map(|next| (next, state.attempts.len()))
        };
        match next {
            Err(error) => {
                let raised = errors::connecting(py, &error);
                self.state.borrow(py).failed = Some(error);
                Err(raised)
            }
            Ok((Next::Resolve { host, port }, _)) => ("resolve", host, port).into_pyobject(py),
            Ok((Next::Dial(Attempt { address, .. }), number)) => {
                // A link-local address is one on the link of its zone alone.
                let zone = if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 };
                ("dial", number - 1, address.ip().to_string(), address.port(), zone).into_pyobject(py)
            }
            Ok((Next::Secure { host, is_proxy }, _)) => ("secure", name(&host), is_proxy).into_pyobject(py),
            Ok((Next::Wait, _)) => ("wait",).into_pyobject(py),
            Ok((Next::Exchange, _)) => ("exchange",).into_pyobject(py),
            Ok((Next::Flush, _)) => ("flush",).into_pyobject(py),
            Ok((Next::Hangup, _)) => ("hangup",).into_pyobject(py),
            Ok((Next::Open { opened, layer }, _)) => ("open", Opened::new(*opened, layer)).into_pyobject(py),
        }
    }

    /// The name has these addresses: as many as can be read, since those of other kinds are none to connect to.
    #[expect(clippy::needless_pass_by_value, reason = "a list of Python")]
    fn resolved(&self, py: Python<'_>, found: Vec<Bound<'_, PyAny>>) {
        let found = found.iter().filter_map(address_of).collect();
        self.state.borrow(py).machine.resolved(Ok(found), now());
    }

    /// The name could not be looked up.
    fn unresolved(&self, py: Python<'_>, error: Bound<'_, PyAny>) {
        let error = io::Error::from(PyErr::from_value(error));
        self.state.borrow(py).machine.resolved(Err(error), now());
    }

    /// The attempt has a connection; whether it is the one.
    fn connected(&self, py: Python<'_>, number: usize) -> bool {
        let mut state = self.state.borrow(py);
        let attempt = state.attempts[number];
        state.machine.connected(attempt, now())
    }

    fn failed(&self, py: Python<'_>, number: usize, error: Bound<'_, PyAny>) {
        let error = io::Error::from(PyErr::from_value(error));
        let mut state = self.state.borrow(py);
        let attempt = state.attempts[number];
        state.machine.failed(attempt, error, now());
    }

    fn is_wanted(&self, py: Python<'_>, number: usize) -> bool {
        let state = self.state.borrow(py);
        state.machine.is_wanted(state.attempts[number].id)
    }

    /// TLS by the library, with the host that was asked for, or with another name in its certificate.
    fn secure(&self, py: Python<'_>, tls: &Tls, hostname: Option<&str>) -> PyResult<()> {
        let mut state = self.state.borrow(py);
        let Some(host) = state.wanted.take() else { return Err(too_late()) };
        let host = match hostname {
            None => host,
            Some(name) => Host::parse(name).map_err(|error| errors::value(&error))?,
        };
        let layer = tls.layer(&host);
        state.machine.secured(layer, now());
        Ok(())
    }

    /// TLS by an `ssl.SSLContext`.
    fn secure_with(&self, py: Python<'_>, context: &Bound<'_, PyAny>, hostname: &str) -> PyResult<()> {
        let engine = Engine::client(context, hostname, false)?;
        let mut state = self.state.borrow(py);
        state.wanted = None;
        state.machine.secured(Ok(Box::new(engine) as Box<dyn Layer>), now());
        Ok(())
    }

    /// The bytes to be written now; they count as written.
    fn output<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut state = self.state.borrow(py);
        let output = PyBytes::new(py, state.machine.output());
        state.machine.written(output.as_bytes().len());
        output
    }

    fn receive(&self, py: Python<'_>, bytes: &[u8]) {
        self.state.borrow(py).machine.receive(bytes, now());
    }

    fn receive_end(&self, py: Python<'_>) {
        self.state.borrow(py).machine.receive_end(now());
    }

    /// The socket broke; whether the machine knows more of it than that.
    fn receive_break(&self, py: Python<'_>) -> bool {
        self.state.borrow(py).machine.receive_break(now())
    }

    /// Seconds until `handle_timeout` is to be called, if at all.
    #[getter]
    fn timeout(&self, py: Python<'_>) -> Option<f64> {
        let next = self.state.borrow(py).machine.next_timeout()?;
        Some(next.saturating_duration_since(now()).as_secs_f64())
    }

    fn handle_timeout(&self, py: Python<'_>) {
        self.state.borrow(py).machine.handle_timeout(now());
    }

    /// The head of the request that was sent last.
    #[getter]
    fn request<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.state.borrow(py).machine.request())
    }

    /// The next thing that happened: seconds since the beginning, and a line for a person.
    fn milestone(&self, py: Python<'_>) -> Option<(f64, String)> {
        let (at, milestone) = self.state.borrow(py).machine.milestone()?;
        Some((at.as_secs_f64(), milestone.to_string()))
    }
}

/// A host as `ssl` has it: an IPv6 address without brackets.
pub(crate) fn name(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

/// When to connect again, and when not to.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Retries(GilCell<Machinery>);

/// The machine's.
type Machinery = aiowebsocket::opening::Retries;

#[pymethods]
impl Retries {
    /// With delays of the program's own, those of the machine are what a server asks for, and zero.
    #[new]
    #[pyo3(signature = (own_delays=false))]
    fn new(own_delays: bool) -> Self {
        let mut backoff = Backoff::default();
        if own_delays {
            backoff = backoff.first_delay(Duration::ZERO).base_delay(Duration::ZERO);
        }
        Self(GilCell::new(Machinery::new(backoff)))
    }

    /// A connection is open.
    fn opened(&self, py: Python<'_>) {
        self.0.borrow(py).opened(now());
    }

    /// An attempt failed, or an open connection ended with this close code. Seconds to wait before the next attempt; `None` where
    /// there is to be none. What is not known by its machine, passes.
    fn failed(
        &self,
        py: Python<'_>,
        attempt: Option<&Connecting>,
        code: Option<u16>,
    ) -> PyResult<Option<f64>> {
        let random = u64::from_le_bytes(keys::nonce()?[..8].try_into().expect("eight of sixteen bytes"));
        let mut retries = self.0.borrow(py);
        let state = attempt.map(|attempt| attempt.state.borrow(py));
        let failure = match (&state, code) {
            (_, Some(code)) => Failure::Closed(code),
            (Some(state), None) => state.failed.as_ref().map_or(Failure::Passing, ConnectError::failure),
            (None, None) => Failure::Passing,
        };
        Ok(retries.failed(failure, now(), time_of_day(), random).ok().map(|delay| delay.as_secs_f64()))
    }
}

/// The cause of an error that Python gave, as it was.
pub(crate) fn given(error: &io::Error) -> Option<&PyErr> {
    error.get_ref()?.downcast_ref()
}

/// The number of the system's error, where it has one.
pub(crate) fn errno(py: Python<'_>, error: &io::Error) -> Option<i32> {
    match given(error) {
        Some(given) if given.is_instance_of::<PyOSError>(py) => {
            given.value(py).getattr("errno").ok()?.extract().ok()
        }
        Some(_) => None,
        None => error.raw_os_error(),
    }
}
