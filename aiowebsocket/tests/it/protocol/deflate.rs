//! Compression against another zlib (miniz), both directions; what stays plain; and what memory it takes.

use aiowebsocket::protocol::{
    CannotSend, Config, Connection, Ending, Header, Kind, OpCode, Payload, Role, Step,
};
use aiowebsocket::{Agreed, Deflate};
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::stream::InflateState;
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

use crate::support::alloc::{held, peak_of};
use crate::support::compression::{agreed, agreed_with, taken_by_client};
use crate::support::face::{Face, Message, Style};
use crate::support::rng::Rng;
use crate::support::{KEY, same_key, start_of_time};

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

fn machine(role: Role, agreed: Agreed) -> Connection {
    machine_with(role, agreed, Config::default())
}

fn machine_with(role: Role, agreed: Agreed, config: Config) -> Connection {
    let mut machine = Connection::new(role, config, &[], start_of_time());
    machine.compress(agreed);
    machine
}

fn face(role: Role, agreed: Agreed) -> Face {
    Face::new(machine(role, agreed), Style::Mixed, Rng::new())
}

/// Everything that waits to be written.
fn drain(machine: &mut Connection) -> Vec<u8> {
    let mut written = Vec::new();
    while machine.wants_write() {
        let front = machine.output(&mut same_key).front();
        let n = front.len();
        written.extend_from_slice(front);
        machine.written(n);
    }
    written
}

/// One frame, its payload unmasked.
struct Frame {
    header: Header,
    payload: Vec<u8>,
}

fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((header, size)) = Header::decode(bytes).expect("our own frames are right") {
        let end = size + usize::try_from(header.length).expect("in memory");
        let key = header.mask.unwrap_or_default();
        let payload = bytes[size..end].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        frames.push(Frame { header, payload });
        bytes = &bytes[end..];
    }
    assert!(bytes.is_empty(), "whole frames");
    frames
}

