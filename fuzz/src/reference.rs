//! RFC 6455 section 5 read straight from the text, without a thought for speed: what the machine is held against.

use aiowebsocket::protocol::{Kind, Role};

use crate::heard::{End, Heard, Message, Reader};

const PROTOCOL_ERROR: u16 = 1002;
const INVALID_PAYLOAD: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// What a stream comes to, and the payloads of the pings before the end.
pub fn hear(reader: &Reader, stream: &[u8]) -> (Heard, Vec<Vec<u8>>) {
    let mut hearing = Hearing { rest: stream, messages: Vec::new(), message: None, pings: Vec::new() };
    let end = loop {
        match hearing.frame(reader) {
            Ok(true) => {}
            Ok(false) => break End::Open,
            Err(end) => break end,
        }
    };
    (Heard { messages: hearing.messages, end }, hearing.pings)
}

struct Hearing<'a> {
    rest: &'a [u8],
    messages: Vec<Message>,
    message: Option<Begun>,
    pings: Vec<Vec<u8>>,
}

struct Begun {
    kind: Kind,
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
        if masked != (reader.role == Role::Server) || rsv != 0 {
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
            self.data(reader, opcode, fin, length, &payload, whole)
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

    fn data(
        &mut self,
        reader: &Reader,
        opcode: u8,
        fin: bool,
        length: u64,
        payload: &[u8],
        whole: bool,
    ) -> Result<bool, End> {
        let mut message = match (opcode, self.message.take()) {
            (0, Some(message)) => message,
            (1 | 2, None) => Begun {
                kind: if opcode == 1 { Kind::Text } else { Kind::Binary },
                bytes: Vec::new(),
                text: 0,
                announced: 0,
                fragments: 0,
            },
            _ => return Err(End::Failed(PROTOCOL_ERROR)),
        };
        message.announced = message.announced.saturating_add(length);
        message.fragments += 1;
        let limits = &reader.config;
        if length > limits.max_frame
            || message.announced > limits.max_message
            || message.fragments > limits.max_fragments
        {
            return Err(End::Failed(TOO_BIG));
        }
        message.bytes.extend_from_slice(payload);
        let last = fin && whole;
        if message.kind == Kind::Text {
            match std::str::from_utf8(&message.bytes[message.text..]) {
                Ok(text) => message.text += text.len(),
                Err(error) if last || error.error_len().is_some() => {
                    return Err(End::Failed(INVALID_PAYLOAD));
                }
                Err(error) => message.text += error.valid_up_to(),
            }
        }
        if last {
            self.messages.push(Message(message.kind, message.bytes));
        } else {
            self.message = Some(message);
        }
        Ok(whole)
    }
}
