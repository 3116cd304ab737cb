//! Every public future, dropped at every poll. The oracle: a message that was taken is received exactly once, in order; one that
//! was not is not received at all; every message of the peer arrives exactly once.

use aiowebsocket::protocol::{Config, OpCode};
use aiowebsocket::{CloseCode, Error, Message as Owned, WebSocket, accept, connect};

use super::stream::{Pace, Stream, Wire, finish, frame, frames, open, poll_at_most, quiet};
use crate::support::face::Message;
use crate::support::rng::Rng;

/// Runs without a budget, so that every pending poll is the stream's doing, and on a clock that stands still.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(tokio::task::unconstrained(test));
}

fn plain(message: &Owned) -> Message {
    match message {
        Owned::Text(text) => Message::text(text),
        Owned::Binary(data) => Message::Binary(data.to_vec()),
    }
}

/// What the peer says: every way in which a message can lie in memory, with control frames between and inside.
fn conversation(large: usize) -> (Vec<u8>, Vec<Message>) {
    let large = Rng::new().bytes(large);
    let text = Rng::new().text(300);
    let (start, rest) = text.split_at(text.char_indices().nth(40).expect("longer").0);
    let bytes = [
        frame(OpCode::Text, true, b"hello"),
        frame(OpCode::Ping, true, b"first"),
        frame(OpCode::Binary, true, &large),
        frame(OpCode::Binary, true, b""),
        frame(OpCode::Text, false, start.as_bytes()),
        frame(OpCode::Ping, true, b"inside"),
        frame(OpCode::Continuation, false, b""),
        frame(OpCode::Continuation, true, rest.as_bytes()),
        frame(OpCode::Pong, true, b"unasked"),
        frame(OpCode::Text, true, "last 水".as_bytes()),
    ]
    .concat();
    let messages = vec![
        Message::text("hello"),
        Message::Binary(large),
        Message::Binary(Vec::new()),
        Message::Text(text),
        Message::text("last 水"),
    ];
    (bytes, messages)
}

/// Receives without being dropped until `received` has as many as the peer sent, and closes; then nothing more may have come.
fn go_on(ws: &mut WebSocket<Stream>, wire: &Wire, received: &mut Vec<Message>, expected: &[Message]) {
    wire.pace(Pace::FAST);
    while received.len() < expected.len() {
        let message = finish(ws.recv()).expect("open").expect("open");
        received.push(plain(&message));
    }
    assert_eq!(received, expected);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Owned,
    Lent,
    /// The one and the other in turn.
    Both,
}

fn receive(ws: &mut WebSocket<Stream>, polls: usize, lent: bool) -> Option<Message> {
    if lent {
        let message = poll_at_most(polls, ws.recv_ref())?;
        Some(plain(&message.expect("open").expect("open").to_owned()))
    } else {
        let message = poll_at_most(polls, ws.recv())?;
        Some(plain(&message.expect("open").expect("open")))
    }
}

#[test]
fn recv_dropped_again_and_again_loses_nothing() {
    run(async {
        for how in [How::Owned, How::Lent, How::Both] {
            for (piece, large) in [(1, 300), (7, 70_000), (4096, 70_000), (33_000, 200_000)] {
                for polls in 1..12 {
                    let (mut ws, wire) = open(quiet(), true).await;
                    let (bytes, expected) = conversation(large);
                    wire.say(&bytes);
                    wire.pace(Pace::slow(piece));
                    let mut received = Vec::new();
                    for turn in 0.. {
                        if received.len() == expected.len() {
                            break;
                        }
                        let lent = how == How::Lent || how == How::Both && turn % 2 == 0;
                        received.extend(receive(&mut ws, polls, lent));
                    }
                    assert_eq!(received, expected, "{how:?}, pieces of {piece}, {polls} polls each");
                }
            }
        }
    });
}

