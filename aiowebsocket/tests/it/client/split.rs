//! Two halves: whichever is polled drives the connection, nobody who waits is forgotten, and dropping one harms nobody.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use aiowebsocket::protocol::{Header, OpCode};
use aiowebsocket::{
    CloseCode, Config, Error, Negotiated, Receiver, Role, Sender, TimeLimit, TrySendError, WebSocket,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::stream::{Step, Stream, Wire, frame, frames, open, quiet};
use crate::support::rng::Rng;

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// An open connection over one end of a stream.
fn end<S: AsyncRead + AsyncWrite + Unpin>(stream: S, role: Role, config: &Config) -> WebSocket<S> {
    let mut negotiated = Negotiated::default();
    negotiated.config = config.clone();
    WebSocket::from_upgraded(stream, role, negotiated, &[])
}

/// A client over a pipe of `room` bytes, and the bare stream of its peer.
pub(super) fn client(config: &Config, room: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(room);
    (end(ours, Role::Client, config), theirs)
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    (ours.expect("loopback"), theirs.expect("loopback").0)
}

/// A call that is polled by hand, and whether it was woken.
pub(super) struct Call<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    pub(super) woken: Arc<Flag>,
}

#[derive(Default)]
pub(super) struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a, T> Call<'a, T> {
    pub(super) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    /// Begun, and not done at once.
    #[track_caller]
    pub(super) fn waiting(future: impl Future<Output = T> + 'a) -> Self {
        let mut call = Self::new(future);
        assert!(call.poll().is_none(), "done at once");
        call
    }

    pub(super) fn poll(&mut self) -> Option<T> {
        let waker = Waker::from(Arc::clone(&self.woken));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Whether it was woken since it was asked last.
    pub(super) fn was_woken(&self) -> bool {
        self.woken.0.swap(false, Ordering::Relaxed)
    }
}

/// Polls these, in this order and only when woken, until all are done.
#[track_caller]
fn finish_all<T>(calls: &mut [Call<'_, T>]) -> Vec<T> {
    let mut done: Vec<Option<T>> = calls.iter().map(|_| None).collect();
    loop {
        let mut woken = false;
        for (call, done) in calls.iter_mut().zip(&mut done) {
            if done.is_none() && call.was_woken() {
                woken = true;
                *done = call.poll();
            }
        }
        if done.iter().all(Option::is_some) {
            return done.into_iter().flatten().collect();
        }
        assert!(woken, "some wait and nobody was woken");
    }
}

pub(super) fn texts(wire: &Wire) -> Vec<String> {
    let wrote = wire.lock().wrote.clone();
    let text = |(_, payload)| String::from_utf8(payload).expect("text");
    frames(&wrote).into_iter().filter(|(first, _)| *first == 0x81).map(text).collect()
}

// ---- messages

/// 300 messages of every size both ways at once, each in order, through halves of either end.
async fn both_ways<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(ours: S, theirs: S) {
    let mut config = quiet();
    config.max_queue = 4096;
    let halves = [end(ours, Role::Client, &config).split(), end(theirs, Role::Server, &config).split()];
    let mut tasks = Vec::new();
    for (sender, mut receiver) in halves {
        tasks.push(tokio::spawn(async move {
            let mut rng = Rng::new();
            for _ in 0..300 {
                let length = rng.length(70_000);
                sender.send(rng.bytes(length)).await.expect("open");
            }
            // Held until the other task is done.
            sender
        }));
        tasks.push(tokio::spawn(async move {
            let mut rng = Rng::new();
            for i in 0..300 {
                let length = rng.length(70_000);
                let message = receiver.recv().await.expect("open").expect("a message");
                assert!(message.as_bytes() == rng.bytes(length), "message {i}");
            }
            // The halves of one connection outlive this task in the other.
            std::future::pending().await
        }));
    }
    let receivers: Vec<_> = [3, 1].map(|i| tasks.remove(i)).into_iter().collect();
    let mut senders = Vec::new();
    for task in tasks {
        senders.push(timeout(secs(60), task).await.expect("no hang").expect("no panic"));
    }
    drop(receivers);
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_through_a_narrow_pipe() {
    let (ours, theirs) = duplex(100);
    both_ways(ours, theirs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_both_ways_over_tcp() {
    let (ours, theirs) = tcp().await;
    both_ways(ours, theirs).await;
}

/// Every message arrives once, those of one sender in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_share_a_connection() {
    const SENDERS: usize = 24;
    const EACH: usize = 100;
    let (ours, theirs) = tcp().await;
    let mut config = quiet();
    config.max_queue = 2000;
    let (sender, _receiver) = end(ours, Role::Client, &config).split();
    let mut server = end(theirs, Role::Server, &config);
    for i in 0..SENDERS {
        let sender = sender.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                let message = format!("{i} {n} {}", "x".repeat(n * 10));
                match (i + n) % 3 {
                    0 => sender.send(message).await.expect("open"),
                    1 => sender.feed(message).await.expect("open"),
                    _ => loop {
                        match sender.try_send(message.as_str()) {
                            Ok(()) => break,
                            Err(TrySendError::Full) => tokio::task::yield_now().await,
                            Err(error) => panic!("{error}"),
                        }
                    },
                }
            }
            sender.flush().await.expect("open");
        });
    }
    let mut next = [0; SENDERS];
    for _ in 0..SENDERS * EACH {
        let message = timeout(secs(60), server.recv()).await.expect("no hang");
        let message = message.expect("open").expect("open");
        let mut words = message.as_text().expect("text").split(' ').map(str::to_owned);
        let i: usize = words.next().expect("two").parse().expect("a number");
        let n: usize = words.next().expect("two").parse().expect("a number");
        assert_eq!(n, next[i], "of sender {i}");
        next[i] += 1;
    }
    assert_eq!(next, [EACH; SENDERS]);
}

