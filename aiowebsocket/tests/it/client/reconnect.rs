//! Connections that are opened again, on a clock that jumps: scripted servers, each at the other end of a pipe of its own.

use std::future::{Ready, ready};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aiowebsocket::opening::{Address, UrlError};
use aiowebsocket::protocol::OpCode;
use aiowebsocket::{
    Backoff, CloseCode, Connect, Error, GaveUp, OverEach, ReconnectEvent, Reconnecting, TimeLimit, Transport,
    WebSocket, accept, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use super::stream::frame;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The servers' ends of the pipes, one for each attempt.
type Servers = UnboundedReceiver<DuplexStream>;

/// Makes pipes that hold `room` bytes.
fn pipes(
    room: usize,
) -> (impl Fn(Address) -> Ready<io::Result<DuplexStream>> + Clone + Send + 'static, Servers) {
    let (pipes, servers) = unbounded_channel();
    let make = move |_| {
        let (ours, theirs) = duplex(room);
        pipes.send(theirs).expect("the test goes on");
        ready(Ok(ours))
    };
    (make, servers)
}

/// Connects through pipes that hold `room` bytes.
fn through_pipes(room: usize) -> (Connect<impl Transport<Stream = DuplexStream> + Clone>, Servers) {
    let (make, servers) = pipes(room);
    (connect("ws://in.memory/feed").over_each(make), servers)
}

/// The next server, with the handshake done.
async fn open(servers: &mut Servers) -> WebSocket<DuplexStream> {
    accept(servers.recv().await.expect("an attempt")).no_compression().await.expect("a good request")
}

/// Answers the next attempt with these bytes and ends.
async fn answer(servers: &mut Servers, bytes: &str) {
    let mut stream = servers.recv().await.expect("an attempt");
    read_head(&mut stream).await;
    stream.write_all(bytes.as_bytes()).await.expect("room");
}

async fn read_head(stream: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("ASCII")
}

async fn next<T: Transport + Clone>(feed: &mut Reconnecting<T>) -> ReconnectEvent {
    feed.next().await.expect("goes on").expect("goes on")
}

async fn connected<T: Transport + Clone>(feed: &mut Reconnecting<T>) -> u32 {
    match next(feed).await {
        ReconnectEvent::Connected { attempt } => attempt,
        other => panic!("{other:?}"),
    }
}

async fn text<T: Transport + Clone>(feed: &mut Reconnecting<T>) -> String {
    match next(feed).await {
        ReconnectEvent::Message(message) => message.as_text().expect("a text").to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The cause, the time until the next attempt, and the texts that were not sent.
async fn lost<T: Transport + Clone>(feed: &mut Reconnecting<T>) -> (Error, Duration, Vec<String>) {
    match next(feed).await {
        ReconnectEvent::Disconnected { cause, retry_in, unsent } => {
            let unsent = unsent.iter().map(|message| message.as_text().expect("a text").to_owned());
            (cause, retry_in, unsent.collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_opened_again_after_the_time_that_is_said() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default());
    let server = async {
        let mut first = open(&mut servers).await;
        first.send("one").await.expect("open");
        // Dropped: an end without a Close frame.
        drop(first);
        let mut second = open(&mut servers).await;
        second.send("two").await.expect("open");
        second.close(CloseCode::GOING_AWAY, "maintenance").await.expect("closed");
        let mut third = open(&mut servers).await;
        third.send("three").await.expect("open");
        servers
    };
    let client = async {
        assert_eq!(connected(&mut feed).await, 1);
        assert_eq!(text(&mut feed).await, "one");
        let (cause, retry_in, unsent) = lost(&mut feed).await;
        assert!(matches!(cause, Error::Closed { code: CloseCode::ABNORMAL, .. }), "{cause:?}");
        assert!(retry_in < secs(5) && unsent.is_empty());
        assert!(feed.websocket().is_none());

        let start = Instant::now();
        assert_eq!(connected(&mut feed).await, 1);
        let waited = start.elapsed();
        assert!(
            waited >= retry_in && waited < retry_in + Duration::from_millis(2),
            "{waited:?}, {retry_in:?}"
        );
        assert_eq!(text(&mut feed).await, "two");
        let (cause, retry_in, _) = lost(&mut feed).await;
        assert_eq!(
            cause.to_string(),
            "the connection was closed: 1001 (Going Away): \"maintenance\"",
            "a clean end is a cause, too"
        );
        // The connection was not open for long: no random first delay, but the next one.
        assert!((Duration::from_millis(2_500)..secs(5)).contains(&retry_in), "{retry_in:?}");
        assert_eq!(connected(&mut feed).await, 1);
        assert_eq!(text(&mut feed).await, "three");
        assert!(feed.websocket().is_some());
    };
    let (mut servers, ()) = tokio::join!(server, client);
    assert!(servers.try_recv().is_err(), "three attempts were three connections");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_and_wait_longer_and_longer() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default());
    let server = async {
        answer(&mut servers, "HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: 100\r\n\r\n").await;
        answer(&mut servers, "HTTP/1.1 101 Swi").await;
        answer(&mut servers, "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n").await;
        open(&mut servers).await
    };
    let client = async {
        for least in [secs(100), Duration::from_millis(2_500), secs(5)] {
            let (_, retry_in, _) = lost(&mut feed).await;
            assert!(retry_in >= least && retry_in <= least * 2, "{retry_in:?}");
        }
        assert_eq!(connected(&mut feed).await, 4);
    };
    tokio::join!(server, client);
}

#[tokio::test(start_paused = true)]
async fn a_final_error_ends_it() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default());
    let refuse = answer(&mut servers, "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n");
    let (error, ()) = tokio::join!(feed.next(), refuse);
    assert!(matches!(error, Err(Error::Handshake(_))), "{error:?}");
    assert_eq!(feed.gave_up(), Some(GaveUp::Final));
    for _ in 0..2 {
        assert!(matches!(feed.next().await, Ok(None)));
        assert!(matches!(feed.send("x").await, Err(Error::NotConnected)));
    }
    assert!(servers.try_recv().is_err(), "nobody came again");
}

#[tokio::test(start_paused = true)]
async fn the_policy_may_give_up() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let connect = connect("ws://in.memory/").over_each(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        ready(Err::<DuplexStream, _>(io::ErrorKind::ConnectionRefused.into()))
    });
    let mut feed = connect.reconnecting(Backoff::default().max_retries(2));
    lost(&mut feed).await;
    lost(&mut feed).await;
    let error = feed.next().await.expect_err("two retries failed");
    assert_eq!(error.to_string(), "no connection could be made: connection refused");
    assert_eq!(feed.gave_up(), Some(GaveUp::Retries { retries: 2 }));
    assert_eq!(attempts.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_mistake_is_told_before_anything_is_tried() {
    let never = |_| -> Ready<io::Result<DuplexStream>> { panic!("nothing is dialled") };
    let mut feed = connect("http://in.memory/").over_each(never).reconnecting(Backoff::default());
    let error = feed.next().await.expect_err("no WebSocket address");
    assert!(matches!(error, Error::Url(error) if matches!(*error, UrlError::UnsupportedScheme { .. })));
    assert!(matches!(feed.next().await, Ok(None)));
    let mut feed = connect("ws://h/").header("X", "a\n").over_each(never).reconnecting(Backoff::default());
    assert!(matches!(feed.next().await, Err(Error::Request(_))));
}

/// The hook has its answers before anybody else, on each connection, and its error is a failed attempt.
#[tokio::test(start_paused = true)]
async fn the_hook_comes_before_the_messages() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default()).on_connect(|ws| {
        Box::pin(async {
            ws.send("subscribe").await?;
            match ws.recv().await? {
                Some(answer) if answer.as_text() == Some("subscribed") => Ok(()),
                _ => Err(Error::passing("not subscribed")),
            }
        })
    });
    let server = async {
        for answers in [["subscribed", "one"], ["busy", ""], ["subscribed", "two"]] {
            let mut ws = open(&mut servers).await;
            assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("subscribe"));
            for answer in answers {
                ws.send(answer).await.expect("open");
            }
            if answers[0] == "subscribed" {
                // Nothing else came: it is sent once.
                assert!(timeout(secs(1), ws.recv()).await.is_err());
            }
        }
        // Keeps the last one open.
        open(&mut servers).await
    };
    let client = async {
        assert_eq!(connected(&mut feed).await, 1);
        assert_eq!(text(&mut feed).await, "one");
        lost(&mut feed).await;
        let (cause, ..) = lost(&mut feed).await;
        assert_eq!(cause.to_string(), "not subscribed");
        assert_eq!(connected(&mut feed).await, 2);
        assert_eq!(text(&mut feed).await, "two");
        lost(&mut feed).await;
    };
    tokio::select! {
        _ = server => panic!("the client is not done"),
        () = client => {}
    }
}

