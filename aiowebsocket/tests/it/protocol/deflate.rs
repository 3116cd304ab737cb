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

/// Each has a compressor of its own as long as the thread has room for it.
#[test]
fn connections_that_take_turns_go_on_warm() {
    let half: String = Rng::new().bytes(500).iter().map(|byte| char::from(b'0' + byte % 64)).collect();
    let text = half.repeat(2);
    let mut turns: Vec<_> = (0..4).map(|_| machine(Role::Client, agreed(OFFER))).collect();
    for round in 0..3 {
        for machine in &mut turns {
            let size = sizes(machine, &text, 1)[0];
            // What lies farther back than the history is found by a compressor that goes on.
            assert!(round == 0 || size < 50, "round {round}: {size} bytes");
        }
    }
}

/// Its compressed bytes are not cut to a pooled buffer's length but to their own.
#[test]
fn a_large_message_ends_with_its_last_byte() {
    let text = payload_of(400_000);
    for in_parts in [false, true] {
        let mut machine = machine(Role::Server, agreed(OFFER));
        if in_parts {
            machine.send_part(Kind::Text, Payload::Borrowed(b"begun, "), false, &mut same_key).expect("open");
            machine.send_part(Kind::Text, Payload::Borrowed(&text), true, &mut same_key).expect("open");
        } else {
            machine.send(Kind::Text, Payload::Borrowed(&text), &mut same_key).expect("open");
        }
        let frames = frames(&drain(&mut machine));
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| &frame.payload).copied().collect();
        assert!(frames[0].header.rsv == 4 && bytes.len() < 300_000, "{}", bytes.len());
        let inflated = Inflater::new().inflate(&[&bytes[..], &TAIL].concat());
        assert!(inflated.ends_with(&text), "{in_parts}");
    }
}

/// Text that gets smaller, but not by much.
fn payload_of(length: usize) -> Vec<u8> {
    Rng::new().bytes(length).iter().map(|byte| b'a' + byte % 8).collect()
}

/// What is left in the inflater when the last byte of the payload is in it, whatever room there is then.
#[test]
fn what_comes_out_last_is_not_lost() {
    for size in [4 << 10, 16 << 10, 32 << 10, 64 << 10] {
        for over in [0, 1, 2, 50, 257, 258, 259, 1000] {
            let message = vec![0; size + over];
            let bytes = Deflater::new(9).deflate(&message);
            let bytes = frame(Role::Server, 4, OpCode::Binary, true, &bytes[..bytes.len() - 4]);
            let mut whole = face(Role::Client, agreed(OFFER));
            whole.feed(&bytes, || 1000, start_of_time());
            assert!(whole.messages == [Message::Binary(message.clone())], "{size} and {over}: whole");
            let mut in_parts = machine(Role::Client, agreed(OFFER));
            assert!(joined(&mut in_parts, &bytes, || 1000) == message, "{size} and {over}: in parts");
        }
    }
}

/// A face may read on before it has taken every part.
#[test]
fn bytes_that_arrive_between_two_parts() {
    let message = payload_of(100_000);
    let bytes = Deflater::new(6).deflate(&message);
    let bytes = frame(Role::Client, 4, OpCode::Binary, true, &bytes[..bytes.len() - 4]);
    let mut machine = machine(Role::Server, agreed(OFFER));
    let (mut rest, mut taken) = (&bytes[..], Vec::new());
    loop {
        if !rest.is_empty() {
            let space = machine.space();
            // No multiple of the key's length.
            let n = space.len().min(rest.len()).min(15_001);
            space[..n].copy_from_slice(&rest[..n]);
            machine.received(n, start_of_time());
            rest = &rest[n..];
        }
        match machine.step_part() {
            Step::Part { place, last, .. } => {
                taken.extend_from_slice(machine.payload(place));
                if last {
                    break;
                }
            }
            Step::Read => assert!(!rest.is_empty(), "there is more to make of what arrived"),
            other => panic!("{other:?}: {:?}", machine.outcome()),
        }
    }
    assert!(taken == message);
}

/// 7.2.2: wherever the payload is cut, no message comes of it, though the tail makes something of what is there.
#[test]
fn a_message_that_was_cut_is_none() {
    let mut rng = Rng::new();
    for round in 0..40 {
        // Each byte is half as frequent as the one before it, so that some codes are long.
        let message: Vec<u8> = (0..400).map(|_| (1..=255).find(|_| rng.one_in(2)).unwrap_or(0)).collect();
        let bytes = Deflater::new(if round % 2 == 0 { 6 } else { 1 }).deflate(&message);
        for cut in 1..bytes.len() - 4 {
            let mut face = face(Role::Client, agreed(OFFER));
            face.feed(&frame(Role::Server, 4, OpCode::Binary, true, &bytes[..cut]), || 1000, start_of_time());
            assert!(face.messages.is_empty(), "{cut} of {}: {:?}", bytes.len(), bytes);
            let Some(Ending::Failed(error)) = face.machine.outcome() else { panic!("{cut} of {bytes:?}") };
            assert_eq!(error.close_code().get(), 1007);
        }
    }
}

