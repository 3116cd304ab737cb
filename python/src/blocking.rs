//! A connection for threads, on the library's blocking face: `aiowebsocket.sync` has the class that is derived from it.
//!
//! Every call lets go of the interpreter's lock before it touches the connection. The connection's own lock may be held by a thread
//! that wants the interpreter's, for an `SSLContext`; so nobody who has the interpreter's waits for it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use aiowebsocket::blocking::{Interrupt, WebSocket, connect};
use aiowebsocket::layer::{Layer, TlsError};
use aiowebsocket::opening::{Host, ProxyChoice};
use aiowebsocket::protocol::{CloseCode, Kind, UsageError};
use aiowebsocket::{Counters, Error, Message, Outgoing, TimeLimit};
use pyo3::exceptions::PyUnicodeDecodeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::connecting::{address_of, given, name};
use crate::engine::{Engine, fault, raised};
use crate::gil::GilCell;
use crate::opening::Opening;
use crate::settings::{self, Settings};
use crate::tls::Tls;
use crate::{errors, payload, socket, text};

/// An open connection. It moves while a call waits, and every call may come from any thread.
#[pyclass(frozen, subclass, weakref, module = "aiowebsocket._aiowebsocket")]
#[derive(Debug)]
pub(crate) struct Blocking {
    ws: WebSocket,
    counters: Counters,
    /// What was taken and could not be given away as it was asked for: the next ones again.
    put_back: GilCell<VecDeque<Message>>,
    /// As that of the other face's `State`.
    is_incomplete: AtomicBool,
}

