//! Random lists of messages through two machines, random bytes into one: what was sent arrives once and in order, and no
//! peer can make a machine panic, spin or forget its limits.

use std::time::Duration;

use aiowebsocket::protocol::{CloseCode, Config, Connection, Ending, Header, Kind, OpCode, Payload, Role};

use crate::support::alloc::peak_of;
use crate::support::face::{Face, Message, Style};
use crate::support::pair::Pair;
use crate::support::rng::Rng;
use crate::support::{same_key, start_of_time};

const LARGEST: usize = 200 << 10;

fn message(rng: &mut Rng) -> Message {
    let length = rng.length(LARGEST);
    if rng.one_in(2) { Message::Text(rng.text(length)) } else { Message::Binary(rng.bytes(length)) }
}

/// `message` as frames of the other role, cut at random (inside characters too), with control frames between and keys that
/// change. Returns how many pings are among them.
fn frames(message: &Message, from: Role, rng: &mut Rng, to: &mut Vec<u8>) {
    let mut rest = message.bytes();
    let mut opcode = message.kind().opcode();
    loop {
        while rng.one_in(4) {
            let payload = rng.length(125);
            let payload = rng.bytes(payload);
            let control = if rng.one_in(2) { OpCode::Ping } else { OpCode::Pong };
            frame(true, control, &payload, from, rng, to);
        }
        let fin = rng.one_in(3);
        let n = if fin { rest.len() } else { rng.length(rest.len().max(1)).min(rest.len()) };
        frame(fin, opcode, &rest[..n], from, rng, to);
        if fin {
            return;
        }
        (rest, opcode) = (&rest[n..], OpCode::Continuation);
    }
}

fn frame(fin: bool, opcode: OpCode, payload: &[u8], from: Role, rng: &mut Rng, to: &mut Vec<u8>) {
    let mask = match from {
        Role::Client => Some(rng.bytes(4).try_into().expect("four")),
        Role::Server => None,
    };
    let header = Header { fin, rsv: 0, opcode, mask, length: payload.len() as u64 };
    let mut bytes = [0; 14];
    let size = header.encode(&mut bytes);
    to.extend_from_slice(&bytes[..size]);
    let key = mask.unwrap_or_default();
    to.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

fn payload(message: &Message, rng: &mut Rng) -> Payload<'static> {
    let bytes = message.bytes().to_vec();
    match rng.below(3) {
        0 => Payload::Owned(bytes),
        1 => Payload::Shared(bytes.into()),
        // Borrowed, for as long as a test needs.
        _ => Payload::Borrowed(bytes.leak()),
    }
}

