//! The opening handshake for Python: the machine of the library, driven by `client.py`.

use aiowebsocket::layer::Layer;
use aiowebsocket::opening::{
    Address, HeadLimits, Opening as Machine, Progress, RequestHead, Response, UrlError,
};
use aiowebsocket::{Agreed, Deflate, keys};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::clock::now;
use crate::errors;
use crate::gil::GilCell;

/// An address and a request: what is sent, and what is made of the answer.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Opening {
    address: Address,
    state: GilCell<State>,
}

#[derive(Debug)]
enum State {
    Asking(Box<RequestHead>),
    Running(Box<Machine>),
    Over,
}

/// What a connection starts with.
#[pyclass(frozen, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Opened {
    opened: aiowebsocket::opening::Opened,
    /// Taken by the connection.
    layer: GilCell<Option<Box<dyn Layer>>>,
}

impl Opened {
    pub(crate) fn new(opened: aiowebsocket::opening::Opened, layer: Option<Box<dyn Layer>>) -> Self {
        Self { opened, layer: GilCell::new(layer) }
    }

    /// The layer of TLS, for the connection.
    pub(crate) fn take_layer(&self, py: Python<'_>) -> Option<Box<dyn Layer>> {
        self.layer.borrow(py).take()
    }

    /// Bytes that came behind the handshake.
    pub(crate) fn leftover(&self) -> &[u8] {
        &self.opened.leftover
    }

    /// The compression that was agreed on.
    pub(crate) fn compression(&self) -> Option<Agreed> {
        self.opened.compression
    }

    pub(crate) fn subprotocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.opened.subprotocol.as_ref().map(|name| PyString::new(py, name).into_any().unbind())
    }
}

#[pymethods]
impl Opened {
    /// The status and the header lines of the response.
    #[getter]
    fn response(&self) -> (u16, Vec<(String, String)>) {
        status_and_lines(&self.opened.response)
    }
}

/// The status and the header lines of a response.
pub(crate) fn status_and_lines(response: &Response) -> (u16, Vec<(String, String)>) {
    let lines = response.headers.iter();
    let lines = lines.map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    (response.status.as_u16(), lines.collect())
}

#[pymethods]
impl Opening {
    #[new]
    fn new(py: Python<'_>, uri: &str) -> PyResult<Self> {
        let address = Address::parse(uri).map_err(|error: UrlError| errors::address(py, uri, &error))?;
        let request = RequestHead::new(&address);
        Ok(Self { address, state: GilCell::new(State::Asking(Box::new(request))) })
    }

    /// The address as messages show it: without userinfo and query.
    fn __str__(&self) -> String {
        self.address.to_string()
    }

    /// Whether it asks for TLS.
    #[getter]
    fn is_secure(&self) -> bool {
        self.address.is_secure()
    }

    /// The host as it is resolved.
    #[getter]
    fn host(&self) -> String {
        self.address.dial_host()
    }

    #[getter]
    fn port(&self) -> u16 {
        self.address.port()
    }

    /// Adds a header line, or replaces it in its place.
    fn header(&self, py: Python<'_>, name: &str, value: &str) -> PyResult<()> {
        self.ask(py, |request| request.header(name, value).map(drop))
    }

    /// The same for a line that goes to no other scheme, host or port, and is shown nowhere.
    fn secret_header(&self, py: Python<'_>, name: &str, value: &str) -> PyResult<()> {
        self.ask(py, |request| request.secret_header(name, value).map(drop))
    }

    /// Leaves out a default header line.
    fn remove(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.ask(py, |request| request.remove(name).map(drop))
    }

    /// Sends these header lines in place of all others; a value of `None` is the default one.
    #[expect(clippy::needless_pass_by_value, reason = "a list of Python")]
    fn lines(&self, py: Python<'_>, lines: Vec<(String, Option<String>)>) -> PyResult<()> {
        let lines = lines.iter().map(|(name, value)| (name.as_str(), value.as_deref().map(str::as_bytes)));
        self.ask(py, |request| request.lines(lines).map(drop))
    }

    /// Takes the resource from a request line.
    fn request_line(&self, py: Python<'_>, line: &str) -> PyResult<()> {
        self.ask(py, |request| request.request_line(line).map(drop))
    }

    /// The origin of the address itself (RFC 6454).
    #[getter]
    fn origin(&self) -> String {
        let scheme = if self.address.is_secure() { "https" } else { "http" };
        format!("{scheme}://{}", self.address.authority_for_host_header())
    }