/// An error of the program's own, as its hook has it.
#[derive(Debug, PartialEq)]
struct Unwelcome(&'static str);

impl std::fmt::Display for Unwelcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not welcome: {}", self.0)
    }
}

impl std::error::Error for Unwelcome {}

/// What is wrong is the program's to say, and whether another attempt would meet it again. The server hears of the end.
#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_says_why_and_closes() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default()).on_connect(|ws| {
        Box::pin(async {
            match ws.recv().await?.as_ref().and_then(|answer| answer.as_text()) {
                Some("not yet") => Err(Error::passing(Unwelcome("not yet"))),
                _ => Err(Error::lasting(Unwelcome("never"))),
            }
        })
    });
    let server = async {
        for answer in ["not yet", "never"] {
            let mut ws = open(&mut servers).await;
            ws.send(answer).await.expect("open");
            assert!(matches!(ws.recv().await, Ok(None)), "a closing handshake");
            assert_eq!(ws.close_code(), Some(CloseCode::GOING_AWAY));
        }
    };
    let client = async {
        let start = Instant::now();
        let (cause, ..) = lost(&mut feed).await;
        assert!(start.elapsed() < Duration::from_millis(10), "the server answers at once");
        assert_eq!(cause.to_string(), "not welcome: not yet");
        let Err(Error::Program(error)) = feed.next().await else { panic!("another attempt") };
        assert_eq!(error.cause().downcast_ref(), Some(&Unwelcome("never")));
        assert_eq!(feed.gave_up(), Some(GaveUp::Final));
    };
    tokio::join!(server, client);
}