#[test]
fn recv_dropped_once_at_any_poll_loses_nothing() {
    run(async {
        for lent in [false, true] {
            for (piece, large) in [(1, 40), (1000, 70_000)] {
                for polls in 0.. {
                    let (mut ws, wire) = open(quiet(), true).await;
                    let (bytes, expected) = conversation(large);
                    wire.say(&bytes);
                    wire.pace(Pace::slow(piece));
                    let mut received = Vec::new();
                    let mut left = polls;
                    // One future after the other, until the polls are used up inside one of them.
                    while received.len() < expected.len() {
                        let mut used = 0;
                        let counted = async {
                            let mut recv = std::pin::pin!(receive_any(&mut ws, lent));
                            std::future::poll_fn(|cx| {
                                used += 1;
                                recv.as_mut().poll(cx)
                            })
                            .await
                        };
                        let Some(message) = poll_at_most(left, counted) else { break };
                        received.push(message);
                        left -= used;
                    }
                    let done = received.len() == expected.len();
                    go_on(&mut ws, &wire, &mut received, &expected);
                    if done {
                        break;
                    }
                }
            }
        }
    });
}

async fn receive_any(ws: &mut WebSocket<Stream>, lent: bool) -> Message {
    if lent {
        plain(&ws.recv_ref().await.expect("open").expect("open").to_owned())
    } else {
        plain(&ws.recv().await.expect("open").expect("open"))
    }
}

/// What the peer must have received: in order, each once, nothing else.
#[track_caller]
fn assert_received(wire: &Wire, expected: &[&[u8]]) {
    let received = wire.messages();
    let received: Vec<_> = received.iter().map(Message::bytes).collect();
    assert!(
        received == expected,
        "the peer received {:?}, expected {:?}",
        received.iter().map(|bytes| bytes.len()).collect::<Vec<_>>(),
        expected.iter().map(|bytes| bytes.len()).collect::<Vec<_>>()
    );
}

/// A call that sends, dropped at every poll while the peer talks too; then the connection goes on, and both sides have what they
/// are to have. `call` returns what of it the peer must get after this many polls and whether it was done.
fn dropped_while_sending(
    config: &Config,
    vectored: bool,
    piece: usize,
    before: &[&[u8]],
    call: impl Fn(&mut WebSocket<Stream>, usize) -> (Vec<Vec<u8>>, bool),
) {
    run(async {
        for polls in 0.. {
            let (mut ws, wire) = open(config.clone(), vectored).await;
            let (bytes, expected) = conversation(40);
            wire.say(&bytes);
            wire.pace(Pace::slow(piece));
            for message in before {
                finish(ws.feed(*message)).expect("room");
            }
            let (sent, done) = call(&mut ws, polls);
            finish(ws.send(&b"after"[..])).expect("open");
            let mut received = Vec::new();
            go_on(&mut ws, &wire, &mut received, &expected);
            let mut all: Vec<&[u8]> = before.to_vec();
            all.extend(sent.iter().map(Vec::as_slice));
            all.push(b"after");
            assert_received(&wire, &all);
            finish(ws.close(CloseCode::NORMAL, "")).expect("closed in order");
            if done {
                break;
            }
        }
    });
}

const LARGE: usize = 70_000;

#[test]
fn send_takes_the_message_whole_at_the_first_poll() {
    for vectored in [true, false] {
        for (piece, length) in [(1, 0), (1, 5), (2, 130), (3000, LARGE)] {
            let message = Rng::new().bytes(length);
            dropped_while_sending(&quiet(), vectored, piece, &[b"fed"], |ws, polls| {
                let sent = poll_at_most(polls, ws.send(&message));
                let taken = if polls == 0 { vec![] } else { vec![message.clone()] };
                (taken, sent.map(|sent| sent.expect("open")).is_some())
            });
            dropped_while_sending(&quiet(), vectored, piece, &[b"fed"], |ws, polls| {
                let sent = poll_at_most(polls, ws.send(message.clone()));
                let taken = if polls == 0 { vec![] } else { vec![message.clone()] };
                (taken, sent.map(|sent| sent.expect("open")).is_some())
            });
        }
    }
}

/// With the queue full, a message is taken when there is room: dropped before, it was not sent at all.
#[test]
fn feed_over_the_limit_has_sent_nothing_until_it_is_done() {
    let mut config = quiet();
    config.max_queue = 64;
    let full = [7; 200];
    dropped_while_sending(&config, true, 9, &[&full], |ws, polls| {
        let fed = poll_at_most(polls, ws.feed("waits for room"));
        let done = fed.map(|fed| fed.expect("open")).is_some();
        (if done { vec![b"waits for room".to_vec()] } else { vec![] }, done)
    });
}