fn frame(role: Role, rsv: u8, opcode: OpCode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if role == Role::Client { Some(KEY) } else { None };
    let header = Header { fin, rsv, opcode, mask, length: payload.len() as u64 };
    let mut head = [0; 14];
    let size = header.encode(&mut head);
    let key = mask.unwrap_or_default();
    let mut frame = head[..size].to_vec();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The other zlib, inflating.
struct Inflater(Box<InflateState>);

impl Inflater {
    fn new() -> Self {
        Self(InflateState::new_boxed(DataFormat::Raw))
    }

    fn inflate(&mut self, mut input: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let result = miniz_oxide::inflate::stream::inflate(&mut self.0, input, &mut chunk, MZFlush::None);
            input = &input[result.bytes_consumed..];
            bytes.extend_from_slice(&chunk[..result.bytes_written]);
            let done = input.is_empty() && result.bytes_written < chunk.len();
            match result.status {
                _ if done => return bytes,
                Ok(_) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

/// The other zlib, deflating.
struct Deflater(Box<CompressorOxide>);

impl Deflater {
    fn new(level: i32) -> Self {
        Self(Box::new(CompressorOxide::new(create_comp_flags_from_zip_params(level, -15, 0))))
    }

    /// Flushed, with the tail.
    fn deflate(&mut self, mut input: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 2 * input.len() + 100];
        loop {
            let result = miniz_oxide::deflate::stream::deflate(&mut self.0, input, &mut chunk, MZFlush::Sync);
            input = &input[result.bytes_consumed..];
            bytes.extend_from_slice(&chunk[..result.bytes_written]);
            if input.is_empty() && result.bytes_written < chunk.len() {
                assert!(matches!(result.status, Ok(MZStatus::Ok) | Err(_)), "{:?}", result.status);
                return bytes;
            }
        }
    }
}

/// What a program might send: text that repeats itself and its forerunners, or bytes that do not.
fn payload(rng: &mut Rng, limit: usize) -> Message {
    let length = rng.length(limit);
    match rng.below(4) {
        0 => Message::Binary(rng.bytes(length)),
        1 => Message::Text(rng.text(length)),
        _ => {
            let mut text = String::new();
            while text.len() < length {
                let words = [r#"{"symbol":"#, r#""BTCUSDT","#, r#""price":""#, r#"","quantity":""#, "\"},"];
                text += words[rng.below(words.len())];
                text += &rng.below(100_000).to_string();
            }
            Message::Text(text)
        }
    }
}

fn send(machine: &mut Connection, message: &Message, plain: bool) {
    let payload = Payload::Borrowed(message.bytes());
    let sent = if plain {
        machine.send_plain(message.kind(), payload, &mut same_key)
    } else {
        machine.send(message.kind(), payload, &mut same_key)
    };
    sent.expect("open");
}

/// Options of every kind, and an offer that a server with them accepts.
fn any_agreement(rng: &mut Rng) -> Agreed {
    let bits = |rng: &mut Rng| u8::try_from(8 + rng.below(8)).expect("small");
    let mut options = Deflate::default()
        .level(u8::try_from(1 + rng.below(9)).expect("small"))
        .memory_level(u8::try_from(1 + rng.below(9)).expect("small"))
        .threshold(rng.below(100))
        .server_max_window_bits(bits(rng))
        .client_max_window_bits(bits(rng));
    if rng.one_in(3) {
        options = options.server_no_context_takeover();
    }
    if rng.one_in(3) {
        options = options.client_no_context_takeover();
    }
    agreed_with(options, OFFER)
}

/// Whole messages, plain ones between them, fragments and messages in parts, with all options: each comes out of another zlib as it was.
/// More connections than a thread has compressors take turns, so that contexts go on warm and from the history.
#[test]
fn what_we_compress_any_zlib_inflates() {
    let mut rng = Rng::new();
    for _ in 0..5 {
        let mut connections: Vec<_> = (0..1 + rng.below(9))
            .map(|_| {
                let role = if rng.one_in(2) { Role::Client } else { Role::Server };
                let mut config = Config::default();
                config.fragment_size =
                    std::num::NonZero::new(if rng.one_in(3) { 1 + rng.below(3000) } else { 0 });
                let agreed = any_agreement(&mut rng);
                let keeps = match role {
                    Role::Client => !agreed.client_no_context_takeover(),
                    Role::Server => !agreed.server_no_context_takeover(),
                };
                (machine_with(role, agreed, config), keeps, Inflater::new())
            })
            .collect();
        for _ in 0..60 {
            let turn = rng.below(connections.len());
            let (machine, keeps, inflater) = &mut connections[turn];
            let message = payload(&mut rng, 100_000);
            let plain = rng.one_in(5);
            if rng.one_in(4) {
                let (kind, bytes) = (message.kind(), message.bytes());
                let cut = if kind == Kind::Text { 0 } else { rng.below(bytes.len() + 1) };
                for (part, last) in [(&bytes[..cut], false), (&bytes[cut..], true)] {
                    let part = Payload::Borrowed(part);
                    let sent = if plain {
                        machine.send_plain_part(kind, part, last, &mut same_key)
                    } else {
                        machine.send_part(kind, part, last, &mut same_key)
                    };
                    sent.expect("open");
                }
            } else {
                send(machine, &message, plain);
            }
            let frames = frames(&drain(machine));
            let compressed = frames[0].header.rsv == 4;
            assert!(!(plain && compressed), "plain is plain");
            assert!(frames[1..].iter().all(|frame| frame.header.rsv == 0), "RSV1 on the first frame only");
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| &frame.payload).copied().collect();
            if !compressed {
                assert!(bytes == message.bytes(), "what is not compressed is as it was");
                continue;
            }
            if !*keeps {
                *inflater = Inflater::new();
            }
            assert!(inflater.inflate(&[&bytes[..], &TAIL].concat()) == message.bytes(), "{message:?}");
        }
    }
}

/// Streams of another zlib at every level, in any fragments, whole and in parts.
#[test]
fn what_any_zlib_compressed_comes_out_as_it_was() {
    let mut rng = Rng::new();
    for level in [0, 1, 2, 5, 6, 9] {
        let mut deflater = Deflater::new(level);
        let mut whole = face(Role::Client, agreed(OFFER));
        let mut in_parts = machine(Role::Server, agreed(OFFER));
        for _ in 0..20 {
            let message = payload(&mut rng, 100_000);
            let mut bytes = deflater.deflate(message.bytes());
            assert_eq!(bytes.split_off(bytes.len() - 4), TAIL);
            let (mut server, mut client) = (Vec::new(), Vec::new());
            let mut rest = &bytes[..];
            let mut opcode = message.kind().opcode();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rng.length(rest.len()).max(1));
                let rsv = if opcode == OpCode::Continuation { 0 } else { 4 };
                server.extend(frame(Role::Server, rsv, opcode, later.is_empty(), now));
                client.extend(frame(Role::Client, rsv, opcode, later.is_empty(), now));
                (rest, opcode) = (later, OpCode::Continuation);
            }
            whole.feed(&server, || 1 + rng.length(5000), start_of_time());
            assert!(std::mem::take(&mut whole.messages) == [message.clone()], "level {level}: {message:?}");
            assert!(joined(&mut in_parts, &client, || 1 + rng.length(5000)) == message.bytes());
        }
    }
}

/// Feeds the bytes and takes one message in parts, each of 16 KiB at most.
fn joined(machine: &mut Connection, mut bytes: &[u8], mut cut: impl FnMut() -> usize) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        match machine.step_part() {
            Step::Part { place, last, .. } => {
                let part = machine.payload(place);
                assert!(part.len() <= 16 << 10 && (last || !part.is_empty()), "{}", part.len());
                message.extend_from_slice(part);
                if last {
                    assert!(bytes.is_empty(), "the last part comes with the last byte");
                    return message;
                }
            }
            Step::Read => {
                let space = machine.space();
                let n = cut().clamp(1, bytes.len()).min(space.len());
                space[..n].copy_from_slice(&bytes[..n]);
                machine.received(n, start_of_time());
                bytes = &bytes[n..];
            }
            other => panic!("{other:?}: {:?}", machine.outcome()),
        }
    }
}