// ---- turns

/// A client whose stream takes nothing, with one message in a queue that is full with it.
pub(super) async fn full() -> (Sender<Stream>, Receiver<Stream>, Wire) {
    let mut config = quiet();
    config.max_queue = 1;
    let (ws, wire) = open(config, true).await;
    wire.writes([Step::Stall]);
    let (sender, receiver) = ws.split();
    drop(Call::waiting(sender.send("first")));
    (sender, receiver, wire)
}

#[tokio::test]
async fn senders_are_served_in_the_order_of_their_first_poll() {
    let (sender, _receiver, wire) = full().await;
    let [mut a, mut b, mut c] = ["a", "b", "c"].map(|text| Call::new(sender.send(text)));
    assert!(c.poll().is_none() && a.poll().is_none() && b.poll().is_none());
    // Polling once more changes nothing.
    assert!(b.poll().is_none() && a.poll().is_none());
    wire.writes([]);
    finish_all(&mut [a, b, c]).into_iter().for_each(|sent| sent.expect("open"));
    assert_eq!(texts(&wire), ["first", "c", "a", "b"]);
}

/// The second in line, and the first, whose turn goes to the next at once.
#[tokio::test]
async fn a_waiting_sender_that_is_dropped_gives_its_turn_to_the_next() {
    for dropped in [0, 1, 2] {
        let (sender, _receiver, wire) = full().await;
        let mut calls: Vec<_> =
            ["a", "b", "c"].map(|text| Call::waiting(sender.send(text))).into_iter().collect();
        if dropped == 0 {
            // There is room, and the one whose turn it is does not look.
            wire.lock().unstall_silently();
            drop(Call::new(sender.flush()).poll());
            assert!(calls[0].was_woken());
            for call in &mut calls[1..] {
                assert!(!call.was_woken() && call.poll().is_none());
            }
        }
        drop(calls.remove(dropped));
        assert!(dropped > 0 || calls[0].was_woken());
        wire.writes([]);
        calls.iter().for_each(|call| call.woken.0.store(true, Ordering::Relaxed));
        finish_all(&mut calls).into_iter().for_each(|sent| sent.expect("open"));
        let expected: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .enumerate()
            .filter(|(i, _)| *i != dropped)
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts(&wire), [&["first"], expected.as_slice()].concat(), "{dropped} was dropped");
    }
}

