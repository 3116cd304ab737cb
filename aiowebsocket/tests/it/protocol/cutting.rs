//! Messages that leave in fragments: exact frames in order, and what must not wait for a whole message does not.

use std::num::NonZeroUsize;

use aiowebsocket::protocol::{
    CannotSend, CloseCode, Config, Connection, Header, Kind, OpCode, Payload, Role,
};

use crate::support::rng::Rng;
use crate::support::start_of_time;

fn machine(role: Role, size: usize) -> Connection {
    let mut config = Config::default();
    config.fragment_size = NonZeroUsize::new(size);
    Connection::new(role, config, &[], start_of_time())
}

/// Frames as (first byte, key, payload).
fn frames(mut bytes: &[u8]) -> Vec<(u8, Option<[u8; 4]>, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (header, size) = Header::decode(bytes).expect("good").expect("whole");
        let (payload, rest) = bytes[size..].split_at(usize::try_from(header.length).expect("in memory"));
        let key = header.mask.unwrap_or_default();
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        frames.push((bytes[0], header.mask, payload));
        bytes = rest;
    }
    frames
}

/// All that waits, in writes of at most `most`; what waits is counted right at every moment.
fn drain(machine: &mut Connection, keys: &mut impl FnMut() -> [u8; 4], most: usize) -> Vec<u8> {
    let mut written = Vec::new();
    while machine.wants_write() {
        let before = machine.queued();
        let front = machine.output(keys).front();
        assert!(!front.is_empty());
        let n = front.len().min(most);
        written.extend_from_slice(&front[..n]);
        // Only a pong or a Close frame may have come to it.
        let now = machine.queued();
        assert!((before..=before + 2 * 131).contains(&now));
        machine.written(n);
        assert_eq!(machine.queued(), now - n);
    }
    assert_eq!(machine.queued(), 0);
    written
}

fn counting() -> impl FnMut() -> [u8; 4] {
    let mut next = 0_u32;
    move || {
        next += 1;
        next.to_be_bytes()
    }
}

#[test]
fn messages_leave_in_fragments_one_after_another() {
    for role in [Role::Client, Role::Server] {
        for most in [1, 7, 1000] {
            let mut machine = machine(role, 4);
            let mut keys = counting();
            for text in ["0123456789", "short", "", "four", "87654321"] {
                machine.send(Kind::Text, Payload::Borrowed(text.as_bytes()), &mut keys).expect("open");
            }
            let expected: Vec<(u8, &[u8])> = vec![
                (0x01, b"0123"),
                (0x00, b"4567"),
                (0x80, b"89"),
                (0x01, b"shor"),
                (0x80, b"t"),
                (0x81, b""),
                (0x81, b"four"),
                (0x01, b"8765"),
                (0x80, b"4321"),
            ];
            let headers = if role == Role::Client { 6 } else { 2 };
            assert_eq!(machine.queued(), 27 + 9 * headers, "exactly what will be written");
            let frames = frames(&drain(&mut machine, &mut keys, most));
            assert!(frames.iter().map(|(first, _, payload)| (*first, payload.as_slice())).eq(expected));
            // A key a frame, drawn in the order in which they leave.
            if role == Role::Client {
                let keys: Vec<_> =
                    frames.iter().map(|(_, key, _)| u32::from_be_bytes(key.expect("masked"))).collect();
                assert_eq!(keys, (1..=9).collect::<Vec<_>>());
            }
        }
    }
}