/// A server that does not answer the Close frame holds up nobody for long; one that has gone, not at all.
#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_does_not_wait_for_a_silent_server() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect
        .reconnecting(Backoff::default())
        .on_connect(|ws| Box::pin(async { ws.recv().await.and(Err(Error::passing("no"))) }));
    let server = async {
        let mut silent = open(&mut servers).await;
        silent.send("anything").await.expect("open");
        drop(open(&mut servers).await);
        silent
    };
    let client = async {
        let start = Instant::now();
        assert_eq!(lost(&mut feed).await.0.to_string(), "no");
        let waited = start.elapsed();
        assert!((secs(1)..secs(2)).contains(&waited), "{waited:?}");
        let (cause, retry_in, _) = lost(&mut feed).await;
        assert!(matches!(cause, Error::Closed { code: CloseCode::ABNORMAL, .. }), "{cause}");
        let all = start.elapsed();
        assert!(all < waited + secs(5), "{all:?}, and again in {retry_in:?}");
    };
    tokio::join!(server, client);
}

/// What passes is counted over all connections, from the first on.
#[tokio::test(start_paused = true)]
async fn counters_add_up_over_connections() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect
        .no_compression()
        .reconnecting(Backoff::default())
        .on_connect(|ws| Box::pin(ws.send("subscribe")));
    let counters = feed.counters();
    let server = async {
        for _ in 0..2 {
            let mut ws = open(&mut servers).await;
            assert!(ws.recv().await.expect("open").is_some());
            ws.send("four").await.expect("open");
        }
    };
    let client = async {
        for connection in 1..=2 {
            connected(&mut feed).await;
            assert_eq!(text(&mut feed).await, "four");
            assert_eq!((counters.messages_sent(), counters.messages_received()), (connection, connection));
            // A header of six bytes with the mask, and of two without it.
            assert_eq!((counters.bytes_sent(), counters.bytes_received()), (15 * connection, 6 * connection));
            lost(&mut feed).await;
        }
        assert_eq!(feed.counters().messages_sent(), 2, "the same ones, whenever somebody asks");
    };
    tokio::join!(server, client);
}

