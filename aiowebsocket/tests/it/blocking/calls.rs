//! What each call does, in one thread.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use aiowebsocket::blocking::connect;
use aiowebsocket::protocol::UsageError;
use aiowebsocket::{CloseCode, Config, Deflate, Error, Event, Kind, Message, Outgoing, TimeLimit};

use super::{ECHO, accept, frame, now, open_to, read_frame, serves, text, timed};
use crate::support::rng::Rng;

#[test]
fn messages_of_all_sizes_come_back() {
    let mut rng = Rng::new();
    let ws = connect(&*ECHO).open().expect("open");
    assert!(ws.compression().is_some());
    let plain = connect(&*ECHO).no_compression().open().expect("open");
    assert!(plain.compression().is_none());
    for ws in [&ws, &plain] {
        for size in [0, 1, 30, 31, 125, 126, 65_535, 65_536, 65_537, 300_000, 3 << 20] {
            let payload = rng.bytes(size);
            ws.send(&payload).expect("sent");
            let message = ws.recv().expect("received").expect("open");
            assert!(message.as_bytes() == payload, "{size} bytes came back changed");
            assert!(matches!(message, Message::Binary(_)));
        }
        ws.send("ünïcödé").expect("sent");
        assert_eq!(text(ws), "ünïcödé");
        ws.close(CloseCode::NORMAL, "done").expect("closed");
        assert_eq!(ws.close_code(), Some(CloseCode::NORMAL));
        assert!(ws.has_ended() && !ws.is_open());
        assert!(ws.recv().expect("a clean end").is_none());
        assert!(matches!(ws.send("late"), Err(Error::Closed { code: CloseCode::NORMAL, .. })));
        ws.close(CloseCode::NORMAL, "again").expect("no error");
    }
}

#[test]
fn what_is_fed_leaves_with_a_flush() {
    let (ws, peer) = open_to(|mut stream| {
        let mut first = [0; 1];
        stream.set_read_timeout(Some(Duration::from_millis(60))).expect("an option");
        let early = stream.read(&mut first).is_ok();
        stream.set_read_timeout(Some(super::PATIENCE)).expect("an option");
        (early, (0..3).map(|_| read_frame(&mut stream).1).collect::<Vec<_>>())
    });
    let counters = ws.counters();
    for word in ["a", "b", "c"] {
        ws.feed(word).expect("queued");
    }
    assert_eq!(ws.queued(), 3 * 7);
    super::a_moment();
    super::a_moment();
    ws.flush().expect("written");
    assert_eq!(ws.queued(), 0);
    assert_eq!((counters.messages_sent(), counters.bytes_sent()), (3, 21));
    let (early, frames) = peer.join().expect("no panic");
    assert!(!early, "it waited for the flush");
    assert_eq!(frames, [b"a", b"b", b"c"]);
}

#[test]
fn a_time_limit_loses_nothing() {
    let (ws, peer) = open_to(|mut stream| {
        let whole = frame(1, b"late, and in two pieces");
        read_frame(&mut stream);
        stream.write_all(&whole[..9]).expect("connected");
        read_frame(&mut stream);
        stream.write_all(&whole[9..]).expect("connected");
        stream
    });
    for _ in 0..2 {
        let (took, result) = timed(|| ws.recv_timeout(Duration::from_millis(50)));
        assert!(matches!(result, Err(Error::Timeout(TimeLimit::Receive))), "{result:?}");
        assert!(took >= Duration::from_millis(50), "{took:?}");
        ws.send("go on").expect("sent");
    }
    let message = ws.recv_timeout(super::PATIENCE).expect("in time").expect("open");
    assert_eq!(message.as_text(), Some("late, and in two pieces"));
    // No time at all takes what is there.
    let mut stream = peer.join().expect("no panic");
    assert!(matches!(ws.recv_timeout(Duration::ZERO), Err(Error::Timeout(TimeLimit::Receive))));
    stream.write_all(&[frame(1, b"one"), frame(1, b"two")].concat()).expect("connected");
    assert_eq!(text(&ws), "one");
    assert_eq!(ws.recv_timeout(Duration::ZERO).expect("there").expect("open").as_text(), Some("two"));
}

