//! A connection's layer of TLS: what is sealed waits here on its way in and out, and counts as plain bytes.

use super::output::Output;
use crate::layer::{Layer, RECORD_ROOM, TlsError, TlsFault};

/// Sealed bytes that wait from which no more are sealed: what one write can usually put into a socket.
const SEAL_AHEAD: usize = 64 << 10;

/// The layer, and what it has made of the queue.
#[derive(Debug)]
pub(super) struct Secure {
    pub(super) layer: Box<dyn Layer>,
    sealed: Output,
    /// The layer may have plain bytes that were not taken: something came since it gave none.
    unopened: bool,
    /// Plain bytes that are sealed and have not left as a whole.
    in_flight: usize,
    /// Why nothing can be opened or sealed any more.
    error: Option<TlsError>,
    /// The peer said that nothing follows.
    ended: bool,
    /// We said so.
    closed: bool,
}

impl Secure {
    pub(super) fn new(layer: Box<dyn Layer>) -> Self {
        Self {
            layer,
            sealed: Output::default(),
            unopened: true,
            in_flight: 0,
            error: None,
            ended: false,
            closed: false,
        }
    }

    /// `n` bytes of the socket were written to the layer's space.
    pub(super) fn received(&mut self, n: usize) {
        self.layer.received(n);
        self.unopened = true;
    }

    /// Whether [`open`](Self::open) may have something. Asked first, because room for it is taken out of the pool.
    pub(super) fn has_unopened(&self) -> bool {
        self.unopened
    }

    /// More plain bytes, written to the front of `plain`; 0 where the socket must be read first.
    pub(super) fn open(&mut self, plain: &mut [u8]) -> usize {
        if self.ended || self.error.is_some() {
            return 0;
        }
        match self.layer.open(plain) {
            Ok(unsealed) => {
                self.ended = unsealed.is_end;
                self.unopened = unsealed.plain > 0 && self.layer.may_open();
                unsealed.plain
            }
            Err(error) => {
                self.error = Some(error);
                0
            }
        }
    }

    /// Whether nothing more can come, whatever the socket still has.
    pub(super) fn is_over(&self) -> bool {
        self.ended || self.error.is_some()
    }

    /// The peer ended TCP; `early` where it had more to say.
    pub(super) fn received_end(&mut self, early: bool) {
        if early && !self.ended && self.error.is_none() {
            self.error = Some(TlsError::new(TlsFault::Truncated));
        }
    }

    /// Why the layer ended the connection.
    pub(super) fn error(&self) -> Option<&TlsError> {
        self.error.as_ref()
    }

    /// Seals what waits in `queue`, as far as is useful now, where what was sealed before has left. With `last`, nothing
    /// follows it.
    pub(super) fn seal(&mut self, queue: &mut Output, last: bool) {
        if !self.sealed.is_empty() {
            return;
        }
        self.put_control();
        while self.error.is_none() && self.sealed.len() < SEAL_AHEAD && !queue.front().is_empty() {
            let sealed = self.layer.seal(queue.front(), self.sealed.room(RECORD_ROOM));
            match sealed {
                Ok(sealed) => {
                    self.sealed.filled(sealed.written);
                    queue.written(sealed.taken);
                    self.in_flight += sealed.taken;
                }
                Err(error) => self.error = Some(error),
            }
            self.put_control();
        }
        if last && queue.is_empty() && !self.closed {
            self.closed = true;
            if self.error.is_none() {
                self.layer.close();
                self.put_control();
            }
        }
    }

    fn put_control(&mut self) {
        if self.layer.has_control() {
            self.sealed.append(&self.layer.control());
        }
    }

    /// What waits for the socket.
    pub(super) fn output(&self) -> &Output {
        &self.sealed
    }

    /// Whether anything does; with `last`, the end of TLS does until it was said.
    pub(super) fn wants_write(&self, last: bool) -> bool {
        !self.sealed.is_empty() || self.layer.has_control() || (last && !self.closed)
    }

    /// Plain bytes that are sealed and have not left.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// `n` sealed bytes left for the socket; answers how many plain ones did. Those that were sealed together are counted when
    /// the last of them has left.
    pub(super) fn written(&mut self, n: usize) -> usize {
        self.sealed.written(n);
        if self.sealed.is_empty() { std::mem::take(&mut self.in_flight) } else { 0 }
    }
}
