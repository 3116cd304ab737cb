//! What goes out: exact bytes, a fresh key a frame, and an order that no partial write changes (RFC 6455 5.1 to 5.3, 6.1).

use aiowebsocket::protocol::{CloseCode, Config, Connection, Header, Kind, Payload, Role};

use crate::support::face::{Face, Style};
use crate::support::rng::Rng;
use crate::support::start_of_time;

/// Keys that count up, so that each frame tells which one it got.
fn counting() -> impl FnMut() -> [u8; 4] {
    let mut next = 0_u32;
    move || {
        next += 1;
        next.to_be_bytes()
    }
}

/// A frame as 5.2 draws it, by the simplest means.
fn naive_frame(opcode: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let length = payload.len() as u64;
    let mut frame = vec![0x80 | opcode];
    match length {
        0..=125 => frame.push(masked | payload.len().to_le_bytes()[0]),
        126..=0xffff => {
            frame.push(masked | 126);
            frame.extend(&length.to_be_bytes()[6..]);
        }
        _ => {
            frame.push(masked | 127);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(key.iter().flatten());
    let key = key.unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn machine(role: Role) -> Connection {
    Connection::new(role, Config::default(), &[], start_of_time())
}

/// All that waits, by writes of at most `most` bytes.
fn drain(
    machine: &mut Connection,
    keys: &mut impl FnMut() -> [u8; 4],
    mut most: impl FnMut() -> usize,
) -> Vec<u8> {
    let mut written = Vec::new();
    while machine.wants_write() {
        let front = machine.output(keys).front();
        let n = most().clamp(1, front.len());
        written.extend_from_slice(&front[..n]);
        machine.written(n);
    }
    written
}

#[test]
fn the_client_masks_every_frame() {
    let (mut machine, mut keys) = (machine(Role::Client), counting());
    let now = start_of_time();
    machine.send(Kind::Text, Payload::Borrowed("水".as_bytes()), &mut keys).unwrap();
    machine.send(Kind::Binary, Payload::Owned(vec![7; 70_000]), &mut keys).unwrap();
    machine.ping(now, &mut keys).unwrap();
    let mut face = Face::new(machine, Style::Space, Rng::new());
    face.feed(b"\x89\x04ping", || 6, now);
    let mut machine = face.machine;
    machine.close(CloseCode::NORMAL, "bye", now).unwrap();
    let key = |n: u8| Some([0, 0, 0, n]);
    let expected = [
        naive_frame(1, key(1), "水".as_bytes()),
        naive_frame(2, key(2), &[7; 70_000]),
        naive_frame(9, key(3), &[0; 8]),
        naive_frame(10, key(4), b"ping"),
        naive_frame(8, key(5), b"\x03\xe8bye"),
    ]
    .concat();
    assert!(drain(&mut machine, &mut keys, || usize::MAX) == expected);
}

#[test]
fn the_server_masks_none() {
    let mut no_key = || -> [u8; 4] { panic!("a server asks for no key") };
    let mut machine = machine(Role::Server);
    let now = start_of_time();
    machine.send(Kind::Text, Payload::Borrowed("水".as_bytes()), &mut no_key).unwrap();
    machine.send(Kind::Binary, Payload::Owned(vec![7; 70_000]), &mut no_key).unwrap();
    machine.ping(now, &mut no_key).unwrap();
    machine.close(CloseCode::NORMAL, "bye", now).unwrap();
    let expected = [
        naive_frame(1, None, "水".as_bytes()),
        naive_frame(2, None, &[7; 70_000]),
        naive_frame(9, None, &[0; 8]),
        naive_frame(8, None, b"\x03\xe8bye"),
    ]
    .concat();
    assert!(drain(&mut machine, &mut no_key, || usize::MAX) == expected);
}

/// Every way to give a payload, at every border of the length's forms and of the queue's.
#[test]
fn a_message_is_one_frame_with_the_shortest_header() {
    let mut rng = Rng::new();
    for length in [0, 1, 125, 126, 127, 32_767, 32_768, 32_769, 65_535, 65_536, 131_072, 200_000] {
        let data = rng.bytes(length);
        for role in [Role::Client, Role::Server] {
            let (mut machine, mut keys) = (machine(role), counting());
            machine.send(Kind::Binary, Payload::Borrowed(&data), &mut keys).unwrap();
            machine.send(Kind::Binary, Payload::Owned(data.clone()), &mut keys).unwrap();
            machine.send(Kind::Binary, Payload::Shared(data.clone().into()), &mut keys).unwrap();
            let kept = bytes::Bytes::from(data.clone());
            machine.send(Kind::Binary, Payload::Shared(kept.clone()), &mut keys).unwrap();
            let frames: Vec<_> = (1..=4)
                .map(|n| naive_frame(2, (role == Role::Client).then_some([0, 0, 0, n]), &data))
                .collect();
            let queued = frames.iter().map(Vec::len).sum();
            assert_eq!(machine.queued(), queued);
            assert!(drain(&mut machine, &mut keys, || usize::MAX) == frames.concat(), "{role:?}, {length}");
            assert!(kept == data, "what the caller keeps is not changed");
            assert_eq!(machine.queued(), 0);
        }
    }
}

/// Random sends and random short writes between them: the bytes are those of the frames in their order, and the counts agree.
#[test]
fn short_writes_change_nothing() {
    let mut rng = Rng::new();
    for round in 0..60 {
        let role = if round % 2 == 0 { Role::Client } else { Role::Server };
        let (mut machine, mut keys) = (machine(role), counting());
        let (mut expected, mut written, mut key) = (Vec::new(), Vec::new(), 0_u32);
        let longest = 1 + rng.length(100_000);
        for _ in 0..80 {
            if rng.one_in(2) {
                let length = rng.length(longest);
                let data = rng.bytes(length);
                key += 1;
                let frame_key = (role == Role::Client).then_some(key.to_be_bytes());
                expected.extend(naive_frame(2, frame_key, &data));
                let payload = match rng.below(3) {
                    0 => Payload::Borrowed(&data),
                    1 => Payload::Owned(data),
                    _ => Payload::Shared(data.into()),
                };
                machine.send(Kind::Binary, payload, &mut keys).unwrap();
            }
            for _ in 0..rng.below(3) {
                let output = machine.output(&mut keys);
                assert_eq!(output.is_empty(), written.len() == expected.len());
                let n = rng.length(output.front().len().max(1)).min(output.front().len());
                written.extend_from_slice(&output.front()[..n]);
                machine.written(n);
                assert_eq!(machine.queued(), expected.len() - written.len(), "round {round}");
            }
        }
        written.extend(drain(&mut machine, &mut keys, || 1 + rng.below(50_000)));
        assert!(written == expected, "round {round}");
    }
}

/// A pong goes behind what was queued before its ping came, and before what is sent after.
#[test]
fn pongs_go_before_what_is_sent_after_their_ping() {
    let now = start_of_time();
    for in_parts in [false, true] {
        let mut keys = counting();
        let mut face = Face::new(machine(Role::Client), Style::Space, Rng::new());
        face.feed(b"\x89\x01a", || 3, now);
        assert!(face.machine.wants_write());
        assert_eq!(face.machine.queued(), 0);
        let message = Payload::Borrowed(b"m");
        if in_parts {
            face.machine.send_part(Kind::Text, message, true, &mut keys).unwrap();
        } else {
            face.machine.send(Kind::Text, message, &mut keys).unwrap();
        }
        face.feed(b"\x89\x01b\x89\x01c", || 6, now);
        // The pongs of b and c wait until that of a has left; nothing waits for them.
        face.machine.send(Kind::Text, Payload::Borrowed(b"n"), &mut keys).unwrap();
        let frames = [(10, b"a"), (1, b"m"), (1, b"n"), (10, b"b"), (10, b"c")];
        let expected: Vec<u8> = (1..)
            .zip(frames)
            .flat_map(|(key, (opcode, data))| naive_frame(opcode, Some([0, 0, 0, key]), data))
            .collect();
        assert_eq!(drain(&mut face.machine, &mut keys, || 1), expected);
        face.machine.send(Kind::Text, Payload::Borrowed(b"o"), &mut keys).unwrap();
        assert_eq!(drain(&mut face.machine, &mut keys, || 1), naive_frame(1, Some([0, 0, 0, 6]), b"o"));
    }
}

/// What `encode` writes is what the naive frame begins with.
#[test]
fn headers_are_encoded_as_drawn() {
    for length in [0, 125, 126, 65_535, 65_536] {
        for mask in [None, Some([1, 2, 3, 4])] {
            let header =
                Header { fin: true, rsv: 0, opcode: Kind::Text.opcode(), mask, length: length as u64 };
            let mut bytes = [0; 14];
            let size = header.encode(&mut bytes);
            let frame = naive_frame(1, mask, &vec![0; length]);
            assert_eq!(bytes[..size], frame[..frame.len() - length]);
        }
    }
}
