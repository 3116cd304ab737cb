//! From messages to frames: what is queued when, whole or cut, compressed or not; pings, pongs and the Close frame between them.

use std::time::Instant;

use super::Role;
use super::close::{CloseCode, CloseFrame};
use super::connection::Connection;
use super::error::UsageError;
use super::frame::{Header, MAX_CONTROL, OpCode};
use super::mask::MaskKeys;
use super::message::Kind;
use super::output::{Output, Payload};
use crate::trace;

/// Pongs that wait to be encoded. Autobahn's cases send ten pings in one go and count the pongs; sixteen take 2 KiB at the most.
const MAX_PONGS: usize = 16;

/// Nothing can be sent any more: a Close frame went out or came in, or the connection failed or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpen;

/// Why a message or a part of one was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotSend {
    /// Nothing can be sent any more.
    NotOpen,
    /// A message that is sent in parts has not got its last one.
    MessageUnfinished,
    /// A part of the other kind than those before it.
    OtherKind,
}

/// The payload of a control frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    bytes: [u8; MAX_CONTROL],
    len: u8,
}

impl Control {
    pub(super) fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; MAX_CONTROL];
        bytes[..payload.len()].copy_from_slice(payload);
        Self { bytes, len: u8::try_from(payload.len()).expect("a control frame has at most 125 bytes") }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Connection {
    /// Queues one message: compressed, where that was agreed on and makes it smaller, and in fragments of
    /// [`Config::fragment_size`](super::Config::fragment_size) where that is set. Text must be UTF-8; the faces take it as `str`.
    ///
    /// # Errors
    /// [`CannotSend`]: nothing was queued.
    #[inline(always)]
    pub fn send(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        if !self.state.is_open() {
            return Err(CannotSend::NotOpen);
        }
        if !self.sends_whole {
            return self.send_cut(kind, payload, false, keys);
        }
        trace::payload(self.config.trace_payloads, "sent", 0, || payload.bytes());
        if Output::copies(payload.bytes()) {
            self.push_message(kind.opcode(), payload.bytes(), keys);
        } else {
            self.push(kind.opcode(), 0, true, payload, keys);
        }
        Ok(())
    }

    /// What the last step described is to outlast the next message that is sent, and the memory of the read buffer is not lent to that. To be said
    /// before each such message.
    #[cold]
    pub fn hold(&mut self) {
        // The other way lends nothing.
        self.sends_whole = false;
    }

    /// Queues one message that is not compressed, whatever was agreed: for secrets, see [`Deflate`](crate::Deflate).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[cold]
    #[inline(never)]
    pub fn send_plain(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        if !self.state.is_open() {
            return Err(CannotSend::NotOpen);
        }
        self.send_cut(kind, payload, true, keys)
    }

    /// The hot way of a client's message out, in one function; a server's goes as any other frame. It takes a slice: a caller who owns the payload knows better how to
    /// drop it.
    #[inline(never)]
    fn push_message(&mut self, opcode: OpCode, payload: &[u8], keys: &mut impl MaskKeys) {
        if self.output.borrow(&mut self.input) {
            self.output_borrows = true;
        }
        match key(self.role, keys) {
            key @ Some(_) => self.output.push_copy(opcode, 0, true, key, payload),
            None => self.push(opcode, 0, true, Payload::Borrowed(payload), keys),
        }
    }

    /// A message where one frame is not simply one message.
    #[inline(never)]
    fn send_cut(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        plain: bool,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        if self.sending.is_some() {
            return Err(CannotSend::MessageUnfinished);
        }
        self.queue_pongs(keys);
        trace::payload(self.config.trace_payloads, "sent", 0, || payload.bytes());
        self.sends_whole = self.is_simple();
        let deflated = match &mut self.deflate {
            Some(deflate) if !plain => deflate.deflate(payload.bytes()),
            _ => None,
        };
        match deflated {
            Some(mut deflated) => {
                let rsv = deflated.rsv();
                self.queue(kind.opcode(), rsv, true, deflated.payload(), keys);
            }
            None => self.queue(kind.opcode(), 0, true, payload, keys),
        }
        Ok(())
    }

    /// Queues a part of a message as a fragment of its own, or as several of [`Config::fragment_size`](super::Config::fragment_size). Where compression was
    /// agreed on, the parts are one compressed message, of which each part can be read as soon as it arrives. The first part
    /// begins a message, the one that is `last` ends it, and until then nothing else but pings, pongs and the Close frame can be
    /// sent (RFC 6455 5.4). A part of a text is UTF-8 by itself.
    ///
    /// # Errors
    /// [`CannotSend`]: nothing was queued.
    #[cold]
    pub fn send_part(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        last: bool,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        self.send_part_or_plain(kind, payload, last, false, keys)
    }

    /// The same, and where it is the first part, the message is not compressed, as with [`send_plain`](Self::send_plain).
    ///
    /// # Errors
    /// As [`send_part`](Self::send_part).
    #[cold]
    pub fn send_plain_part(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        last: bool,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        self.send_part_or_plain(kind, payload, last, true, keys)
    }

    fn send_part_or_plain(
        &mut self,
        kind: Kind,
        payload: Payload<'_>,
        last: bool,
        plain: bool,
        keys: &mut impl MaskKeys,
    ) -> Result<(), CannotSend> {
        if !self.state.is_open() {
            return Err(CannotSend::NotOpen);
        }
        let opcode = match self.sending {
            None => kind.opcode(),
            Some(begun) if begun == kind => OpCode::Continuation,
            Some(_) => return Err(CannotSend::OtherKind),
        };
        self.queue_pongs(keys);
        trace::payload(self.config.trace_payloads, "sent", 0, || payload.bytes());
        let first = self.sending.is_none();
        self.sending = if last { None } else { Some(kind) };
        self.sends_whole = self.is_simple();
        let deflate = self.deflate.as_mut();
        match deflate.and_then(|deflate| deflate.deflate_part(payload.bytes(), first, last, plain)) {
            Some(mut deflated) => {
                let rsv = deflated.rsv();
                self.queue(opcode, rsv, last, deflated.payload(), keys);
            }
            None => self.queue(opcode, 0, last, payload, keys),
        }
        Ok(())
    }

    /// Queues the payload of a message, or of a part of one, as one frame or to be cut.
    #[inline]
    fn queue(&mut self, opcode: OpCode, rsv: u8, fin: bool, payload: Payload<'_>, keys: &mut impl MaskKeys) {
        match self.config.fragment_size {
            Some(size) if self.output.has_uncut() || payload.bytes().len() > size.get() => {
                let masked = self.role == Role::Client;
                self.output.push_uncut(opcode, rsv, fin, payload, size.get(), masked);
            }
            _ => self.push(opcode, rsv, fin, payload, keys),
        }
    }

    /// Queues a ping and returns its number: [`round_trip`](Self::round_trip) carries it once the pong has come.
    ///
    /// # Errors
    /// [`NotOpen`]: nothing was queued.
    pub fn ping(&mut self, now: Instant, keys: &mut impl MaskKeys) -> Result<u64, NotOpen> {
        if !self.state.is_open() {
            return Err(NotOpen);
        }
        let id = self.deadlines.ping(now, self.output.encoded());
        self.push(OpCode::Ping, 0, true, Payload::Borrowed(&id.to_be_bytes()), keys);
        Ok(id)
    }

    /// Begins the closing handshake, which then has [`Config::close_timeout`](super::Config::close_timeout). Nothing can be sent after this; messages that
    /// the peer sent before its own Close frame still arrive. Does nothing where a Close frame went out already.
    ///
    /// # Errors
    /// A code that must not be sent, or a reason over 123 bytes; the connection stays as it is.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), UsageError> {
        let payload = CloseFrame::encode(code, reason)?;
        if self.state.send_close() {
            self.close = Some(Box::new(Control::new(&payload)));
            self.deadlines.closing_at(now, self.config.close_timeout);
        }
        Ok(())
    }

    /// A ping wants its pong. Each gets one, in order, as long as few wait; of more, the latest is answered in place of the
    /// one before it, which RFC 6455 5.5.3 allows and a flood of pings needs.
    #[cold]
    pub(super) fn answer(&mut self, ping: Control) {
        let pongs = self.pongs.get_or_insert_default();
        pongs.truncate(MAX_PONGS - 1);
        pongs.push(ping);
        self.sends_whole = false;
    }

    /// Encodes what is encoded only when it is about to be written: the pong, a fragment, the Close frame. After a Close frame
    /// only pongs may follow, and only until the peer's own.
    #[cold]
    pub(super) fn queue_late(&mut self, keys: &mut impl MaskKeys) {
        if self.close.is_some() && !self.output.has_uncut() {
            // The last chance for a pong is before our Close frame.
            self.pong_ahead = 0;
        }
        self.queue_pongs(keys);
        if let Some(size) = self.config.fragment_size {
            let role = self.role;
            self.output.cut(size.get(), || key(role, keys));
        }
        if !self.output.has_uncut()
            && let Some(close) = self.close.take()
        {
            self.push(OpCode::Close, 0, true, Payload::Borrowed(close.bytes()), keys);
        }
    }

    /// What [`sends_whole`](Self::sends_whole) remembers.
    fn is_simple(&self) -> bool {
        let Self { sending, config, deflate, pongs, .. } = self;
        sending.is_none() && config.fragment_size.is_none() && deflate.is_none() && pongs.is_none()
    }

    /// Encodes the pongs that wait, once those before them have left. RFC 6455 5.5.2 wants a pong "as soon as is practical", so
    /// also before a message is queued: it may be the answer to one that came after the ping.
    fn queue_pongs(&mut self, keys: &mut impl MaskKeys) {
        if self.pong_ahead == 0
            && let Some(pongs) = self.pongs.take()
        {
            for pong in pongs.iter() {
                self.push(OpCode::Pong, 0, true, Payload::Borrowed(pong.bytes()), keys);
            }
            self.pong_ahead = self.output.encoded();
        }
    }

    /// Any other frame, apart from the hot way so that it stays small.
    #[cold]
    #[inline(never)]
    fn push(&mut self, opcode: OpCode, rsv: u8, fin: bool, payload: Payload<'_>, keys: &mut impl MaskKeys) {
        // Messages were told of before they were compressed.
        if opcode.is_control() {
            trace::control(self.config.trace_payloads, "sent", || payload.bytes());
        }
        if self.output.has_uncut() {
            let masked = self.role == Role::Client;
            self.output.jumped += Header::frame_size(payload.bytes().len(), masked) as u64;
        }
        self.output.push(opcode, rsv, fin, key(self.role, keys), payload);
    }
}

/// The key of the next frame: a client masks (RFC 6455 5.3), a server must not (5.1).
#[inline(always)]
fn key(role: Role, keys: &mut impl MaskKeys) -> Option<[u8; 4]> {
    match role {
        Role::Client => Some(keys.next_key()),
        Role::Server => None,
    }
}
