//! Several threads on one connection: nobody waits for ever, nothing is lost, doubled or mixed.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use aiowebsocket::blocking::{WebSocket, connect};
use aiowebsocket::layer::{Layer, Sealed, TlsError, TlsInfo, Unsealed};
use aiowebsocket::protocol::UsageError;
use aiowebsocket::{CloseCode, Error, TimeLimit};

use super::{ECHO, PATIENCE, a_moment, accept, frame, open_to, read_frame, serves, text, timed};

#[test]
fn one_receives_while_four_send() {
    const EACH: usize = 500;
    let ws = connect(&*ECHO).max_queue(64 << 10).open().expect("open");
    let mut next = [0; 4];
    thread::scope(|threads| {
        for sender in 0..4 {
            let ws = &ws;
            threads.spawn(move || {
                for i in 0..EACH {
                    // Some are larger than a socket's buffer has room for, so that senders wait too.
                    let padding = "x".repeat(if i % 50 == 0 { 400_000 } else { i % 300 });
                    ws.send(format!("{sender} {i} {padding}")).expect("sent");
                }
            });
        }
        for _ in 0..4 * EACH {
            let message = ws.recv().expect("received").expect("open");
            let mut words = message.as_text().expect("text").split(' ');
            let mut number = || words.next().expect("a word").parse::<usize>().expect("a number");
            let (sender, i) = (number(), number());
            assert_eq!(i, next[sender], "in the order of its thread");
            next[sender] += 1;
        }
    });
    assert_eq!(next, [EACH; 4]);
    ws.close(CloseCode::NORMAL, "").expect("closed");
}

#[test]
fn each_message_goes_to_one_of_those_who_receive() {
    let (ws, peer) = open_to(|mut stream| {
        let all: Vec<u8> = (0..2_000).flat_map(|i| frame(1, i.to_string().as_bytes())).collect();
        for piece in all.chunks(313) {
            stream.write_all(piece).expect("connected");
        }
        stream.write_all(&frame(8, b"\x03\xe8")).expect("connected");
        read_frame(&mut stream).0
    });
    let all = Mutex::new(Vec::new());
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let mut mine = Vec::new();
                while let Some(message) = ws.recv().expect("no error") {
                    mine.push(message.as_text().expect("text").parse::<usize>().expect("a number"));
                }
                assert!(mine.is_sorted());
                all.lock().expect("no panic").extend(mine);
            });
        }
    });
    let mut all = all.into_inner().expect("no panic");
    all.sort_unstable();
    assert_eq!(all, (0..2_000).collect::<Vec<_>>());
    assert_eq!(peer.join().expect("no panic"), 8);
}

/// Both sides send more than all buffers between them hold before either receives.
#[test]
fn two_that_send_at_once_do_not_wait_for_each_other() {
    const SIZE: usize = 24 << 20;
    let (address, peer) = serves(|mut stream| {
        accept(&mut stream, b"");
        stream.write_all(&frame(2, &vec![1; SIZE])).expect("the client reads");
        read_frame(&mut stream).1.len()
    });
    let ws = connect(format!("ws://{address}/")).no_compression().max_backlog(SIZE + 1).open().expect("open");
    ws.send(vec![2; SIZE]).expect("sent");
    assert_eq!(ws.recv().expect("received").expect("open").as_bytes().len(), SIZE);
    assert_eq!(peer.join().expect("no panic"), SIZE);
}

/// A sender whose backlog is full goes on when another thread receives.
#[test]
fn a_receiver_makes_room_for_a_sender() {
    const SIZE: usize = 8 << 20;
    let (address, peer) = serves(|mut stream| {
        accept(&mut stream, b"");
        // The peer reads nothing before all of its own is taken.
        for _ in 0..SIZE >> 16 {
            stream.write_all(&frame(2, &[3; 1 << 16])).expect("the client reads");
        }
        read_frame(&mut stream).1.len()
    });
    let ws = connect(format!("ws://{address}/")).no_compression().max_backlog(1 << 16).open().expect("open");
    thread::scope(|threads| {
        let sending = threads.spawn(|| ws.send(vec![2; SIZE]));
        a_moment();
        for _ in 0..SIZE >> 16 {
            assert_eq!(ws.recv().expect("received").expect("open").as_bytes().len(), 1 << 16);
        }
        sending.join().expect("no panic").expect("sent");
    });
    assert_eq!(peer.join().expect("no panic"), SIZE);
}