/// Two machines of ours with any options: what one sends the other receives, once, in order.
#[test]
fn what_two_machines_compress_arrives_once_and_in_order() {
    let mut rng = Rng::new();
    for _ in 0..12 {
        let agreed = any_agreement(&mut rng);
        let mut ends = [face(Role::Client, agreed), face(Role::Server, agreed)];
        for _ in 0..40 {
            let from = rng.below(2);
            let sent: Vec<Message> = (0..rng.below(5)).map(|_| payload(&mut rng, 20_000)).collect();
            for message in &sent {
                send(&mut ends[from].machine, message, rng.one_in(5));
            }
            let bytes = ends[from].drain();
            let to = &mut ends[1 - from];
            to.feed(&bytes, || 1 + rng.length(30_000), start_of_time());
            assert!(std::mem::take(&mut to.messages) == sent, "{agreed}");
        }
    }
}

/// What is compressed of this text, again and again.
fn sizes(machine: &mut Connection, text: &str, times: usize) -> Vec<usize> {
    let mut size = || {
        machine.send(Kind::Text, Payload::Borrowed(text.as_bytes()), &mut same_key).expect("open");
        drain(machine).len()
    };
    (0..times).map(|_| size()).collect()
}

#[test]
fn messages_for_themselves_refer_to_nothing() {
    let text = Rng::new().text(300) + "again";
    for (role, parameter) in
        [(Role::Client, "client_no_context_takeover"), (Role::Server, "server_no_context_takeover")]
    {
        let mut alone = machine(role, agreed(&format!("permessage-deflate; {parameter}")));
        let size = sizes(&mut alone, &text, 3);
        assert!(size[0] == size[1] && size[1] == size[2], "{size:?}");
        let mut with_context = machine(role, agreed(OFFER));
        let size = sizes(&mut with_context, &text, 3);
        assert!(2 * size[1] < size[0] && 2 * size[2] < size[0], "{size:?}");
    }
    // A client's promise holds although the server did not take it up.
    let options = Deflate::default().client_no_context_takeover();
    let taken = taken_by_client(options, "permessage-deflate");
    assert!(!taken.client_no_context_takeover());
    let size = sizes(&mut machine(Role::Client, taken), &text, 2);
    assert_eq!(size[0], size[1]);
    // And what the server asks for holds although the client did not promise it.
    let taken = taken_by_client(Deflate::default(), "permessage-deflate; client_no_context_takeover");
    let size = sizes(&mut machine(Role::Client, taken), &text, 2);
    assert_eq!(size[0], size[1]);
}

/// Another connection used the thread's compressors meanwhile: the history keeps the last 256 bytes of the context.
#[test]
fn the_context_outlives_the_compressor() {
    let text = Rng::new().text(300);
    let mut first = machine(Role::Client, agreed(OFFER));
    let before = sizes(&mut first, &text, 1)[0];
    for _ in 0..20 {
        sizes(&mut machine(Role::Client, agreed(OFFER)), &text, 1);
    }
    let after = sizes(&mut first, &text, 1)[0];
    assert!(4 * after < 3 * before, "{before}, {after}");
}

