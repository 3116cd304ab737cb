//! The same bytes into this machine and into `tungstenite`, as a server's or a client's. Where the outcomes part, the reason must be
//! one of [`Difference`], and docs/differences.md explains each.

use std::io::{self, Read, Write};

use aiowebsocket::protocol::{Kind, Role};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{Role as TheirRole, WebSocketConfig};
use tungstenite::{Error, Message as Theirs, WebSocket};

use crate::face::Face;
use crate::heard::{End, Heard, Message, Reader};
use crate::input::{Cuts, Input};
use crate::start_of_time;

/// Why the two come to different outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// We fail with the first byte that breaks a rule; they judge a frame when it is whole.
    JudgedWhenWhole,
    /// We refuse a length that is not in its shortest form; they take it.
    LongForm,
    /// We refuse a Close frame with a code that must not be sent; they answer it with 1002 and count it as a close.
    CloseCode,
    /// We take 1014, which is in the register since the RFC; they answer it with 1002.
    BadGateway,
    /// We limit the number of fragments; they do not.
    FragmentCount,
    /// Both fail, but of two rules that are broken at once we name another.
    OtherRuleFirst,
}

impl Difference {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::JudgedWhenWhole,
        Self::LongForm,
        Self::CloseCode,
        Self::BadGateway,
        Self::FragmentCount,
        Self::OtherRuleFirst,
    ];
}

/// The first byte chooses role and limits, the second the cuts; the rest arrives.
pub fn tungstenite(data: &[u8]) {
    let mut choices = Input::new(data);
    // They do not compress.
    let reader = Reader { compression: None, ..Reader::new(&mut choices) };
    let cuts = Cuts::new(choices.byte());
    let stream = choices.rest();
    let ours = ours(&reader, cuts, stream);
    let theirs = theirs(&reader, stream);
    if ours != theirs {
        let why = difference(&reader, stream, &ours, &theirs);
        assert!(why.is_some(), "ours {ours:?}\ntheirs {theirs:?}");
    }
}

/// Why the outcomes differ, if there is a reason that is known.
pub(crate) fn difference(reader: &Reader, stream: &[u8], ours: &Heard, theirs: &Heard) -> Option<Difference> {
    let alike =
        ours.messages.iter().zip(&theirs.messages).take_while(|(ours, theirs)| ours == theirs).count();
    if alike < ours.messages.len() {
        // We never take what they refuse.
        return None;
    }
    if matches!(ours.end, End::Closed(1014, _)) && matches!(theirs.end, End::Closed(1002, _)) {
        return Some(Difference::BadGateway);
    }
    let End::Failed(code) = ours.end else { return None };
    let went_on = theirs.messages.len() > alike || !matches!(theirs.end, End::Failed(_));
    if !went_on {
        return Some(Difference::OtherRuleFirst);
    }
    if theirs.end == End::Open && theirs.messages.len() == alike && !is_at_a_border(stream) {
        return Some(Difference::JudgedWhenWhole);
    }
    match (code, &theirs.end) {
        (1002, End::Closed(..)) if theirs.messages.len() == alike => Some(Difference::CloseCode),
        (1002, _) if has_long_form(stream) => Some(Difference::LongForm),
        (1009, _) if reader.config.max_fragments < 1 << 17 => Some(Difference::FragmentCount),
        _ => None,
    }
}

/// The frames of a stream by their headers alone, as far as they go: (offset behind it, long form).
fn walk(stream: &[u8]) -> (usize, bool) {
    let (mut at, mut long) = (0, false);
    loop {
        let Some(&[_, second]) = stream.get(at..at + 2).and_then(|two| <&[u8; 2]>::try_from(two).ok()) else {
            return (at, long);
        };
        let extra = match second & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let key = if second & 128 != 0 { 4 } else { 0 };
        let Some(bytes) = stream.get(at + 2..at + 2 + extra) else { return (at, long) };
        let value = bytes.iter().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
        let length = if extra == 0 { u64::from(second & 127) } else { value };
        long |= extra == 2 && value < 126 || extra == 8 && value < 65_536;
        let next = u64::try_from(at + 2 + extra + key).ok().and_then(|size| size.checked_add(length));
        match next.and_then(|next| usize::try_from(next).ok()) {
            Some(next) if next <= stream.len() => at = next,
            _ => return (at, long),
        }
    }
}

fn is_at_a_border(stream: &[u8]) -> bool {
    walk(stream).0 == stream.len()
}

fn has_long_form(stream: &[u8]) -> bool {
    walk(stream).1
}

fn ours(reader: &Reader, cuts: Cuts, stream: &[u8]) -> Heard {
    let now = start_of_time();
    let mut face = Face::new(reader.machine(now), cuts);
    face.feed(stream, now);
    Heard { end: face.end(), messages: face.messages }
}

/// A stream that has these bytes to read and then blocks, and swallows what is written.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(to) }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(reader: &Reader, stream: &[u8]) -> Heard {
    let limit = |bytes: u64| Some(usize::try_from(bytes).unwrap_or(usize::MAX));
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(limit(reader.config.max_message))
        .max_frame_size(limit(reader.config.max_frame));
    let role = match reader.role {
        Role::Client => TheirRole::Client,
        Role::Server => TheirRole::Server,
    };
    let mut socket = WebSocket::from_raw_socket(Wire(stream), role, Some(config));
    let mut messages = Vec::new();
    let end = loop {
        match socket.read() {
            Ok(Theirs::Text(text)) => messages.push(Message(Kind::Text, text.as_bytes().to_vec())),
            Ok(Theirs::Binary(bytes)) => messages.push(Message(Kind::Binary, bytes.to_vec())),
            Ok(Theirs::Close(None)) => break End::Closed(1005, String::new()),
            Ok(Theirs::Close(Some(frame))) => {
                break End::Closed(frame.code.into(), frame.reason.as_str().to_owned());
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break End::Open,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => break End::Failed(1009),
            Err(Error::Utf8(_)) => break End::Failed(1007),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => break End::Open,
            Err(Error::Protocol(_)) => break End::Failed(1002),
            Err(error) => panic!("{error:?}"),
        }
    };
    Heard { messages, end }
}