#[test]
fn pings_are_answered_and_measured() {
    let (ws, peer) = open_to(|mut stream| {
        stream.write_all(&[frame(9, b"theirs"), frame(1, b"before")].concat()).expect("connected");
        // Either may come first: the pong leaves with the first call that writes.
        let mut frames = [read_frame(&mut stream), read_frame(&mut stream)];
        frames.sort_unstable();
        let [(9, payload), (10, answer)] = frames else { panic!("{frames:?}") };
        assert_eq!(answer, b"theirs");
        stream.write_all(&[frame(1, b"kept"), frame(10, &payload)].concat()).expect("connected");
        stream
    });
    assert_eq!(ws.latency(), None);
    assert_eq!(text(&ws), "before");
    let round_trip = ws.ping().expect("a pong");
    assert_eq!(ws.latency(), Some(round_trip));
    assert_eq!(text(&ws), "kept");
    drop(peer.join().expect("no panic"));
}

#[test]
fn events_show_pings() {
    let (address, peer) = serves(|mut stream| {
        accept(&mut stream, &[frame(9, b"p"), frame(1, b"m")].concat());
        stream
    });
    let mut config = Config::default();
    config.control_events = true;
    let ws = connect(format!("ws://{address}/")).config(config).open().expect("open");
    assert!(matches!(ws.recv_event(), Ok(Some(Event::Ping(payload))) if payload.as_slice() == b"p"));
    assert!(matches!(ws.recv_event(), Ok(Some(Event::Message(_)))));
    drop(peer.join().expect("no panic"));
}

#[test]
fn a_message_is_taken_and_given_in_parts() {
    let (ws, peer) = open_to(|mut stream| {
        let whole = frame(2, &[7; 100_000]);
        stream.write_all(&whole[..50_000]).expect("connected");
        let (opcode, first) = read_frame(&mut stream);
        let last = read_frame(&mut stream);
        stream.write_all(&whole[50_000..]).expect("connected");
        stream.write_all(&frame(1, b"whole")).expect("connected");
        (opcode, first, last, stream)
    });
    let first = ws.recv_part().expect("a part").expect("open");
    assert!(first.kind == Kind::Binary && !first.last && !first.data.is_empty());
    assert!(matches!(ws.recv(), Err(Error::Usage(UsageError::MessageInParts))));
    ws.send_part("one ", false).expect("sent");
    assert!(matches!(ws.send("between"), Err(Error::Usage(UsageError::MessageUnfinished))));
    ws.send_part("message", true).expect("sent");
    let mut size = first.data.len();
    loop {
        let part = ws.recv_part().expect("a part").expect("open");
        assert!(part.data.iter().all(|byte| *byte == 7));
        size += part.data.len();
        if part.last {
            break;
        }
    }
    assert_eq!(size, 100_000);
    let whole = ws.recv_part().expect("a part").expect("open");
    assert_eq!((whole.kind, whole.data.as_slice(), whole.last), (Kind::Text, b"whole".as_slice(), true));
    let (opcode, first, last, _) = peer.join().expect("no panic");
    assert_eq!((opcode, first, last), (1, b"one ".to_vec(), (0, b"message".to_vec())));
}

#[test]
fn the_peer_closes_cleanly_and_otherwise() {
    let says = |payload: &'static [u8]| {
        let (ws, peer) = open_to(move |mut stream| {
            stream.write_all(&[frame(1, b"last"), frame(8, payload)].concat()).expect("connected");
            read_frame(&mut stream)
        });
        assert_eq!(text(&ws), "last");
        let end = ws.recv();
        (ws, end, peer.join().expect("no panic"))
    };
    let (ws, end, echoed) = says(b"\x03\xe9away");
    assert!(matches!(end, Ok(None)), "{end:?}");
    assert_eq!((ws.close_code(), ws.close_reason().as_deref()), (Some(CloseCode::GOING_AWAY), Some("away")));
    assert_eq!(echoed, (8, b"\x03\xe9".to_vec()));
    let (ws, end, _) = says(b"\x03\xf3broken");
    assert!(matches!(end, Err(Error::Closed { code, .. }) if code.get() == 1011), "{end:?}");
    assert!(matches!(ws.recv(), Err(Error::Closed { .. })), "it says the same again");
}