#[pymethods]
impl Blocking {
    /// Opens the connection that an `Opening` asks for.
    #[new]
    #[pyo3(signature = (opening, settings, *, open_timeout, proxy, redirects, fd, reach_at, local_addr, engine, server_hostname, tell))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        opening: &Opening,
        settings: &Settings,
        open_timeout: Option<f64>,
        proxy: Option<&Bound<'_, PyAny>>,
        redirects: u8,
        fd: Option<i32>,
        reach_at: Option<(String, u16)>,
        local_addr: Option<(String, u16)>,
        engine: Option<&Bound<'_, PyAny>>,
        server_hostname: Option<&str>,
        tell: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        // Its socket is closed with whatever goes wrong below.
        let given = fd.map(socket::adopt).transpose()?.map(TcpStream::from);
        let mut asked = connect(opening.take(py)?)
            .config(settings.0.clone())
            .open_limits(settings::open_limits(open_timeout)?)
            .redirects(redirects)
            .resolver(look_up)
            .interrupt(Signals);
        asked = match settings::proxy_choice(py, proxy)? {
            ProxyChoice::Through(proxy) => asked.proxy(*proxy),
            ProxyChoice::ByRules(rules) => asked.proxy_rules(*rules),
            _ => asked,
        };
        if let Some(stream) = given {
            asked = asked.through(stream);
        }
        if let Some((host, port)) = reach_at {
            asked = asked.reach_at(host, port);
        }
        if let Some((host, port)) = local_addr {
            asked = asked.local_address(local(py, &host, port)?);
        }
        if let Some(tell) = tell {
            asked = asked.observe(move |at, milestone| {
                let line = milestone.to_string();
                Python::attach(|py| {
                    if let Err(error) = tell.call1(py, (at.as_secs_f64(), line)) {
                        error.write_unraisable(py, None);
                    }
                });
            });
        }
        let name = server_hostname.map(Host::parse).transpose().map_err(|error| errors::value(&error))?;
        if engine.is_some() || name.is_some() {
            let engine = Tlses::of(engine);
            asked = asked.tls_layer(move |host, is_proxy| match &name {
                Some(name) if !is_proxy => engine.layer(name),
                _ => engine.layer(host),
            });
        }
        note_thread(py)?;
        let opened = py.detach(|| asked.open());
        if let Some(raised) = raised() {
            return Err(raised);
        }
        let ws = opened.map_err(|error| errors::opening(py, &error))?;
        let counters = py.detach(|| ws.counters());
        Ok(Self { ws, counters, put_back: GilCell::default(), is_incomplete: AtomicBool::new(false) })
    }

    /// The next message: ``str`` for text, ``bytes`` for binary.
    ///
    /// With ``timeout``, ``ReceiveTimeout`` after so many seconds without one; 0 or less does not wait.
    /// ``decode=False`` gives ``bytes`` for text too, ``decode=True`` gives ``str`` for binary too.
    /// Raises ``ConnectionClosed`` at the end. The peer's Close, or what it broke, is told when TCP has ended too, at most
    /// ``close_timeout`` later.
    #[pyo3(signature = (timeout=None, decode=None))]
    fn recv<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'_, PyAny>>,
        decode: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let timeout = settings::limit(timeout)?;
        let limit = timeout.map(settings::time);
        let received = match self.kept(py) {
            Some(message) => Ok(Some(message)),
            None => self.call(py, |ws| match limit {
                None => ws.recv(),
                Some(limit) => ws.recv_timeout(limit),
            }),
        };
        // A signal that came meanwhile: the interpreter would ask for it behind our return, when the message is nobody's.
        if let Err(raised) = raised().map_or_else(|| py.check_signals(), Err) {
            if let Ok(Some(message)) = received {
                self.put_back.borrow(py).push_front(message);
            }
            return Err(raised);
        }
        match received {
            Ok(Some(message)) => self.given(py, message, decode),
            Ok(None) => Err(self.closed(py)),
            Err(Error::Timeout(TimeLimit::Receive)) => {
                Err(errors::timed_out(py, timeout.unwrap_or_default()))
            }
            Err(error) => Err(self.failure(py, &error)),
        }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The next message, until the connection ends without complaint.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.recv(py, None, None) {
            Ok(message) => Ok(Some(message)),
            Err(error) if errors::is_clean(py, &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next part of a message: whether it is text, its bytes, and whether it is the last one.
    fn _recv_part<'py>(&self, py: Python<'py>) -> PyResult<(bool, Bound<'py, PyBytes>, bool)> {
        if let Some(message) = self.kept(py) {
            return Ok((message.as_text().is_some(), PyBytes::new(py, message.as_bytes()), true));
        }
        match self.do_call(py, WebSocket::recv_part) {
            Ok(Some(part)) => Ok((part.kind == Kind::Text, PyBytes::new(py, &part.data), part.last)),
            Ok(None) => Err(self.closed(py)),
            Err(error) => Err(self.failure(py, &error)),
        }
    }

    /// Sends a message, and returns when it has left for the system. An iterable is sent in parts, by `aiowebsocket.sync`.
    #[pyo3(signature = (message, /, *, text=None, plain=false))]
    fn send(
        slf: &Bound<'_, Self>,
        message: &Bound<'_, PyAny>,
        text: Option<bool>,
        plain: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        if !payload::is_message(message) {
            slf.call_method1(intern!(py, "_send_parts"), (message, text, plain))?;
            return Ok(());
        }
        loop {
            let outgoing = outgoing(message, text, plain)?;
            match slf.get().do_call(py, |ws| ws.send(outgoing)) {
                // Another thread sends a message in parts, and nothing goes between (RFC 6455 5.4).
                Err(Error::Usage(UsageError::MessageUnfinished)) => {
                    slf.call_method0(intern!(py, "_await_parts"))?;
                }
                sent => return sent.map_err(|error| slf.get().failure(py, &error)),
            }
        }
    }

    /// Sends a part of a message.
    fn _send_part(
        &self,
        py: Python<'_>,
        part: &Bound<'_, PyAny>,
        last: bool,
        text: bool,
        plain: bool,
    ) -> PyResult<()> {
        let outgoing = outgoing(part, Some(text), plain)?;
        self.do_call(py, |ws| ws.send_part(outgoing, last)).map_err(|error| self.failure(py, &error))
    }

    /// Sends a ping and waits for its pong: the round-trip time in seconds.
    fn ping(&self, py: Python<'_>) -> PyResult<f64> {
        match self.do_call(py, WebSocket::ping) {
            Ok(round_trip) => Ok(round_trip.as_secs_f64()),
            Err(error) => Err(self.failure(py, &error)),
        }
    }

    /// Closes the connection: the closing handshake, then the socket.
    #[pyo3(signature = (code=1000, reason=""))]
    fn close(&self, py: Python<'_>, code: u16, reason: &str) -> PyResult<()> {
        if reason == errors::INCOMPLETE {
            self.is_incomplete.store(true, Ordering::Relaxed);
        }
        match self.do_call(py, |ws| ws.close(CloseCode::new(code), reason)) {
            Err(error @ Error::Usage(_)) => Err(errors::value(&error)),
            Err(Error::Io(error)) if given(&error).is_some() => Err(self.failure(py, &Error::Io(error))),
            // How it ended stands in `close_code`.
            _ => Ok(()),
        }
    }

    /// The close code, once it is known.
    #[getter]
    fn close_code(&self, py: Python<'_>) -> Option<u16> {
        py.detach(|| self.ws.close_code()).map(CloseCode::get)
    }

    /// The reason that the peer gave, once the code is known.
    #[getter]
    fn close_reason(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| {
            self.ws.close_code()?;
            Some(self.ws.close_reason().map_or_else(String::new, String::from))
        })
    }

    /// Whether messages can be sent.
    #[getter]
    fn is_open(&self, py: Python<'_>) -> bool {
        py.detach(|| self.ws.is_open())
    }

    /// Whether the connection is over.
    #[getter]
    fn is_closed(&self, py: Python<'_>) -> bool {
        py.detach(|| self.ws.has_ended())
    }

    /// The round-trip time of the newest ping that was answered, in seconds; 0 before the first one.
    #[getter]
    fn latency(&self, py: Python<'_>) -> f64 {
        py.detach(|| self.ws.latency()).map_or(0.0, |time| time.as_secs_f64())
    }

    /// The subprotocol that the server chose.
    #[getter]
    fn subprotocol(&self) -> Option<&str> {
        self.ws.subprotocol()
    }

    /// The compression that was agreed on, as it stands in Sec-WebSocket-Extensions; `None` without.
    #[getter]
    fn compression(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.ws.compression()).map(|agreed| agreed.to_string())
    }

    /// What TLS agreed on; `None` without.
    #[getter]
    fn tls(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.ws.tls()).map(|info| info.to_string())
    }

    /// Bytes that wait to be written.
    #[getter]
    fn queued(&self, py: Python<'_>) -> usize {
        py.detach(|| self.ws.queued())
    }

    /// Messages that were received: given to a receiver, or kept for one.
    #[getter]
    fn messages_received(&self) -> u64 {
        self.counters.messages_received()
    }

    /// Bytes that were read behind the opening handshake, frame headers and control frames among them.
    #[getter]
    fn bytes_received(&self) -> u64 {
        self.counters.bytes_received()
    }

    /// Messages that were sent or wait to be written.
    #[getter]
    fn messages_sent(&self) -> u64 {
        self.counters.messages_sent()
    }

    /// Bytes that were written behind the opening handshake, frame headers and control frames among them.
    #[getter]
    fn bytes_sent(&self) -> u64 {
        self.counters.bytes_sent()
    }

    /// The address of our end, as `socket.getsockname()` has it.
    #[getter]
    fn local_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.ws.local_addr().map(|address| socket::address(py, address)).transpose()
    }

    /// The address of the other end.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.ws.peer_addr().map(|address| socket::address(py, address)).transpose()
    }

    /// The socket's number, for its options.
    fn fileno(&self) -> i32 {
        use std::os::fd::{AsFd, AsRawFd};
        self.ws.as_fd().as_raw_fd()
    }

    /// The head of the request.
    #[getter]
    fn _request<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.ws.request())
    }

    /// The status and the header lines of the response.
    #[getter]
    fn _response(&self) -> (u16, Vec<(String, String)>) {
        crate::opening::status_and_lines(self.ws.response())
    }
}