/// A repetition that lies farther back than the window is not found, and one that lies within it is.
#[test]
fn a_small_window_is_kept_to() {
    let mut rng = Rng::new();
    for bits in 10..=15_u8 {
        let level = Deflate::default().level(9);
        let answered = format!("permessage-deflate; client_max_window_bits={bits}");
        for (name, role, agreed) in [
            ("a server that was told", Role::Server, agreed_with(level.server_max_window_bits(bits), OFFER)),
            ("a client that was told", Role::Client, taken_by_client(level, &answered)),
            // Which holds although the server did not take it up.
            (
                "a client that promised it",
                Role::Client,
                taken_by_client(level.client_max_window_bits(bits), "permessage-deflate"),
            ),
        ] {
            let mut size = |distance: usize| {
                let mut bytes = rng.bytes(distance);
                bytes.extend_from_within(..240);
                let mut machine = machine(role, agreed);
                machine.send(Kind::Binary, Payload::Borrowed(&bytes), &mut same_key).expect("open");
                (drain(&mut machine).len(), bytes.len())
            };
            let window = 1 << bits;
            let (sent, plain) = size(window + 1);
            assert!(sent >= plain, "{bits} bits, {name}: found beyond the window");
            // zlib keeps some of its window to itself.
            let (sent, plain) = size(window - 600);
            assert!(sent + 50 < plain, "{bits} bits, {name}: {sent} of {plain}");
        }
    }
}

/// zlib has no window of 8 bits: where the peer demands one, nothing is compressed, and what the peer compresses is understood.
#[test]
fn a_window_of_8_bits_sends_plain() {
    for (role, offer) in [
        (Role::Server, "permessage-deflate; server_max_window_bits=8"),
        (Role::Client, "permessage-deflate; client_max_window_bits=8"),
    ] {
        let mut face = face(role, agreed(offer));
        for text in ["a".repeat(1000), "b".repeat(100_000)] {
            let message = Message::Text(text);
            send(&mut face.machine, &message, false);
            face.machine
                .send_part(Kind::Binary, Payload::Borrowed(&[7; 500]), true, &mut same_key)
                .expect("open");
            let frames = frames(&face.drain());
            assert!(frames.iter().all(|frame| frame.header.rsv == 0));
            assert!(frames[0].payload == message.bytes());
        }
        let peer = if role == Role::Client { Role::Server } else { Role::Client };
        let compressed = Deflater::new(6).deflate(b"Hello Hello Hello");
        let bytes = frame(peer, 4, OpCode::Text, true, &compressed[..compressed.len() - 4]);
        face.feed(&bytes, || 3, start_of_time());
        assert_eq!(face.messages, [Message::text("Hello Hello Hello")]);
    }
}

#[test]
fn plain_messages_leave_plain() {
    let mut machine = machine(Role::Client, agreed(OFFER));
    let mut inflater = Inflater::new();
    let text = "all the same, all the same, all the same, all the same, all the same, all the same";
    let message = Message::text(text);
    for round in 0..4 {
        send(&mut machine, &message, true);
        let plain = frames(&drain(&mut machine));
        assert_eq!((plain[0].header.rsv, &plain[0].payload[..]), (0, text.as_bytes()));
        // The others go on as if it had not been there.
        send(&mut machine, &message, false);
        let compressed = frames(&drain(&mut machine));
        assert_eq!(compressed[0].header.rsv, 4);
        assert_eq!(
            inflater.inflate(&[&compressed[0].payload[..], &TAIL].concat()),
            text.as_bytes(),
            "{round}"
        );
    }
    machine.send_plain_part(Kind::Text, Payload::Borrowed(b"secret "), false, &mut same_key).expect("open");
    let refused = machine.send_plain(Kind::Text, Payload::Borrowed(b"other"), &mut same_key);
    assert_eq!(refused, Err(CannotSend::MessageUnfinished));
    machine.send_part(Kind::Text, Payload::Borrowed(text.as_bytes()), true, &mut same_key).expect("open");
    let parts = frames(&drain(&mut machine));
    assert!(parts.iter().all(|part| part.header.rsv == 0), "the first part decides");
    assert_eq!(parts[1].payload, text.as_bytes());
}