#[test]
fn an_end_without_close_and_a_broken_rule_are_told() {
    let (ws, _peer) = open_to(drop);
    let end = ws.recv();
    assert!(matches!(&end, Err(Error::Closed { code: CloseCode::ABNORMAL, .. } | Error::Io(_))), "{end:?}");
    let (ws, peer) = open_to(|mut stream| {
        stream.write_all(&frame(1, b"\xff")).expect("connected");
        let told = read_frame(&mut stream);
        _ = stream.shutdown(Shutdown::Both);
        told
    });
    assert!(matches!(ws.recv(), Err(Error::Protocol(_))));
    assert_eq!(peer.join().expect("no panic"), (8, b"\x03\xef".to_vec()));
    assert_eq!(ws.close_code(), Some(CloseCode::INVALID_PAYLOAD));
}

#[test]
fn limits_hold() {
    let (address, peer) = serves(|mut stream| {
        accept(&mut stream, &frame(2, &[0; 1_001]));
        read_frame(&mut stream)
    });
    let ws = connect(format!("ws://{address}/")).max_message(1_000).open().expect("open");
    assert!(matches!(ws.recv(), Err(Error::TooBig(_))));
    assert_eq!(peer.join().expect("no panic"), (8, b"\x03\xf1".to_vec()));
}

#[test]
fn a_silent_peer_is_reported_while_a_call_waits() {
    let (address, peer) = serves(|mut stream| {
        accept(&mut stream, b"");
        let ping = read_frame(&mut stream).0;
        // It reads, and says nothing.
        (ping, stream.read_to_end(&mut Vec::new()).ok())
    });
    let ws = connect(format!("ws://{address}/"))
        .keepalive(Duration::from_millis(100), Duration::from_millis(150))
        .open()
        .expect("open");
    let (took, end) = timed(|| ws.recv());
    assert!(matches!(end, Err(Error::Timeout(TimeLimit::KeepAlive))), "{end:?}");
    assert!(took >= Duration::from_millis(250), "{took:?}");
    drop(ws);
    assert_eq!(peer.join().expect("no panic").0, 9);
}

#[test]
fn a_close_that_nobody_answers_has_its_time() {
    let (address, _peer) = serves(|mut stream| {
        accept(&mut stream, b"");
        stream.read_to_end(&mut Vec::new())
    });
    let ws =
        connect(format!("ws://{address}/")).close_timeout(Duration::from_millis(100)).open().expect("open");
    assert!(matches!(
        ws.close(CloseCode::new(1006), ""),
        Err(Error::Usage(UsageError::CloseCodeForbidden(_)))
    ));
    ws.send("still open").expect("sent");
    let (took, closed) = timed(|| ws.close(CloseCode::NORMAL, ""));
    assert!(matches!(closed, Err(Error::Timeout(TimeLimit::Close))), "{closed:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// A program that only sends, and never has to wait, answers pings and learns of the end all the same.
#[test]
fn a_program_that_only_sends_answers_pings() {
    let (ws, peer) = open_to(|mut stream| {
        stream.write_all(&frame(9, b"alive?")).expect("connected");
        let begun = now();
        let mut opcodes = Vec::new();
        while !opcodes.contains(&10) && begun.elapsed() < super::PATIENCE {
            opcodes.push(read_frame(&mut stream).0);
        }
        stream.write_all(&frame(8, b"\x03\xe8")).expect("connected");
        (opcodes, stream)
    });
    let begun = now();
    let refused = loop {
        if let Err(error) = ws.send("tick") {
            break error;
        }
        assert!(begun.elapsed() < super::PATIENCE, "the peer's Close is noticed");
        std::thread::yield_now();
    };
    assert!(matches!(refused, Error::Closed { code: CloseCode::NORMAL, .. }), "{refused:?}");
    assert!(peer.join().expect("no panic").0.contains(&10), "the ping was answered");
}

#[test]
fn compression_is_used_and_secrets_do_without() {
    let ws = connect(&*ECHO).compression(Deflate::default().threshold(0)).open().expect("open");
    let counters = ws.counters();
    let text = "the same again and again ".repeat(100);
    ws.send(&text).expect("sent");
    let compressed = counters.bytes_sent();
    assert!(compressed < 500, "{compressed}");
    ws.send(Outgoing::from(&text).plain()).expect("sent");
    assert!(counters.bytes_sent() - compressed > 2_500);
    for _ in 0..2 {
        assert_eq!(super::text(&ws), text);
    }
    assert_eq!(counters.messages_received(), 2);
}