/// Half a message, its compression, and a request's key are the first connection's alone.
#[tokio::test(start_paused = true)]
async fn no_state_leaks_into_the_next_connection() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default());
    let server = async {
        let mut keys = Vec::new();
        for rest in [&b""[..], &frame(OpCode::Text, true, b"whole")] {
            let mut stream = servers.recv().await.expect("an attempt");
            let head = read_head(&mut stream).await;
            let mut accepting =
                aiowebsocket::opening::Accepting::new(aiowebsocket::opening::HeadLimits::default());
            accepting.receive(head.as_bytes(), crate::support::start_of_time()).expect("a good request");
            accepting.accept(None, &[]).expect("a plain answer");
            stream.write_all(accepting.output()).await.expect("room");
            stream.write_all(rest).await.expect("room");
            // The beginning of a message, and half a header.
            stream.write_all(&frame(OpCode::Text, false, b"half ")).await.expect("room");
            stream.write_all(&[0x80]).await.expect("room");
            let key =
                head.lines().find(|line| line.starts_with("Sec-WebSocket-Key: ")).expect("a key").to_owned();
            keys.push(key);
        }
        keys
    };
    let client = async {
        connected(&mut feed).await;
        let (cause, ..) = lost(&mut feed).await;
        assert!(matches!(cause, Error::Closed { code: CloseCode::ABNORMAL, .. }), "{cause:?}");
        connected(&mut feed).await;
        assert_eq!(text(&mut feed).await, "whole");
    };
    let (keys, ()) = tokio::join!(server, client);
    assert_ne!(keys[0], keys[1]);
}

/// The pipe takes what it holds; the messages whose last byte it did not take are told, and are not sent again.
#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_told_and_not_sent_again() {
    // A frame of 302 bytes each: four fit, or all but the last byte of the fourth.
    for (room, leave) in [(4 * 302, 4), (4 * 302 - 1, 3)] {
        let (connect, mut servers) = through_pipes(room);
        let mut feed = connect.no_compression().reconnecting(Backoff::default());
        let long = |i: u32| format!("{i:0>294}");
        let (mut first, _) = tokio::join!(open(&mut servers), connected(&mut feed));
        for i in 0..5 {
            feed.feed(long(i)).await.expect("open");
        }
        assert!(timeout(secs(1), feed.send(long(5))).await.is_err(), "nobody reads");
        assert!(timeout(secs(1), feed.send(long(6).as_str())).await.is_err(), "nobody reads");
        feed.feed(long(7)).await.expect("open");
        assert!(timeout(secs(1), feed.next()).await.is_err(), "nothing comes");
        assert!(feed.take_unsent().is_empty(), "it may still leave");
        drop(first);
        let (_, _, unsent) = lost(&mut feed).await;
        assert_eq!(unsent, (leave..8).map(long).collect::<Vec<_>>());

        // The next connection begins with nothing, and what it sends is not told once it has left.
        (first, _) = tokio::join!(open(&mut servers), connected(&mut feed));
        feed.feed("a").await.expect("open");
        feed.send("b").await.expect("open");
        for expected in ["a", "b"] {
            assert_eq!(first.recv().await.expect("open").expect("open").as_text(), Some(expected));
        }
        drop(first);
        let (_, _, unsent) = lost(&mut feed).await;
        assert!(unsent.is_empty(), "{unsent:?}");
    }
}

/// Who hears of an error has the message back; it is not told a second time.
#[tokio::test(start_paused = true)]
async fn a_send_that_failed_is_not_among_the_unsent() {
    let (connect, mut servers) = through_pipes(1_000);
    let mut feed = connect.no_compression().reconnecting(Backoff::default());
    let (first, _) = tokio::join!(open(&mut servers), connected(&mut feed));
    feed.feed("x".repeat(5_000)).await.expect("open");
    let killing = async {
        sleep(secs(1)).await;
        drop(first);
    };
    let (sent, ()) = tokio::join!(feed.send("told"), killing);
    assert!(sent.is_err());
    let (_, _, unsent) = lost(&mut feed).await;
    assert_eq!(unsent, ["x".repeat(5_000)]);
    // Between two connections nothing is kept.
    assert_eq!(
        feed.send("y").await.expect_err("none").to_string(),
        "there is no connection now: nothing was sent"
    );
    assert!(matches!(feed.feed("z").await, Err(Error::NotConnected)));
    let (mut second, _) = tokio::join!(open(&mut servers), connected(&mut feed));
    feed.send("w").await.expect("open");
    assert_eq!(second.recv().await.expect("open").expect("open").as_text(), Some("w"));
}

