//! Time, on a clock that jumps to the next deadline whenever everybody waits: nothing sleeps, and every limit is exact.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use aiowebsocket::protocol::OpCode;
use aiowebsocket::{CloseCode, Config, Error, TimeLimit, WebSocket, accept, connect};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::{Instant, advance, sleep, timeout};

use super::stream::{Stream, frame, frames, open, poll_at_most, quiet};
use crate::support::rng::Rng;

const ACCEPT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A client and the bare stream of a server that has answered the handshake and does nothing by itself. The pipe between holds
/// `room` bytes.
async fn pair(config: Config, room: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (ours, mut theirs) = duplex(room.max(1024));
    let answer = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(theirs.read_u8().await.expect("a request"));
        }
        theirs.write_all(&answer_to(&head)).await.expect("room");
    };
    let (ws, ()) = tokio::join!(connect("ws://in.memory/").config(config).over(ours).into_future(), answer);
    (ws.expect("the handshake"), theirs)
}

/// The 101 that answers this request.
fn answer_to(head: &[u8]) -> Vec<u8> {
    let mut accepting = aiowebsocket::opening::Accepting::new(aiowebsocket::opening::HeadLimits::default());
    accepting.receive(head, crate::support::start_of_time()).expect("a good request");
    accepting.accept(None, &[]).expect("a plain answer");
    assert!(accepting.output().starts_with(ACCEPT));
    accepting.output().to_vec()
}

/// What arrives within the time, as frames.
async fn heard(stream: &mut DuplexStream, time: Duration) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    _ = timeout(time, stream.read_to_end(&mut bytes)).await;
    frames(&bytes)
}

fn is_dead_peer<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Timeout(TimeLimit::KeepAlive)))
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_after_20_s_and_dead_after_40() {
    let (mut ws, mut peer) = pair(Config::default(), 1 << 16).await;
    let start = Instant::now();
    let watch = async {
        assert_eq!(peer.read_u8().await.expect("a ping"), 0x89);
        assert_eq!(start.elapsed(), secs(20));
        // Left open: the end must come from the clock.
        sleep(secs(100)).await;
    };
    let recv = async {
        let error = ws.recv().await.expect_err("silent");
        assert_eq!(start.elapsed().as_secs(), 40);
        assert_eq!(error.to_string(), "the peer is silent: no byte came within the time limit after a ping");
        assert!(is_dead_peer(&ws.recv().await));
        assert!(is_dead_peer(&ws.send("too late").await));
        assert!(is_dead_peer(&ws.ping().await));
        assert!(is_dead_peer(&ws.close(CloseCode::NORMAL, "").await));
        assert_eq!(ws.close_code(), Some(CloseCode::ABNORMAL));
    };
    tokio::join!(watch, recv);
}

#[tokio::test(start_paused = true)]
async fn any_byte_counts_as_life() {
    let (mut ws, mut peer) = pair(Config::default(), 1 << 16).await;
    let start = Instant::now();
    let talk = async {
        sleep(secs(39)).await;
        // Half a header.
        peer.write_all(&[0x81]).await.expect("room");
        sleep(secs(100)).await;
    };
    let recv = async {
        assert!(is_dead_peer(&ws.recv().await));
        assert_eq!(start.elapsed().as_secs(), 60);
    };
    tokio::join!(talk, recv);
}

#[tokio::test(start_paused = true)]
async fn two_ends_of_ours_keep_each_other_alive() {
    let (ours, theirs) = duplex(1 << 16);
    let (client, server) =
        tokio::join!(connect("ws://in.memory/").over(ours).into_future(), accept(theirs).into_future());
    let (mut client, mut server) = (client.expect("open"), server.expect("open"));
    let both = async { tokio::join!(client.recv(), server.recv()) };
    assert!(timeout(secs(1000), both).await.is_err(), "both wait on");
    assert!(client.latency().is_some() && server.latency().is_some());
}

/// A pong that lies in the kernel while nobody polls is no dead peer.
#[tokio::test(start_paused = true)]
async fn a_pong_that_was_there_in_time_is_read_before_judging() {
    for budget_is_used in [false, true] {
        let (mut ws, mut peer) = pair(Config::default(), 1 << 16).await;
        assert!(timeout(secs(21), ws.recv()).await.is_err());
        let sent = heard(&mut peer, secs(1)).await;
        let [(0x89, ping)] = &sent[..] else { panic!("{sent:?}") };
        peer.write_all(&frame(OpCode::Pong, true, ping)).await.expect("room");
        peer.write_all(&frame(OpCode::Text, true, b"still here")).await.expect("room");
        sleep(secs(60)).await;
        if budget_is_used {
            use_up_the_budget().await;
        }
        let message = ws.recv().await.expect("alive").expect("open");
        assert_eq!(message.as_text(), Some("still here"));
    }
}

