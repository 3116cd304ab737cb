//! What leaves: large payloads beside small ones, in writes of every size, against a naive decoding.

use aiowebsocket::Error;
use bytes::Bytes;

use super::stream::{Pace, Step, finish, frames, open, poll_at_most, quiet};
use crate::support::rng::Rng;

/// More large payloads than one vectored write has slices, small ones between them, borrowed, owned and shared by turns;
/// the script makes the first writes short, the pace all others.
fn batch(vectored: bool, script: &[Step], piece: usize, rng: &mut Rng) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(tokio::task::unconstrained(async {
        let mut config = quiet();
        config.max_queue = usize::MAX;
        let (mut ws, wire) = open(config, vectored).await;
        wire.writes([Step::Stall]);
        let mut expected = Vec::new();
        for i in 0..48 {
            let length = if i % 2 == 0 { 32_768 + rng.below(3) + rng.length(9_000) } else { rng.length(200) };
            let payload = rng.bytes(length);
            match rng.below(3) {
                0 => poll_at_most(1, ws.feed(&payload)),
                1 => poll_at_most(1, ws.feed(payload.clone())),
                _ => {
                    // Held by somebody else too: must not be masked where it lies.
                    let shared = Bytes::from(payload.clone());
                    let fed = poll_at_most(1, ws.feed(shared.clone()));
                    assert_eq!(shared, payload);
                    fed
                }
            }
            .expect("room")
            .expect("open");
            expected.push((0x82, payload));
        }
        wire.writes(script.iter().copied());
        wire.pace(Pace::slow(piece));
        finish(ws.flush()).expect("open");
        let state = wire.lock();
        assert!(frames(&state.wrote) == expected, "vectored: {vectored}, pieces of {piece}");
        assert_eq!(state.flushed, state.wrote.len());
    }));
}

#[test]
fn short_writes_of_every_size_keep_the_order_of_the_bytes() {
    let mut rng = Rng::new();
    for vectored in [true, false] {
        for piece in [5_000, 32_768, 32_776, 65_536, 100_001, usize::MAX] {
            batch(vectored, &[], piece, &mut rng);
        }
        for first in 1..20 {
            // Cut inside the first header, at its end, in the payload, and right at the edges of the slices.
            let script = [Step::Move(first), Step::Wait, Step::Move(32_768 - 10 + first), Step::Move(first)];
            batch(vectored, &script, 60_000, &mut rng);
        }
        let bytewise: Vec<_> = std::iter::repeat_n(Step::Move(1), 70_000).collect();
        batch(vectored, &bytewise, 1 << 20, &mut rng);
    }
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_broken() {
    let (mut ws, wire) = open(quiet(), true).await;
    wire.writes([Step::End]);
    let error = ws.send("hello").await.expect_err("nothing was taken");
    assert_eq!(error.to_string(), "the connection broke: write zero");
    assert!(matches!(error, Error::Io(_)));
}

/// Writing broke, but what the peer said before is still there to be read, its Close among it.
#[tokio::test]
async fn what_the_peer_said_is_read_after_writing_broke() {
    let (mut ws, wire) = open(quiet(), true).await;
    wire.say(b"\x81\x05hello\x88\x05\x03\xf3bye");
    wire.writes([Step::Fail(std::io::ErrorKind::BrokenPipe)]);
    let error = ws.send("hello").await.expect_err("broken");
    assert_eq!(error.to_string(), "the connection broke: broken pipe");
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("hello"));
    wire.lock().ended = true;
    let error = ws.recv().await.expect_err("1011");
    assert_eq!(error.to_string(), "the connection was closed: 1011 (Internal Error): \"bye\"");
}

/// Reading broke: every later call says the same.
#[tokio::test]
async fn a_stream_that_breaks_says_so_again() {
    let (mut ws, wire) = open(quiet(), true).await;
    wire.say(b"\x81\x05hello\x81\x05hal");
    wire.reads([Step::Move(99), Step::Fail(std::io::ErrorKind::ConnectionReset)]);
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("hello"));
    for _ in 0..2 {
        let error = ws.recv().await.expect_err("broken");
        assert_eq!(error.to_string(), "the connection broke: connection reset");
        assert!(error.is_retryable());
        assert_eq!(ws.close_code(), Some(aiowebsocket::CloseCode::ABNORMAL));
        let error = ws.send("too late").await.expect_err("broken");
        assert_eq!(error.to_string(), "the connection broke: connection reset");
    }
}

/// `feed` waits while the queue is over its limit, and a message larger than the limit enters an empty queue.
#[tokio::test]
async fn the_queue_holds_its_limit_and_one_message() {
    let mut config = quiet();
    config.max_queue = 1000;
    let (mut ws, wire) = open(config, true).await;
    wire.writes([Step::Stall]);
    // 106 bytes a frame: the tenth reaches the limit, the eleventh waits.
    for _ in 0..10 {
        assert!(matches!(poll_once(ws.feed(&[1; 100])), Some(Ok(()))));
    }
    for _ in 0..3 {
        assert!(poll_once(ws.feed(&[2; 100])).is_none());
        assert!(poll_once(ws.send(&[2; 100])).is_none());
    }
    // With room for a byte there is room for a message.
    wire.writes([Step::Move(61), Step::Stall]);
    assert!(matches!(poll_once(ws.feed(&[3; 5000])), Some(Ok(()))));
    assert!(poll_once(ws.feed(&[4; 1])).is_none());
    wire.writes([]);
    ws.flush().await.expect("open");
    let mut expected = vec![(0x82, vec![1; 100]); 10];
    expected.push((0x82, vec![3; 5000]));
    assert_eq!(frames(&wire.lock().wrote), expected);
}

/// Whoever is pending here waits for the stream, which wakes nobody.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