/// Messages that the server had sent before it went are told before its end is.
#[tokio::test(start_paused = true)]
async fn messages_come_before_the_end_of_their_connection() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default().max_retries(0));
    let (mut server, _) = tokio::join!(open(&mut servers), connected(&mut feed));
    for i in 0..100 {
        server.feed(i.to_string()).await.expect("room");
    }
    server.flush().await.expect("room");
    drop(server);
    // Sending finds out first that the connection is over.
    for _ in 0..10 {
        _ = feed.send("x").await;
    }
    for i in 0..100 {
        assert_eq!(text(&mut feed).await, i.to_string());
    }
    assert!(feed.next().await.is_err());
    assert_eq!(feed.gave_up(), Some(GaveUp::Retries { retries: 0 }));
}

/// Every future is dropped after its first poll, and it comes to the same.
#[tokio::test(start_paused = true)]
async fn calls_can_be_dropped_at_any_time() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default()).on_connect(|ws| {
        Box::pin(async {
            ws.send("hello").await?;
            sleep(secs(1)).await;
            Ok(())
        })
    });
    let server = tokio::spawn(async move {
        let mut heard = Vec::new();
        for n in 0..3 {
            let mut ws = open(&mut servers).await;
            for i in 0..10 {
                ws.send(format!("{n}.{i}")).await.expect("open");
                sleep(Duration::from_millis(100)).await;
            }
            while let Ok(Ok(Some(message))) = timeout(secs(2), ws.recv()).await {
                heard.push(message.as_text().expect("a text").to_owned());
            }
        }
        heard
    });
    let mut told: Vec<String> = Vec::new();
    let mut polls = 0;
    while told.iter().filter(|line| line.starts_with("lost")).count() < 3 {
        polls += 1;
        assert!(polls < 100_000, "{told:?}");
        let polled = {
            let mut cx = Context::from_waker(Waker::noop());
            pin!(feed.next()).poll(&mut cx)
        };
        match polled {
            Poll::Pending => sleep(Duration::from_millis(7)).await,
            Poll::Ready(event) => match event.expect("goes on").expect("goes on") {
                ReconnectEvent::Connected { attempt } => told.push(format!("connected {attempt}")),
                ReconnectEvent::Message(message) => told.push(message.as_text().expect("a text").to_owned()),
                ReconnectEvent::Disconnected { .. } => told.push("lost".to_owned()),
                _ => panic!("another event"),
            },
        }
    }
    let mut expected = Vec::new();
    for n in 0..3 {
        expected.push("connected 1".to_owned());
        expected.extend((0..10).map(|i| format!("{n}.{i}")));
        expected.push("lost".to_owned());
    }
    assert_eq!(told, expected);
    assert_eq!(server.await.expect("no panic"), ["hello"; 3]);
}

