//! Pings, pongs and the clock between two machines (RFC 6455 5.5.2, 5.5.3).

use std::time::{Duration, Instant};

use aiowebsocket::protocol::{
    CloseCode, Config, Connection, Ending, KeepAlive, Kind, Payload, Role, Timeout,
};

use crate::support::face::{Face, Message, Style};
use crate::support::pair::Pair;
use crate::support::rng::Rng;
use crate::support::{same_key, start_of_time};

const SECOND: Duration = Duration::from_secs(1);

fn keepalive(interval: u32, timeout: u32) -> Config {
    let mut config = Config::default();
    config.keepalive = Some(KeepAlive { interval: SECOND * interval, timeout: SECOND * timeout });
    config
}

fn silent() -> Config {
    let mut config = Config::default();
    config.keepalive = None;
    config
}

/// A client alone, and the time.
fn client(config: Config) -> (Face, Instant) {
    let now = start_of_time();
    (Face::new(Connection::new(Role::Client, config, &[], now), Style::Space, Rng::new()), now)
}

/// The numbers of the pings, and the count of pongs, among the frames that a client wrote with the key of the tests.
fn pings_and_pongs(mut wrote: &[u8]) -> (usize, usize) {
    let (mut pings, mut pongs) = (0, 0);
    while let [first, second, rest @ ..] = wrote {
        match first {
            0x89 => pings += 1,
            0x8a => pongs += 1,
            _ => {}
        }
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        wrote = &rest[mask + usize::from(second & 0x7f)..];
    }
    (pings, pongs)
}

#[test]
fn a_ping_after_each_interval() {
    let mut pair = Pair::with(&keepalive(20, 20), &silent(), Style::Mixed);
    assert_eq!(pair.client.machine().next_timeout(), Some(pair.now() + 20 * SECOND));
    pair.run(Duration::from_millis(19_999));
    assert_eq!(pair.client.wrote, []);
    pair.run(Duration::from_millis(1));
    assert_eq!(pings_and_pongs(&pair.client.wrote), (1, 0));
    pair.run(100 * SECOND);
    assert_eq!(pings_and_pongs(&pair.client.wrote), (6, 0));
    assert_eq!(pings_and_pongs(&pair.server.wrote), (0, 5), "the last is under way");
    assert!(pair.client.machine().is_open());
}

#[test]
fn both_ends_may_ping() {
    let mut pair = Pair::with(&keepalive(20, 20), &keepalive(15, 5), Style::Mixed);
    pair.run(1000 * SECOND);
    assert!(pair.client.machine().is_open() && pair.server.machine().is_open());
    assert_eq!(pings_and_pongs(&pair.client.wrote), (50, 66));
}

#[test]
fn without_keep_alive_nothing_is_sent_and_nothing_is_due() {
    let mut pair = Pair::with(&silent(), &silent(), Style::Mixed);
    assert_eq!(pair.client.machine().next_timeout(), None);
    pair.server.dead = true;
    pair.run(100_000 * SECOND);
    assert!(pair.client.machine().is_open());
    assert_eq!(pair.client.wrote, []);
}

#[test]
fn a_dead_peer_is_noticed() {
    let mut pair = Pair::with(&keepalive(20, 10), &silent(), Style::Mixed);
    pair.run(SECOND);
    pair.server.dead = true;
    pair.run_to_the_end();
    assert_eq!(pair.client.ending(), Ending::Timeout(Timeout::KeepAlive));
    assert_eq!(pair.client.ending().code(), CloseCode::ABNORMAL);
    assert_eq!(pair.client.ended_at, Some(30 * SECOND));
}

/// A timeout longer than the interval: more pings go out meanwhile, the silence is counted from the first.
#[test]
fn later_pings_do_not_postpone_the_verdict() {
    let mut pair = Pair::with(&keepalive(5, 12), &silent(), Style::Mixed);
    pair.server.dead = true;
    pair.run_to_the_end();
    assert_eq!(pair.client.ended_at, Some(17 * SECOND));
    assert_eq!(pings_and_pongs(&pair.client.wrote), (3, 0));
}

#[test]
fn user_pings_do_not_postpone_the_verdict() {
    let mut pair = Pair::with(&keepalive(20, 10), &silent(), Style::Mixed);
    pair.server.dead = true;
    for _ in 0..12 {
        pair.run(SECOND);
        let now = pair.now();
        if pair.client.machine().is_open() {
            pair.client.machine().ping(now, &mut same_key).unwrap();
        }
    }
    // The first of them, after one second, began the silence.
    assert_eq!(pair.client.ended_at, Some(11 * SECOND));
    assert_eq!(pair.client.ending(), Ending::Timeout(Timeout::KeepAlive));
}

/// Half a frame is no message and no pong, but somebody sent it.
#[test]
fn any_byte_is_life() {
    let (mut face, start) = client(keepalive(20, 10));
    face.machine.handle_timeout(start + 20 * SECOND, &mut same_key);
    assert_eq!(face.machine.next_timeout(), Some(start + 30 * SECOND));
    face.feed(b"\x81", || 1, start + 29 * SECOND);
    face.machine.handle_timeout(start + 30 * SECOND, &mut same_key);
    assert_eq!(face.machine.ending(), None);
    assert_eq!(face.machine.next_timeout(), Some(start + 40 * SECOND), "the next ping");
}