/// The same for send, which is done only later: whether it was taken is seen from what the peer got, whole or not at all.
#[test]
fn send_over_the_limit_is_taken_whole_or_not_at_all() {
    let mut config = quiet();
    config.max_queue = 64;
    run(async {
        let mut taken_before_done = 0;
        for polls in 0.. {
            let (mut ws, wire) = open(config.clone(), true).await;
            wire.pace(Pace::slow(9));
            finish(ws.feed(&[7; 200])).expect("room");
            let done = poll_at_most(polls, ws.send("waits for room")).map(|sent| sent.expect("open"));
            wire.pace(Pace::FAST);
            finish(ws.send("after")).expect("open");
            let received = wire.messages();
            let received: Vec<_> = received.iter().map(Message::bytes).collect();
            match &received[..] {
                [_, b"after"] => assert!(done.is_none() && taken_before_done == 0),
                [_, b"waits for room", b"after"] => taken_before_done += 1,
                other => panic!("{other:?}"),
            }
            if done.is_some() {
                break;
            }
        }
        assert!(taken_before_done > 1);
    });
}

#[test]
fn feed_and_flush_dropped_anywhere_send_each_message_once() {
    for vectored in [true, false] {
        let large = Rng::new().bytes(LARGE);
        dropped_while_sending(&quiet(), vectored, 3000, &[b"one", &large, b"two"], |ws, polls| {
            let fed = poll_at_most(polls, ws.feed(large.clone()));
            (if polls == 0 { vec![] } else { vec![large.clone()] }, fed.is_some())
        });
        dropped_while_sending(&quiet(), vectored, 3000, &[b"one", &large, b"two"], |ws, polls| {
            (vec![], poll_at_most(polls, ws.flush()).map(|flushed| flushed.expect("open")).is_some())
        });
    }
}

#[test]
fn ping_dropped_anywhere_keeps_the_messages_before_its_pong() {
    for piece in [1, 5, 100] {
        dropped_while_sending(&quiet(), true, piece, &[b"fed"], |ws, polls| {
            (vec![], poll_at_most(polls, ws.ping()).map(|pong| pong.expect("open")).is_some())
        });
    }
}

/// Dropped anywhere and called again, the handshake is completed, once; a message fed before it was sent.
#[test]
fn close_dropped_anywhere_goes_on_where_it_was() {
    run(async {
        for piece in [1, 2, 100] {
            for polls in 0.. {
                let (mut ws, wire) = open(quiet(), true).await;
                wire.say(&frame(OpCode::Text, true, b"dropped by close"));
                wire.pace(Pace::slow(piece));
                finish(ws.feed("before")).expect("room");
                let done = poll_at_most(polls, ws.close(CloseCode::GOING_AWAY, "bye"));
                let done = done.map(|closed| closed.expect("closed in order")).is_some();
                if polls > 0 && !done {
                    let refused = finish(ws.send("too late")).expect_err("closing");
                    assert!(matches!(refused, Error::Usage(_) | Error::Closed { .. }), "{refused:?}");
                }
                finish(ws.close(CloseCode::NORMAL, "again")).expect("closed in order");
                let asked = if polls == 0 { CloseCode::NORMAL } else { CloseCode::GOING_AWAY };
                assert_eq!(ws.close_code(), Some(asked), "{polls} polls");
                assert_received(&wire, &[b"before"]);
                let wrote = frames(&wire.lock().wrote);
                assert_eq!(wrote.iter().filter(|(first, _)| *first == 0x88).count(), 1);
                assert!(matches!(finish(ws.recv()), Ok(None)));
                if done {
                    break;
                }
            }
        }
    });
}

/// After a dropped `close`, the messages that the peer sent before its own Close are still there for `recv`.
#[test]
fn recv_goes_on_after_a_dropped_close() {
    run(async {
        let (mut ws, wire) = open(quiet(), true).await;
        wire.pace(Pace::slow(1));
        assert!(poll_at_most(1, ws.close(CloseCode::NORMAL, "")).is_none());
        wire.say(&frame(OpCode::Text, true, b"sent before it saw the Close"));
        assert_eq!(
            finish(ws.recv()).expect("open").expect("open").as_text(),
            Some("sent before it saw the Close")
        );
        assert!(matches!(finish(ws.recv()), Ok(None)));
    });
}