/// Below the threshold, and where compression gains nothing; the context is as the peer has it afterwards.
#[test]
fn what_gets_no_smaller_leaves_as_it_is() {
    let mut rng = Rng::new();
    let mut machine = machine(Role::Client, agreed(OFFER));
    let mut inflater = Inflater::new();
    let text = Message::Text("abc".repeat(50));
    for length in [63, 64, 1000, 70_000, 300_000] {
        send(&mut machine, &text, false);
        let compressed = frames(&drain(&mut machine));
        assert_eq!(compressed[0].header.rsv, 4);
        assert!(inflater.inflate(&[&compressed[0].payload[..], &TAIL].concat()) == text.bytes());
        let noise = Message::Binary(rng.bytes(length));
        send(&mut machine, &noise, false);
        let plain = frames(&drain(&mut machine));
        assert!(plain[0].header.rsv == 0 && plain[0].payload == noise.bytes(), "{length}");
    }
    // Around the border there is one of each length: what is no smaller by a byte is no smaller.
    for repeated in (0..40).cycle().take(400) {
        let mut bytes = rng.bytes(80);
        bytes.extend_from_within(..repeated);
        send(&mut machine, &Message::Binary(bytes.clone()), false);
        let sent = frames(&drain(&mut machine));
        let compressed = sent[0].header.rsv == 4;
        assert_eq!(compressed, sent[0].payload.len() < bytes.len(), "{repeated}");
    }
    send(&mut machine, &Message::Text("a".repeat(63)), false);
    send(&mut machine, &Message::Text("a".repeat(64)), false);
    let frames = frames(&drain(&mut machine));
    assert_eq!((frames[0].header.rsv, frames[1].header.rsv), (0, 4), "the threshold");
}

#[test]
fn a_message_in_parts_is_one_stream() {
    let mut machine = machine(Role::Server, agreed(OFFER));
    let mut inflater = Inflater::new();
    for round in 0..3 {
        let parts = ["the same words, ", "", "the same words, ", "the same words", ""];
        for (i, part) in parts.iter().enumerate() {
            let last = i == parts.len() - 1;
            machine
                .send_part(Kind::Text, Payload::Borrowed(part.as_bytes()), last, &mut same_key)
                .expect("open");
            let frames = frames(&drain(&mut machine));
            let [frame] = &frames[..] else { panic!("a part is a frame") };
            assert_eq!((frame.header.rsv, frame.header.fin), (if i == 0 { 4 } else { 0 }, last));
            // A part can be read as soon as it is there.
            let tail: &[u8] = if last { &TAIL } else { &[] };
            assert_eq!(
                inflater.inflate(&[&frame.payload[..], tail].concat()),
                part.as_bytes(),
                "{round}, {i}"
            );
        }
    }
}

#[test]
fn fragments_of_a_compressed_message() {
    let mut config = Config::default();
    config.fragment_size = std::num::NonZero::new(10);
    let mut machine = machine_with(Role::Client, agreed(OFFER), config);
    let text = Rng::new().text(400);
    for round in 0..2 {
        machine.send(Kind::Text, Payload::Borrowed(text.as_bytes()), &mut same_key).expect("open");
        let queued = machine.queued();
        let bytes = drain(&mut machine);
        assert_eq!(bytes.len(), queued, "the queue counts what is written");
        let frames = frames(&bytes);
        assert!(round == 1 || frames.len() > 10, "{}", frames.len());
        assert!(frames.iter().enumerate().all(|(i, frame)| frame.header.rsv == if i == 0 { 4 } else { 0 }));
        assert!(frames.iter().all(|frame| frame.payload.len() <= 10));
    }
}

/// RFC 7692 7.2.3.6, where an empty message is compressed at all: as the last part of nothing.
#[test]
fn an_empty_message_has_its_form() {
    let mut machine = machine(Role::Server, agreed_with(Deflate::default().threshold(0), OFFER));
    for _ in 0..3 {
        machine.send_part(Kind::Text, Payload::Borrowed(b""), true, &mut same_key).expect("open");
        assert_eq!(drain(&mut machine), [0xc1, 1, 0]);
        // A whole one would grow by it, so it leaves plain.
        machine.send(Kind::Text, Payload::Borrowed(b""), &mut same_key).expect("open");
        assert_eq!(drain(&mut machine), [0x81, 0]);
    }
}