    /// Path and query.
    #[getter]
    fn resource(&self) -> &str {
        self.address.resource()
    }

    /// Offers subprotocols.
    fn subprotocols(&self, py: Python<'_>, names: Vec<String>) -> PyResult<()> {
        self.ask(py, |request| request.subprotocols(names).map(drop))
    }

    /// Offers compression with these options.
    #[pyo3(signature = (*, level, memory_level, threshold, server_no_context_takeover, client_no_context_takeover, server_max_window_bits, client_max_window_bits))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn compression(
        &self,
        py: Python<'_>,
        level: u8,
        memory_level: u8,
        threshold: usize,
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits: u8,
        client_max_window_bits: Option<u8>,
    ) -> PyResult<()> {
        let mut options = Deflate::default()
            .level(level)
            .memory_level(memory_level)
            .threshold(threshold)
            .server_max_window_bits(server_max_window_bits);
        options = match client_max_window_bits {
            Some(bits) => options.client_max_window_bits(bits),
            None => options.fixed_client_window(),
        };
        if server_no_context_takeover {
            options = options.server_no_context_takeover();
        }
        if client_no_context_takeover {
            options = options.client_no_context_takeover();
        }
        self.ask(py, |request| request.compression(Some(options)).map(drop))
    }

    /// The bytes of the request.
    fn request<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let nonce = keys::nonce().map_err(|error| PyOSError::new_err(error.to_string()))?;
        let mut state = self.state.borrow(py);
        let State::Asking(request) = std::mem::replace(&mut *state, State::Over) else {
            return Err(too_late());
        };
        let mut machine =
            Machine::new(*request, nonce, HeadLimits::default()).map_err(|error| errors::value(&error))?;
        let bytes = PyBytes::new(py, machine.output());
        machine.written(bytes.as_bytes().len());
        *state = State::Running(Box::new(machine));
        Ok(bytes)
    }

    /// Bytes of the server: what was opened, or `None` where more are needed.
    fn receive(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<Option<Opened>> {
        self.advance(py, |machine| machine.receive(bytes, now()))
    }

    /// The server ended its stream.
    fn receive_end(&self, py: Python<'_>) -> PyResult<Option<Opened>> {
        self.advance(py, |machine| machine.receive_end(now()))
    }

    /// Seconds until `handle_timeout` is to be called, if at all.
    #[getter]
    fn timeout(&self, py: Python<'_>) -> Option<f64> {
        match &*self.state.borrow(py) {
            State::Running(machine) => {
                machine.next_timeout().map(|next| next.saturating_duration_since(now()).as_secs_f64())
            }
            _ => None,
        }
    }

    /// The time has come.
    fn handle_timeout(&self, py: Python<'_>) -> PyResult<Option<Opened>> {
        self.advance(py, |machine| machine.handle_timeout(now()))
    }
}

impl Opening {
    /// The address and the request, to be asked for by another machine.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<(Address, RequestHead)> {
        match std::mem::replace(&mut *self.state.borrow(py), State::Over) {
            State::Asking(request) => Ok((self.address.clone(), *request)),
            _ => Err(too_late()),
        }
    }

    fn ask(
        &self,
        py: Python<'_>,
        edit: impl FnOnce(&mut RequestHead) -> Result<(), aiowebsocket::opening::RequestError>,
    ) -> PyResult<()> {
        match &mut *self.state.borrow(py) {
            State::Asking(request) => edit(request).map_err(|error| errors::value(&error)),
            _ => Err(too_late()),
        }
    }

    fn advance(
        &self,
        py: Python<'_>,
        go: impl FnOnce(&mut Machine) -> Result<Progress, aiowebsocket::opening::HandshakeError>,
    ) -> PyResult<Option<Opened>> {
        let result = match &mut *self.state.borrow(py) {
            State::Running(machine) => go(machine),
            _ => return Err(too_late()),
        };
        match result {
            Ok(Progress::More) => Ok(None),
            Ok(Progress::Open(opened)) => Ok(Some(Opened::new(opened, None))),
            Err(error) => Err(errors::handshake(py, &error)),
        }
    }
}

pub(crate) fn too_late() -> PyErr {
    pyo3::exceptions::PyRuntimeError::new_err("the call does not fit the state of the opening handshake")
}