/// Leaves this poll of the task without a budget: tokio's own streams now say "pending" whatever is there.
async fn use_up_the_budget() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..1000 {
        sender.send(()).expect("open");
    }
    tokio::task::yield_now().await;
    while tokio::task::coop::has_budget_remaining() {
        receiver.recv().await.expect("one of many");
    }
}

/// A stream that keeps no budget itself waits for nothing but its peer: the timer must be armed all the same.
#[tokio::test(start_paused = true)]
async fn the_keep_alive_is_armed_in_a_task_that_used_up_its_budget() {
    let (mut ws, wire) = open(Config::default(), true).await;
    // In a task of its own, which nothing but the connection wakes.
    let receiving = tokio::spawn(async move {
        use_up_the_budget().await;
        ws.recv().await.map(drop)
    });
    sleep(secs(30)).await;
    assert!(!receiving.is_finished());
    assert_eq!(frames(&wire.lock().wrote).len(), 1, "a ping after 20 s");
}

#[tokio::test(start_paused = true)]
async fn keep_alive_can_be_set_and_left_out() {
    let (ours, _theirs) = duplex(1024);
    let start = Instant::now();
    let connecting = connect("ws://in.memory/").open_timeout(secs(3)).over(ours);
    let error = connecting.await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout(TimeLimit::Open(_))));
    assert_eq!(
        error.to_string(),
        "the connection was not open within its time limit, which ran out during the opening handshake"
    );
    assert_eq!(start.elapsed().as_secs(), 3);

    let (mut ws, _peer) = pair(quiet(), 1 << 16).await;
    assert!(timeout(secs(100_000), ws.recv()).await.is_err(), "nobody looks at the clock");
}

#[tokio::test(start_paused = true)]
async fn opening_takes_10_s_at_most_however_much_comes() {
    for drips in [false, true] {
        let (ours, mut theirs) = duplex(1024);
        let start = Instant::now();
        let server = async {
            for byte in b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ".iter().chain([b'x'; 100].iter()) {
                sleep(secs(1)).await;
                if drips && theirs.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        };
        let connecting = async {
            let error = connect("ws://in.memory/").over(ours).await.expect_err("too slow");
            assert!(matches!(error, Error::Timeout(TimeLimit::Open(_))));
            assert_eq!(start.elapsed().as_secs(), 10);
        };
        tokio::join!(server, connecting);
    }
}

/// The server says 408 before it hangs up on a request that does not get on.
/// A future can be made long before it is awaited.
#[tokio::test(start_paused = true)]
async fn the_time_of_opening_begins_when_it_is_awaited() {
    let (ours, theirs) = duplex(4096);
    let opening = connect("ws://example.com/").over(ours).into_future();
    sleep(secs(60)).await;
    let accepting = tokio::spawn(accept(theirs).into_future());
    opening.await.expect("there is time");
    accepting.await.expect("no panic").expect("open");
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_told_so() {
    let (mut ours, theirs) = duplex(1024);
    let client = async {
        sleep(secs(1)).await;
        ours.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.expect("room");
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", answer.escape_ascii());
    };
    let (accepted, ()) = tokio::join!(accept(theirs).into_future(), client);
    let error = accepted.expect_err("too slow");
    assert!(matches!(error, Error::Accept(_)), "{error:?}");
}

/// A peer that says nothing at all gets no answer, and does not hold us for ever.
#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up() {
    let (ours, theirs) = duplex(1024);
    let error = timeout(secs(60), accept(theirs).into_future()).await.expect("in time").expect_err("silent");
    assert!(matches!(error, Error::Timeout(TimeLimit::Open(_))), "{error:?}");
    drop(ours);
}