#[test]
fn a_byte_straight_into_a_large_message_is_life() {
    let now = start_of_time();
    let machine = Connection::new(Role::Client, keepalive(20, 10), &[], now);
    let mut face = Face::new(machine, Style::Placed, Rng::new());
    face.feed(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], || 1, now);
    face.machine.handle_timeout(now + 20 * SECOND, &mut same_key);
    face.feed(&[0], || 1, now + 21 * SECOND);
    face.machine.handle_timeout(now + 30 * SECOND, &mut same_key);
    assert_eq!(face.machine.ending(), None);
}

/// A byte from before the ping proves nothing about after it.
#[test]
fn bytes_before_the_ping_are_no_answer() {
    let (mut face, start) = client(keepalive(20, 10));
    face.feed(b"\x81\x01a", || 1, start + 19 * SECOND);
    face.machine.handle_timeout(start + 20 * SECOND, &mut same_key);
    face.machine.handle_timeout(start + 30 * SECOND, &mut same_key);
    assert_eq!(face.machine.ending(), Some(&Ending::Timeout(Timeout::KeepAlive)));
}

/// A clock that stands still between ping and pong, as a paused or coarse one does, makes no peer dead.
#[test]
fn an_answer_at_the_instant_of_the_ping_is_an_answer() {
    let mut pair = Pair::with(&keepalive(20, 20), &silent(), Style::Mixed);
    pair.delay = Duration::ZERO;
    pair.run(200 * SECOND);
    assert!(pair.client.machine().is_open());
    assert_eq!(pings_and_pongs(&pair.client.wrote), (10, 0));
}

/// A face that was asleep calls late: one ping, not one for each interval that passed; and no verdict over a time
/// in which nobody could have answered.
#[test]
fn a_late_call_is_no_verdict() {
    let (mut face, start) = client(keepalive(20, 10));
    face.machine.handle_timeout(start + 500 * SECOND, &mut same_key);
    assert_eq!(face.machine.ending(), None);
    assert_eq!(pings_and_pongs(&face.drain()), (1, 0));
    assert_eq!(face.machine.next_timeout(), Some(start + 510 * SECOND));
}

#[test]
fn an_early_call_does_nothing() {
    let (mut face, start) = client(keepalive(20, 10));
    face.machine.handle_timeout(start + 19 * SECOND, &mut same_key);
    assert!(!face.machine.wants_write());
    assert_eq!(face.machine.next_timeout(), Some(start + 20 * SECOND));
}

#[test]
fn a_user_ping_takes_the_place_of_the_next_one() {
    let (mut face, start) = client(keepalive(20, 10));
    face.machine.ping(start + 15 * SECOND, &mut same_key).unwrap();
    face.feed(b"\x8a\x00", || 1, start + 16 * SECOND);
    assert_eq!(face.machine.next_timeout(), Some(start + 35 * SECOND));
}

#[test]
fn keep_alive_ends_with_closing() {
    let (mut face, start) = client(keepalive(20, 10));
    face.machine.ping(start, &mut same_key).unwrap();
    face.machine.close(CloseCode::NORMAL, "", start + SECOND).unwrap();
    assert_eq!(face.machine.next_timeout(), Some(start + 11 * SECOND));
    face.machine.handle_timeout(start + 10 * SECOND, &mut same_key);
    assert_eq!(face.machine.ending(), None);
}

#[test]
fn the_round_trip_is_the_delay_of_the_wire() {
    let mut pair = Pair::with(&silent(), &silent(), Style::Mixed);
    let delay = pair.delay;
    pair.run(SECOND);
    let now = pair.now();
    let id = pair.client.machine().ping(now, &mut same_key).unwrap();
    pair.run(2 * delay - Duration::from_nanos(1));
    assert_eq!(pair.client.machine().round_trip(), None);
    pair.run(SECOND);
    assert_eq!(pair.client.machine().round_trip(), Some((id, 2 * delay)));
}

/// 5.5.3: a peer may answer only the latest ping.
#[test]
fn a_later_pong_answers_the_pings_before_it() {
    let mut pair = Pair::with(&silent(), &silent(), Style::Mixed);
    pair.server.dead = true;
    let now = pair.now();
    let first = pair.client.machine().ping(now, &mut same_key).unwrap();
    let second = pair.client.machine().ping(now, &mut same_key).unwrap();
    assert!(second > first);
    pair.run(SECOND);
    let now = pair.now();
    let pong = |id: u64| [&b"\x8a\x08"[..], &id.to_be_bytes()].concat();
    pair.client.face.feed(&pong(second), || usize::MAX, now);
    assert_eq!(pair.client.machine().round_trip(), Some((second, SECOND)));
    // Its own pong, should it come after all, tells nothing new.
    pair.run(SECOND);
    let now = pair.now();
    pair.client.face.feed(&pong(first), || usize::MAX, now);
    assert_eq!(pair.client.machine().round_trip(), Some((second, SECOND)));
}