/// A peer that never reads stops a sender; another thread may give up all the same.
#[test]
fn a_close_ends_those_who_wait_for_a_peer_that_never_reads() {
    let (address, peer) = serves(|mut stream| {
        accept(&mut stream, b"");
        stream
    });
    let ws =
        connect(format!("ws://{address}/")).close_timeout(Duration::from_millis(200)).open().expect("open");
    thread::scope(|threads| {
        let sending = threads.spawn(|| {
            loop {
                if let Err(error) = ws.send(vec![0; 1 << 20]) {
                    break error;
                }
            }
        });
        let receiving = threads.spawn(|| ws.recv());
        let mut stands = 0;
        while ws.queued() == 0 || ws.queued() != stands {
            stands = ws.queued();
            a_moment();
        }
        let (took, closed) = timed(|| ws.close(CloseCode::NORMAL, ""));
        assert!(matches!(closed, Err(Error::Timeout(TimeLimit::Close))), "{closed:?}");
        assert!(took < PATIENCE, "{took:?}");
        // Where it was busy with its next message, it never got to wait.
        let stopped = sending.join().expect("no panic");
        let is_told = matches!(stopped, Error::Timeout(TimeLimit::Close) | Error::Usage(UsageError::NotOpen));
        assert!(is_told, "{stopped:?}");
        let received = receiving.join().expect("no panic");
        assert!(matches!(received, Err(Error::Timeout(TimeLimit::Close))), "{received:?}");
    });
    // What is over is over for the peer too, whoever still holds it.
    let end = peer.join().expect("no panic").read_to_end(&mut Vec::new());
    assert!(end.is_ok(), "{end:?}");
    assert!(ws.has_ended());
}

#[test]
fn a_close_from_another_thread_ends_a_waiting_recv() {
    let ws = connect(&*ECHO).open().expect("open");
    thread::scope(|threads| {
        let receivers: Vec<_> = (0..3).map(|_| threads.spawn(|| timed(|| ws.recv()))).collect();
        a_moment();
        ws.close(CloseCode::NORMAL, "enough").expect("closed");
        for receiver in receivers {
            let (took, received) = receiver.join().expect("no panic");
            assert!(matches!(received, Ok(None)), "{received:?}");
            assert!(took < PATIENCE, "{took:?}");
        }
    });
}

/// Whoever reads it, and whoever leaves while others wait.
#[test]
fn pings_sends_and_time_limits_leave_the_others_their_messages() {
    let ws = connect(&*ECHO).open().expect("open");
    let received = AtomicUsize::new(0);
    thread::scope(|threads| {
        let receiver = threads.spawn(|| {
            for i in 0..200 {
                assert_eq!(text(&ws), i.to_string());
                received.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..100 {
                    assert!(ws.ping().expect("a pong") < PATIENCE);
                }
            });
        }
        for i in 0..200 {
            ws.send(i.to_string()).expect("sent");
            if i % 10 == 0 {
                // The receiver waits for the socket; its time is not this one's.
                a_short_wait(&ws);
            }
        }
        receiver.join().expect("no panic");
    });
    assert_eq!(received.into_inner(), 200);
}

/// A wait that takes no message: `flush` has nothing to write.
fn a_short_wait(ws: &WebSocket) {
    ws.flush().expect("nothing to write");
}

/// The one that waits for the socket leaves first; the one that slept behind it takes its place.
#[test]
fn whoever_sleeps_takes_over_from_whoever_leaves() {
    let (ws, peer) = open_to(|stream| stream);
    let mut stream = peer.join().expect("no panic");
    thread::scope(|threads| {
        let first = threads.spawn(|| ws.recv_timeout(Duration::from_millis(150)));
        a_moment();
        let second = threads.spawn(|| timed(|| ws.recv_timeout(PATIENCE)));
        let first = first.join().expect("no panic");
        assert!(matches!(first, Err(Error::Timeout(TimeLimit::Receive))), "{first:?}");
        stream.write_all(&frame(1, b"for the second")).expect("connected");
        let (took, message) = second.join().expect("no panic");
        assert_eq!(message.expect("in time").expect("open").as_text(), Some("for the second"));
        assert!(took < PATIENCE / 2, "{took:?}");
    });
}