/// A thread that sees a connection for the first time has no context of it.
#[test]
fn connections_move_between_threads() {
    let mut rng = Rng::new();
    let mut machine = machine(Role::Client, agreed(OFFER));
    let mut inflater = Inflater::new();
    for round in 0..6 {
        let mut messages: Vec<Message> = (0..5).map(|_| payload(&mut rng, 3000)).collect();
        // What refers to the words of the round before, and an end that lies elsewhere in each: only the right context finds them.
        let words = "the same words again ".repeat(10);
        messages.insert(0, Message::text(&words));
        messages.push(Message::Text(words + &rng.text(10 + 7 * round)));
        let run = |machine: &mut Connection| {
            for message in &messages {
                send(machine, message, false);
            }
            drain(machine)
        };
        // Every other round here: this thread's compressor has missed what was sent there.
        let bytes = if round % 2 == 0 {
            run(&mut machine)
        } else {
            std::thread::scope(|scope| scope.spawn(|| run(&mut machine)).join().expect("no panic"))
        };
        for (frame, message) in frames(&bytes).iter().zip(&messages) {
            if frame.header.rsv == 4 {
                let bytes = inflater.inflate(&[&frame.payload[..], &TAIL].concat());
                assert!(bytes == message.bytes(), "round {round}");
            }
        }
    }
}