impl Blocking {
    /// A call of the connection, without the interpreter's lock.
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&WebSocket) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        note_thread(py).map_err(|error| Error::Io(error.into()))?;
        let ws = &self.ws;
        py.detach(|| call(ws))
    }

    /// The same for what gives nothing away that would be lost with what a handler of a signal raised meanwhile.
    fn do_call<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&WebSocket) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let done = self.call(py, call);
        raised().map_or(done, |raised| Err(Error::Io(raised.into())))
    }

    /// What a call fails with.
    #[cold]
    fn failure(&self, py: Python<'_>, error: &Error) -> PyErr {
        match error {
            Error::Usage(UsageError::NotOpen) if self.is_incomplete.load(Ordering::Relaxed) => {
                errors::incomplete(py)
            }
            error => errors::call(py, error),
        }
    }

    fn kept(&self, py: Python<'_>) -> Option<Message> {
        self.put_back.borrow(py).pop_front()
    }

    /// A message as `str` or as `bytes`, whichever is asked for. Where it cannot be that, it is the next one again.
    fn given<'py>(
        &self,
        py: Python<'py>,
        message: Message,
        decode: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match (&message, decode) {
            (Message::Text(_), None | Some(true)) => text::decode(py, message.as_bytes()),
            (Message::Binary(_), Some(true)) => match std::str::from_utf8(message.as_bytes()) {
                Ok(text) => Ok(PyString::new(py, text).into_any()),
                Err(error) => {
                    let told = PyUnicodeDecodeError::new_err_from_utf8(py, message.as_bytes(), error);
                    self.put_back.borrow(py).push_front(message);
                    Err(told)
                }
            },
            _ => Ok(PyBytes::new(py, message.as_bytes()).into_any()),
        }
    }

    /// What a connection that was closed without complaint raises.
    fn closed(&self, py: Python<'_>) -> PyErr {
        let (code, reason) = py.detach(|| (self.ws.close_code(), self.ws.close_reason()));
        match code {
            Some(code) => self.failure(py, &Error::Closed { code, reason: reason.unwrap_or_default() }),
            None => self.failure(py, &Error::Usage(UsageError::NotOpen)),
        }
    }
}

