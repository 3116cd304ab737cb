//! Messages in parts through the tokio face.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aiowebsocket::protocol::{OpCode, UsageError};
use aiowebsocket::{Config, Error, Kind, Part};

use super::stream::{Pace, Step, finish, frame, frames, open, poll_at_most, quiet};
use crate::support::alloc::peak_of;

/// A frame of 64 MiB, larger than every limit, in 300 KiB of memory.
#[tokio::test]
async fn a_large_frame_takes_no_memory() {
    const LENGTH: usize = 64 << 20;
    let mut config = quiet();
    (config.max_frame, config.max_message) = (1000, 1000);
    let (mut ws, wire) = open(config, true).await;
    let head = frame(OpCode::Binary, true, &[0; 1 << 16])[..2].to_vec();
    wire.say(&[&head[..], &(LENGTH as u64).to_be_bytes()].concat());
    wire.lock().incoming.reserve(1 << 17);
    let chunk = vec![7; 1 << 16];
    let (mut got, mut given) = (0, 0);
    let ((), peak) = peak_of(|| {
        loop {
            let mut part = pin!(tokio::task::unconstrained(ws.recv_part()));
            match part.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(part) => {
                    let part = part.expect("open").expect("a part");
                    got += part.data.len();
                    if part.last {
                        return;
                    }
                }
                Poll::Pending => assert!(wire.lock().incoming.is_empty(), "a part is there"),
            }
            if wire.lock().incoming.is_empty() && given < LENGTH {
                wire.say(&chunk);
                given += chunk.len();
            }
        }
    });
    assert_eq!(got, LENGTH);
    assert!(peak < 300 << 10, "{peak} bytes");
}

#[tokio::test]
async fn whole_and_parts_do_not_mix_and_nothing_is_lost() {
    let (mut ws, wire) = open(quiet(), true).await;
    wire.say(&frame(OpCode::Text, true, b"whole"));
    wire.say(&frame(OpCode::Text, false, "é".as_bytes().split_at(1).0));
    wire.say(&frame(OpCode::Ping, true, b"between"));
    let part = ws.recv_part().await.expect("open").expect("a part");
    assert_eq!(part, Part { kind: Kind::Text, data: b"whole", last: true });
    let part = ws.recv_part().await.expect("open").expect("a part");
    assert_eq!(part, Part { kind: Kind::Text, data: &[0xc3], last: false });
    for _ in 0..2 {
        let is_in_parts = |error| matches!(error, Error::Usage(UsageError::MessageInParts));
        assert!(ws.recv().await.is_err_and(is_in_parts));
        assert!(ws.recv_ref().await.is_err_and(is_in_parts));
        assert!(ws.recv_event().await.is_err_and(is_in_parts));
        assert!(ws.ping().await.is_err_and(is_in_parts));
    }
    // Cancelled at every poll.
    wire.pace(Pace::slow(1));
    wire.say(&frame(OpCode::Continuation, true, &[0xa9, b'!']));
    wire.say(&frame(OpCode::Text, true, b"next"));
    let mut rest = Vec::new();
    loop {
        let part = poll_at_most(1, async {
            ws.recv_part().await.map(|part| part.map(|part| (part.data.to_vec(), part.last)))
        });
        if let Some(part) = part {
            let (data, last) = part.expect("open").expect("a part");
            rest.extend(data);
            if last {
                break;
            }
        }
    }
    assert_eq!(rest, [0xa9, b'!']);
    assert_eq!(finish(ws.recv()).expect("open").expect("open").as_text(), Some("next"));
    finish(ws.flush()).expect("open");
    assert!(frames(&wire.lock().wrote).contains(&(0x8a, b"between".to_vec())));
}

