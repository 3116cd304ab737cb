//! The cases of spec/*.toml about frames and messages. spec/README.md tells how one is written.
//!
//! Every case is fed whole, byte by byte, at random cuts, as what was left over from the handshake, and with more bytes
//! behind it, and large messages are taken by each of the ways that the machine offers; all must come to the same.

use std::num::NonZeroUsize;

use aiowebsocket::protocol::{self, CannotSend, CloseCode, Config, Connection, Ending, Kind, Role};
use serde::Deserialize;

use crate::support::compression::agreed;
use crate::support::face::{Face, Message, Style};
use crate::support::rng::Rng;
use crate::support::{KEY, same_key, start_of_time};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Which end the machine is; the input comes from the other one.
    role: Side,
    #[serde(default)]
    limits: Limits,
    /// Compression was agreed on: the client's offer, to a server without wishes.
    deflate: Option<String>,
    /// What the machine sends before anything arrives.
    #[serde(default)]
    send: Vec<Sending>,
    /// So many bytes of that leave before anything arrives.
    #[serde(default)]
    taken: usize,
    /// The machine sends a Close frame with this code before anything arrives, after `send`.
    close_first: Option<u16>,
    #[serde(default)]
    input: Vec<Part>,
    #[serde(default)]
    events: Vec<Event>,
    /// The peer closed: the code (1005 for none) and the reason.
    closed: Option<Closed>,
    /// The machine failed the connection with this code…
    failed: Option<u16>,
    /// …and this is part of how it explains it.
    why: Option<String>,
    /// The input stops inside a frame, so nothing can be put behind it.
    #[serde(default)]
    incomplete: bool,
    /// What the machine writes once it was given everything. Where absent: the Close frame that the ending asks for.
    output: Option<Vec<Part>>,
    /// What it writes if everything that waits is written after every byte of input. Where absent: the same.
    output_drained: Option<Vec<Part>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Client,
    Server,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    max_message: Option<u64>,
    max_frame: Option<u64>,
    max_fragments: Option<u32>,
    fragment_size: Option<NonZeroUsize>,
}

/// A message, or with `last` a part of one, whose data is repeated `repeat` times.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sending {
    text: Option<String>,
    binary: Option<String>,
    repeat: Option<usize>,
    last: Option<bool>,
    /// It is not sent, because of this.
    refused: Option<Refused>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Refused {
    MessageUnfinished,
    OtherKind,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Closed {
    code: u16,
    #[serde(default)]
    reason: String,
}

/// Some bytes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    /// In hexadecimal, with blanks anywhere.
    Hex(String),
    Payload(Payload),
}

/// `hex` or `text`, `repeat` times; with `mask`, that key and then the bytes masked with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    hex: Option<String>,
    text: Option<String>,
    mask: Option<String>,
    repeat: Option<usize>,
}

/// A message, whose data is repeated `repeat` times.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    text: Option<String>,
    binary: Option<String>,
    repeat: Option<usize>,
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    assert!(digits.is_ascii() && digits.len().is_multiple_of(2), "pairs of hexadecimal digits: {digits}");
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("a digit"))
        .collect()
}

fn bytes_of(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Hex(digits) => bytes.extend(hex(digits)),
            Part::Payload(Payload { hex: digits, text, mask, repeat }) => {
                let data = match (digits, text) {
                    (Some(digits), None) => hex(digits),
                    (None, Some(text)) => text.clone().into_bytes(),
                    _ => panic!("a payload is either hex or text"),
                };
                let data = data.repeat(repeat.unwrap_or(1));
                match mask {
                    None => bytes.extend(data),
                    Some(key) => {
                        let key = hex(key);
                        bytes.extend(&key);
                        bytes.extend(data.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
                    }
                }
            }
        }
    }
    bytes
}

impl Case {
    fn role(&self) -> Role {
        match self.role {
            Side::Client => Role::Client,
            Side::Server => Role::Server,
        }
    }

    fn messages(&self) -> Vec<Message> {
        let message = |event: &Event| {
            let repeat = event.repeat.unwrap_or(1);
            match (&event.text, &event.binary) {
                (Some(text), None) => Message::Text(text.repeat(repeat)),
                (None, Some(digits)) => Message::Binary(hex(digits).repeat(repeat)),
                _ => panic!("{}: an event is either text or binary", self.name),
            }
        };
        self.events.iter().map(message).collect()
    }

