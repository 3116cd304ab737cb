//! One TLS connection over bytes.
//!
//! It runs rustls' unbuffered interface: what the socket gives is decrypted where it lies, in a pooled buffer that an idle
//! connection does not hold, and a read may be as large as that buffer. The buffered interface reads 4 KiB at a time.
//!
//! rustls is always shown the whole of what waits, also where only something is to be sealed: it keeps places in that memory
//! while a handshake message is cut over several records.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, HandshakeKind, ServerConfig};

use super::error::{of_client, of_server};
use crate::layer::{Layer, OVERHEAD, Sealed, TlsError, TlsFault, TlsInfo, Unsealed};
use crate::opening::Host;
use crate::protocol::buffer::Buffer;

/// What a record holds at most (RFC 8446 5.1).
const RECORD: usize = 16 << 10;

/// How much of an answer that is no TLS is shown.
const NOT_TLS_SHOWN: usize = 32;

/// One TLS connection, the client's side of it or the server's.
pub(super) struct Session<S> {
    side: S,
    /// What arrived and was not opened.
    sealed: Buffer,
    /// What the layer has to say.
    control: Vec<u8>,
    /// What of the last record did not fit where it was wanted, and how much of that was taken.
    rest: Vec<u8>,
    taken: usize,
    /// A record of TLS came.
    begun: bool,
    /// The peer said that nothing follows.
    ended: bool,
    failed: Option<TlsError>,
}

/// A connection of rustls. Client and server are two types of session, so that a program with one of them has no code for the other.
pub(super) trait Side: Send + Sync {
    fn common(&self) -> &CommonState;

    /// One step of rustls over what waits; returns how much of that is done with.
    fn step(&mut self, sealed: &mut [u8], turn: &mut Turn<'_, '_>) -> (usize, Result<After, rustls::Error>);

    /// What is wrong, and whose fault it is.
    fn error(error: rustls::Error) -> TlsError;
}

impl Side for UnbufferedClientConnection {
    fn common(&self) -> &CommonState {
        self
    }

    fn step(&mut self, sealed: &mut [u8], turn: &mut Turn<'_, '_>) -> (usize, Result<After, rustls::Error>) {
        turn.take(self.process_tls_records(sealed))
    }

    fn error(error: rustls::Error) -> TlsError {
        of_client(error)
    }
}

impl Side for UnbufferedServerConnection {
    fn common(&self) -> &CommonState {
        self
    }

    fn step(&mut self, sealed: &mut [u8], turn: &mut Turn<'_, '_>) -> (usize, Result<After, rustls::Error>) {
        turn.take(self.process_tls_records(sealed))
    }

    fn error(error: rustls::Error) -> TlsError {
        of_server(error)
    }
}

impl Session<UnbufferedClientConnection> {
    /// The client's side, to the server of this name.
    pub(super) fn client(config: &Arc<rustls::ClientConfig>, host: &Host) -> Result<Self, TlsError> {
        let name = match host {
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|error| TlsError::caused(TlsFault::Configuration, error))?,
            Host::Ipv4(address) => ServerName::IpAddress(std::net::IpAddr::V4(*address).into()),
            Host::Ipv6(address) => ServerName::IpAddress(std::net::IpAddr::V6(*address).into()),
        };
        // HTTP/1.1 alone, whatever the configuration offers elsewhere: the opening handshake is written in it.
        let alpn = vec![b"http/1.1".to_vec()];
        let connection =
            UnbufferedClientConnection::new_with_alpn(Arc::clone(config), name, alpn).map_err(of_client)?;
        let mut session = Self::new(connection);
        // The first flight.
        session.advance(&mut [], &mut Aim::Open)?;
        Ok(session)
    }
}

impl Session<UnbufferedServerConnection> {
    /// The server's side.
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self::new(UnbufferedServerConnection::new(config).map_err(of_server)?))
    }
}

impl<S: Side> Session<S> {
    fn new(side: S) -> Self {
        Self {
            side,
            sealed: Buffer::default(),
            control: Vec::new(),
            rest: Vec::new(),
            taken: 0,
            begun: false,
            ended: false,
            failed: None,
        }
    }

    fn common(&self) -> &CommonState {
        self.side.common()
    }