/// What is sent, in memory of its own: the interpreter's lock is let go of meanwhile, and whoever has the object may change it.
fn outgoing(message: &Bound<'_, PyAny>, text: Option<bool>, plain: bool) -> PyResult<Outgoing<'static>> {
    let (is_str, bytes) = payload::with_bytes(message, |is_str, bytes| (is_str, bytes.to_vec()))?;
    let outgoing: Outgoing<'static> = if text.unwrap_or(is_str) {
        String::from_utf8(bytes).map_err(|_| errors::not_utf8())?.into()
    } else {
        bytes.into()
    };
    Ok(if plain { outgoing.plain() } else { outgoing })
}

/// What does TLS.
enum Tlses {
    Library(aiowebsocket::Tls),
    /// A user's `SSLContext`.
    Context(Py<PyAny>),
}

impl Tlses {
    fn of(engine: Option<&Bound<'_, PyAny>>) -> Self {
        match engine {
            None => Self::Library(aiowebsocket::Tls::shared()),
            Some(engine) => match engine.cast::<Tls>() {
                Ok(tls) => Self::Library(tls.get().inner().clone()),
                Err(_) => Self::Context(engine.clone().unbind()),
            },
        }
    }

    fn layer(&self, host: &Host) -> Result<Box<dyn Layer>, TlsError> {
        match self {
            Self::Library(tls) => tls.layer(host),
            Self::Context(context) => Python::attach(|py| {
                let engine = Engine::client(context.bind(py), &name(host), true);
                Ok(Box::new(engine.map_err(|error| fault(py, error))?) as Box<dyn Layer>)
            }),
        }
    }
}

/// Looks a name up as Python does, so that its errors are Python's.
fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = Python::try_attach(|py| -> PyResult<Vec<SocketAddr>> {
        let socket = py.import("socket")?;
        let stream = socket.getattr(intern!(py, "SOCK_STREAM"))?;
        let found = socket.call_method1(intern!(py, "getaddrinfo"), (host, port, 0, stream))?;
        let mut addresses = Vec::new();
        for one in found.try_iter()? {
            // Those of other kinds are none to connect to.
            addresses.extend(address_of(&one?.get_item(4)?));
        }
        Ok(addresses)
    });
    match found {
        Some(found) => found.map_err(io::Error::from),
        None => Err(io::Error::other("the interpreter ends")),
    }
}

/// The address that a socket is bound to.
fn local(py: Python<'_>, host: &str, port: u16) -> PyResult<SocketAddr> {
    if let Ok(ip) = host.parse() {
        return Ok(SocketAddr::new(ip, port));
    }
    let found = py.detach(|| look_up(host, port))?;
    found.first().copied().ok_or_else(|| errors::value(&format!("{host} has no address")))
}

/// What Python's handlers of signals say, in the thread in which they run.
#[derive(Debug)]
struct Signals;

thread_local! {
    /// Whether this is the main thread, once it is known.
    static IS_MAIN: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Finds out whether this is the main thread, the only one in which handlers run.
fn note_thread(py: Python<'_>) -> PyResult<()> {
    if IS_MAIN.get().is_none() {
        let threading = py.import("threading")?;
        let current = threading.call_method0(intern!(py, "get_ident"))?;
        let main = threading.call_method0(intern!(py, "main_thread"))?.getattr(intern!(py, "ident"))?;
        IS_MAIN.set(Some(current.eq(main)?));
    }
    Ok(())
}

impl Interrupt for Signals {
    fn is_here(&self) -> bool {
        IS_MAIN.get() == Some(true)
    }

    fn check(&self) -> io::Result<()> {
        Ok(Python::attach(|py| raised().map_or_else(|| py.check_signals(), Err))?)
    }
}