    /// A frame as the machine writes it.
    fn frame(&self, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("a control frame");
        match self.role {
            Side::Server => [&[0x80 | opcode, length], payload].concat(),
            Side::Client => {
                let masked = payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key);
                [0x80 | opcode, 0x80 | length].into_iter().chain(KEY).chain(masked).collect()
            }
        }
    }

    fn output(&self) -> Vec<u8> {
        if let Some(parts) = &self.output {
            return bytes_of(parts);
        }
        let code = self.close_first.or(self.failed).or(self.closed.as_ref().map(|closed| closed.code));
        match code {
            None => Vec::new(),
            Some(1005) => self.frame(0x8, &[]),
            Some(code) => self.frame(0x8, &code.to_be_bytes()),
        }
    }

    fn output_drained(&self) -> Vec<u8> {
        self.output_drained.as_deref().map_or_else(|| self.output(), bytes_of)
    }

    fn face(&self, leftover: &[u8], style: Style, rng: Rng) -> Face {
        let mut config = Config::default();
        let Limits { max_message, max_frame, max_fragments, fragment_size } = self.limits;
        config.fragment_size = fragment_size;
        config.max_message = max_message.unwrap_or(config.max_message);
        config.max_frame = max_frame.unwrap_or(config.max_frame);
        config.max_fragments = max_fragments.unwrap_or(config.max_fragments);
        let mut machine = Connection::new(self.role(), config, leftover, start_of_time());
        if let Some(offer) = &self.deflate {
            machine.compress(agreed(offer));
        }
        self.send.iter().for_each(|sending| self.send(&mut machine, sending));
        if let Some(code) = self.close_first {
            machine.close(CloseCode::new(code), "", start_of_time()).expect("a code that may be sent");
        }
        let mut face = Face::new(machine, style, rng);
        face.write(self.taken);
        face
    }

    fn send(&self, machine: &mut Connection, sending: &Sending) {
        let Sending { text, binary, repeat, last, refused } = sending;
        let (kind, data) = match (text, binary) {
            (Some(text), None) => (Kind::Text, text.clone().into_bytes()),
            (None, Some(digits)) => (Kind::Binary, hex(digits)),
            _ => panic!("{}: what is sent is either text or binary", self.name),
        };
        let data = data.repeat(repeat.unwrap_or(1));
        let payload = protocol::Payload::Borrowed(&data);
        let sent = match last {
            None => machine.send(kind, payload, &mut same_key),
            Some(last) => machine.send_part(kind, payload, *last, &mut same_key),
        };
        let refused = refused.map(|refused| match refused {
            Refused::MessageUnfinished => CannotSend::MessageUnfinished,
            Refused::OtherKind => CannotSend::OtherKind,
        });
        assert_eq!(sent.err(), refused, "{}: {kind:?} of {} bytes", self.name, data.len());
    }

    /// What follows a case without changing what comes of it: where the connection is over, anything; elsewhere an
    /// unasked pong and half a header.
    fn trailing(&self) -> Vec<u8> {
        if self.closed.is_some() || self.failed.is_some() {
            return b"\x89\x04ping\x81\x03abc\x88\x02\x03\xe8\xff\xff\xff".to_vec();
        }
        match self.role {
            _ if self.incomplete => Vec::new(),
            Side::Client => b"\x8a\x01x\x81".to_vec(),
            Side::Server => b"\x8a\x81\0\0\0\0x\x81".to_vec(),
        }
    }

    /// The connection is as the case says, in messages and in its outcome, and ends so.
    fn check(&self, way: &str, face: &mut Face, written: &[u8], expected: &[u8]) {
        let name = &self.name;
        assert_eq!(face.messages, self.messages(), "{name}, {way}: messages");
        assert!(
            written == expected,
            "{name}, {way}: output\n   found {}\nexpected {}",
            written.escape_ascii(),
            expected.escape_ascii()
        );
        self.check_outcome(way, face.machine.outcome());
        face.machine.received_end();
        face.feed(&[], || 1, start_of_time());
        let ending = face.machine.ending().expect("the end of the stream ends the connection").clone();
        match (&self.closed, self.failed) {
            (None, None) => assert_eq!(ending, Ending::Abnormal, "{name}, {way}: ending"),
            _ => self.check_outcome(way, Some(ending)),
        }
        assert_eq!(face.machine.next_timeout(), None, "{name}, {way}: nothing is waited for after the end");
    }

    fn check_outcome(&self, way: &str, outcome: Option<Ending>) {
        let name = &self.name;
        match (outcome, &self.closed, self.failed) {
            (None, None, None) => {}
            (Some(Ending::Closed(frame)), Some(closed), None) => {
                assert_eq!((frame.code.get(), &frame.reason), (closed.code, &closed.reason), "{name}, {way}");
            }
            (Some(Ending::Failed(error)), None, Some(code)) => {
                let why = self.why.as_deref().unwrap_or_else(|| panic!("{name}: a failure says why"));
                assert!(error.to_string().contains(why), "{name}, {way}: {error}");
                assert_eq!(error.close_code().get(), code, "{name}, {way}: {error}");
            }
            (outcome, ..) => panic!("{name}, {way}: the outcome is {outcome:?}"),
        }
    }

    fn run(&self, rng: &mut Rng) {
        let input = bytes_of(&self.input);
        let now = start_of_time();
        for style in [Style::Space, Style::Placed, Style::Mixed] {
            let mut whole = self.face(&[], style, rng.clone());
            whole.feed(&input, || usize::MAX, now);
            let written = whole.drain();
            self.check(&format!("whole, {style:?}"), &mut whole, &written, &self.output());

            let mut single = self.face(&[], style, rng.clone());
            single.feed(&input, || 1, now);
            let written = single.drain();
            self.check(&format!("byte by byte, {style:?}"), &mut single, &written, &self.output());

            let mut cut = self.face(&[], style, rng.clone());
            let most = 1 + rng.length(input.len().max(1));
            cut.feed(&input, || 1 + rng.below(most), now);
            let written = cut.drain();
            self.check(&format!("at random cuts, {style:?}"), &mut cut, &written, &self.output());

            let mut trailed = self.face(&[], style, rng.clone());
            let more = [input.clone(), self.trailing()].concat();
            let most = 1 + rng.length(more.len().max(1));
            trailed.feed(&more, || 1 + rng.below(most), now);
            let written = trailed.drain();
            self.check(&format!("with trailing bytes, {style:?}"), &mut trailed, &written, &self.output());

            // Enough behind it that any frame that the input has only begun is there as a whole: what is refused by its header
            // must not be taken because it can be read at once.
            if self.closed.is_some() || self.failed.is_some() {
                let more = [&input[..], &[b'a'; 100_000]].concat();
                let mut plenty = self.face(&more, style, rng.clone());
                plenty.feed(&[], || 1, now);
                let written = plenty.drain();
                self.check(&format!("with plenty behind, {style:?}"), &mut plenty, &written, &self.output());
            }

            let (left, rest) = input.split_at(rng.below(input.len() + 1));
            let mut over = self.face(left, style, rng.clone());
            over.feed(rest, || 1 + rng.below(most), now);
            let written = over.drain();
            self.check(&format!("left over, {style:?}"), &mut over, &written, &self.output());
        }

        let mut drained = self.face(&[], Style::Space, rng.clone());
        let mut written = drained.drain();
        for byte in &input {
            drained.feed(&[*byte], || 1, now);
            written.extend(drained.drain());
        }
        self.check("drained after every byte", &mut drained, &written, &self.output_drained());
    }
}

