//! The closing handshake between two machines (RFC 6455 1.4, 5.5.1, 7.1): who says what, who ends TCP, and when.

use std::time::Duration;

use aiowebsocket::protocol::{
    CannotSend, CloseCode, Config, Connection, Ending, Kind, NotOpen, Payload, PeerError, Role, Step,
    Timeout, UsageError,
};

use crate::support::face::{Face, Message, Style};
use crate::support::pair::Pair;
use crate::support::rng::Rng;
use crate::support::{same_key, start_of_time};

const SECOND: Duration = Duration::from_secs(1);
const DELAY: Duration = Duration::from_millis(50);

/// Code and reason of a connection that was closed by the book.
#[track_caller]
fn closed(ending: Ending) -> (u16, String) {
    match ending {
        Ending::Closed(frame) => (frame.code.get(), frame.reason),
        other => panic!("not closed by the book: {other:?}"),
    }
}

fn close_frame(role: Role, code: u16) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    match role {
        Role::Client => vec![0x88, 0x82, 1, 2, 3, 4, high ^ 1, low ^ 2],
        Role::Server => vec![0x88, 2, high, low],
    }
}

#[test]
fn the_client_closes() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.client.machine().close(CloseCode::new(4001), "that's all", now).unwrap();
    pair.run_to_the_end();
    assert_eq!(closed(pair.server.ending()), (4001, "that's all".to_owned()));
    // The server echoes the code; the reason was the client's.
    assert_eq!(closed(pair.client.ending()), (4001, String::new()));
    assert_eq!(pair.server.wrote, close_frame(Role::Server, 4001));
    // 7.1.1: the server ends TCP, the client after it.
    assert_eq!((pair.server.shut_at, pair.client.shut_at), (Some(DELAY), Some(2 * DELAY)));
}

#[test]
fn the_server_closes() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.server.machine().close(CloseCode::GOING_AWAY, "bye", now).unwrap();
    pair.run_to_the_end();
    assert_eq!(closed(pair.client.ending()), (1001, "bye".to_owned()));
    assert_eq!(closed(pair.server.ending()), (1001, String::new()));
    assert_eq!(pair.client.wrote, close_frame(Role::Client, 1001));
    // The client's reply is back after two delays; then the server ends TCP, and the client sees that one delay later.
    assert_eq!((pair.server.shut_at, pair.client.shut_at), (Some(2 * DELAY), Some(3 * DELAY)));
}

#[test]
fn both_close_at_once() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.client.machine().close(CloseCode::NORMAL, "client", now).unwrap();
    pair.server.machine().close(CloseCode::GOING_AWAY, "server", now).unwrap();
    pair.run_to_the_end();
    assert_eq!(closed(pair.client.ending()), (1001, "server".to_owned()));
    assert_eq!(closed(pair.server.ending()), (1000, "client".to_owned()));
    // 5.5.1: neither answers a Close frame that crossed its own.
    assert_eq!(pair.client.wrote.len(), 6 + 2 + 6);
    assert_eq!(pair.server.wrote.len(), 2 + 2 + 6);
    assert_eq!((pair.server.shut_at, pair.client.shut_at), (Some(DELAY), Some(2 * DELAY)));
}

#[test]
fn an_empty_close_frame_is_answered_by_an_empty_one() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.client.machine().close(CloseCode::NO_STATUS, "", now).unwrap();
    pair.run_to_the_end();
    assert_eq!(closed(pair.server.ending()).0, 1005);
    assert_eq!(closed(pair.client.ending()).0, 1005);
    assert_eq!(pair.client.wrote, [0x88, 0x80, 1, 2, 3, 4]);
    assert_eq!(pair.server.wrote, [0x88, 0]);
}

#[test]
fn messages_before_the_close_frame_arrive() {
    let mut pair = Pair::new();
    pair.chunk = 7;
    let now = pair.now();
    let server = pair.server.machine();
    server.send(Kind::Text, Payload::Borrowed(b"one"), &mut same_key).unwrap();
    server.send(Kind::Binary, Payload::Owned(vec![2; 40_000]), &mut same_key).unwrap();
    server.close(CloseCode::NORMAL, "", now).unwrap();
    pair.run_to_the_end();
    assert_eq!(pair.client.messages(), [Message::text("one"), Message::Binary(vec![2; 40_000])]);
    assert_eq!(closed(pair.client.ending()).0, 1000);
}

/// 1.4: who sent a Close frame still takes what the other one had sent before it saw that.
#[test]
fn messages_under_way_arrive_after_our_close() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.client.machine().close(CloseCode::NORMAL, "", now).unwrap();
    pair.server.machine().send(Kind::Text, Payload::Borrowed(b"late"), &mut same_key).unwrap();
    pair.run_to_the_end();
    assert_eq!(pair.client.messages(), [Message::text("late")]);
    assert_eq!(closed(pair.client.ending()).0, 1000);
}

