//! RFC 6455 section 5, and RFC 7692 section 6 where compression was agreed on, read straight from the text, without a thought for
//! speed: what the machine is held against.

use aiowebsocket::protocol::{Kind, Role};

use crate::heard::{End, Heard, Message, Reader};
use crate::inflate::Inflating;

const PROTOCOL_ERROR: u16 = 1002;
const INVALID_PAYLOAD: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// What a stream comes to.
pub struct Outcome {
    /// Its messages and its end.
    pub heard: Heard,
    /// The payloads of the pings before the end.
    pub pings: Vec<Vec<u8>>,
    /// Why, where it is that a compressed message is no DEFLATE data.
    pub fault: Option<Fault>,
}

/// Where bad DEFLATE data was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// In bytes behind which more of the message may come: zlib may notice it there, or later.
    Inside,
    /// With the last byte of the message.
    AtTheEnd,
}

impl Outcome {
    /// Whether the machine's outcome is this one. Two implementations of DEFLATE notice what is wrong with a block at different bytes of
    /// it, and what comes before that may end the connection otherwise: another fault, or a Close frame. None takes the message.
    pub fn is(&self, machine: &Heard) -> bool {
        let may_be_later = self.fault == Some(Fault::Inside) && machine.messages == self.heard.messages;
        self.heard == *machine || may_be_later
    }
}

/// What a stream comes to.
pub fn hear(reader: &Reader, stream: &[u8]) -> Outcome {
    let inflating = reader.peer_keeps_context().map(Inflating::new);
    let mut hearing = Hearing {
        rest: stream,
        messages: Vec::new(),
        message: None,
        inflating,
        pings: Vec::new(),
        fault: None,
    };
    let end = loop {
        match hearing.frame(reader) {
            Ok(true) => {}
            Ok(false) => break End::Open,
            Err(end) => break end,
        }
    };
    let Hearing { messages, pings, fault, .. } = hearing;
    Outcome { heard: Heard { messages, end }, pings, fault }
}

struct Hearing<'a> {
    rest: &'a [u8],
    messages: Vec<Message>,
    message: Option<Begun>,
    inflating: Option<Inflating>,
    pings: Vec<Vec<u8>>,
    fault: Option<Fault>,
}

struct Begun {
    kind: Kind,
    compressed: bool,
    bytes: Vec<u8>,
    /// So many of them are whole characters.
    text: usize,
    announced: u64,
    fragments: u32,
}