/// Frames made by hand, so that all that a peer may do is done: any fragmentation, control frames between, any cut.
#[test]
fn what_a_peer_sends_arrives_once_and_in_order() {
    let mut rng = Rng::new();
    for round in 0..60 {
        let (role, from) =
            if round % 2 == 0 { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
        let style = [Style::Space, Style::Placed, Style::Mixed][round % 3];
        let sent: Vec<Message> = (0..1 + rng.below(12)).map(|_| message(&mut rng)).collect();
        let mut bytes = Vec::new();
        for message in &sent {
            frames(message, from, &mut rng, &mut bytes);
        }
        let now = start_of_time();
        let (left, rest) = bytes.split_at(rng.length(bytes.len()).min(bytes.len()));
        let mut face = Face::new(Connection::new(role, Config::default(), left, now), style, rng.clone());
        let most = 1 + rng.length(bytes.len());
        face.feed(rest, || 1 + rng.below(most), now);
        assert_eq!(face.machine.outcome(), None, "round {round}");
        assert!(face.messages == sent, "round {round}: {:?} is not {sent:?}", face.messages);
    }
}

/// The same through what the machine writes itself, in both directions at once, with pings from both sides, closes and
/// delays between.
#[test]
fn what_two_machines_send_arrives_once_and_in_order() {
    let mut rng = Rng::new();
    for round in 0..15 {
        let style = [Style::Space, Style::Placed, Style::Mixed][round % 3];
        let mut pair = Pair::with(&Config::default(), &Config::default(), style);
        pair.chunk = 1 + rng.length(100_000);
        pair.delay = Duration::from_millis(rng.length(3000) as u64);
        let mut sent = [Vec::new(), Vec::new()];
        for _ in 0..20 {
            let now = pair.now();
            for (end, sent) in [&mut pair.client, &mut pair.server].into_iter().zip(&mut sent) {
                for _ in 0..rng.below(3) {
                    let message = message(&mut rng);
                    let payload = payload(&message, &mut rng);
                    end.machine().send(message.kind(), payload, &mut same_key).unwrap();
                    sent.push(message);
                }
                if rng.one_in(3) {
                    end.machine().ping(now, &mut same_key).unwrap();
                }
                end.stalled = rng.one_in(5);
            }
            pair.run(Duration::from_millis(rng.length(2000) as u64));
        }
        let now = pair.now();
        (pair.client.stalled, pair.server.stalled) = (false, false);
        if rng.one_in(2) {
            pair.client.machine().close(CloseCode::NORMAL, "", now).unwrap();
        }
        if rng.one_in(2) {
            pair.server.machine().close(CloseCode::NORMAL, "", now).unwrap();
        }
        pair.run(Duration::from_secs(9));
        assert!(pair.server.messages() == sent[0], "round {round}: to the server");
        assert!(pair.client.messages() == sent[1], "round {round}: to the client");
    }
}

/// Any bytes, but mostly such as get far: good headers, lengths near each border, then noise.
fn noise(rng: &mut Rng, role: Role) -> Vec<u8> {
    let mut bytes = Vec::new();
    let from = if role == Role::Client { Role::Server } else { Role::Client };
    for _ in 0..rng.below(20) {
        match rng.below(40) {
            0 => {
                let length = rng.length(300);
                bytes.extend(rng.bytes(length));
            }
            1 => {
                let first = [0x01, 0x81, 0x02, 0x82, 0x00, 0x80, 0x88, 0x89, 0x8a][rng.below(9)];
                bytes.extend([first, rng.bytes(1)[0]]);
            }
            2 => {
                let length = rng.length(4);
                let payload = rng.bytes(length);
                frame(true, OpCode::Close, &payload, from, rng, &mut bytes);
            }
            _ => {
                let length = rng.length(70_000);
                let message = if rng.one_in(8) {
                    Message::Binary(rng.bytes(length))
                } else {
                    Message::Text(rng.text(length))
                };
                frames(&message, from, rng, &mut bytes);
            }
        }
    }
    bytes
}

/// Whatever comes: no panic, the step loop ends, no message over the limit, memory in proportion to what came, at most one
/// Close frame, and the same result however the bytes are cut.
#[test]
fn any_bytes_keep_to_the_limits() {
    let mut rng = Rng::new();
    let mut ended = 0;
    for round in 0..150 {
        let role = if round % 2 == 0 { Role::Client } else { Role::Server };
        let mut config = Config::default();
        if rng.one_in(2) {
            config.max_message = rng.length(100_000) as u64;
            config.max_frame = rng.length(100_000) as u64;
            config.max_fragments = 1 + u32::try_from(rng.below(20)).expect("small");
        }
        let bytes = noise(&mut rng, role);
        let now = start_of_time();
        let mut results = Vec::new();
        for (style, most) in
            [(Style::Space, usize::MAX), (Style::Placed, 1 + rng.length(2000)), (Style::Mixed, 50)]
        {
            let style_rng = rng.clone();
            let machine = Connection::new(role, config.clone(), &[], now);
            let (face, peak) = peak_of(|| {
                let mut face = Face::new(machine, style, style_rng);
                face.feed(&bytes, || 1 + rng.below(most), now);
                face
            });
            let mut face = face;
            let output = face.drain();
            for message in &face.messages {
                assert!(message.bytes().len() as u64 <= config.max_message);
            }
            let bound = 8 * bytes.len() + (400 << 10);
            assert!(peak < bound.cast_signed(), "round {round}: {peak} bytes for {}", bytes.len());
            results.push((face.machine.outcome(), face.messages.split_off(0), output));
        }
        assert!(results[0] == results[1] && results[0] == results[2], "round {round}: {results:?}");
        ended += usize::from(results[0].0.is_some());
        if let Some(Ending::Closed(frame)) = &results[0].0 {
            assert!(frame.code.may_be_sent() || frame.code == CloseCode::NO_STATUS);
        }
    }
    assert!((30..130).contains(&ended), "{ended}: both what is good and what is not is tried");
}

/// Text handed out is UTF-8, whatever was sent as text.
#[test]
fn text_is_utf8() {
    let mut rng = Rng::new();
    let mut good = 0;
    for round in 0..600 {
        let length = rng.length(50_000);
        let mut bytes = rng.text(length).into_bytes();
        if !rng.one_in(4) && !bytes.is_empty() {
            let place = rng.below(bytes.len());
            bytes[place] ^= 1 << rng.below(8);
        }
        let expected = String::from_utf8(bytes.clone()).ok();
        let mut wire = Vec::new();
        // As binary for the maker, as text for the machine: only the first opcode differs.
        frames(&Message::Binary(bytes), Role::Server, &mut rng, &mut wire);
        let mut at = 0;
        while let Ok(Some((header, size))) = Header::decode(&wire[at..]) {
            if header.opcode == OpCode::Binary {
                wire[at] ^= 0x03;
                break;
            }
            at += size + usize::try_from(header.length).expect("small");
        }
        let style = [Style::Space, Style::Placed, Style::Mixed][round % 3];
        let now = start_of_time();
        let mut face =
            Face::new(Connection::new(Role::Client, Config::default(), &[], now), style, rng.clone());
        let most = 1 + rng.length(50_000);
        face.feed(&wire, || 1 + rng.below(most), now);
        match expected {
            Some(text) => {
                good += 1;
                assert!(face.messages == [Message::Text(text)]);
            }
            None => {
                assert_eq!(face.messages, []);
                let code = face.machine.outcome().map(|ending| ending.code());
                assert_eq!(code, Some(CloseCode::INVALID_PAYLOAD));
            }
        }
    }
    assert!((200..500).contains(&good), "{good}: both are tried");
}

/// Shared payloads are masked in place only where nobody else holds them.
#[test]
fn a_shared_payload_stays_as_it_is() {
    let now = start_of_time();
    let mut pair = Pair::new();
    let kept = bytes::Bytes::from(vec![7; 100_000]);
    for _ in 0..2 {
        pair.client.machine().send(Kind::Binary, Payload::Shared(kept.clone()), &mut same_key).unwrap();
    }
    let part = kept.slice(10..90_000);
    pair.client.machine().send(Kind::Binary, Payload::Shared(part), &mut same_key).unwrap();
    assert!(kept.iter().all(|&byte| byte == 7));
    pair.client.machine().send(Kind::Binary, Payload::Shared(kept), &mut same_key).unwrap();
    pair.settle();
    pair.run(Duration::from_secs(1));
    let lengths: Vec<usize> = pair.server.face.messages.iter().map(|message| message.bytes().len()).collect();
    assert_eq!(lengths, [100_000, 100_000, 89_990, 100_000]);
    assert!(pair.server.face.messages.iter().all(|message| message.bytes().iter().all(|&byte| byte == 7)));
    assert!(pair.now() > now);
}
