//! A layer of TLS by Python's own `ssl`: a user's `SSLContext`, on the same socket and machine.
//!
//! An `SSLObject` reads from one `MemoryBIO` and writes to another. What it does is copied once more on either way than by the
//! library's own layer.

use std::cell::RefCell;

use aiowebsocket::layer::{Layer, Sealed, TlsError, TlsFault, TlsInfo, Unsealed};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Bytes of one read of the socket: a record, and some of the next.
const SPACE: usize = 32 << 10;

/// What a record holds at most (RFC 8446 5.1).
const RECORD: usize = 16 << 10;

/// One TLS connection of an `SSLContext`.
#[derive(Debug)]
pub(crate) struct Engine {
    object: Py<PyAny>,
    incoming: Py<PyAny>,
    outgoing: Py<PyAny>,
    want_read: Py<PyAny>,
    zero_return: Py<PyAny>,
    space: Vec<u8>,
    is_open: bool,
    is_ended: bool,
    failed: Option<TlsError>,
    /// It works for calls that block, in whichever thread makes them.
    blocks: bool,
}

thread_local! {
    /// What a handler of a signal raised while an engine was at work for a call that blocks.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// What a handler of a signal raised meanwhile: the call that blocks raises it.
pub(crate) fn raised() -> Option<PyErr> {
    RAISED.take()
}

impl Engine {
    /// The client's side, to the server of this name.
    pub(crate) fn client(context: &Bound<'_, PyAny>, hostname: &str, blocks: bool) -> PyResult<Self> {
        let py = context.py();
        let ssl = py.import("ssl")?;
        let incoming = ssl.call_method0("MemoryBIO")?;
        let outgoing = ssl.call_method0("MemoryBIO")?;
        let object = context.call_method1("wrap_bio", (&incoming, &outgoing, false, hostname))?;
        let mut engine = Self {
            object: object.unbind(),
            incoming: incoming.unbind(),
            outgoing: outgoing.unbind(),
            want_read: ssl.getattr("SSLWantReadError")?.unbind(),
            zero_return: ssl.getattr("SSLZeroReturnError")?.unbind(),
            space: Vec::new(),
            is_open: false,
            is_ended: false,
            failed: None,
            blocks,
        };
        engine.shake(py);
        Ok(engine)
    }

    /// Hears the signals that came while nobody had the interpreter's lock. Python would call their handlers in the middle of what OpenSSL
    /// does next; one that raises, as Ctrl-C does, would break the connection, and what it raised would be taken for a fault of the peer.
    fn hear_signals(&self, py: Python<'_>) {
        if self.blocks
            && let Err(error) = py.check_signals()
        {
            RAISED.set(Some(error));
        }
    }

    /// Goes on with the handshake.
    fn shake(&mut self, py: Python<'_>) {
        match self.object.call_method0(py, intern!(py, "do_handshake")) {
            Ok(_) => self.is_open = true,
            Err(error) if error.matches(py, &self.want_read).unwrap_or(false) => {}
            Err(error) => self.failed = Some(fault(py, error)),
        }
    }

    /// Bytes that the object has for the socket.
    fn pending(&self, py: Python<'_>) -> usize {
        let pending = self.outgoing.getattr(py, intern!(py, "pending"));
        pending.and_then(|pending| pending.extract(py)).unwrap_or(0)
    }

    fn taken(&self, py: Python<'_>, most: usize) -> PyResult<Vec<u8>> {
        let bytes = self.outgoing.call_method1(py, intern!(py, "read"), (most,))?;
        Ok(bytes.cast_bound::<PyBytes>(py)?.as_bytes().to_vec())
    }

    fn read(&mut self, py: Python<'_>, plain: &mut [u8]) -> Result<Unsealed, TlsError> {
        let read = self.object.call_method1(py, intern!(py, "read"), (plain.len(),));
        match read {
            Ok(bytes) => {
                let bytes =
                    bytes.cast_bound::<PyBytes>(py).map_err(|error| fault(py, error.into()))?.as_bytes();
                plain[..bytes.len()].copy_from_slice(bytes);
                self.is_ended = bytes.is_empty();
                Ok(Unsealed { plain: bytes.len(), is_end: self.is_ended })
            }
            Err(error) if error.matches(py, &self.want_read).unwrap_or(false) => Ok(Unsealed::default()),
            Err(error) if error.matches(py, &self.zero_return).unwrap_or(false) => {
                self.is_ended = true;
                Ok(Unsealed { plain: 0, is_end: true })
            }
            Err(error) => Err(self.fail(fault(py, error))),
        }
    }

    fn fail(&mut self, error: TlsError) -> TlsError {
        self.failed = Some(error.clone());
        error
    }
}

impl Layer for Engine {
    fn space(&mut self) -> &mut [u8] {
        self.space.resize(SPACE, 0);
        &mut self.space
    }

    fn received(&mut self, n: usize) {
        Python::attach(|py| {
            self.hear_signals(py);
            let bytes = PyBytes::new(py, &self.space[..n]);
            if let Err(error) = self.incoming.call_method1(py, intern!(py, "write"), (bytes,)) {
                self.failed = Some(fault(py, error));
            }
        });
    }

    fn open(&mut self, plain: &mut [u8]) -> Result<Unsealed, TlsError> {
        Python::attach(|py| {
            self.hear_signals(py);
            if !self.is_open && self.failed.is_none() {
                self.shake(py);
            }
            match &self.failed {
                Some(error) => Err(error.clone()),
                None if !self.is_open => Ok(Unsealed::default()),
                None if self.is_ended => Ok(Unsealed { plain: 0, is_end: true }),
                None if plain.is_empty() => Ok(Unsealed::default()),
                None => self.read(py, plain),
            }
        })
    }

    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<Sealed, TlsError> {
        Python::attach(|py| {
            self.hear_signals(py);
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            let bytes = PyBytes::new(py, &plain[..plain.len().min(RECORD)]);
            let written = self.object.call_method1(py, intern!(py, "write"), (bytes,));
            let record = written.and_then(|taken| Ok((taken.extract(py)?, self.taken(py, sealed.len())?)));
            match record {
                Ok((taken, record)) => {
                    sealed[..record.len()].copy_from_slice(&record);
                    Ok(Sealed { taken, written: record.len() })
                }
                Err(error) => Err(self.fail(fault(py, error))),
            }
        })
    }

    fn control(&mut self) -> Vec<u8> {
        Python::attach(|py| self.taken(py, self.pending(py)).unwrap_or_default())
    }

    fn has_control(&self) -> bool {
        Python::attach(|py| self.pending(py) > 0)
    }

    fn close(&mut self) {
        Python::attach(|py| {
            if self.is_open && self.failed.is_none() {
                // It writes its end, and then wants the peer's, which is for whoever reads.
                _ = self.object.call_method0(py, intern!(py, "unwrap"));
            }
        });
    }

    fn park(&mut self) {
        self.space = Vec::new();
    }

    fn is_open(&self) -> bool {
        self.is_open && self.failed.is_none()
    }

    fn agreed(&self) -> Option<TlsInfo> {
        if !self.is_open {
            return None;
        }
        Python::attach(|py| {
            let object = self.object.bind(py);
            let text = |name| object.call_method0(name).ok()?.extract::<Option<String>>().ok()?;
            let cipher = object.call_method0("cipher").ok()?.get_item(0).ok()?.extract().ok()?;
            let resumed =
                object.getattr("session_reused").and_then(|reused| reused.extract()).unwrap_or(false);
            Some(TlsInfo::new(text("version")?, cipher, text("selected_alpn_protocol"), resumed))
        })
    }
}

/// What OpenSSL says, as what is wrong. The exception itself is the cause.
pub(crate) fn fault(py: Python<'_>, error: PyErr) -> TlsError {
    let value = error.value(py);
    let number: Option<i32> = value.getattr("verify_code").ok().and_then(|code| code.extract().ok());
    let reason: Option<String> = value.getattr("reason").ok().and_then(|reason| reason.extract().ok());
    // The numbers of X509_verify_cert_error_string.
    let fault = match number {
        Some(10) => TlsFault::Expired { not_after: None },
        Some(9) => TlsFault::NotYetValid { not_before: None },
        Some(62 | 64) => {
            TlsFault::WrongHost { expected: "the host that was asked for".to_owned(), presented: Vec::new() }
        }
        Some(2 | 18..=21) => TlsFault::UnknownIssuer,
        Some(23) => TlsFault::Revoked,
        Some(code) if code != 0 => TlsFault::BadCertificate,
        _ => match reason.as_deref() {
            Some("WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "HTTPS_PROXY_REQUEST") => {
                TlsFault::NotTls { start: Vec::new() }
            }
            Some("UNSUPPORTED_PROTOCOL" | "NO_PROTOCOLS_AVAILABLE" | "NO_SHARED_CIPHER") => {
                TlsFault::NoCommonProtocol
            }
            Some(reason) if reason.contains("ALERT") => TlsFault::Refused { alert: reason.to_owned() },
            Some("UNEXPECTED_EOF_WHILE_READING") => TlsFault::Truncated,
            _ => TlsFault::Broken,
        },
    };
    TlsError::caused(fault, error)
}