#[test]
fn nothing_is_sent_after_our_close() {
    let mut pair = Pair::new();
    let now = pair.now();
    let machine = pair.client.machine();
    machine.close(CloseCode::NORMAL, "", now).unwrap();
    assert!(!machine.is_open());
    assert_eq!(machine.send(Kind::Text, Payload::Borrowed(b"x"), &mut same_key), Err(CannotSend::NotOpen));
    assert_eq!(machine.ping(now, &mut same_key), Err(NotOpen));
    // A second close is no error and no second frame.
    machine.close(CloseCode::GOING_AWAY, "", now).unwrap();
    pair.run_to_the_end();
    assert_eq!(pair.client.wrote, close_frame(Role::Client, 1000));
}

#[test]
fn nothing_is_sent_after_their_close() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.server.machine().close(CloseCode::NORMAL, "", now).unwrap();
    pair.run(DELAY);
    let machine = pair.client.machine();
    assert_eq!(machine.send(Kind::Text, Payload::Borrowed(b"x"), &mut same_key), Err(CannotSend::NotOpen));
    assert_eq!(machine.ping(now, &mut same_key), Err(NotOpen));
    machine.close(CloseCode::GOING_AWAY, "", now).unwrap();
    pair.run_to_the_end();
    assert_eq!(pair.client.wrote, close_frame(Role::Client, 1000));
}

#[test]
fn nothing_is_sent_after_the_end() {
    let mut pair = Pair::new();
    let now = pair.now();
    let machine = pair.client.machine();
    machine.received_end();
    assert_eq!(machine.send(Kind::Text, Payload::Borrowed(b"x"), &mut same_key), Err(CannotSend::NotOpen));
    assert_eq!(machine.ping(now, &mut same_key), Err(NotOpen));
    machine.close(CloseCode::NORMAL, "", now).unwrap();
    assert!(!machine.wants_write());
    assert_eq!(machine.ending(), Some(&Ending::Abnormal));
}

#[test]
fn codes_that_must_not_be_sent_are_refused() {
    let mut machine = Connection::new(Role::Client, Config::default(), &[], start_of_time());
    let now = start_of_time();
    for code in (0..=999).chain([1004, 1005, 1006, 1015]).chain(1016..=2999).chain(5000..=u16::MAX) {
        let code = CloseCode::new(code);
        assert_eq!(machine.close(code, "why", now), Err(UsageError::CloseCodeForbidden(code)));
    }
    assert!(machine.is_open() && !machine.wants_write(), "a refused close changes nothing");
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999] {
        let mut machine = Connection::new(Role::Client, Config::default(), &[], now);
        machine.close(CloseCode::new(code), "", now).unwrap();
        assert!(machine.wants_write());
    }
}

#[test]
fn a_reason_has_at_most_123_bytes() {
    let now = start_of_time();
    let mut machine = Connection::new(Role::Server, Config::default(), &[], now);
    let error = UsageError::CloseReasonTooLong(124);
    assert_eq!(machine.close(CloseCode::NORMAL, &"r".repeat(124), now), Err(error));
    assert!(machine.is_open());
    machine.close(CloseCode::NORMAL, &"r".repeat(123), now).unwrap();
    assert_eq!(machine.output(&mut same_key).len(), 2 + 125);
}

/// 7.1.5: no Close frame came, so the code is 1006.
#[test]
fn the_stream_ends_without_a_close_frame() {
    let mut pair = Pair::new();
    let now = pair.now();
    Pair::cut(&mut pair.server, &mut pair.client, now);
    pair.run_to_the_end();
    assert_eq!(pair.client.ending(), Ending::Abnormal);
    assert_eq!(pair.client.ending().code(), CloseCode::ABNORMAL);
    assert_eq!(pair.client.wrote, []);
}

#[test]
fn the_stream_ends_inside_a_message() {
    let mut face = Face::new(
        Connection::new(Role::Client, Config::default(), &[], start_of_time()),
        Style::Space,
        Rng::new(),
    );
    face.feed(b"\x81\x01a\x81\x05Hel", || 1, start_of_time());
    face.machine.received_end();
    face.feed(&[], || 1, start_of_time());
    assert_eq!(face.machine.step(), Step::End);
    assert_eq!((face.messages, face.machine.ending()), (vec![Message::text("a")], Some(&Ending::Abnormal)));
}

#[test]
fn the_stream_ends_instead_of_a_reply() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.client.machine().close(CloseCode::NORMAL, "", now).unwrap();
    Pair::cut(&mut pair.server, &mut pair.client, now + DELAY);
    pair.run_to_the_end();
    assert_eq!(pair.client.ending(), Ending::Abnormal);
}