#[tokio::test]
async fn a_queue_is_bounded_in_bytes() {
    let mut config = quiet();
    config.max_queue = 1000;
    let (ws, wire) = open(config, true).await;
    wire.writes([Step::Stall]);
    let (sender, _receiver) = ws.split();
    // 94 bytes of payload and 6 of header.
    for i in 0..10 {
        assert!(Call::new(sender.feed([b'x'; 94].as_slice())).poll().is_some(), "{i} has room");
    }
    let mut eleventh = Call::waiting(sender.feed("eleventh"));
    wire.writes([Step::Move(1), Step::Stall]);
    assert!(eleventh.was_woken() && eleventh.poll().is_some_and(|fed| fed.is_ok()));
}

#[tokio::test]
async fn a_try_says_full_or_closed() {
    let (sender, mut receiver, wire) = full().await;
    assert!(matches!(sender.try_send("no room"), Err(TrySendError::Full)));
    let waiting = Call::waiting(sender.send("waits"));
    // There is room, but somebody waits for it.
    wire.lock().unstall_silently();
    drop(Call::new(sender.flush()).poll());
    assert!(matches!(sender.try_send("not its turn"), Err(TrySendError::Full)));
    drop(waiting);
    sender.flush().await.expect("open");
    sender.try_send("now").expect("room");
    assert_eq!(texts(&wire), ["first", "now"]);

    // Closed is told although the queue is full: nobody who tries again and again would ever get to know it.
    wire.writes([Step::Stall]);
    sender.try_send("stays").expect("room");
    assert!(matches!(sender.try_send("full"), Err(TrySendError::Full)));
    let full: Error = TrySendError::Full.into();
    assert_eq!(full.to_string(), "the send queue is full");
    wire.say(&frame(OpCode::Close, true, &[0x0b, 0xb8, b'w', b'h', b'y']));
    drop(Call::waiting(receiver.recv()));
    assert_eq!(receiver.close_code(), sender.close_code());
    assert_eq!(receiver.close_code().map(u16::from), Some(3000));
    assert_eq!(receiver.close_reason().as_deref(), Some("why"));
    match sender.try_send("closed") {
        Err(TrySendError::Closed(Error::Closed { code, .. })) => assert_eq!(u16::from(code), 3000),
        other => panic!("{other:?}"),
    }
}

/// A call returns when its own bytes have left, not when the senders behind it have nothing more to say.
#[tokio::test]
async fn a_send_does_not_wait_for_those_behind_it() {
    for fragment_size in [None, Some(10)] {
        let mut config = quiet();
        config.fragment_size = fragment_size.and_then(std::num::NonZeroUsize::new);
        let (ws, wire) = open(config, true).await;
        let (sender, mut receiver) = ws.split();
        // Some pongs have jumped the queue before.
        for _ in 0..if fragment_size.is_some() { 5 } else { 0 } {
            wire.writes([Step::Stall]);
            drop(Call::waiting(sender.send([b'z'; 30].as_slice())));
            wire.say(&frame(OpCode::Ping, true, b"inside"));
            drop(Call::waiting(receiver.recv()));
            wire.writes([]);
            sender.flush().await.expect("open");
        }
        wire.lock().wrote.clear();
        wire.lock().flushed = 0;
        wire.writes([Step::Stall]);
        // In fragments of 10: three frames of 16 bytes. With a pong between, of 6 and 5.
        let mut first = Call::waiting(sender.send([b'a'; 30].as_slice()));
        let second = Call::waiting(sender.send([b'b'; 30].as_slice()));
        wire.say(&frame(OpCode::Ping, true, b"inside"));
        let receiving = Call::waiting(receiver.recv());
        let mut left = 0;
        // A byte at a time.
        while first.poll().is_none() {
            wire.writes([Step::Move(1), Step::Stall]);
            left += 1;
            assert!(left < 200, "the stream took everything");
        }
        let length = match fragment_size {
            None => 6 + 30,
            // The first fragment was cut before the ping came.
            Some(_) => 3 * (6 + 10) + 6 + 6,
        };
        let wrote = wire.lock().wrote.len();
        assert!(
            (length..length + 14).contains(&wrote),
            "{fragment_size:?}: {wrote} bytes had left, not {length}"
        );
        assert!(wire.lock().flushed >= length, "a stream that keeps what it takes has let go of it");
        drop((second, receiving));
    }
}