/// Any bytes as the payload of compressed messages: an error or a message, never a panic, and never more than the limit.
#[test]
fn any_bytes_inflate_or_fail() {
    let mut rng = Rng::new();
    let mut taken = 0;
    for _ in 0..1000 {
        let mut config = Config::default();
        config.max_message = 5000;
        let machine = machine_with(Role::Client, agreed(OFFER), config);
        let mut face = Face::new(machine, Style::Mixed, rng.clone());
        let mut deflater = Deflater::new(6);
        for _ in 0..3 {
            let mut bytes = deflater.deflate(payload(&mut rng, 4000).bytes());
            bytes.truncate(bytes.len() - 4);
            for _ in 0..rng.below(3) {
                let at = rng.below(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
            let bytes = frame(Role::Server, 4, OpCode::Binary, true, &bytes);
            face.feed(&bytes, || 1 + rng.length(3000), start_of_time());
        }
        taken += face.messages.len();
        assert!(face.messages.iter().all(|message| message.bytes().len() <= 5000));
        match face.machine.outcome() {
            None => assert_eq!(face.messages.len(), 3),
            Some(Ending::Failed(error)) => {
                assert!([1007, 1009].contains(&error.close_code().get()), "{error}");
            }
            Some(other) => panic!("{other:?}"),
        }
    }
    assert!((1000..3000).contains(&taken), "{taken}: both happen");
}

/// 1000 to 1, whole and in fragments, and with the limit exactly used up before the last byte: 1009, and with the inflater, its
/// buffers and everything no more than the limit and 64 KiB.
#[test]
fn a_bomb_takes_no_more_than_the_limit() {
    const LIMIT: usize = 1 << 20;
    let mut deflater = Deflater::new(9);
    let bomb = deflater.deflate(&vec![0; 8 * LIMIT]);
    assert!(bomb.len() < LIMIT / 100, "{}", bomb.len());
    let mut deflater = Deflater::new(9);
    let (used_up, more) = (deflater.deflate(&vec![0; LIMIT]), deflater.deflate(b"x"));
    let whole = frame(Role::Server, 4, OpCode::Binary, true, &bomb[..bomb.len() - 4]);
    let mut fragments = frame(Role::Server, 4, OpCode::Binary, false, b"");
    for piece in bomb.chunks(7) {
        fragments.extend(frame(Role::Server, 0, OpCode::Continuation, false, piece));
    }
    let exactly = [
        frame(Role::Server, 4, OpCode::Binary, false, &used_up),
        frame(Role::Server, 0, OpCode::Continuation, true, &more[..more.len() - 4]),
    ]
    .concat();
    for (name, bytes) in [("whole", whole), ("in fragments", fragments), ("exactly used up", exactly)] {
        // Each in a thread of its own, so that no pool has anything yet.
        std::thread::spawn(move || {
            let (outcome, peak) = peak_of(|| {
                let mut config = Config::default();
                config.max_message = LIMIT as u64;
                let machine = machine_with(Role::Client, agreed(OFFER), config);
                let mut face = Face::new(machine, Style::Space, Rng::new());
                face.feed(&bytes, || 1000, start_of_time());
                assert_eq!(face.messages, []);
                face.machine.outcome()
            });
            let Some(Ending::Failed(error)) = outcome else { panic!("{name}: {outcome:?}") };
            assert_eq!(error.close_code().get(), 1009, "{name}");
            assert!(peak <= (LIMIT + (64 << 10)).cast_signed(), "{name}: {peak}");
        })
        .join()
        .expect("a bomb that is found out");
    }
}

/// With a small limit too, where the inflater itself is the largest part.
#[test]
fn a_bomb_and_a_small_limit() {
    for limit in [0, 1, 1000, 4096, 5000, 33_000, 70_000] {
        std::thread::spawn(move || {
            let bomb = Deflater::new(9).deflate(&vec![0; 3_000_000]);
            let bytes = frame(Role::Server, 4, OpCode::Binary, true, &bomb[..bomb.len() - 4]);
            let ((), peak) = peak_of(|| {
                let mut config = Config::default();
                (config.max_message, config.max_frame) = (limit, 1 << 20);
                let machine = machine_with(Role::Client, agreed(OFFER), config);
                let mut face = Face::new(machine, Style::Space, Rng::new());
                face.feed(&bytes, || 1000, start_of_time());
                assert!(matches!(face.machine.outcome(), Some(Ending::Failed(_))), "{limit}");
            });
            let limit = isize::try_from(limit).expect("small");
            assert!(peak <= limit + (64 << 10), "{limit}: {peak}");
        })
        .join()
        .expect("a bomb that is found out");
    }
}

/// A bomb that is taken in parts is not bounded by the limit, but takes no more than a part.
#[test]
fn a_bomb_in_parts_takes_a_part() {
    std::thread::spawn(|| {
        let bomb = Deflater::new(9).deflate(&vec![0; 10_000_000]);
        let bytes = frame(Role::Client, 4, OpCode::Binary, true, &bomb[..bomb.len() - 4]);
        let (len, peak) = peak_of(|| {
            let mut machine = machine(Role::Server, agreed(OFFER));
            let mut rest = &bytes[..];
            let mut len = 0;
            loop {
                match machine.step_part() {
                    Step::Part { place, last, .. } => {
                        len += machine.payload(place).len();
                        if last {
                            return len;
                        }
                    }
                    Step::Read => {
                        let space = machine.space();
                        let n = rest.len().min(1000);
                        space[..n].copy_from_slice(&rest[..n]);
                        machine.received(n, start_of_time());
                        rest = &rest[n..];
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        assert_eq!(len, 10_000_000);
        assert!(peak < 128 << 10, "{peak}");
    })
    .join()
    .expect("no panic");
}

/// What docs/design.md and the documentation of `Deflate` say of a compressor: what a thread holds more after another kind of it was used.
#[test]
fn a_compressor_takes_what_its_memory_level_says() {
    let takes = |memory_level| {
        std::thread::spawn(move || {
            let compress = |options: Deflate| {
                let mut machine = machine(Role::Client, agreed_with(options, OFFER));
                send(&mut machine, &Message::Text("a compressed message, ".repeat(100)), false);
                drain(&mut machine);
            };
            // So that the buffers of the thread are there.
            compress(Deflate::default().level(9));
            let before = held();
            compress(Deflate::default().memory_level(memory_level));
            held() - before
        })
        .join()
        .expect("no panic")
    };
    assert_eq!((takes(5), takes(8) >> 10), (279_680, 371));
}

/// What a connection holds between two messages: the peer's context, and 256 bytes of ours.
#[test]
fn an_idle_machine_keeps_one_context() {
    let holds = |offer: &str| {
        let mut face = face(Role::Client, agreed(offer));
        for _ in 0..3 {
            let text = "a compressed message, ".repeat(20);
            send(&mut face.machine, &Message::Text(text.clone()), false);
            face.drain();
            let mut bytes = Deflater::new(6).deflate(text.as_bytes());
            bytes.truncate(bytes.len() - 4);
            face.feed(&frame(Role::Server, 4, OpCode::Text, true, &bytes), || 100, start_of_time());
            face.messages.clear();
        }
        face.machine.park();
        let before = held();
        drop(face);
        before - held()
    };
    let (with, without) = (holds(OFFER), holds("permessage-deflate; server_no_context_takeover"));
    assert!(with <= 48 << 10, "{with}");
    assert!(without < 2 << 10, "{without}");
    assert_eq!(with - without, 47_552, "an inflater");
}