#[test]
fn a_reply_that_never_comes() {
    let mut pair = Pair::new();
    pair.server.dead = true;
    pair.run(3 * SECOND);
    let now = pair.now();
    pair.client.machine().close(CloseCode::NORMAL, "", now).unwrap();
    assert_eq!(pair.client.machine().next_timeout(), Some(now + 10 * SECOND));
    pair.run_to_the_end();
    assert_eq!(pair.client.ending(), Ending::Timeout(Timeout::Close));
    assert_eq!(pair.client.ending().code(), CloseCode::ABNORMAL);
    assert_eq!(pair.client.ended_at, Some(13 * SECOND));
}

/// A second close does not begin the time again, nor does a peer that goes on talking.
#[test]
fn the_time_to_close_is_counted_once() {
    let mut pair = Pair::new();
    pair.server.stalled = true;
    let now = pair.now();
    pair.client.machine().close(CloseCode::NORMAL, "", now).unwrap();
    for _ in 0..5 {
        pair.run(SECOND);
        let now = pair.now();
        pair.client.machine().close(CloseCode::NORMAL, "", now).unwrap();
        pair.client.face.feed(b"\x81\x01a", || 1, now);
    }
    pair.run_to_the_end();
    assert_eq!(pair.client.ended_at, Some(10 * SECOND));
    assert_eq!(pair.client.ending(), Ending::Timeout(Timeout::Close));
}

/// The time is one for the whole handshake, TCP's end included: a late reply does not begin it again.
#[test]
fn a_late_reply_does_not_extend_the_time_to_close() {
    let now = start_of_time();
    let mut face =
        Face::new(Connection::new(Role::Client, Config::default(), &[], now), Style::Space, Rng::new());
    face.machine.close(CloseCode::NORMAL, "", now).unwrap();
    face.feed(b"\x88\x02\x03\xe8", || 1, now + 6 * SECOND);
    assert_eq!(face.machine.next_timeout(), Some(now + 10 * SECOND));
}

/// 7.1.1: "the server MUST close the TCP connection immediately, a client SHOULD wait".
#[test]
fn the_client_waits_for_the_server_to_end_tcp() {
    let now = start_of_time();
    let machine = Connection::new(Role::Client, Config::default(), &[], now);
    let mut face = Face::new(machine, Style::Space, Rng::new());
    face.feed(b"\x88\x02\x03\xe8", || 1, now);
    assert_eq!(face.drain(), close_frame(Role::Client, 1000));
    assert_eq!((face.machine.step(), face.machine.ending()), (Step::Read, None));
    assert!(!face.machine.shuts_first());
    assert_eq!(closed(face.machine.outcome().unwrap()).0, 1000);
    face.machine.received_end();
    assert_eq!(closed(face.machine.ending().unwrap().clone()).0, 1000);
}

#[test]
fn the_client_gives_up_waiting_for_the_server_to_end_tcp() {
    let now = start_of_time();
    let machine = Connection::new(Role::Client, Config::default(), &[], now);
    let mut face = Face::new(machine, Style::Space, Rng::new());
    face.feed(b"\x88\x02\x03\xe8", || 1, now + SECOND);
    face.drain();
    assert_eq!(face.machine.next_timeout(), Some(now + 11 * SECOND));
    face.machine.handle_timeout(now + 11 * SECOND, &mut same_key);
    // The handshake was completed; that the server forgot its TCP does not change how it ended.
    assert_eq!(closed(face.machine.ending().unwrap().clone()).0, 1000);
    assert_eq!((face.machine.step(), face.machine.next_timeout()), (Step::End, None));
}

#[test]
fn the_server_ends_once_its_close_frame_has_left() {
    let now = start_of_time();
    let machine = Connection::new(Role::Server, Config::default(), &[], now);
    let mut face = Face::new(machine, Style::Space, Rng::new());
    face.machine.send(Kind::Text, Payload::Borrowed(b"x"), &mut same_key).unwrap();
    face.feed(b"\x88\x80\0\0\0\0", || 1, now);
    assert!(face.machine.shuts_first());
    assert_eq!(face.machine.step(), Step::Read, "not before what waits is written");
    let waiting = face.machine.output(&mut same_key).len();
    face.machine.written(waiting - 1);
    assert_eq!(face.machine.step(), Step::Read);
    face.machine.written(1);
    assert_eq!(face.machine.step(), Step::End);
}