    /// Goes on until rustls wants bytes or the aim is reached. Returns the plain bytes written.
    fn advance(&mut self, plain: &mut [u8], aim: &mut Aim<'_>) -> Result<usize, TlsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut turn = Turn { plain, written: 0, rest: &mut self.rest, control: &mut self.control, aim };
        let result = loop {
            let length = self.sealed.len();
            let sealed = self.sealed.bytes_mut(0..length);
            let (discard, result) = self.side.step(sealed, &mut turn);
            self.sealed.consume(discard);
            match result {
                Ok(After::GoOn) => {}
                Ok(After::Done) => break Ok(()),
                Ok(After::Ended) => {
                    self.ended = true;
                    // Sealing and closing go on after the peer's end.
                    if matches!(turn.aim, Aim::Open) {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
        };
        let written = turn.written;
        match result {
            Ok(()) => Ok(written),
            Err(error) => {
                let error = S::error(error);
                self.fail(error.clone());
                // What was opened before the fault is the peer's word still.
                if written > 0 { Ok(written) } else { Err(error) }
            }
        }
    }

    /// The end, once the alert that says so is taken out. rustls hands out what it has to send before it looks at what
    /// arrived, and must not look at that again.
    #[cold]
    fn fail(&mut self, error: TlsError) {
        self.failed = Some(error);
        while self.common().wants_write() {
            let length = self.sealed.len();
            let sealed = self.sealed.bytes_mut(0..length);
            let mut turn = Turn {
                plain: &mut [],
                written: 0,
                rest: &mut self.rest,
                control: &mut self.control,
                aim: &mut Aim::Open,
            };
            let (_, result) = self.side.step(sealed, &mut turn);
            if result.is_err() {
                return;
            }
        }
    }

    /// Whether rustls would find nothing to do: it is asked after each record whether another one follows, and mostly none does. Without this
    /// an echo asks it once more, some 300 instructions.
    fn has_nothing_to_open(&self) -> bool {
        let common = self.common();
        let is_quiet = !common.is_handshaking() && !common.wants_write();
        is_quiet && self.sealed.is_empty() && self.failed.is_none() && !self.ended
    }

    /// Whether what came first is no record of TLS (RFC 8446 5.1: the types are 20 to 24).
    fn judge_start(&mut self) -> Result<(), TlsError> {
        let start = self.sealed.bytes();
        match start.first() {
            None => Ok(()),
            Some(20..=24) => {
                self.begun = true;
                Ok(())
            }
            Some(_) => {
                let start = start[..start.len().min(NOT_TLS_SHOWN)].to_vec();
                let error = TlsError::new(TlsFault::NotTls { start });
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl<S: Side> Layer for Session<S> {
    fn space(&mut self) -> &mut [u8] {
        self.sealed.space(1)
    }

    fn received(&mut self, n: usize) {
        self.sealed.filled(n);
    }

    fn open(&mut self, plain: &mut [u8]) -> Result<Unsealed, TlsError> {
        if !self.rest.is_empty() {
            let n = plain.len().min(self.rest.len() - self.taken);
            plain[..n].copy_from_slice(&self.rest[self.taken..self.taken + n]);
            self.taken += n;
            if self.taken == self.rest.len() {
                (self.rest, self.taken) = (Vec::new(), 0);
            }
            return Ok(Unsealed { plain: n, is_end: self.ended && self.rest.is_empty() });
        }
        if !self.begun {
            self.judge_start()?;
        }
        if self.has_nothing_to_open() {
            return Ok(Unsealed::default());
        }
        let plain = self.advance(plain, &mut Aim::Open)?;
        Ok(Unsealed { plain, is_end: self.ended && self.rest.is_empty() })
    }

    fn may_open(&self) -> bool {
        !self.rest.is_empty() || !self.has_nothing_to_open()
    }

    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<Sealed, TlsError> {
        let plain = &plain[..plain.len().min(RECORD)];
        debug_assert!(sealed.len() >= plain.len() + OVERHEAD, "room for a record");
        let mut aim = Aim::Seal { plain, sealed, written: 0 };
        self.advance(&mut [], &mut aim)?;
        match aim {
            Aim::Seal { written, .. } => Ok(Sealed { taken: plain.len(), written }),
            _ => unreachable!("the aim stays what it is"),
        }
    }

    fn control(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.control)
    }

    fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    fn close(&mut self) {
        // A layer that failed has said so.
        _ = self.advance(&mut [], &mut Aim::Close);
    }

    fn park(&mut self) {
        self.sealed.park();
    }

    fn is_open(&self) -> bool {
        self.failed.is_none() && !self.common().is_handshaking()
    }

    fn agreed(&self) -> Option<TlsInfo> {
        let common = self.common();
        // Named by `Debug`, which errors of rustls have in every program; `as_str` would be a second table of all names (4.7 KB).
        let version = format!("{:?}", common.protocol_version()?).replace('_', ".");
        let cipher = format!("{:?}", common.negotiated_cipher_suite()?.suite()).replace("TLS13_", "TLS_");
        let resumed = common.handshake_kind() == Some(HandshakeKind::Resumed);
        Some(TlsInfo::new(version, cipher, self.alpn(), resumed))
    }

    fn alpn(&self) -> Option<String> {
        self.common().alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    }
}

impl<S: Side> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("agreed", &self.agreed()).finish_non_exhaustive()
    }
}

/// What rustls is driven for.
enum Aim<'a> {
    /// To open what arrived.
    Open,
    /// To make one record of `plain`.
    Seal { plain: &'a [u8], sealed: &'a mut [u8], written: usize },
    /// To say that nothing follows.
    Close,
}

/// What a turn of rustls came to.
pub(super) enum After {
    GoOn,
    Done,
    Ended,
}

/// One turn of rustls, and where its results go.
pub(super) struct Turn<'a, 'b> {
    plain: &'a mut [u8],
    /// Plain bytes that were written.
    written: usize,
    rest: &'a mut Vec<u8>,
    control: &'a mut Vec<u8>,
    aim: &'a mut Aim<'b>,
}

impl Turn<'_, '_> {
    /// Handles one state; returns how much of what waits is done with.
    fn take<Data>(
        &mut self,
        UnbufferedStatus { discard, state, .. }: UnbufferedStatus<'_, '_, Data>,
    ) -> (usize, Result<After, rustls::Error>) {
        let state = match state {
            Ok(state) => state,
            Err(error) => return (discard, Err(error)),
        };
        let mut discard = discard;
        let after = match state {
            ConnectionState::ReadTraffic(mut traffic) => loop {
                match traffic.next_record() {
                    None => break Ok(self.after_record()),
                    Some(Err(error)) => break Err(error),
                    Some(Ok(record)) => {
                        discard += record.discard;
                        self.put(record.payload);
                    }
                }
            },
            ConnectionState::EncodeTlsData(mut data) => self.encode(|room| data.encode(room)),
            ConnectionState::TransmitTlsData(data) => {
                // What was encoded is in the queue, before anything that follows.
                data.done();
                Ok(After::GoOn)
            }
            ConnectionState::WriteTraffic(mut traffic) => match self.aim {
                Aim::Open => Ok(After::Done),
                Aim::Seal { plain, sealed, written } => match traffic.encrypt(plain, sealed) {
                    Ok(n) => {
                        *written = n;
                        Ok(After::Done)
                    }
                    Err(error) => Err(rustls::Error::General(error.to_string())),
                },
                Aim::Close => {
                    let mut room = [0; 128];
                    let alert = match traffic.queue_close_notify(&mut room) {
                        Ok(n) => room[..n].to_vec(),
                        Err(EncryptError::InsufficientSize(need)) => {
                            let mut room = vec![0; need.required_size];
                            let n = traffic.queue_close_notify(&mut room).unwrap_or(0);
                            room.truncate(n);
                            room
                        }
                        Err(EncryptError::EncryptExhausted) => Vec::new(),
                    };
                    self.control.extend_from_slice(&alert);
                    Ok(After::Done)
                }
            },
            ConnectionState::PeerClosed => Ok(After::Ended),
            // Early data is never accepted, and whatever rustls adds wants bytes first.
            _ => Ok(After::Done),
        };
        (discard, after)
    }

    /// A record was opened: another may follow where there is room for a whole one.
    fn after_record(&self) -> After {
        let more = !matches!(self.aim, Aim::Open) || self.plain.len() - self.written >= RECORD;
        if more { After::GoOn } else { After::Done }
    }

    fn put(&mut self, record: &[u8]) {
        let fits = if self.rest.is_empty() { record.len().min(self.plain.len() - self.written) } else { 0 };
        let (now, later) = record.split_at(fits);
        self.plain[self.written..self.written + fits].copy_from_slice(now);
        self.written += fits;
        self.rest.extend_from_slice(later);
    }

    fn encode(
        &mut self,
        mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<After, rustls::Error> {
        let start = self.control.len();
        let mut room = 1 << 10;
        loop {
            self.control.resize(start + room, 0);
            match encode(&mut self.control[start..]) {
                Ok(n) => {
                    self.control.truncate(start + n);
                    return Ok(After::GoOn);
                }
                Err(EncodeError::InsufficientSize(need)) if need.required_size > room => {
                    room = need.required_size;
                }
                Err(error) => {
                    self.control.truncate(start);
                    return Err(rustls::Error::General(error.to_string()));
                }
            }
        }
    }
}