#[test]
fn pongs_that_answer_nothing_change_nothing() {
    let (mut face, start) = client(silent());
    let id = face.machine.ping(start, &mut same_key).unwrap();
    for pong in [&b"\x8a\x00"[..], b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\xff", b"\x8a\x09\0\0\0\0\0\0\0\0\0"]
    {
        face.feed(pong, || 1, start + SECOND);
        assert_eq!(face.machine.round_trip(), None);
    }
    let pong = [&b"\x8a\x08"[..], &id.to_be_bytes()].concat();
    face.feed(&pong, || 1, start + 2 * SECOND);
    assert_eq!(face.machine.round_trip(), Some((id, 2 * SECOND)));
    // The same pong again, much later, is no longer an answer.
    face.feed(&pong, || 1, start + 20 * SECOND);
    assert_eq!(face.machine.round_trip(), Some((id, 2 * SECOND)));
}

#[test]
fn pongs_that_come_one_by_one_are_told_one_by_one() {
    let (mut face, start) = client(silent());
    let ids = [1, 2, 3, 4].map(|n| face.machine.ping(start + n * SECOND, &mut same_key).unwrap());
    for (n, id) in (1..).zip(ids) {
        let pong = [&b"\x8a\x08"[..], &id.to_be_bytes()].concat();
        face.feed(&pong, || 1, start + 10 * SECOND);
        assert_eq!(face.machine.round_trip(), Some((id, (10 - n) * SECOND)));
    }
}

/// More pings under way than are remembered: the newest count.
#[test]
fn forgotten_pings_are_answered_by_remembered_ones() {
    let (mut face, start) = client(silent());
    let ids: Vec<u64> = (0..9).map(|_| face.machine.ping(start, &mut same_key).unwrap()).collect();
    face.feed(&[&b"\x8a\x08"[..], &ids[0].to_be_bytes()].concat(), || 1, start + SECOND);
    assert_eq!(face.machine.round_trip(), None);
    face.feed(&[&b"\x8a\x08"[..], &ids[8].to_be_bytes()].concat(), || 1, start + SECOND);
    assert_eq!(face.machine.round_trip(), Some((ids[8], SECOND)));
}

/// Nor are there pings while a closing handshake without a time limit goes on.
#[test]
fn keep_alive_ends_with_closing_without_a_limit() {
    let mut config = keepalive(20, 10);
    config.close_timeout = Duration::MAX;
    let (mut face, start) = client(config);
    face.machine.close(CloseCode::NORMAL, "", start).unwrap();
    assert_eq!(face.machine.next_timeout(), None);
}

#[test]
fn limits_beyond_the_end_of_time_are_none() {
    let mut config = keepalive(20, 10);
    config.close_timeout = Duration::MAX;
    config.keepalive = Some(KeepAlive { interval: Duration::MAX, timeout: Duration::MAX });
    let (mut face, start) = client(config);
    assert_eq!(face.machine.next_timeout(), None);
    face.machine.ping(start, &mut same_key).unwrap();
    assert_eq!(face.machine.next_timeout(), None);
    face.machine.close(CloseCode::NORMAL, "", start).unwrap();
    assert_eq!(face.machine.next_timeout(), None);
    face.machine.handle_timeout(start + 1_000_000 * SECOND, &mut same_key);
    assert_eq!(face.machine.ending(), None);
}

/// A ping is due at once, for ever: that would be nothing but pings.
#[test]
fn no_time_between_pings_is_no_keep_alive() {
    let (face, _) = client(keepalive(0, 10));
    assert_eq!(face.machine.next_timeout(), None);
}

#[test]
fn traffic_does_not_stop_the_pings() {
    let mut pair = Pair::with(&keepalive(20, 20), &silent(), Style::Mixed);
    for _ in 0..100 {
        pair.run(SECOND);
        pair.server.machine().send(Kind::Text, Payload::Borrowed(b"tick"), &mut same_key).unwrap();
    }
    assert_eq!(pings_and_pongs(&pair.client.wrote).0, 5);
    pair.run(SECOND);
    assert_eq!(pair.client.messages(), vec![Message::text("tick"); 100]);
}

/// A ping waits for no more than one fragment of a large message. So a peer that takes fragment after fragment and never
/// answers is dead, although it takes bytes all the time.
#[test]
fn a_ping_inside_a_message_wants_its_pong() {
    let mut config = keepalive(20, 20);
    config.fragment_size = std::num::NonZeroUsize::new(1000);
    let (mut face, start) = client(config);
    let machine = &mut face.machine;
    let message = vec![7; 1 << 20];
    machine.send(Kind::Binary, Payload::Borrowed(&message), &mut same_key).expect("open");
    for second in 0..41 {
        machine.handle_timeout(start + SECOND * second, &mut same_key);
        let n = machine.output(&mut same_key).front().len();
        machine.written(n);
        assert!(second > 39 || machine.ending().is_none(), "{second}");
    }
    assert_eq!(machine.ending(), Some(&Ending::Timeout(Timeout::KeepAlive)));
}