// ---- one half alone

/// A ping and then a Close frame are answered.
async fn answers(wire: &Wire, mut drive: impl AsyncFnMut()) {
    wire.say(&frame(OpCode::Ping, true, b"?"));
    drive().await;
    assert_eq!(frames(&wire.lock().wrote).last(), Some(&(0x8a, b"?".to_vec())));
    wire.say(&frame(OpCode::Close, true, &[0x03, 0xe8]));
    drive().await;
    assert_eq!(frames(&wire.lock().wrote).last(), Some(&(0x88, vec![0x03, 0xe8])));
}

#[tokio::test]
async fn a_receiver_alone_answers_pings_and_close() {
    let (ws, wire) = open(quiet(), true).await;
    let (sender, mut receiver) = ws.split();
    drop(sender);
    answers(&wire, async || drop(Call::new(receiver.recv()).poll())).await;
    wire.lock().ended = true;
    assert!(receiver.recv().await.is_ok_and(|message| message.is_none()));
}

#[tokio::test]
async fn a_waiting_sender_alone_answers_pings_and_close() {
    for receiver_is_held in [true, false] {
        let (ws, wire) = open(quiet(), true).await;
        let (sender, receiver) = ws.split();
        let held = receiver_is_held.then_some(receiver);
        wire.lock().deaf();
        let mut ping = Call::waiting(sender.ping());
        answers(&wire, async || drop(ping.poll())).await;
        drop(held);
    }
}

/// Sends that are done at once read too, where nobody else does: a program that only sends is no dead peer to its server.
#[tokio::test]
async fn a_sender_that_never_waits_answers_pings_and_close() {
    for receiver_is_held in [true, false] {
        let (ws, wire) = open(quiet(), true).await;
        let (sender, receiver) = ws.split();
        let held = receiver_is_held.then_some(receiver);
        answers(&wire, async || _ = sender.send("tick").await).await;
        drop(held);
    }
}