/// What the one that waits does for the others is told them, although it goes on waiting.
#[test]
fn a_ping_and_a_send_come_back_while_another_thread_goes_on_waiting() {
    const SIZE: usize = 8 << 20;
    let (ws, peer) = open_to(|mut stream| {
        let (_, ping) = read_frame(&mut stream);
        stream.write_all(&frame(10, &ping)).expect("connected");
        a_moment();
        assert_eq!(read_frame(&mut stream).1.len(), SIZE);
        stream
    });
    thread::scope(|threads| {
        let receiving = threads.spawn(|| ws.recv());
        a_moment();
        let pinging = threads.spawn(|| ws.ping());
        assert!(timed(|| pinging.join().expect("no panic")).1.expect("a pong") < PATIENCE);
        ws.send(vec![1; SIZE]).expect("sent");
        assert!(!receiving.is_finished());
        peer.join().expect("no panic").write_all(&frame(1, b"at last")).expect("connected");
        receiving.join().expect("no panic").expect("received").expect("open");
    });
}

/// One that has stopped reading for want of room, and is told of nothing new by the system, goes on when there is room.
#[test]
fn whoever_paused_goes_on_when_another_thread_makes_room() {
    let (address, _peer) = serves(|mut stream| {
        accept(&mut stream, b"");
        let (_, ping) = read_frame(&mut stream);
        let all = [frame(2, &[3; 1 << 14]).repeat(3), frame(10, &ping)].concat();
        stream.write_all(&all).expect("connected");
        stream
    });
    let ws = connect(format!("ws://{address}/")).max_backlog(1 << 15).no_compression().open().expect("open");
    thread::scope(|threads| {
        let pinging = threads.spawn(|| timed(|| ws.ping()));
        // It has read two, and waits for somebody to take them.
        a_moment();
        a_moment();
        for _ in 0..2 {
            ws.recv().expect("received").expect("open");
        }
        let (took, pinged) = pinging.join().expect("no panic");
        pinged.expect("a pong");
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}

/// The time of one that sleeps behind another is its own.
#[test]
fn a_sleeper_has_its_own_time_limit() {
    let (ws, peer) = open_to(|stream| stream);
    let mut stream = peer.join().expect("no panic");
    thread::scope(|threads| {
        let first = threads.spawn(|| ws.recv());
        a_moment();
        let (took, second) = timed(|| ws.recv_timeout(Duration::from_millis(50)));
        assert!(matches!(second, Err(Error::Timeout(TimeLimit::Receive))), "{second:?}");
        assert!(took < PATIENCE, "{took:?}");
        stream.write_all(&frame(1, b"m")).expect("connected");
        assert_eq!(first.join().expect("no panic").expect("received").expect("open").as_text(), Some("m"));
    });
}

/// Without a thread that waits, a keep-alive ping of another call's time would be missed: the deadline is told to the one that
/// waits already.
#[test]
fn a_new_deadline_reaches_the_one_that_waits() {
    let (address, peer) = serves(|mut stream| {
        accept(&mut stream, b"");
        stream.read_to_end(&mut Vec::new())
    });
    let ws = connect(format!("ws://{address}/"))
        .keepalive(Duration::from_secs(600), Duration::from_millis(100))
        .open()
        .expect("open");
    thread::scope(|threads| {
        let receiving = threads.spawn(|| timed(|| ws.recv()));
        a_moment();
        let pinged = ws.ping();
        assert!(matches!(pinged, Err(Error::Timeout(TimeLimit::KeepAlive))), "{pinged:?}");
        let (took, received) = receiving.join().expect("no panic");
        assert!(matches!(received, Err(Error::Timeout(TimeLimit::KeepAlive))), "{received:?}");
        assert!(took < PATIENCE, "{took:?}");
    });
    drop(ws);
    _ = peer.join().expect("no panic");
}

/// More messages than the backlog has room for come before the pong.
#[test]
fn a_ping_waits_behind_what_another_thread_receives_and_not_for_ever() {
    let peer = |count: usize| {
        serves(move |mut stream| {
            accept(&mut stream, b"");
            let (_, ping) = read_frame(&mut stream);
            for _ in 0..count {
                stream.write_all(&frame(2, &[3; 1 << 14])).expect("the client reads");
            }
            stream.write_all(&frame(10, &ping)).expect("the client reads");
            stream
        })
    };
    let open = |address| {
        connect(format!("ws://{address}/")).max_backlog(1 << 15).no_compression().open().expect("open")
    };
    let (address, served) = peer(100);
    let ws = open(address);
    thread::scope(|threads| {
        let pinging = threads.spawn(|| ws.ping());
        for _ in 0..100 {
            // Not always in a call.
            thread::sleep(Duration::from_millis(1));
            assert_eq!(ws.recv().expect("received").expect("open").as_bytes().len(), 1 << 14);
        }
        assert!(pinging.join().expect("no panic").expect("a pong") < PATIENCE);
    });
    drop(served.join().expect("no panic"));

    let (address, _served) = peer(3);
    let ws = open(address);
    let (took, pinged) = timed(|| ws.ping());
    assert!(matches!(pinged, Err(Error::Usage(UsageError::BacklogFull))), "{pinged:?}");
    assert!(took >= Duration::from_secs(1) && took < PATIENCE, "{took:?}");
}

/// An engine of TLS that seals nothing, and panics at each `!`.
#[derive(Debug)]
struct Panics {
    space: [u8; 1024],
    arrived: Vec<u8>,
    is_open: bool,
}

impl Layer for Panics {
    fn space(&mut self) -> &mut [u8] {
        &mut self.space
    }

    fn received(&mut self, n: usize) {
        self.arrived.extend_from_slice(&self.space[..n]);
    }

    fn open(&mut self, plain: &mut [u8]) -> Result<Unsealed, TlsError> {
        self.is_open = true;
        let arrived = std::mem::take(&mut self.arrived);
        assert!(!arrived.contains(&b'!'), "a panic on purpose");
        plain[..arrived.len()].copy_from_slice(&arrived);
        Ok(Unsealed { plain: arrived.len(), is_end: false })
    }

    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<Sealed, TlsError> {
        sealed[..plain.len()].copy_from_slice(plain);
        Ok(Sealed { taken: plain.len(), written: plain.len() })
    }

    fn control(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn has_control(&self) -> bool {
        false
    }

    fn close(&mut self) {}

    fn park(&mut self) {}

    fn is_open(&self) -> bool {
        self.is_open
    }

    fn agreed(&self) -> Option<TlsInfo> {
        None
    }
}

/// Whoever slept while it waited for the socket takes its place, whatever becomes of it.
#[test]
fn a_panic_in_one_thread_leaves_no_other_asleep() {
    let (go_on, may_go_on) = mpsc::channel::<&[u8]>();
    let (address, peer) = serves(move |mut stream| {
        accept(&mut stream, b"");
        for text in may_go_on {
            stream.write_all(&frame(1, text)).expect("connected");
        }
    });
    let made = |_: &_, _| {
        let layer = Panics { space: [0; 1024], arrived: Vec::new(), is_open: false };
        Ok(Box::new(layer) as Box<dyn Layer>)
    };
    let opened = connect(format!("wss://{address}/")).tls_layer(made).no_compression().no_keepalive().open();
    let ws = Arc::new(opened.expect("open"));
    let (tell, told) = mpsc::channel();
    let receive = || {
        let (ws, tell) = (Arc::clone(&ws), tell.clone());
        let thread = thread::spawn(move || _ = tell.send(text(&ws)));
        a_moment();
        thread
    };
    let (first, _second) = (receive(), receive());
    go_on.send(b"!").expect("a peer");
    first.join().expect_err("a panic on purpose");
    go_on.send(b"hi").expect("a peer");
    assert_eq!(told.recv_timeout(PATIENCE).as_deref(), Ok("hi"));
    drop(go_on);
    peer.join().expect("no panic");
}