#[tokio::test(start_paused = true)]
async fn closing_takes_10_s_at_most() {
    let (mut ws, peer) = pair(Config::default(), 1 << 16).await;
    let start = Instant::now();
    let error = ws.close(CloseCode::NORMAL, "").await.expect_err("no answer");
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(error.to_string(), "the peer did not complete the closing handshake within its time limit");
    assert!(matches!(error, Error::Timeout(TimeLimit::Close)));
    drop(peer);

    // Writing our Close is part of it.
    let mut config = Config::default();
    config.close_timeout = secs(4);
    let (mut ws, peer) = pair(config, 1024).await;
    ws.feed(&[1; 50_000]).await.expect("room");
    let start = Instant::now();
    let error = ws.close(CloseCode::NORMAL, "").await.expect_err("nobody reads");
    assert!(matches!(error, Error::Timeout(TimeLimit::Close)));
    assert_eq!(start.elapsed().as_secs(), 4);
    drop(peer);
}

/// Its deadline comes before the one that the timer was armed for.
#[tokio::test(start_paused = true)]
async fn closing_in_the_middle_of_a_quiet_time_takes_no_longer() {
    let mut config = Config::default();
    config.close_timeout = secs(3);
    let (mut ws, _peer) = pair(config, 1 << 16).await;
    assert!(timeout(secs(1), ws.recv()).await.is_err(), "armed for the ping after 20 s");
    let start = Instant::now();
    let closed = ws.close(CloseCode::NORMAL, "").await;
    assert!(matches!(closed, Err(Error::Timeout(TimeLimit::Close))));
    assert_eq!(start.elapsed().as_secs(), 3);
}