/// 7.2.2: the tail ends a block that is at its end and no other. Here it would be a repetition of which all four bytes are a part.
#[test]
fn the_tail_is_not_read_as_something_else() {
    let mut bits = Vec::new();
    let mut put = |value: usize, count: usize| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
    // RFC 1951 3.2.7: a block that is not the last, with codes of its own: 285 literals and lengths, 30 distances, 18 lengths of codes.
    put(0, 1);
    put(2, 2);
    put(28, 5);
    put(29, 5);
    put(14, 4);
    // The code for lengths: 3 bits for 0 to 7, in the order of 3.2.7.
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
        put(if symbol < 8 { 3 } else { 0 }, 3);
    }
    // A code's bits are packed from its highest on (3.1.1); the codes of one length are the numbers themselves.
    let mut length = |length: usize| put((0..3).fold(0, |turned, bit| turned << 1 | length >> bit & 1), 3);
    // Four lengths of repetitions have 6 bits, so the first of them is 000000; 119 literals and the end of a block fill the rest.
    (0..119).for_each(|_| length(7));
    (119..256).for_each(|_| length(0));
    length(7);
    (257..281).for_each(|_| length(0));
    (281..285).for_each(|_| length(6));
    // The two greatest distances have 2 bits, so the first of them is 00; four more have 3.
    (0..24).for_each(|_| length(0));
    [3, 3, 3, 3, 2, 2].into_iter().for_each(length);
    // 6 bits, 5 more, 2 for the distance and 13 more: 26, of which none is here.
    assert_eq!(bits.len() % 8, 0, "the tail begins behind the codes");
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
    let codes: Vec<u8> = bits.chunks(8).map(byte).collect();

    let mut face = face(Role::Client, agreed(OFFER));
    let mut bytes = Deflater::new(9).deflate(&vec![0; 30_000]);
    bytes.extend(codes);
    face.feed(&frame(Role::Server, 4, OpCode::Binary, true, &bytes), || 1000, start_of_time());
    assert_eq!(face.messages, []);
    let Some(Ending::Failed(error)) = face.machine.outcome() else { panic!("it was taken") };
    assert_eq!(error.close_code().get(), 1007);
}

/// Nothing arrives any more behind a fault or a Close frame: what was inflated goes, and the context with it.
#[test]
fn a_connection_that_ended_keeps_no_context() {
    let bomb = Deflater::new(9).deflate(&vec![0; 3_000_000]);
    let begun = frame(Role::Server, 4, OpCode::Binary, false, &bomb);
    let fault = frame(Role::Server, 2, OpCode::Continuation, true, b"");
    let hello = frame(Role::Server, 4, OpCode::Text, true, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    let close = frame(Role::Server, 0, OpCode::Close, true, &1000_u16.to_be_bytes());
    for (name, bytes) in [("a fault", [begun, fault].concat()), ("a Close frame", [hello, close].concat())] {
        let mut face = face(Role::Client, agreed(OFFER));
        face.feed(&bytes, || 1000, start_of_time());
        assert!(face.machine.outcome().is_some(), "{name}");
        face.messages.clear();
        face.drain();
        face.machine.park();
        let before = held();
        drop(face);
        assert!(before - held() < 4 << 10, "{name}: {} bytes", before - held());
    }
}

/// However many connections use a thread at once, it keeps four compressors and four inflaters, and uses them again.
#[test]
fn a_thread_keeps_four_of_each() {
    std::thread::spawn(|| {
        let parameters = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let round = || {
            let mut faces: Vec<_> = (0..10).map(|_| face(Role::Client, agreed(parameters))).collect();
            let text = payload_of(300);
            let bytes = Deflater::new(6).deflate(&text);
            let (begin, end) = bytes.split_at(20);
            let begin = frame(Role::Server, 4, OpCode::Text, false, begin);
            let end = frame(Role::Server, 0, OpCode::Continuation, true, &end[..end.len() - 4]);
            for face in &mut faces {
                face.feed(&begin, || 1000, start_of_time());
                let part = Payload::Borrowed(&text);
                face.machine.send_part(Kind::Text, part, false, &mut same_key).expect("open");
            }
            for face in &mut faces {
                face.feed(&end, || 1000, start_of_time());
                face.machine
                    .send_part(Kind::Text, Payload::Borrowed(&text), true, &mut same_key)
                    .expect("open");
                face.drain();
                assert_eq!(face.messages.len(), 1);
            }
        };
        let before = held();
        round();
        let kept = held() - before;
        let four = 4 * (47_552 + 279_680);
        assert!((four..four + (160 << 10)).contains(&kept), "{kept}");
        // A message takes one of the inflaters that are there.
        let mut face = face(Role::Client, agreed(parameters));
        let hello = frame(Role::Server, 4, OpCode::Text, true, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
        let ((), peak) = peak_of(|| face.feed(&hello, || 1000, start_of_time()));
        assert!(peak < 47_552, "{peak} bytes");
    })
    .join()
    .expect("no panic");
}

/// A repetition that lies farther back than the window is not found, and one that lies within it is.
#[test]
fn a_small_window_is_kept_to() {
    let mut rng = Rng::new();
    let new = machine;
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
            // A compressor that nobody needs any more lies there, with another window.
            let mut other = new(role, agreed_with(level, OFFER));
            let noise = rng.bytes(100);
            other.send(Kind::Binary, Payload::Borrowed(&noise), &mut same_key).expect("open");
            assert_eq!(frames(&drain(&mut other))[0].header.rsv, 0);
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
    // And what is as large as its frame, whose length is the first guess.
    let noise = |limit: u64| Rng::new().bytes(usize::try_from(limit + limit / 8).expect("small") + 10);
    for (limit, message) in [0, 1, 1000, 4096, 5000, 14_000, 33_000, 70_000]
        .into_iter()
        .flat_map(|limit| [(limit, vec![0; 3_000_000]), (limit, noise(limit))])
    {
        std::thread::spawn(move || {
            let bomb = Deflater::new(9).deflate(&message);
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