/// However little the receiver does meanwhile: a feed is no send.
#[tokio::test]
async fn what_a_sender_feeds_leaves_together() {
    for receiver_is_held in [true, false] {
        let (ws, wire) = open(quiet(), true).await;
        let (sender, receiver) = ws.split();
        let held = receiver_is_held.then_some(receiver);
        for text in ["one", "two", "three"] {
            sender.feed(text).await.expect("open");
        }
        assert_eq!(wire.lock().wrote, b"", "the receiver is held: {receiver_is_held}");
        sender.flush().await.expect("open");
        assert_eq!(texts(&wire), ["one", "two", "three"]);
        drop(held);
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_task_behind_nobody_need_poll() {
    let (ws, wire) = open(quiet(), true).await;
    let (sender, receiver) = ws.background();
    sender.feed("fed").await.expect("open");
    answers(&wire, async || sleep(Duration::from_millis(1)).await).await;
    assert_eq!(texts(&wire), ["fed"]);
    drop((sender, receiver));
}

// ---- who is woken

#[tokio::test]
async fn a_receiver_is_woken_for_what_a_sender_reads() {
    let (ws, wire) = open(quiet(), true).await;
    let (sender, mut receiver) = ws.split();
    wire.lock().deaf();
    let mut ping = Call::waiting(sender.ping());
    let mut receiving = Call::waiting(receiver.recv());
    wire.lock().incoming.extend(frame(OpCode::Text, true, b"for you"));
    // The sender is polled first.
    assert!(ping.poll().is_none());
    assert!(receiving.was_woken());
    let message = receiving.poll().expect("kept").expect("open").expect("a message");
    assert_eq!(message.as_text(), Some("for you"));
}

#[tokio::test]
async fn both_halves_are_woken_by_the_stream() {
    let (sender, mut receiver, wire) = full().await;
    let mut sending = Call::waiting(sender.send("second"));
    let mut receiving = Call::waiting(receiver.recv());
    sending.was_woken();
    // The stream knows one waker, the newest of either direction.
    wire.say(&frame(OpCode::Text, true, b"in"));
    assert!(receiving.was_woken() && sending.was_woken());
    assert!(sending.poll().is_none());
    assert!(receiving.poll().is_some());
    drop(receiving);
    let receiving = Call::waiting(receiver.recv());
    assert!(sending.was_woken() && sending.poll().is_none());
    wire.writes([]);
    assert!(receiving.was_woken() && sending.was_woken());
}

#[tokio::test]
async fn a_sender_is_woken_for_room_that_the_receiver_makes() {
    let (sender, mut receiver, wire) = full().await;
    // Nothing but the room wakes it.
    wire.lock().deaf();
    let mut sending = Call::waiting(sender.send("second"));
    let mut receiving = Call::waiting(receiver.recv());
    wire.lock().unstall_silently();
    sending.was_woken();
    assert!(receiving.poll().is_none());
    assert!(sending.was_woken());
    sending.poll().expect("room").expect("open");
    assert_eq!(texts(&wire), ["first", "second"]);
}

// ---- one half is dropped

/// What goes on while a half is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Idle,
    ReceiverParked,
    SenderWaiting,
    HalfRead,
    HalfWritten,
    PingOutstanding,
    ClosingFromUs,
    ClosingFromPeer,
    AfterTheEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Sender,
    Receiver,
}

/// Whether a whole Close frame is among these frames, the last of which may be half there.
fn has_close(mut bytes: &[u8]) -> bool {
    while let Ok(Some((header, size))) = Header::decode(bytes) {
        let Some(rest) = bytes.get(size + usize::try_from(header.length).expect("in memory")..) else {
            break;
        };
        if header.opcode == OpCode::Close {
            return true;
        }
        bytes = rest;
    }
    false
}

/// Drops a half at that moment, then has the other one and the peer talk to their end.
async fn drop_a_half(moment: Moment, half: Half, background: bool) {
    let mut config = quiet();
    config.max_queue = 1;
    // Less than one of the large messages.
    let (ws, mut peer) = client(&config, 1000);
    let (sender, mut receiver) = if background { ws.background() } else { ws.split() };
    let large = "l".repeat(5000);
    // What the peer must get, and what the receiver must get.
    let (mut sent, mut said) = (Vec::new(), Vec::new());
    let mut rest = Vec::new();
    let mut sending: Option<Call<'_, Result<(), Error>>> = None;
    let mut pinging = None;
    match moment {
        Moment::Idle => {}
        Moment::ReceiverParked => drop(Call::waiting(receiver.recv())),
        Moment::SenderWaiting => {
            drop(Call::waiting(sender.send(large.as_str())));
            sent.push(large.clone());
            let sender = sender.clone();
            sending = Some(Call::waiting(async move { sender.send("waited").await }));
            if half == Half::Receiver {
                sent.push("waited".to_owned());
            }
        }
        Moment::HalfRead => {
            let bytes = frame(OpCode::Text, true, large.as_bytes());
            peer.write_all(&bytes[..700]).await.expect("room");
            drop(Call::waiting(receiver.recv()));
            rest.extend_from_slice(&bytes[700..]);
            said.push(large.clone());
        }
        Moment::HalfWritten => {
            drop(Call::waiting(sender.send(large.as_str())));
            sent.push(large.clone());
        }
        Moment::PingOutstanding => {
            let sender = sender.clone();
            pinging = Some(Call::waiting(async move { sender.ping().await }));
        }
        Moment::ClosingFromUs => drop(Call::waiting(sender.close(CloseCode::NORMAL, "bye"))),
        Moment::ClosingFromPeer => {
            peer.write_all(&frame(OpCode::Close, true, &[0x03, 0xe8])).await.expect("room");
            drop(Call::waiting(receiver.recv()));
        }
        Moment::AfterTheEnd => {
            peer.write_all(&frame(OpCode::Close, true, &[0x03, 0xe8])).await.expect("room");
            peer.shutdown().await.expect("a pipe");
            assert!(receiver.recv().await.is_ok_and(|message| message.is_none()));
        }
    }
    let peer_closes = matches!(moment, Moment::ClosingFromPeer | Moment::AfterTheEnd);
    let closing = peer_closes || moment == Moment::ClosingFromUs;

    // The peer: reads all that comes, says the rest of what it was saying, and closes when it is told so.
    let peer = tokio::spawn(async move {
        let (mut reading, mut writing) = tokio::io::split(peer);
        let talk = async {
            _ = writing.write_all(&rest).await;
            _ = writing.write_all(&frame(OpCode::Text, true, b"late")).await;
            if half == Half::Sender && !peer_closes {
                _ = writing.write_all(&frame(OpCode::Close, true, &[0x03, 0xe8])).await;
            }
        };
        let listen = async {
            let mut bytes = Vec::new();
            while !has_close(&bytes) {
                let mut some = [0; 999];
                match reading.read(&mut some).await {
                    Ok(n) if n > 0 => bytes.extend_from_slice(&some[..n]),
                    _ => break,
                }
            }
            bytes
        };
        let ((), bytes) = tokio::join!(talk, listen);
        if half == Half::Receiver {
            _ = writing.write_all(&frame(OpCode::Close, true, &[0x03, 0xe8])).await;
        }
        _ = writing.shutdown().await;
        bytes
    });

    match half {
        Half::Receiver => {
            drop(receiver);
            if let Some(waited) = sending {
                waited.future.await.expect("open");
            }
            if let Some(ping) = pinging {
                // Nobody answers it: the connection ends without.
                tokio::select! {
                    biased;
                    pinged = ping.future => panic!("{pinged:?}"),
                    () = sleep(secs(1)) => {}
                }
            }
            let last = sender.send("last").await;
            assert_eq!(last.is_ok(), !closing, "{last:?}");
            if last.is_ok() {
                sent.push("last".to_owned());
            }
            sender.close(CloseCode::NORMAL, "").await.expect("a peer that answers");
            assert_eq!(sender.close_code(), Some(CloseCode::NORMAL));
        }
        Half::Sender => {
            drop((sending, pinging, sender));
            if !peer_closes {
                said.push("late".to_owned());
            }
            let mut received = Vec::new();
            while let Some(message) = receiver.recv().await.expect("a clean end") {
                received.push(message.as_text().expect("text").to_owned());
            }
            assert!(received == said, "{} messages", received.len());
            assert!(receiver.recv().await.is_ok_and(|message| message.is_none()), "the end stays");
        }
    }
    let wrote = peer.await.expect("no panic");
    let texts: Vec<_> = frames(&wrote).into_iter().filter(|(first, _)| *first == 0x81).collect();
    assert!(texts.iter().map(|(_, text)| text.as_slice()).eq(sent.iter().map(String::as_bytes)), "sent");
    let closes = frames(&wrote).iter().filter(|(first, _)| *first == 0x88).count();
    assert_eq!(closes, 1);
}

#[tokio::test(start_paused = true)]
async fn either_half_can_be_dropped_at_any_moment() {
    for moment in [
        Moment::Idle,
        Moment::ReceiverParked,
        Moment::SenderWaiting,
        Moment::HalfRead,
        Moment::HalfWritten,
        Moment::PingOutstanding,
        Moment::ClosingFromUs,
        Moment::ClosingFromPeer,
        Moment::AfterTheEnd,
    ] {
        for half in [Half::Sender, Half::Receiver] {
            for background in [false, true] {
                let start = Instant::now();
                timeout(secs(5), drop_a_half(moment, half, background)).await.unwrap_or_else(|_| {
                    panic!("{half:?} dropped at {moment:?}, background {background}: a hang")
                });
                let took = start.elapsed();
                assert!(took <= secs(1), "{half:?} dropped at {moment:?}, background {background}: {took:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_halves_the_task_says_goodbye() {
    for drops_at_once in [true, false] {
        let (ws, mut peer) = client(&Config::default(), 1000);
        let (sender, receiver) = ws.background();
        if !drops_at_once {
            sleep(secs(1)).await;
        }
        let clone = sender.clone();
        drop(sender);
        drop(receiver);
        clone.feed("the last word").await.expect("open");
        drop(clone);
        let mut bytes = [0; 19 + 8];
        timeout(secs(1), peer.read_exact(&mut bytes)).await.expect("at once").expect("two frames");
        assert_eq!(
            frames(&bytes),
            [(0x81, b"the last word".to_vec()), (0x88, 1001_u16.to_be_bytes().to_vec())]
        );
        // The peer never answers, or its stream ends.
        if drops_at_once {
            drop(peer);
        } else {
            let ended = timeout(secs(11), peer.read(&mut bytes)).await.expect("within the time for closing");
            assert_eq!(ended.expect("a plain end"), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_halves_and_task_the_stream_just_ends() {
    let (ws, mut peer) = client(&Config::default(), 1000);
    drop(ws.split());
    let mut bytes = Vec::new();
    timeout(secs(1), peer.read_to_end(&mut bytes)).await.expect("at once").expect("a plain end");
    assert_eq!(bytes, []);
}

// ---- the window

/// A connection whose receiver is held and not polled, and whose peer has said more than is kept. With a task behind, or with
/// `tick`, a sender that says something now and then. How many messages the peer said, and what is left of the last.
pub(super) async fn crowded(
    background: bool,
    max_backlog: usize,
) -> ((Sender<DuplexStream>, Receiver<DuplexStream>), DuplexStream, usize, Vec<u8>) {
    let mut config = Config::default();
    config.max_backlog = max_backlog;
    let (ws, mut peer) = client(&config, 1000);
    let (sender, receiver) = if background { ws.background() } else { ws.split() };
    let mut said = 0;
    // Until the pipe is full too.
    loop {
        let bytes = frame(OpCode::Text, true, format!("{said} {}", "m".repeat(300)).as_bytes());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            if !background {
                sender.try_send("tick").expect("open");
            }
            match timeout(Duration::from_millis(1), peer.write(rest)).await {
                Ok(written) => rest = &rest[written.expect("open")..],
                Err(_) => return ((sender, receiver), peer, said, rest.to_vec()),
            }
        }
        said += 1;
        assert!(said < 1000, "reading never pauses");
    }
}

pub(super) fn pings(bytes: &[u8]) -> usize {
    frames(bytes).into_iter().filter(|(first, _)| *first == 0x89).count()
}

#[tokio::test(start_paused = true)]
async fn while_reading_is_paused_nobody_is_dead_and_our_pings_go_on() {
    for background in [true, false] {
        let ((sender, mut receiver), mut peer, said, _rest) = crowded(background, 5000).await;
        assert!(said >= 10, "{said} messages fit");
        let mut heard = Vec::new();
        let until = Instant::now() + secs(300);
        while Instant::now() < until {
            sleep(secs(7)).await;
            while let Ok(read) = timeout(Duration::from_millis(1), peer.read_buf(&mut heard)).await {
                assert!(read.expect("a pipe") > 0, "the connection ended");
            }
            if !background {
                sender.send("tick").await.expect("nobody is dead");
            }
        }
        let pings = pings(&heard);
        assert!((12..=16).contains(&pings), "{pings} pings in 5 minutes, background {background}");
        // What was kept, what lies in the pipe, and then the half frame's other half.
        for i in 0..said {
            let message = timeout(secs(1), receiver.recv()).await.expect("no hang");
            let message = message.expect("open").expect("open");
            assert!(message.as_text().is_some_and(|text| text.starts_with(&format!("{i} m"))), "message {i}");
        }
        // From now on silence counts again.
        let start = Instant::now();
        let reader = tokio::spawn(async move {
            let mut rest = Vec::new();
            _ = peer.read_to_end(&mut rest).await;
        });
        let ended = timeout(secs(120), receiver.recv()).await.expect("a dead peer is noticed");
        assert!(matches!(ended, Err(Error::Timeout(TimeLimit::KeepAlive))), "{ended:?}");
        assert!(start.elapsed() >= secs(19), "{:?}", start.elapsed());
        reader.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn close_discards_what_waits_and_reads_on() {
    for background in [true, false] {
        // With no room for anything, too.
        for max_backlog in [5000, 0] {
            let ((sender, receiver), peer, _, rest) = crowded(background, max_backlog).await;
            let start = Instant::now();
            let (mut reading, mut writing) = tokio::io::split(peer);
            let peer = tokio::spawn(async move {
                // More than any window, then the answer: the Close frame is behind all of it.
                writing.write_all(&rest).await.expect("is read");
                for _ in 0..100 {
                    writing.write_all(&frame(OpCode::Binary, true, &[0; 500])).await.expect("is read");
                }
                let mut heard = Vec::new();
                while !has_close(&heard) {
                    assert!(reading.read_buf(&mut heard).await.expect("open") > 0);
                }
                writing.write_all(&frame(OpCode::Close, true, &[0x03, 0xe8])).await.expect("is read");
                writing.shutdown().await.expect("a pipe");
            });
            let closed = timeout(secs(30), sender.close(CloseCode::NORMAL, "")).await.expect("in time");
            closed.expect("an answer");
            assert!(start.elapsed() <= secs(10), "{:?}", start.elapsed());
            peer.await.expect("no panic");
            drop(receiver);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_cannot_hold_close() {
    for background in [true, false] {
        for max_backlog in [5000, 0] {
            let ((sender, receiver), _peer, _, _) = crowded(background, max_backlog).await;
            let start = Instant::now();
            let closed = timeout(secs(30), sender.close(CloseCode::NORMAL, "")).await.expect("in time");
            assert!(matches!(closed, Err(Error::Timeout(TimeLimit::Close))), "{closed:?}");
            assert!(start.elapsed() <= secs(11), "{:?}", start.elapsed());
            drop(receiver);
        }
    }
}

/// What is left of a message that was begun in parts belongs to nobody any more; everything after it arrives.
#[tokio::test(start_paused = true)]
async fn halves_of_a_connection_in_the_middle_of_a_message() {
    for closes in [false, true] {
        let (mut ws, mut peer) = client(&quiet(), 1000);
        peer.write_all(&frame(OpCode::Text, false, b"part")).await.expect("room");
        assert_eq!(ws.recv_part().await.expect("open").expect("a part").data, b"part");
        let (sender, mut receiver) = ws.split();
        // Who waits for something else reads on too.
        drop(Call::waiting(sender.ping()));
        peer.read_exact(&mut [0; 14]).await.expect("a ping");
        let rest = [frame(OpCode::Continuation, true, b"rest"), frame(OpCode::Text, true, b"next")].concat();
        peer.write_all(&rest).await.expect("room");
        let goodbye = frame(OpCode::Close, true, &[0x03, 0xe8]);
        if closes {
            let answer = async {
                peer.read_exact(&mut [0; 8]).await.expect("Close");
                peer.write_all(&goodbye).await.expect("room");
                peer.shutdown().await.expect("a pipe");
            };
            let (closed, ()) = tokio::join!(sender.close(CloseCode::NORMAL, ""), answer);
            closed.expect("an answer");
        } else {
            peer.write_all(&goodbye).await.expect("room");
            peer.shutdown().await.expect("a pipe");
        }
        let message = receiver.recv().await.expect("open").expect("a message");
        assert_eq!(message.as_text(), Some("next"));
        assert!(receiver.recv().await.is_ok_and(|message| message.is_none()));
    }
}

/// The futures of both halves go to other threads. A guard of a `std` mutex cannot, so this also proves that none is held
/// while a future waits.
#[test]
fn the_futures_of_halves_are_send() {
    fn is_send<T: Send>(_: &T) {}
    fn all(sender: &Sender, receiver: &mut Receiver) {
        is_send(&sender.send("text"));
        is_send(&sender.feed(vec![1]));
        is_send(&sender.flush());
        is_send(&sender.ping());
        is_send(&sender.close(CloseCode::NORMAL, ""));
        is_send(&receiver.recv());
        is_send(sender);
        is_send(receiver);
    }
    _ = all;
}