/// A stream that answers the handshake and then always has more: never pending, and time goes on while it is read.
struct Flood {
    request: Vec<u8>,
    is_open: bool,
    frame: Vec<u8>,
    reads: usize,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_open {
            self.is_open = true;
            buf.put_slice(&answer_to(&self.request));
            return Poll::Ready(Ok(()));
        }
        self.reads += 1;
        // Ends at last, so that the test does.
        if self.reads < 100_000 {
            let tick = pin!(advance(Duration::from_millis(1))).poll(cx);
            assert!(tick.is_pending(), "the clock is moved at the first poll");
            buf.put_slice(&self.frame);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.request.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Reading never pauses, so the deadline must be looked at while it goes on.
#[tokio::test(start_paused = true)]
async fn closing_takes_10_s_at_most_where_reading_never_pauses() {
    for frame in [
        frame(OpCode::Binary, true, b"on and on"),
        frame(OpCode::Ping, true, b"on and on"),
        // Fails the connection: what follows is discarded.
        b"\x83\x00".to_vec(),
    ] {
        let flood = Flood { request: Vec::new(), is_open: false, frame, reads: 0 };
        let mut ws = connect("ws://in.memory/").over(flood).await.expect("the handshake");
        let start = Instant::now();
        let error = ws.close(CloseCode::NORMAL, "").await.expect_err("never answered");
        assert_eq!(start.elapsed().as_secs(), 10, "{error:?}");
    }
}

/// A peer that sends on and on has its time to answer too, and no more.
#[tokio::test(start_paused = true)]
async fn closing_takes_10_s_at_most_under_a_flood() {
    for fragments in [false, true] {
        let (mut ws, mut peer) = pair(Config::default(), 1 << 16).await;
        let start = Instant::now();
        let flood = tokio::spawn(async move {
            let frame = match fragments {
                false => frame(OpCode::Binary, true, &[1; 1000]),
                true => frame(OpCode::Binary, false, &[1; 1000]),
            };
            if fragments {
                // Answers, and goes on as if it had not.
                peer.write_all(&super::stream::frame(OpCode::Close, true, b"")).await.expect("room");
            }
            while peer.write_all(&frame.repeat(60)).await.is_ok() {
                advance(Duration::from_millis(10)).await;
            }
        });
        let closed = timeout(secs(60), ws.close(CloseCode::NORMAL, "")).await.expect("in time");
        assert!(start.elapsed() < secs(11), "{:?}", start.elapsed());
        if fragments {
            closed.expect("the handshake was complete; only TCP was not");
        } else {
            assert!(matches!(closed, Err(Error::Timeout(TimeLimit::Close))));
        }
        drop(ws);
        flood.await.expect("no panic");
    }
}

/// RFC 6455 7.1.1: the server ends TCP first; a client waits for that, bounded.
#[tokio::test(start_paused = true)]
async fn the_client_waits_for_the_server_to_end_tcp() {
    for (held, expected) in [(0, 0), (3, 3), (1000, 10)] {
        let (mut ws, mut peer) = pair(Config::default(), 1 << 16).await;
        let start = Instant::now();
        let server = async move {
            let mut close = [0; 8];
            peer.read_exact(&mut close).await.expect("a Close frame");
            peer.write_all(&frame(OpCode::Close, true, b"\x03\xe8done")).await.expect("room");
            sleep(secs(held)).await;
            // Our side was not shut before the server's, unless time was up.
            let end = timeout(Duration::ZERO, peer.read_u8()).await;
            assert_eq!(end.is_err(), held < 10);
        };
        let client = async {
            ws.close(CloseCode::NORMAL, "").await.expect("closed in order");
            assert_eq!(start.elapsed().as_secs(), expected);
            assert_eq!(ws.close_reason().as_deref(), Some("done"));
        };
        tokio::join!(server, client);
    }
}

/// `send` waits for a peer that does not read, and what the peer says meanwhile is answered and kept.
#[tokio::test(start_paused = true)]
async fn send_keeps_what_arrives_while_it_waits() {
    let mut config = quiet();
    config.max_backlog = 10_000;
    let (mut ws, mut peer) = pair(config, 4096).await;
    let payload = Rng::new().bytes(50_000);
    let send = async {
        ws.send(&payload).await.expect("open");
        for i in 0..30_u8 {
            assert_eq!(ws.recv().await.expect("open").expect("open").as_bytes(), [i; 1000]);
        }
        assert!(timeout(secs(1), ws.recv()).await.is_err());
    };
    let talk = async {
        peer.write_all(&frame(OpCode::Ping, true, b"?")).await.expect("room");
        for i in 0..9 {
            peer.write_all(&frame(OpCode::Binary, true, &[i; 1000])).await.expect("room");
        }
        // Nine messages are kept; the peer reads at last, and finds the message and the pong behind it.
        let got = heard(&mut peer, secs(1)).await;
        assert_eq!(got, [(0x82, payload.clone()), (0x8a, b"?".to_vec())]);
        for i in 9..30 {
            peer.write_all(&frame(OpCode::Binary, true, &[i; 1000])).await.expect("open");
        }
        peer
    };
    let (_peer, ()) = tokio::join!(talk, send);
}

/// With the backlog full, reading pauses: a peer cannot fill our memory while we wait for it to read.
#[tokio::test(start_paused = true)]
async fn reading_pauses_while_the_backlog_is_full() {
    let mut config = quiet();
    config.max_backlog = 10_000;
    let (mut ws, mut peer) = pair(config, 4096).await;
    let mut taken = 0;
    let flood = async {
        let bytes = frame(OpCode::Binary, true, &[7; 1000]).repeat(1000);
        while let Ok(n) = timeout(secs(1), peer.write(&bytes[taken..])).await {
            taken += n.expect("open");
        }
    };
    let payload = vec![1; 50_000];
    tokio::select! {
        _ = ws.send(&payload) => panic!("nobody reads"),
        () = flood => {}
    }
    // The backlog, the read that filled it, and what the pipe holds.
    assert!((10_000..10_000 + 4096 + 8192 + 1100).contains(&taken), "{taken}");
    // And goes on when the messages are received.
    for _ in 0..taken / 1004 {
        assert_eq!(ws.recv().await.expect("open").expect("open").as_bytes(), [7; 1000]);
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_send_8_mib_at_once() {
    let (ours, theirs) = duplex(1 << 16);
    let (client, server) =
        tokio::join!(connect("ws://in.memory/").over(ours).into_future(), accept(theirs).into_future());
    let (mut client, mut server) = (client.expect("open"), server.expect("open"));
    let (a, b) = (vec![1; 8 << 20], vec![2; 8 << 20]);
    let both = async {
        tokio::join!(
            async {
                client.send(&a).await.expect("open");
                assert!(client.recv().await.expect("open").expect("open").as_bytes() == b);
            },
            async {
                server.send(&b).await.expect("open");
                assert!(server.recv().await.expect("open").expect("open").as_bytes() == a);
            }
        )
    };
    timeout(secs(1000), both).await.expect("no deadlock");
}

/// A peer that takes a large message slowly, byte by byte all the time, is not dead, although the ping waits behind the message
/// and no pong can come.
#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_no_dead_peer() {
    let (mut ws, mut peer) = pair(Config::default(), 4096).await;
    let payload = vec![1; 1 << 20];
    let slow = async {
        let mut taken = vec![0; 4096];
        let mut all = 0;
        // 200 s for the message, then answers nothing any more.
        while all < 1 << 20 {
            sleep(Duration::from_millis(800)).await;
            all += peer.read(&mut taken).await.expect("open");
        }
        sleep(secs(1000)).await;
    };
    let start = Instant::now();
    let send = async {
        ws.send(&payload).await.expect("the peer takes bytes all the time");
        let took = start.elapsed().as_secs();
        assert!(took > 200, "{took}");
        assert!(is_dead_peer(&ws.recv().await), "and is dead when it takes no more and says nothing");
        assert!(start.elapsed().as_secs() <= took + 45, "{:?} {took}", start.elapsed());
    };
    tokio::select! {
        () = send => {}
        () = slow => panic!("nobody noticed"),
    }
}

/// A peer that takes nothing and says nothing is dead, also while `send` waits.
#[tokio::test(start_paused = true)]
async fn a_stuck_upload_is_a_dead_peer() {
    let (mut ws, _peer) = pair(Config::default(), 4096).await;
    let start = Instant::now();
    assert!(is_dead_peer(&ws.send(vec![1; 1 << 20]).await));
    assert_eq!(start.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn ping_keeps_the_messages_before_its_pong() {
    let (mut ws, mut peer) = pair(quiet(), 1 << 16).await;
    let server = async {
        let mut ping = [0; 14];
        peer.read_exact(&mut ping).await.expect("a ping");
        let payload = &frames(&ping)[0].1;
        peer.write_all(&frame(OpCode::Text, true, b"one")).await.expect("room");
        peer.write_all(&frame(OpCode::Pong, true, b"not yours")).await.expect("room");
        sleep(secs(2)).await;
        let both = [frame(OpCode::Text, true, b"two"), frame(OpCode::Pong, true, payload)].concat();
        peer.write_all(&both).await.expect("room");
    };
    let client = async {
        assert_eq!(ws.ping().await.expect("open"), secs(2));
        assert_eq!(ws.latency(), Some(secs(2)));
    };
    tokio::join!(server, client);
    for expected in ["one", "two"] {
        let message = ws.recv_ref().await.expect("open").expect("open");
        assert_eq!(message.as_text(), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn ping_ends_where_the_backlog_is_full() {
    let mut config = quiet();
    config.max_backlog = 100;
    let (mut ws, mut peer) = pair(config, 1 << 16).await;
    peer.write_all(&frame(OpCode::Binary, true, &[1; 60]).repeat(5)).await.expect("room");
    let error = ws.ping().await.expect_err("too much before the pong");
    assert_eq!(
        error.to_string(),
        "too many messages wait to be received before the pong; receive them first"
    );
    // Said at once as long as it holds, without another ping.
    assert!(matches!(ws.ping().await, Err(Error::Usage(_))));
    assert!(matches!(ws.ping().await, Err(Error::Usage(_))));
    assert_eq!(heard(&mut peer, secs(1)).await.len(), 1);
    for _ in 0..5 {
        assert_eq!(ws.recv().await.expect("open").expect("open").as_bytes(), [1; 60]);
    }
}

/// Who reads late finds everything: a message, then the end, however long ago.
#[tokio::test(start_paused = true)]
async fn what_came_before_the_end_is_there_after_a_long_absence() {
    let (mut ws, mut peer) = pair(Config::default(), 1 << 16).await;
    peer.write_all(&frame(OpCode::Text, true, b"last words")).await.expect("room");
    peer.write_all(&frame(OpCode::Close, true, b"\x03\xe9")).await.expect("room");
    drop(peer);
    sleep(secs(100_000)).await;
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("last words"));
    assert!(matches!(ws.recv().await, Ok(None)));
    assert_eq!(ws.close_code(), Some(CloseCode::GOING_AWAY));
}

/// The first poll is what counts: here to show that `poll_at_most` and the paused clock agree.
#[tokio::test(start_paused = true)]
async fn a_dropped_send_leaves_with_the_next_recv() {
    let (mut ws, wire): (WebSocket<Stream>, _) = open(Config::default(), true).await;
    wire.writes([super::stream::Step::Wait, super::stream::Step::Wait, super::stream::Step::Wait]);
    assert!(poll_at_most(1, ws.send("hello")).is_none());
    assert!(timeout(secs(1), ws.recv()).await.is_err());
    assert_eq!(frames(&wire.lock().wrote), [(0x81, b"hello".to_vec())]);
}