/// Dropped anywhere, it closes the stream and has written no more than the beginning of one request.
#[test]
fn connect_dropped_anywhere_leaves_nothing_behind() {
    run(async {
        for piece in [1, 10, 1000] {
            for polls in 0.. {
                let (stream, wire) = Stream::to_server();
                wire.pace(Pace::slow(piece));
                let connecting = connect("ws://in.memory/path").over(stream).into_future();
                let ws = poll_at_most(polls, connecting);
                let wrote = wire.lock().wrote.clone();
                assert!(b"GET /path HTTP/1.1\r\n".starts_with(&wrote[..wrote.len().min(20)]));
                assert_eq!(wire.is_held(), ws.is_some());
                if let Some(ws) = ws {
                    let mut ws = ws.expect("the handshake");
                    finish(ws.send("hello")).expect("open");
                    assert_received(&wire, &[b"hello"]);
                    break;
                }
            }
        }
    });
}

#[test]
fn accept_dropped_anywhere_leaves_nothing_behind() {
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    // "Hello", masked: RFC 6455 5.7.
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    run(async {
        for piece in [1, 10, 1000] {
            for polls in 0.. {
                let (stream, wire) = Stream::alone();
                wire.say(&[&request[..], hello].concat());
                wire.pace(Pace::slow(piece));
                let ws = poll_at_most(polls, accept(stream).into_future());
                assert_eq!(wire.is_held(), ws.is_some());
                let wrote = wire.lock().wrote.clone();
                assert!(b"HTTP/1.1 101 ".starts_with(&wrote[..wrote.len().min(13)]));
                if let Some(ws) = ws {
                    assert!(wrote.ends_with(b"\r\n\r\n"));
                    let mut ws = ws.expect("the handshake");
                    let message = finish(ws.recv()).expect("open").expect("open");
                    assert_eq!(message.as_text(), Some("Hello"));
                    break;
                }
            }
        }
    });
}

/// Calls in any order, each dropped after any number of polls, over a stream that moves any number of bytes.
#[test]
fn any_calls_dropped_anywhere_agree_with_the_oracle() {
    run(async {
        for round in 0..100 {
            let mut rng = Rng::with_seed(round);
            let mut config = quiet();
            // Never full, so that a message is taken at the first poll; the backlog often is.
            config.max_backlog = [1, 100, 1 << 20][rng.below(3)];
            let (mut ws, wire) = open(config, rng.one_in(2)).await;
            let large = rng.length(100_000);
            let (bytes, mut expected) = conversation(large);
            wire.say(&bytes);
            wire.pace(Pace { piece: 1 + rng.length(5000), hesitates: rng.one_in(2) });
            let mut sent: Vec<Vec<u8>> = Vec::new();
            let mut received = Vec::new();
            for _ in 0..rng.below(40) {
                let polls = rng.below(12);
                match rng.below(6) {
                    0 if received.len() < expected.len() => {
                        let lent = rng.one_in(2);
                        received.extend(receive(&mut ws, polls, lent));
                    }
                    1 | 2 => {
                        let length = rng.length(LARGE);
                        let message = rng.bytes(length);
                        let done = match rng.below(3) {
                            0 => poll_or_stuck(polls, ws.send(message.clone())),
                            1 => poll_or_stuck(polls, ws.send(&message)),
                            _ => poll_or_stuck(polls, ws.feed(message.clone())),
                        };
                        if let Some(done) = done {
                            done.expect("open");
                        }
                        if polls > 0 {
                            sent.push(message);
                        }
                    }
                    3 => {
                        if let Some(flushed) = poll_or_stuck(polls, ws.flush()) {
                            flushed.expect("open");
                        }
                    }
                    4 => match poll_or_stuck(polls, ws.ping()) {
                        Some(Err(Error::Usage(_)) | Ok(_)) | None => {}
                        Some(Err(error)) => panic!("{error:?}"),
                    },
                    _ if rng.one_in(3) => {
                        let length = 1 + rng.below(50);
                        let text = rng.text(length);
                        wire.say(&frame(OpCode::Text, true, text.as_bytes()));
                        expected.push(Message::Text(text));
                    }
                    _ => {}
                }
            }
            go_on(&mut ws, &wire, &mut received, &expected);
            finish(ws.flush()).expect("open");
            let sent: Vec<_> = sent.iter().map(Vec::as_slice).collect();
            assert_received(&wire, &sent);
            finish(ws.close(CloseCode::NORMAL, "")).expect("closed in order");
            assert!(wire.lock().incoming.is_empty(), "all was read, round {round}");
        }
    });
}

/// As [`poll_at_most`], for a call that may have to wait for ever because nobody receives.
fn poll_or_stuck<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    })
}