#[test]
fn the_server_that_closed_first_ends_with_the_reply() {
    let now = start_of_time();
    let machine = Connection::new(Role::Server, Config::default(), &[], now);
    let mut face = Face::new(machine, Style::Space, Rng::new());
    face.machine.close(CloseCode::NORMAL, "", now).unwrap();
    face.drain();
    assert!(!face.machine.shuts_first());
    face.feed(b"\x88\x82\0\0\0\0\x03\xe8", || 1, now);
    assert_eq!(face.machine.step(), Step::End);
    assert!(face.machine.shuts_first());
}

/// What waited before our Close frame leaves before it, and pongs too.
#[test]
fn the_close_frame_is_the_last_one() {
    let now = start_of_time();
    let machine = Connection::new(Role::Server, Config::default(), &[], now);
    let mut face = Face::new(machine, Style::Space, Rng::new());
    face.machine.send(Kind::Text, Payload::Borrowed(b"a"), &mut same_key).unwrap();
    face.feed(b"\x89\x81\0\0\0\0p", || 1, now);
    face.machine.send(Kind::Text, Payload::Borrowed(b"b"), &mut same_key).unwrap();
    face.machine.close(CloseCode::NORMAL, "", now).unwrap();
    assert_eq!(face.drain(), b"\x81\x01a\x8a\x01p\x81\x01b\x88\x02\x03\xe8");
}

/// 7.1.7: the code, then the end of our side, and what the peer still sends is read and thrown away, so that no reset
/// destroys the code on its way.
#[test]
fn a_failing_side_tells_the_code_drains_and_ends() {
    for client_fails in [true, false] {
        let mut pair = Pair::new();
        let Pair { client, server, .. } = &mut pair;
        let (bad, good) =
            if client_fails { (&mut *server, &mut *client) } else { (&mut *client, &mut *server) };
        // Not UTF-8, although the interface demands it.
        bad.machine().send(Kind::Text, Payload::Borrowed(b"\xff"), &mut same_key).unwrap();
        bad.machine().send(Kind::Text, Payload::Borrowed(b"more"), &mut same_key).unwrap();
        assert!(good.machine().is_open());
        pair.run_to_the_end();
        let (bad, good) = if client_fails {
            (&mut pair.server, &mut pair.client)
        } else {
            (&mut pair.client, &mut pair.server)
        };
        assert_eq!(good.ending(), Ending::Failed(PeerError::NotUtf8));
        assert_eq!(good.ending().code(), CloseCode::INVALID_PAYLOAD);
        assert_eq!(good.messages(), []);
        assert_eq!(closed(bad.ending()).0, 1007);
        assert_eq!(good.shut_at, Some(DELAY));
        assert!(good.ended_at > good.shut_at, "it waits for the peer's end");
    }
}

#[test]
fn a_failing_side_does_not_wait_for_ever() {
    let mut pair = Pair::new();
    pair.server.dead = true;
    let now = pair.now();
    pair.client.face.feed(b"\x83\x00", || 1, now);
    for second in 1..=9 {
        pair.run(SECOND);
        let now = pair.now();
        pair.client.face.feed(b"\x81\x01a more and more", || 1, now);
        assert_eq!(pair.client.ended_at, None, "after {second} s");
    }
    pair.run_to_the_end();
    assert_eq!(pair.client.ended_at, Some(10 * SECOND));
    assert_eq!(pair.client.ending(), Ending::Failed(PeerError::ReservedOpcode(3)));
    assert_eq!(pair.client.messages(), []);
    assert_eq!(pair.client.wrote, close_frame(Role::Client, 1002));
}

/// A failure is told once: our Close frame went out before.
#[test]
fn a_failure_after_our_close_sends_no_second_frame() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.client.machine().close(CloseCode::NORMAL, "", now).unwrap();
    pair.server.stalled = true;
    pair.client.face.feed(b"\x83\x00", || 1, now);
    pair.run_to_the_end();
    assert_eq!(pair.client.ending(), Ending::Failed(PeerError::ReservedOpcode(3)));
    assert_eq!(pair.client.wrote, close_frame(Role::Client, 1000));
}

/// The end is told once and does not change, whatever is called after it.
#[test]
fn the_end_is_final() {
    let mut pair = Pair::new();
    let now = pair.now();
    pair.client.machine().close(CloseCode::NORMAL, "", now).unwrap();
    pair.run_to_the_end();
    let later = pair.now() + 100 * SECOND;
    let machine = pair.client.machine();
    let ending = machine.ending().unwrap().clone();
    machine.handle_timeout(later, &mut same_key);
    machine.received_end();
    machine.close(CloseCode::GOING_AWAY, "", later).unwrap();
    machine.space()[0] = 0x83;
    machine.received(1, later);
    assert_eq!(machine.pour(), []);
    machine.placed(&mut [1, 2, 3], later);
    assert_eq!((machine.step(), machine.ending()), (Step::End, Some(&ending)));
    assert_eq!((machine.next_timeout(), machine.wants_write()), (None, false));
}