#[tokio::test(start_paused = true)]
async fn closing_is_for_good() {
    // Open.
    let (make, mut servers) = pipes(1 << 16);
    let connecting = || connect("ws://in.memory/").over_each(make.clone()).reconnecting(Backoff::default());
    let mut feed = connecting();
    let (mut server, _) = tokio::join!(open(&mut servers), connected(&mut feed));
    let error = feed.close(CloseCode::ABNORMAL, "").await.expect_err("never sent");
    assert!(matches!(error, Error::Usage(_)));
    feed.send("still open").await.expect("open");
    let (closed, heard) = tokio::join!(feed.close(CloseCode::NORMAL, "done"), async {
        let message = server.recv().await;
        (message, server.recv().await, server.close_reason())
    });
    closed.expect("in order");
    assert!(matches!(heard, (Ok(Some(_)), Ok(None), Some(reason)) if &*reason == "done"));
    assert!(matches!(feed.next().await, Ok(None)));
    feed.close(CloseCode::NORMAL, "").await.expect("closed already");
    assert!(matches!(feed.send("x").await, Err(Error::NotConnected)));

    // Dropped after its first poll, and not called again.
    let mut feed = connecting();
    let (mut server, _) = tokio::join!(open(&mut servers), connected(&mut feed));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(feed.close(CloseCode::NORMAL, "")).poll(&mut cx).is_pending());
    let (next, _) = tokio::join!(feed.next(), server.recv());
    assert!(matches!(next, Ok(None)), "{next:?}");

    // A server that never answers holds up closing for its time, and then it is closed all the same.
    let mut feed = connecting();
    let (server, _) = tokio::join!(open(&mut servers), connected(&mut feed));
    let error = feed.close(CloseCode::NORMAL, "").await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout(TimeLimit::Close)), "{error:?}");
    assert!(matches!(feed.next().await, Ok(None)));
    drop(server);

    // Opening, and waiting.
    for wait in [false, true] {
        let mut feed = connecting();
        if wait {
            let (_, ()) = tokio::join!(lost(&mut feed), answer(&mut servers, ""));
        } else {
            assert!(pin!(feed.next()).poll(&mut cx).is_pending());
            servers.recv().await.expect("an attempt");
        }
        feed.close(CloseCode::NORMAL, "").await.expect("there is nothing to close");
        assert!(matches!(feed.next().await, Ok(None)));
    }
    sleep(secs(1_000)).await;
    assert!(servers.try_recv().is_err(), "nobody came again");
}

/// A peer that vanished is noticed by the keep-alive of the connection, and another one opened.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left() {
    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default());
    let (silent, _) = tokio::join!(open(&mut servers), connected(&mut feed));
    let start = Instant::now();
    let (cause, ..) = lost(&mut feed).await;
    assert!(matches!(cause, Error::Timeout(TimeLimit::KeepAlive)), "{cause:?}");
    assert_eq!(start.elapsed().as_secs(), 40);
    drop(silent);
    let (_server, attempt) = tokio::join!(open(&mut servers), connected(&mut feed));
    assert_eq!(attempt, 1);
}

#[cfg(feature = "futures")]
#[tokio::test(start_paused = true)]
async fn as_a_stream() {
    use futures_util::StreamExt;

    let (connect, mut servers) = through_pipes(1 << 16);
    let mut feed = connect.reconnecting(Backoff::default().max_retries(1));
    let server = async {
        let mut ws = open(&mut servers).await;
        ws.send("one").await.expect("open");
        drop(ws);
        answer(&mut servers, "").await;
    };
    let client = async {
        assert!(matches!(
            StreamExt::next(&mut feed).await,
            Some(Ok(ReconnectEvent::Connected { attempt: 1 }))
        ));
        assert!(matches!(StreamExt::next(&mut feed).await, Some(Ok(ReconnectEvent::Message(_)))));
        assert!(matches!(StreamExt::next(&mut feed).await, Some(Ok(ReconnectEvent::Disconnected { .. }))));
        assert!(matches!(StreamExt::next(&mut feed).await, Some(Err(Error::Handshake(_)))));
        assert!(StreamExt::next(&mut feed).await.is_none());
    };
    tokio::join!(server, client);
}

/// Futures may move between threads, and nothing shows what is secret.
#[test]
fn it_is_send_and_shows_no_secrets() {
    fn is_send<T: Send>(_: &T) {}
    let mut feed =
        connect("ws://al:hunter2@h/?hunter2").header("Cookie", "hunter2").reconnecting(Backoff::default());
    is_send(&feed);
    is_send(&feed.next());
    is_send(&feed.send("x"));
    is_send(&feed.feed("x"));
    is_send(&feed.close(CloseCode::NORMAL, ""));
    let shown = format!("{feed:?}");
    assert!(shown.contains("Waiting") && !shown.contains("hunter2"), "{shown}");
    fn is_clone<T: Clone>() {}
    is_clone::<OverEach<fn()>>();
}