fn run(text: &str, at_least: usize) {
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    assert!(file.case.len() >= at_least, "only {} cases", file.case.len());
    let mut rng = Rng::new();
    for case in file.case {
        case.run(&mut rng);
    }
}

#[test]
fn frames() {
    run(include_str!("../../../../spec/frames.toml"), 40);
}

#[test]
fn masking() {
    run(include_str!("../../../../spec/masking.toml"), 10);
}

#[test]
fn fragments() {
    run(include_str!("../../../../spec/fragments.toml"), 20);
}

#[test]
fn sending() {
    run(include_str!("../../../../spec/sending.toml"), 20);
}

#[test]
fn control() {
    run(include_str!("../../../../spec/control.toml"), 20);
}

#[test]
fn utf8() {
    run(include_str!("../../../../spec/utf8.toml"), 40);
}

#[test]
fn close() {
    run(include_str!("../../../../spec/close.toml"), 40);
}

#[test]
fn deflate() {
    run(include_str!("../../../../spec/deflate.toml"), 60);
}

#[test]
fn limits() {
    run(include_str!("../../../../spec/limits.toml"), 15);
}

/// The runner's own key is the one that the cases are written with.
#[test]
fn the_key_of_the_cases() {
    assert_eq!((same_key(), hex("01 02 03 04")), (KEY, KEY.to_vec()));
}