/// Whatever was asked for in the middle of a large message leaves after one fragment at most.
#[test]
fn a_pong_waits_for_one_fragment() {
    let mut machine = machine(Role::Client, 1000);
    let mut keys = counting();
    let mut rng = Rng::new();
    let message = rng.bytes(1 << 20);
    machine.send(Kind::Binary, Payload::Borrowed(&message), &mut keys).expect("open");
    let mut written = Vec::new();
    // In the middle of the third fragment.
    while written.len() < 2500 {
        let front = machine.output(&mut keys).front();
        let n = front.len().min(700);
        written.extend_from_slice(&front[..n]);
        machine.written(n);
    }
    let drawn = u32::from_be_bytes(keys());
    assert_eq!(drawn, 4, "no key is drawn before its fragment is cut");
    machine.space()[..6].copy_from_slice(b"\x89\x04ping");
    machine.received(6, start_of_time());
    _ = machine.step();
    machine.ping(start_of_time(), &mut keys).expect("open");
    written.extend(drain(&mut machine, &mut keys, usize::MAX));
    let frames = frames(&written);
    let at = |opcode| frames.iter().position(|(first, ..)| *first == opcode).expect("it left");
    assert_eq!((at(0x8a).min(at(0x89)), at(0x8a).max(at(0x89))), (3, 4));
    let whole: Vec<u8> = frames
        .iter()
        .filter(|(first, ..)| first & 0x0f < 8)
        .flat_map(|(_, _, payload)| payload.iter().copied())
        .collect();
    assert!(whole == message);
}

/// A Close frame never cuts a message in two, and a flood of pings behind it does not grow the queue.
#[test]
fn close_waits_for_the_message() {
    let mut machine = machine(Role::Client, 10);
    let mut keys = counting();
    machine.send(Kind::Text, Payload::Borrowed(&[b'x'; 95]), &mut keys).expect("open");
    machine.close(CloseCode::NORMAL, "", start_of_time()).expect("a good code");
    let limit = machine.queued() + 2 * (6 + 4);
    for _ in 0..100 {
        machine.space()[..6].copy_from_slice(b"\x89\x04ping");
        machine.received(6, start_of_time());
        _ = machine.step();
        // The peer takes nothing.
        _ = machine.output(&mut keys);
        assert!(machine.queued() <= limit, "{} bytes", machine.queued());
    }
    let frames = frames(&drain(&mut machine, &mut keys, usize::MAX));
    let data = frames.iter().filter(|(first, ..)| first & 0x0f < 8);
    assert_eq!(data.map(|(_, _, payload)| payload.len()).sum::<usize>(), 95);
    assert_eq!(frames.last().map(|(first, ..)| *first), Some(0x88));
}

#[test]
fn parts_are_fragments() {
    let mut machine = Connection::new(Role::Client, Config::default(), &[], start_of_time());
    let mut keys = counting();
    let mut part = |machine: &mut Connection, kind, bytes: &[u8], last| {
        machine.send_part(kind, Payload::Borrowed(bytes), last, &mut keys)
    };
    part(&mut machine, Kind::Text, b"one", false).expect("open");
    assert_eq!(part(&mut machine, Kind::Binary, b"no", false), Err(CannotSend::OtherKind));
    assert_eq!(
        machine.send(Kind::Text, Payload::Borrowed(b"no"), &mut || [9; 4]),
        Err(CannotSend::MessageUnfinished)
    );
    part(&mut machine, Kind::Text, b"", false).expect("open");
    part(&mut machine, Kind::Text, &[b'x'; 40_000], false).expect("open");
    machine.ping(start_of_time(), &mut || [9; 4]).expect("pings may come between");
    part(&mut machine, Kind::Text, b"end", true).expect("open");
    machine.send(Kind::Binary, Payload::Borrowed(b"free again"), &mut || [9; 4]).expect("open");
    let mut written = Vec::new();
    while machine.wants_write() {
        let front = machine.output(&mut || [9; 4]).front().to_vec();
        machine.written(front.len());
        written.extend(front);
    }
    let frames = frames(&written);
    let first: Vec<u8> = frames.iter().map(|(first, ..)| *first).collect();
    assert_eq!(first, [0x01, 0x00, 0x00, 0x89, 0x80, 0x82]);
    assert_eq!(OpCode::from_bits(0), Some(OpCode::Continuation));
    assert_eq!(frames[2].2, [b'x'; 40_000]);
}