#[tokio::test]
async fn the_end_in_the_middle_is_told() {
    for close in [false, true] {
        let (mut ws, wire) = open(quiet(), true).await;
        wire.say(&frame(OpCode::Binary, false, b"begun"));
        if close {
            wire.say(&frame(OpCode::Close, true, &[0x0b, 0xb8]));
        }
        wire.lock().ended = true;
        assert!(ws.recv_part().await.is_ok_and(|part| part.is_some_and(|part| !part.last)));
        for _ in 0..2 {
            let ended = ws.recv_part().await.map(|part| part.is_some());
            let expected = if close { 3000 } else { 1006 };
            assert!(
                matches!(ended, Err(Error::Closed { code, .. }) if u16::from(code) == expected),
                "{ended:?}"
            );
        }
        assert!(ws.recv().await.is_err_and(|error| matches!(error, Error::Closed { .. })));
    }
}

#[tokio::test]
async fn parts_are_sent_as_fragments_and_can_be_cancelled() {
    let (mut ws, wire) = open(quiet(), true).await;
    ws.send_part("one ", false).await.expect("open");
    assert!(matches!(ws.send("no").await, Err(Error::Usage(UsageError::MessageUnfinished))));
    assert!(matches!(ws.send_part(&[1][..], true).await, Err(Error::Usage(UsageError::PartOfOtherKind))));
    wire.writes([Step::Stall]);
    // Taken at the first poll, neither withdrawn nor doubled.
    assert!(wire_pending(ws.send_part("two ", false)));
    wire.writes([]);
    ws.send_part("three", true).await.expect("open");
    ws.send("free again").await.expect("open");
    let expected: Vec<(u8, Vec<u8>)> = vec![
        (0x01, b"one ".into()),
        (0x00, b"two ".into()),
        (0x80, b"three".into()),
        (0x81, b"free again".into()),
    ];
    assert_eq!(frames(&wire.lock().wrote), expected);
}

/// One poll, then dropped.
fn wire_pending(future: impl Future) -> bool {
    let future = pin!(future);
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn fragments_of_a_set_size() {
    let mut config = Config::default();
    config.fragment_size = std::num::NonZeroUsize::new(3);
    let (mut ws, wire) = open(config, true).await;
    wire.pace(Pace::slow(2));
    finish(ws.feed("abcdefgh")).expect("open");
    finish(ws.send("xyz")).expect("open");
    let expected: Vec<(u8, Vec<u8>)> =
        vec![(0x01, b"abc".into()), (0x00, b"def".into()), (0x80, b"gh".into()), (0x81, b"xyz".into())];
    assert_eq!(frames(&wire.lock().wrote), expected);
}

/// What was kept while something else was waited for comes first, and a large message that was begun whole comes whole.
#[tokio::test]
async fn parts_come_after_what_was_kept_or_begun() {
    let (mut ws, wire) = open(quiet(), true).await;
    wire.writes([Step::Stall]);
    wire.say(&frame(OpCode::Text, true, b"kept"));
    assert!(wire_pending(ws.send("stuck")));
    wire.writes([]);
    let large = vec![7; 100_000];
    let bytes = frame(OpCode::Binary, true, &large);
    wire.say(&bytes[..50_000]);
    let part = ws.recv_part().await.expect("open").expect("a part");
    assert_eq!(part, Part { kind: Kind::Text, data: b"kept", last: true });
    assert!(wire_pending(ws.recv()), "begun");
    wire.say(&bytes[50_000..]);
    let part = ws.recv_part().await.expect("open").expect("a part");
    assert!(part.data == large && part.last && part.kind == Kind::Binary, "{} bytes", part.data.len());
}

/// A part waits for room as a message does, and nothing follows a Close frame.
#[tokio::test]
async fn parts_wait_for_room_and_end_with_the_connection() {
    let mut config = quiet();
    config.max_queue = 1;
    let (mut ws, wire) = open(config, true).await;
    wire.writes([Step::Stall]);
    assert!(wire_pending(ws.send_part("one ", false)));
    assert!(wire_pending(ws.send_part("dropped before there was room", false)));
    wire.writes([]);
    ws.send_part("two", true).await.expect("open");
    assert_eq!(frames(&wire.lock().wrote), [(0x01, b"one ".to_vec()), (0x80, b"two".to_vec())]);
    ws.close(aiowebsocket::CloseCode::NORMAL, "").await.expect("answered");
    let late = ws.send_part("late", true).await;
    assert!(matches!(late, Err(Error::Closed { .. })), "{late:?}");
}