impl Hearing<'_> {
    /// Reads one frame; false where it is not whole.
    fn frame(&mut self, reader: &Reader) -> Result<bool, End> {
        let [first, second, ..] = *self.rest else { return Ok(false) };
        let (fin, rsv, opcode) = (first >= 128, first / 16 % 8, first % 16);
        let (masked, short) = (second >= 128, second % 128);
        if !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10) {
            return Err(End::Failed(PROTOCOL_ERROR));
        }
        let control = opcode >= 8;
        if control && (!fin || short > 125) {
            return Err(End::Failed(PROTOCOL_ERROR));
        }
        let mut at = 2;
        let mut length = u64::from(short);
        if short >= 126 {
            let size = if short == 126 { 2 } else { 8 };
            let Some(bytes) = self.rest.get(at..at + size) else { return Ok(false) };
            length = bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
            let least = if short == 126 { 126 } else { 65_536 };
            if length < least || length > i64::MAX as u64 {
                return Err(End::Failed(PROTOCOL_ERROR));
            }
            at += size;
        }
        let mut key = [0; 4];
        if masked {
            let Some(bytes) = self.rest.get(at..at + 4) else { return Ok(false) };
            key.copy_from_slice(bytes);
            at += 4;
        }
        // RFC 7692 6: RSV1 marks a compressed message, on its first frame.
        let compressed = rsv == 4 && matches!(opcode, 1 | 2) && self.inflating.is_some();
        if masked != (reader.role == Role::Server) || rsv != 0 && !compressed {
            return Err(End::Failed(PROTOCOL_ERROR));
        }
        let there = &self.rest[at..];
        let there = &there[..usize::try_from(length).map_or(there.len(), |length| length.min(there.len()))];
        let whole = there.len() as u64 == length;
        let payload: Vec<u8> = there.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
        self.rest = &self.rest[at + there.len()..];
        if control {
            self.control(opcode, payload, whole)
        } else {
            self.data(reader, Frame { opcode, fin, compressed, length, payload: &payload, whole })
        }
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>, whole: bool) -> Result<bool, End> {
        if !whole {
            return Ok(false);
        }
        match (opcode, &payload[..]) {
            (9, _) => self.pings.push(payload),
            (10, _) => {}
            (_, []) => return Err(End::Closed(1005, String::new())),
            (_, [_]) => return Err(End::Failed(PROTOCOL_ERROR)),
            (_, [high, low, reason @ ..]) => {
                let code = u16::from(*high) * 256 + u16::from(*low);
                // 7.4.1, 7.4.2 and the register; 1004, 1005, 1006 and 1015 are not for the wire.
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return Err(End::Failed(PROTOCOL_ERROR));
                }
                return Err(match String::from_utf8(reason.to_vec()) {
                    Ok(reason) => End::Closed(code, reason),
                    Err(_) => End::Failed(INVALID_PAYLOAD),
                });
            }
        }
        Ok(true)
    }

    fn data(&mut self, reader: &Reader, frame: Frame<'_>) -> Result<bool, End> {
        let mut message = match (frame.opcode, self.message.take()) {
            (0, Some(message)) => message,
            (1 | 2, None) => Begun {
                kind: if frame.opcode == 1 { Kind::Text } else { Kind::Binary },
                compressed: frame.compressed,
                bytes: Vec::new(),
                text: 0,
                announced: 0,
                fragments: 0,
            },
            _ => return Err(End::Failed(PROTOCOL_ERROR)),
        };
        message.announced = message.announced.saturating_add(frame.length);
        message.fragments += 1;
        let limits = &reader.config;
        // What is compressed may be a little more than what it holds.
        let most = |limit: u64| {
            if message.compressed { limit.saturating_add(limit / 8 + 64) } else { limit }
        };
        if frame.length > most(limits.max_frame)
            || message.announced > most(limits.max_message)
            || message.fragments > limits.max_fragments
        {
            return Err(End::Failed(TOO_BIG));
        }
        let last = frame.fin && frame.whole;
        let mut inflated = Ok(());
        match &mut self.inflating {
            Some(inflating) if message.compressed => {
                inflated = inflating.push(frame.payload);
                message.bytes = inflating.message().to_vec();
                if last && inflated.is_ok() {
                    inflated = inflating.finish().map(|_| ());
                }
            }
            _ => message.bytes.extend_from_slice(frame.payload),
        }
        message.judge(limits.max_message, last, inflated.is_err()).map_err(End::Failed)?;
        if inflated.is_err() {
            self.fault = Some(if last { Fault::AtTheEnd } else { Fault::Inside });
            return Err(End::Failed(INVALID_PAYLOAD));
        }
        if last {
            self.messages.push(Message(message.kind, message.bytes));
        } else {
            self.message = Some(message);
        }
        Ok(frame.whole)
    }
}

/// A data frame, or what there is of it.
struct Frame<'a> {
    opcode: u8,
    fin: bool,
    compressed: bool,
    length: u64,
    payload: &'a [u8],
    whole: bool,
}

impl Begun {
    /// What there is of it, which bad DEFLATE data may have ended: byte after byte, so that the first rule that is broken gives the code.
    fn judge(&mut self, most: u64, last: bool, was_cut_short: bool) -> Result<(), u16> {
        let allowed = usize::try_from(most).map_or(self.bytes.len(), |most| most.min(self.bytes.len()));
        let is_over = allowed < self.bytes.len();
        if self.kind == Kind::Text {
            let ends = last && !is_over && !was_cut_short;
            match std::str::from_utf8(&self.bytes[self.text..allowed]) {
                Ok(text) => self.text += text.len(),
                Err(error) if ends || error.error_len().is_some() => return Err(INVALID_PAYLOAD),
                Err(error) => self.text += error.valid_up_to(),
            }
        }
        if is_over { Err(TOO_BIG) } else { Ok(()) }
    }
}
