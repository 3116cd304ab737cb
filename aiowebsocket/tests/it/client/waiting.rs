//! Who waits on a shared connection is woken for what others do, and let go of when it gives up; what waits is bounded.

use std::sync::Arc;

use aiowebsocket::protocol::OpCode;
use aiowebsocket::{CloseCode, Config, Error, Event, Message, Receiver, Sender, TimeLimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::split::{Call, client, crowded, full, pings, secs, texts};
use super::stream::{Step, Stream, Wire, frame, frames, open, quiet};
use crate::support::alloc::held;

/// Two halves over a stream whose peer says what the test says.
async fn halves(config: Config) -> (Sender<Stream>, Receiver<Stream>, Wire) {
    let (ws, wire) = open(config, true).await;
    wire.lock().deaf();
    let (sender, receiver) = ws.split();
    (sender, receiver, wire)
}

/// The pong to the `n`th ping that was written.
fn pong(wire: &Wire, n: usize) -> Vec<u8> {
    let wrote = frames(&wire.lock().wrote);
    let (_, payload) = wrote.iter().filter(|(first, _)| *first == 0x89).nth(n).expect("a ping");
    frame(OpCode::Pong, true, payload)
}

// ---- the line

/// Woken once, when it is its turn: not for all that happens before.
#[tokio::test]
async fn those_behind_the_first_are_woken_for_their_turn_only() {
    let (sender, mut receiver, wire) = full().await;
    let mut calls: Vec<_> = (0..50).map(|i| Call::waiting(sender.send(i.to_string()))).collect();
    for _ in 0..10 {
        wire.say(&frame(OpCode::Text, true, b"in"));
        assert!(Call::new(receiver.recv()).poll().is_some());
        assert!(calls[0].was_woken() && calls[0].poll().is_none());
    }
    assert!(calls[1..].iter().all(|call| !call.was_woken()));
    wire.writes([]);
    for i in 0..50 {
        assert!(calls[i].was_woken(), "the turn of {i}");
        assert!(calls[i].poll().is_some_and(|sent| sent.is_ok()));
        assert!(calls[i + 1..].iter().skip(1).all(|call| !call.was_woken()), "{i} was the only one before");
    }
    assert_eq!(texts(&wire).len(), 51);
}

/// A call gives its turn to the next when its message is queued, not when it has left.
#[tokio::test]
async fn a_turn_ends_when_the_message_is_queued() {
    let mut config = quiet();
    config.max_queue = 1000;
    let (ws, wire) = open(config, true).await;
    let (sender, mut receiver) = ws.split();
    wire.writes([Step::Stall]);
    assert!(Call::new(sender.feed([b'x'; 2000].as_slice())).poll().is_some());
    let mut first = Call::waiting(sender.send("first"));
    let mut second = Call::waiting(sender.send("second"));
    // The receiver makes room for both, and the stream takes no more.
    wire.lock().unstall_silently();
    wire.lock().takes([Step::Move(1900), Step::Stall]);
    drop(Call::waiting(receiver.recv()));
    assert!(first.was_woken() && first.poll().is_none(), "queued");
    assert!(second.was_woken() && second.poll().is_none(), "queued behind it");
    let mut third = Call::new(sender.feed("third"));
    assert!(third.poll().is_some(), "nobody waits any more");
    wire.writes([]);
    sender.flush().await.expect("open");
    assert_eq!(texts(&wire), ["first", "second", "third"]);
}

/// The task that polls it last is woken.
#[tokio::test]
async fn a_call_that_moves_to_another_task_is_woken_there() {
    let (sender, mut receiver, wire) = full().await;
    let mut calls = [Call::waiting(sender.send("a")), Call::waiting(sender.send("b"))];
    let before: Vec<_> = calls.iter_mut().map(|call| std::mem::take(&mut call.woken)).collect();
    calls.iter_mut().for_each(|call| assert!(call.poll().is_none()));
    let mut receiving = Call::waiting(receiver.recv());
    let stale = std::mem::take(&mut receiving.woken);
    assert!(receiving.poll().is_none());
    wire.writes([]);
    for call in &mut calls {
        assert!(call.was_woken() && call.poll().is_some());
    }
    wire.say(&frame(OpCode::Text, true, b"in"));
    assert!(receiving.was_woken());
    // Nothing holds the wakers of the tasks that they left.
    assert!(before.iter().chain([&stale]).all(|flag| Arc::strong_count(flag) == 1));
}

/// Those behind the first too, and at once.
#[tokio::test]
async fn all_in_line_are_told_the_end() {
    let (sender, mut receiver, wire) = full().await;
    let mut calls: Vec<_> = (0..5).map(|i| Call::waiting(sender.send(i.to_string()))).collect();
    wire.say(&frame(OpCode::Close, true, &[0x0b, 0xb8]));
    wire.lock().ended = true;
    assert!(Call::new(receiver.recv()).poll().is_some_and(|received| received.is_err()));
    // A call that begins now does not wait behind the others.
    let late = Call::new(sender.send("late")).poll().expect("told at once");
    assert!(matches!(late, Err(Error::Closed { .. })), "{late:?}");
    for call in calls.drain(..) {
        assert!(call.was_woken());
        let mut call = call;
        let told = call.poll().expect("told");
        assert!(matches!(told, Err(Error::Closed { .. })), "{told:?}");
    }
}

/// `feed` waits for room; where the connection ends instead, it says so.
#[tokio::test]
async fn who_waits_for_room_is_told_the_end() {
    let mut config = quiet();
    config.max_queue = 1;
    let (mut ws, wire) = open(config, true).await;
    wire.writes([Step::Stall]);
    ws.feed("first").await.expect("room");
    let mut feeding = Call::waiting(ws.feed("second"));
    wire.lock().ended = true;
    wire.say(b"");
    assert!(feeding.was_woken());
    let told = feeding.poll().expect("told");
    assert!(matches!(told, Err(Error::Closed { code: CloseCode::ABNORMAL, .. })), "{told:?}");
}

// ---- the list

/// What one of them reads, all others hear of.
#[tokio::test]
async fn all_who_wait_are_woken_for_what_one_reads() {
    let (sender, mut receiver, wire) = halves(quiet()).await;
    let mut pinging = [Call::waiting(sender.ping()), Call::waiting(sender.ping())];
    let mut receiving = Call::waiting(receiver.recv());
    for call in &mut pinging {
        // Whoever was woken looks, or is not woken again.
        assert!(!call.was_woken() || call.poll().is_none());
    }
    // The second pong answers both pings (RFC 6455 5.5.3). Nobody is told that it is there.
    let pong = pong(&wire, 1);
    wire.lock().incoming.extend(pong);
    assert!(receiving.poll().is_none());
    for call in &mut pinging {
        assert!(call.was_woken() && call.poll().is_some_and(|pinged| pinged.is_ok()));
    }
}

/// Two that close go on when something happens, and do not keep each other awake.
#[tokio::test]
async fn two_that_close_wait_in_peace() {
    let (sender, _receiver, wire) = halves(quiet()).await;
    let close = || Call::waiting(sender.close(CloseCode::NORMAL, ""));
    let mut closing = [close(), close()];
    for round in 0.. {
        let mut any = false;
        for call in &mut closing {
            if call.was_woken() {
                any = true;
                assert!(call.poll().is_none());
            }
        }
        if !any {
            break;
        }
        assert!(round < 10, "they wake each other for ever");
    }
    wire.say(&frame(OpCode::Close, true, &[0x03, 0xe8]));
    wire.lock().ended = true;
    for call in &mut closing {
        assert!(call.was_woken() && call.poll().is_some_and(|closed| closed.is_ok()));
    }
}

/// `flush` waits for what is queued now, not for what comes after.
#[tokio::test]
async fn a_flush_does_not_wait_for_those_behind_it() {
    let (sender, _receiver, wire) = halves(quiet()).await;
    wire.writes([Step::Stall]);
    sender.feed([b'a'; 30].as_slice()).await.expect("room");
    let mut flushing = Call::waiting(sender.flush());
    sender.feed([b'b'; 30].as_slice()).await.expect("room");
    assert!(flushing.poll().is_none());
    wire.writes([Step::Move(36), Step::Stall]);
    assert!(flushing.was_woken() && flushing.poll().is_some_and(|flushed| flushed.is_ok()));
    assert_eq!(frames(&wire.lock().wrote).len(), 1);
}

/// The waker of a task is let go of with its call: dropped, first in line or behind, or done.
#[tokio::test]
async fn nothing_is_kept_of_a_call_that_is_over() {
    fn given_up<T>(what: &str, call: Call<'_, T>) {
        let flag = Arc::clone(&call.woken);
        drop(call);
        assert_eq!(Arc::strong_count(&flag), 1, "{what}");
    }
    let (sender, mut receiver, wire) = full().await;
    given_up("ping", Call::waiting(sender.ping()));
    given_up("flush", Call::waiting(sender.flush()));
    given_up("recv", Call::waiting(receiver.recv()));
    let first = Call::waiting(sender.send("first in line"));
    given_up("behind", Call::waiting(sender.send("behind")));
    given_up("first in line", first);
    wire.say(&frame(OpCode::Text, true, b"in"));
    let mut receiving = Call::new(receiver.recv());
    assert!(receiving.poll().is_some());
    assert_eq!(Arc::strong_count(&receiving.woken), 1, "done");
}

/// Halves that are idle again hold what they held before.
#[tokio::test]
async fn a_crowd_leaves_nothing_behind() {
    let (sender, mut receiver, wire) = full().await;
    wire.writes([]);
    sender.flush().await.expect("open");
    // Stands still from the beginning, and is as large at the end.
    wire.lock().wrote = Vec::with_capacity(1 << 16);
    drop(Call::waiting(receiver.recv()));
    let before = held();
    for _ in 0..2 {
        wire.writes([Step::Stall]);
        let mut calls: Vec<_> = (0..100).map(|_| Call::new(sender.send("one of many"))).collect();
        calls.iter_mut().for_each(|call| assert!(call.poll().is_none()));
        drop(calls);
        wire.writes([]);
        sender.flush().await.expect("open");
        drop(Call::waiting(receiver.recv()));
        wire.lock().wrote.clear();
    }
    let more = held() - before;
    assert!(more <= 100, "{more} bytes more");
}

// ---- who drives

/// What was tried leaves at once, also where the receiver is going to read.
#[tokio::test]
async fn a_try_writes_at_once() {
    let (sender, mut receiver, wire) = halves(quiet()).await;
    let receiving = Call::waiting(receiver.recv());
    sender.try_send("now").expect("room");
    assert_eq!(texts(&wire), ["now"]);
    drop(receiving);
}

/// A timer wakes the task that waits now, not one that waited before.
#[tokio::test(start_paused = true)]
async fn the_timer_wakes_who_polls_last() {
    let (mut ws, wire) = open(Config::default(), true).await;
    wire.lock().deaf();
    drop(Call::waiting(ws.recv()));
    let mut receiving = Call::waiting(ws.recv());
    sleep(secs(21)).await;
    assert!(receiving.was_woken() && receiving.poll().is_none());
    assert_eq!(pings(&wire.lock().wrote), 1);
}

/// While nobody reads, a message that was fed and a ping that is due leave all the same.
#[tokio::test(start_paused = true)]
async fn the_task_behind_writes_while_reading_is_paused() {
    let ((sender, _receiver), mut peer, _, _) = crowded(true, 5000).await;
    sender.feed("fed").await.expect("room");
    let mut heard = [0; 9];
    timeout(secs(1), peer.read_exact(&mut heard)).await.expect("at once").expect("open");
    assert_eq!(frames(&heard), [(0x81, b"fed".to_vec())]);
    let mut heard = [0; 14];
    timeout(secs(20), peer.read_exact(&mut heard)).await.expect("when it is due").expect("open");
    assert_eq!(pings(&heard), 1);
}

/// Idle, with nothing to wake it but the halves that go.
#[tokio::test(start_paused = true)]
async fn the_task_behind_notices_that_both_halves_are_gone() {
    let (ws, mut peer) = client(&quiet(), 1000);
    let halves = ws.background();
    sleep(secs(1)).await;
    drop(halves);
    let mut goodbye = [0; 8];
    timeout(secs(1), peer.read_exact(&mut goodbye)).await.expect("at once").expect("a Close frame");
    assert_eq!(frames(&goodbye), [(0x88, 1001_u16.to_be_bytes().to_vec())]);
}

/// The halves are still held: the task ends with the connection, not with them.
#[tokio::test(start_paused = true)]
async fn the_task_behind_ends_with_the_connection() {
    let (ws, mut peer) = client(&quiet(), 1000);
    let before = Handle::current().metrics().num_alive_tasks();
    let halves = ws.background();
    sleep(secs(1)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before + 1);
    peer.write_all(&frame(OpCode::Close, true, &[0x03, 0xe8])).await.expect("room");
    drop(peer);
    sleep(secs(1)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
    drop(halves);
}

/// Without a receiver nothing is kept and reading never pauses, whatever the window is.
#[tokio::test]
async fn without_a_receiver_what_arrives_is_dropped() {
    for max_backlog in [0, 1000, 1 << 30] {
        let mut config = quiet();
        config.max_backlog = max_backlog;
        let (sender, receiver, wire) = halves(config).await;
        wire.lock().incoming.reserve(1 << 16);
        drop(receiver);
        let before = held();
        for n in 0..100 {
            let mut pinging = Call::waiting(sender.ping());
            wire.lock().incoming.extend(frame(OpCode::Binary, true, &[7; 10_000]));
            wire.say(&pong(&wire, 0));
            assert!(pinging.was_woken(), "ping {n}");
            assert!(pinging.poll().is_some_and(|pinged| pinged.is_ok()), "ping {n}, window {max_backlog}");
            wire.lock().wrote.clear();
        }
        let more = held() - before;
        assert!(more < 100_000, "{more} bytes of a MiB, window {max_backlog}");
    }
}

/// What waited for a receiver is let go of with it, and a sender that stood still because of it goes on.
#[tokio::test]
async fn a_receiver_that_goes_makes_room() {
    let mut config = quiet();
    config.max_backlog = 400_000;
    let (sender, receiver, wire) = halves(config).await;
    wire.writes([Step::Stall]);
    let mut sending = Call::waiting(sender.send("stuck"));
    for _ in 0..5 {
        wire.say(&frame(OpCode::Binary, true, &[7; 100_000]));
        assert!(sending.poll().is_none());
    }
    sending.was_woken();
    let before = held();
    drop(receiver);
    let freed = before - held();
    assert!(freed >= 400_000, "{freed} bytes are let go of");
    assert!(sending.was_woken(), "it may read again");
    assert!(sending.poll().is_none());
    assert!(wire.lock().incoming.is_empty());
}

// ---- the window

/// Messages of no bytes take room too, and the message that reaches the limit is the last.
#[tokio::test]
async fn the_backlog_is_bounded_in_what_it_takes() {
    for (length, limit, kept) in [(0, 100 * size_of::<Event>(), 100), (60, size_of::<Event>() + 60, 1)] {
        let mut config = quiet();
        config.max_backlog = limit;
        let (mut ws, wire) = open(config, true).await;
        wire.lock().deaf();
        wire.say(&frame(OpCode::Binary, true, &vec![1; length]).repeat(kept - 1));
        let mut pinging = Call::waiting(ws.ping());
        wire.say(&frame(OpCode::Binary, true, &vec![1; length]));
        let full = pinging.poll().expect("no room for one more");
        assert!(matches!(full, Err(Error::Usage(_))), "{full:?}");
    }
}

/// What is taken out makes room again.
#[tokio::test]
async fn the_backlog_has_room_again() {
    let mut config = quiet();
    config.max_backlog = 1000;
    let (mut ws, wire) = open(config, true).await;
    wire.lock().deaf();
    for _ in 0..20 {
        let mut pinging = Call::waiting(ws.ping());
        wire.say(&[frame(OpCode::Binary, true, &[1; 500]), pong(&wire, 0)].concat());
        pinging.poll().expect("answered").expect("room");
        drop(pinging);
        wire.lock().wrote.clear();
        assert_eq!(ws.recv().await.expect("open").expect("open").as_bytes(), [1; 500]);
    }
}

/// Messages that come while a half closes are kept up to the window, then what waits gives way.
#[tokio::test]
async fn what_is_kept_while_closing_is_bounded() {
    let mut config = quiet();
    config.max_backlog = 100_000;
    let (sender, mut receiver, wire) = halves(config).await;
    let mut closing = Call::waiting(sender.close(CloseCode::NORMAL, ""));
    let before = held();
    for n in 0..100 {
        wire.say(&frame(OpCode::Binary, true, &[n; 10_000]));
        assert!(closing.poll().is_none());
        assert!(held() - before < 250_000, "{} bytes after {n}", held() - before);
    }
    wire.say(&frame(OpCode::Close, true, &[0x03, 0xe8]));
    wire.lock().ended = true;
    closing.poll().expect("answered").expect("in order");
    let mut kept = Vec::new();
    while let Some(message) = receiver.recv().await.expect("a clean end") {
        kept.push(message.as_bytes()[0]);
    }
    assert!((5..=11).contains(&kept.len()), "{kept:?}");
    assert!(kept.iter().rev().copied().eq((0..100).rev().take(kept.len())), "the newest: {kept:?}");
}

/// Nobody reads, and the time for closing is over all the same.
#[tokio::test(start_paused = true)]
async fn closing_ends_in_time_where_only_a_flush_waits() {
    let mut config = Config::default();
    config.max_backlog = 0;
    let (sender, _receiver, wire) = halves(config).await;
    wire.writes([Step::Stall]);
    drop(Call::waiting(sender.close(CloseCode::NORMAL, "")));
    let flushed = timeout(secs(30), sender.flush()).await.expect("in time");
    assert!(matches!(flushed, Err(Error::Timeout(TimeLimit::Close))), "{flushed:?}");
}

// ---- a connection that is not shared

/// Control frames that came while something else was waited for come in their order, and a `recv` passes them over.
#[tokio::test]
async fn events_that_were_kept_come_first() {
    for asks in [true, false] {
        let mut config = quiet();
        config.control_events = true;
        let (mut ws, wire) = open(config, true).await;
        wire.writes([Step::Stall]);
        let mut sending = Call::waiting(ws.send("stuck"));
        wire.say(&frame(OpCode::Ping, true, b"ping"));
        wire.say(&frame(OpCode::Text, true, b"one"));
        assert!(sending.poll().is_none());
        drop(sending);
        wire.writes([]);
        wire.say(&frame(OpCode::Text, true, b"two"));
        if asks {
            let event = ws.recv_event().await.expect("open").expect("open");
            assert_eq!(event, Event::Ping(b"ping"[..].into()));
        }
        for text in ["one", "two"] {
            let event = if asks {
                ws.recv_event().await.expect("open").expect("open")
            } else {
                Event::Message(ws.recv().await.expect("open").expect("open"))
            };
            assert_eq!(event, Event::Message(Message::Text(text.into())));
        }
        // A Close frame is the end, and no event.
        wire.say(&frame(OpCode::Close, true, &[0x03, 0xe8]));
        wire.lock().ended = true;
        assert!(ws.recv_event().await.is_ok_and(|event| event.is_none()));
    }
}

/// After `close` nothing is received, neither what was kept before nor the large messages that came during it.
#[tokio::test]
async fn close_drops_what_was_kept_and_what_comes() {
    let (mut ws, wire) = open(quiet(), true).await;
    wire.lock().deaf();
    let mut pinging = Call::waiting(ws.ping());
    wire.say(&frame(OpCode::Text, true, b"kept"));
    assert!(pinging.poll().is_none());
    drop(pinging);
    let mut closing = Call::waiting(ws.close(CloseCode::NORMAL, ""));
    for n in 0..3 {
        // Two reads, so that it needs memory of its own.
        let large = frame(OpCode::Binary, true, &[n; 100_000]);
        for half in large.chunks(50_000) {
            wire.say(half);
            assert!(closing.poll().is_none());
        }
    }
    wire.say(&frame(OpCode::Close, true, &[0x03, 0xe8]));
    wire.lock().ended = true;
    closing.poll().expect("answered").expect("in order");
    drop(closing);
    assert!(ws.recv().await.is_ok_and(|message| message.is_none()));
}

/// Written while it was read: done in the same poll.
#[tokio::test]
async fn what_reading_wrote_is_flushed_at_once() {
    let (mut ws, wire) = open(quiet(), true).await;
    wire.writes([Step::Wait]);
    assert!(Call::new(ws.send("hello")).poll().is_some_and(|sent| sent.is_ok()));
    assert_eq!(texts(&wire), ["hello"]);
}
