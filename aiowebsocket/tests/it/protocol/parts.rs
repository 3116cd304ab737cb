//! Messages taken in parts: what is there is handed out, nothing is kept, and every rule but the limits on size holds.

use aiowebsocket::protocol::{Config, Connection, Ending, Header, Kind, OpCode, PeerError, Role, Step};

use crate::support::rng::Rng;
use crate::support::{KEY, same_key, start_of_time};

fn frame(from: Role, opcode: OpCode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if from == Role::Client { Some(KEY) } else { None };
    let header = Header { fin, rsv: 0, opcode, mask, length: payload.len() as u64 };
    let mut head = [0; 14];
    let size = header.encode(&mut head);
    let key = if mask.is_some() { KEY } else { [0; 4] };
    let mut frame = head[..size].to_vec();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Parts with kind and whether each was the last, whole messages among them as one part.
type Parts = Vec<(Kind, Vec<u8>, bool)>;

/// Feeds `bytes` in reads of what `cut` says and takes every part.
fn feed(machine: &mut Connection, mut bytes: &[u8], mut cut: impl FnMut() -> usize) -> Parts {
    let mut parts = Parts::new();
    loop {
        match machine.step_part() {
            Step::Part { kind, place, last } => {
                let part = machine.payload(place).to_vec();
                assert!(last || !part.is_empty(), "an empty part says nothing");
                parts.push((kind, part, last));
            }
            Step::Message(incoming) => {
                parts.push((incoming.kind, machine.payload(incoming.place).to_vec(), true));
            }
            Step::Read if !bytes.is_empty() => {
                let space = machine.space();
                let n = cut().clamp(1, bytes.len()).min(space.len());
                space[..n].copy_from_slice(&bytes[..n]);
                machine.received(n, start_of_time());
                bytes = &bytes[n..];
            }
            Step::Read | Step::End => return parts,
            other => panic!("{other:?}"),
        }
    }
}

/// Joined to messages; the last one may be without its end.
fn joined(parts: &Parts) -> Parts {
    let mut messages = Parts::new();
    for (kind, part, last) in parts {
        match messages.last_mut() {
            Some((begun, message, ended)) if !*ended => {
                assert_eq!(begun, kind, "one message, one kind");
                message.extend_from_slice(part);
                *ended = *last;
            }
            _ => messages.push((*kind, part.clone(), *last)),
        }
    }
    messages
}

fn small() -> Config {
    let mut config = Config::default();
    (config.max_frame, config.max_message, config.max_fragments) = (100, 150, 2);
    config
}

/// Single frames and fragments, empty ones among them, pings between, text cut inside characters, in reads of every size; the
/// limits are those of whole messages.
#[test]
fn parts_are_what_was_sent_however_it_arrives() {
    let mut rng = Rng::new();
    for role in [Role::Client, Role::Server] {
        let from = if role == Role::Client { Role::Server } else { Role::Client };
        for round in 0..200 {
            let (mut bytes, mut expected, mut pings) = (Vec::new(), Parts::new(), 0);
            for _ in 0..4 {
                let length = rng.length(3000);
                let (kind, message) = if rng.one_in(2) {
                    (Kind::Text, rng.text(length).into_bytes())
                } else {
                    (Kind::Binary, rng.bytes(length))
                };
                let mut opcode = kind.opcode();
                let mut rest = message.as_slice();
                while !rng.one_in(3) {
                    let (fragment, more) = rest.split_at(rng.below(rest.len() + 1));
                    bytes.extend(frame(from, opcode, false, fragment));
                    (rest, opcode) = (more, OpCode::Continuation);
                    if rng.one_in(3) {
                        bytes.extend(frame(from, OpCode::Ping, true, b"between"));
                        pings += 1;
                    }
                }
                bytes.extend(frame(from, opcode, true, rest));
                expected.push((kind, message, true));
            }
            let mut machine = Connection::new(role, small(), &[], start_of_time());
            let most = 1 << rng.below(13);
            let mut cuts = rng.clone();
            let parts = feed(&mut machine, &bytes, || 1 + cuts.below(most));
            assert!(joined(&parts) == expected, "round {round}, {role:?}, reads of up to {most}");
            assert!(!machine.is_in_parts() && machine.outcome().is_none());
            assert_eq!(machine.wants_write(), pings > 0, "pings are answered");
        }
    }
}

/// A single frame is handed out while it arrives, not when it is whole.
#[test]
fn parts_of_a_single_frame_come_as_it_arrives() {
    for role in [Role::Client, Role::Server] {
        let from = if role == Role::Client { Role::Server } else { Role::Client };
        let mut machine = Connection::new(role, small(), &[], start_of_time());
        let bytes =
            frame(from, OpCode::Text, true, "zwölf Boxkämpfer jagen Viktor 🥊🥊".repeat(10).as_bytes());
        let (head, tail) = bytes.split_at(31);
        let head = feed(&mut machine, head, || 1000);
        assert_eq!(head.len(), 1);
        assert!(!head[0].2 && machine.is_in_parts());
        let tail = feed(&mut machine, tail, || 1000);
        assert_eq!(tail.iter().map(|(_, _, last)| *last).collect::<Vec<_>>(), [true]);
        // Whole, it is one part.
        assert_eq!(feed(&mut machine, &bytes, || 1000).len(), 1);
    }
}

/// At the first wrong byte, in the middle of a frame; and where the message ends inside a character.
#[test]
fn wrong_text_fails_where_it_is_wrong() {
    for role in [Role::Client, Role::Server] {
        let from = if role == Role::Client { Role::Server } else { Role::Client };
        let bytes = frame(from, OpCode::Text, true, b"good \xf0\x9f\xa5\x8a then \xff then more");
        let wrong = bytes.len() - b"\xff then more".len();
        let mut machine = Connection::new(role, small(), &[], start_of_time());
        let parts = feed(&mut machine, &bytes[..wrong], || 1);
        assert!(machine.outcome().is_none());
        assert_eq!(joined(&parts)[0].1, b"good \xf0\x9f\xa5\x8a then ");
        assert!(feed(&mut machine, &bytes[wrong..=wrong], || 1).is_empty());
        assert_eq!(machine.outcome(), Some(Ending::Failed(PeerError::NotUtf8)));

        let mut machine = Connection::new(role, small(), &[], start_of_time());
        feed(&mut machine, &frame(from, OpCode::Text, false, b"\xf0\x9f"), || 1);
        assert!(machine.outcome().is_none());
        feed(&mut machine, &frame(from, OpCode::Continuation, true, b"\xa5"), || 1);
        assert_eq!(machine.outcome(), Some(Ending::Failed(PeerError::NotUtf8)));
    }
}

/// The order of frames is judged as ever; what follows in whole messages is bounded as ever.
#[test]
fn order_and_the_limits_of_whole_messages_hold() {
    let large = frame(Role::Server, OpCode::Binary, true, &[7; 500]);
    let mut machine = Connection::new(Role::Client, small(), &[], start_of_time());
    assert_eq!(joined(&feed(&mut machine, &large, || 9))[0].1, [7; 500]);
    machine.space()[..4].copy_from_slice(&large[..4]);
    machine.received(4, start_of_time());
    assert_eq!(machine.step(), Step::Read);
    assert_eq!(machine.outcome(), Some(Ending::Failed(PeerError::FrameTooBig { length: 500, limit: 100 })));

    let mut machine = Connection::new(Role::Client, small(), &[], start_of_time());
    feed(&mut machine, &frame(Role::Server, OpCode::Text, false, b"begun"), || 1);
    feed(&mut machine, &frame(Role::Server, OpCode::Text, true, b"another"), || 1);
    assert_eq!(machine.outcome(), Some(Ending::Failed(PeerError::ExpectedContinuation)));
    assert!(!machine.is_in_parts());

    let mut machine = Connection::new(Role::Client, small(), &[], start_of_time());
    feed(&mut machine, &frame(Role::Server, OpCode::Continuation, true, b"of what?"), || 1);
    assert_eq!(machine.outcome(), Some(Ending::Failed(PeerError::UnexpectedContinuation)));
}

#[test]
fn an_end_or_a_close_in_the_middle_ends_the_message_too() {
    let begun = frame(Role::Server, OpCode::Binary, false, b"begun");
    let mut machine = Connection::new(Role::Client, small(), &[], start_of_time());
    feed(&mut machine, &begun, || 100);
    machine.received_end();
    assert_eq!(machine.step_part(), Step::End);
    assert!(!machine.is_in_parts());
    assert_eq!(machine.ending(), Some(&Ending::Abnormal));

    let mut machine = Connection::new(Role::Client, small(), &[], start_of_time());
    feed(&mut machine, &begun, || 100);
    feed(&mut machine, &frame(Role::Server, OpCode::Close, true, &[0x03, 0xe8]), || 100);
    assert!(!machine.is_in_parts() && matches!(machine.outcome(), Some(Ending::Closed(_))));
    assert!(!machine.output(&mut same_key).is_empty(), "Close is answered");
}

/// A message that was begun whole, in fragments, comes whole.
#[test]
fn a_message_begun_whole_comes_whole() {
    let mut machine = Connection::new(Role::Client, small(), &[], start_of_time());
    let begun = frame(Role::Server, OpCode::Text, false, b"begun, ");
    machine.space()[..begun.len()].copy_from_slice(&begun);
    machine.received(begun.len(), start_of_time());
    assert_eq!(machine.step(), Step::Read);
    let rest = feed(&mut machine, &frame(Role::Server, OpCode::Continuation, true, b"ended"), || 100);
    assert_eq!(rest, [(Kind::Text, b"begun, ended".to_vec(), true)]);
}
