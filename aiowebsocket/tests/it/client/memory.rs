//! What an open connection keeps, and what a message costs in allocations.
#![expect(clippy::print_stdout, reason = "the figures are half of what these tests are for: --nocapture")]

use aiowebsocket::protocol::{OpCode, Role};
use aiowebsocket::{Config, Message, Negotiated, WebSocket};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::stream::{Pace, Stream, Wire, frame, open, poll_at_most};
use crate::support::alloc::{allocations, held, peak_of};
use crate::support::compression::agreed;

/// All that an idle connection may keep: the value itself and everything on the heap that belongs to it.
const IDLE: usize = 1024;

/// One thread, so that the counters see everything, and a clock that stands still.
fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(tokio::task::unconstrained(test))
}

/// Parks in `recv`, keep-alive armed.
fn park(ws: &mut WebSocket<Stream>) {
    assert!(is_pending(ws.recv()));
}

fn is_pending(future: impl Future) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(future).poll(&mut cx).is_pending()
}

/// What the connection holds when idle after `traffic`: measured as what its drop gives back, so that pools and the stream of the
/// test do not count.
fn idle_after(name: &str, traffic: &impl AsyncFn(&mut WebSocket<Stream>, &Wire)) {
    let heap = run(async {
        let (mut ws, wire) = open(Config::default(), true).await;
        traffic(&mut ws, &wire).await;
        park(&mut ws);
        // The test's own stream lives on, and with it what it recorded.
        let before = held();
        drop(ws);
        usize::try_from(before - held()).expect("a drop frees")
    });
    let value = size_of::<WebSocket<TcpStream>>();
    println!("idle after {name}: {value} in the value, {heap} on the heap");
    assert!(value + heap <= IDLE, "idle after {name}: {value} in the value, {heap} on the heap");
}

#[test]
fn an_idle_connection_keeps_at_most_1_kib() {
    idle_after("opening", &async |_, _| {});
    idle_after("an echo", &async |ws, wire| {
        ws.send("hello").await.expect("open");
        wire.say(&frame(OpCode::Text, true, b"hello"));
        assert!(ws.recv().await.is_ok());
    });
    idle_after("messages of 1 MiB", &async |ws, wire| {
        for lent in [true, false, true, false] {
            wire.say(&frame(OpCode::Binary, true, &vec![1; 1 << 20]));
            wire.pace(Pace { piece: 100_000, hesitates: false });
            if lent {
                assert_eq!(ws.recv_ref().await.expect("open").expect("open").as_bytes().len(), 1 << 20);
            } else {
                assert_eq!(ws.recv().await.expect("open").expect("open").as_bytes().len(), 1 << 20);
            }
        }
    });
    idle_after("fragments", &async |ws, wire| {
        for lent in [false, true] {
            wire.say(&frame(OpCode::Text, false, &[b'a'; 5_000]));
            wire.say(&frame(OpCode::Ping, true, b"inside"));
            wire.say(&frame(OpCode::Continuation, true, &[b'b'; 5_000]));
            if lent {
                assert!(ws.recv_ref().await.is_ok());
            } else {
                assert!(ws.recv().await.is_ok());
            }
        }
    });
    idle_after("sending large messages", &async |ws, wire| {
        wire.pace(Pace { piece: 100_000, hesitates: false });
        for _ in 0..3 {
            ws.feed(vec![1; 1 << 20]).await.expect("open");
            ws.feed(&[2; 50_000]).await.expect("open");
            ws.send("small").await.expect("open");
        }
    });
    idle_after("pings", &async |ws, wire| {
        for _ in 0..5 {
            wire.say(&frame(OpCode::Ping, true, &[7; 125]));
            ws.ping().await.expect("open");
        }
    });
    idle_after("a backlog", &async |ws, wire| {
        for i in 0..5 {
            wire.say(&frame(OpCode::Binary, true, &vec![i; 100_000]));
        }
        ws.ping().await.expect("open");
        for _ in 0..5 {
            assert!(ws.recv().await.is_ok());
        }
    });
}

/// With the default compression, after a compressed message each way: the peer's context, and a little of ours.
#[test]
fn an_idle_connection_that_compresses_keeps_at_most_48_kib() {
    // Made by zlib: RFC 7692 7.2.3.1.
    const HELLO: &[u8] = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    let (value, heap) = run(async {
        let (stream, mut wire) = tokio::io::duplex(1 << 16);
        let mut negotiated = Negotiated::default();
        negotiated.compression = Some(agreed("permessage-deflate; client_max_window_bits"));
        let mut ws = WebSocket::from_upgraded(stream, Role::Client, negotiated, b"");
        for _ in 0..3 {
            ws.send("a compressed message, ".repeat(100)).await.expect("open");
            wire.write_all(HELLO).await.expect("room");
            let hello = ws.recv().await.expect("open").expect("open");
            assert_eq!(hello.as_text(), Some("Hello"));
        }
        {
            let mut recv = std::pin::pin!(ws.recv());
            assert!(
                recv.as_mut()
                    .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
                    .is_pending()
            );
        }
        let before = held();
        drop(ws);
        (size_of::<WebSocket<TcpStream>>(), usize::try_from(before - held()).expect("a drop frees"))
    });
    println!("idle after compressed messages: {value} in the value, {heap} on the heap");
    assert!(value + heap <= 48 << 10, "{value} in the value, {heap} on the heap");
}

/// Whatever waits for the next message ends the lend of an earlier `recv_ref`, whatever the message lay in.
#[test]
fn a_lent_large_message_does_not_outlive_the_next_call() {
    let waits: &[fn(&mut WebSocket<Stream>) -> bool] = &[
        |ws| is_pending(ws.recv()),
        |ws| is_pending(ws.recv_ref()),
        |ws| is_pending(ws.recv_event()),
        |ws| is_pending(ws.recv_part()),
        #[cfg(feature = "futures")]
        |ws| is_pending(futures_util::StreamExt::next(ws)),
    ];
    for (way, waits) in waits.iter().enumerate() {
        run(async {
            let (mut ws, wire) = open(Config::default(), true).await;
            let before = held();
            wire.say(&frame(OpCode::Binary, true, &vec![1; 1 << 20]));
            wire.pace(Pace { piece: 100_000, hesitates: false });
            assert!(ws.recv_ref().await.is_ok());
            wire.lock().incoming = Default::default();
            assert!(held() - before > 1000 << 10, "{}", held() - before);
            assert!(waits(&mut ws));
            assert!(held() - before < 300 << 10, "{} after call {way}", held() - before);
        });
    }
}

/// A kept message pins its own bytes and nothing else, however it arrived.
#[test]
fn a_kept_message_of_20_bytes_pins_nothing() {
    run(async {
        let (mut ws, wire) = open(Config::default(), true).await;
        let bytes = [b'x'; 20];
        for say in [
            frame(OpCode::Text, true, &bytes),
            [frame(OpCode::Text, false, &bytes[..7]), frame(OpCode::Continuation, true, &bytes[7..])]
                .concat(),
        ] {
            // Once, so that pools are warm; then with much else in the same read.
            for _ in 0..2 {
                wire.say(&say);
                wire.say(&frame(OpCode::Binary, true, &[1; 3000]));
                let kept = ws.recv().await.expect("open").expect("open");
                assert!(ws.recv().await.is_ok());
                park(&mut ws);
                let before = held();
                assert_eq!(kept.as_text(), Some("xxxxxxxxxxxxxxxxxxxx"));
                drop(kept);
                assert_eq!(before - held(), 0);
            }
        }
        // Above the size of the inline ones: its own bytes, exactly.
        wire.say(&frame(OpCode::Text, false, &[b'x'; 1000]));
        wire.say(&frame(OpCode::Continuation, true, &[b'x'; 500]));
        let kept = ws.recv().await.expect("open").expect("open");
        let before = held();
        drop(kept);
        assert!(before - held() <= 1600, "{}", before - held());
    });
}

#[test]
fn a_header_that_announces_60_mib_takes_no_memory() {
    for header in [&b"\x82\x7f\0\0\0\0\x03\xc0\0\0"[..], b"\x02\x7f\0\0\0\0\x03\xc0\0\0"] {
        run(async {
            let (mut ws, wire) = open(Config::default(), true).await;
            park(&mut ws);
            wire.say(header);
            let ((), peak) = peak_of(|| park(&mut ws));
            assert!(peak < 20 << 10, "{peak} bytes for a header");
            // From the first byte on, what design section 7 allows at once.
            wire.say(b"x");
            let ((), peak) = peak_of(|| park(&mut ws));
            println!("for the first byte of 60 MiB: {peak}");
            assert!(peak <= (4 << 20) + (20 << 10), "{peak} bytes for the first byte");
        });
    }
}

/// Allocations while `n` messages of this frame are received, after a warm-up.
fn allocations_of(frame: &[u8], n: usize, lent: bool) -> usize {
    // The pool's own list of buffers is made when the first one comes back.
    let count = || {
        run(async {
            let (mut ws, wire) = open(Config::default(), true).await;
            // The pool's buffers grow with the traffic, so the warm-up is measured in bytes.
            let warm = (1 << 20) / frame.len();
            wire.say(&frame.repeat(n + warm));
            let receive = |ws: &mut WebSocket<Stream>| {
                if lent {
                    assert!(matches!(poll_at_most(1, ws.recv_ref()), Some(Ok(Some(_)))));
                } else {
                    assert!(matches!(poll_at_most(1, ws.recv()), Some(Ok(Some(_)))));
                }
            };
            for _ in 0..warm {
                receive(&mut ws);
            }
            let before = allocations();
            // The waker of the test is one allocation a poll.
            for _ in 0..n {
                receive(&mut ws);
            }
            allocations() - before - n
        })
    };
    count();
    count()
}

#[test]
fn short_and_lent_messages_are_received_without_allocating() {
    for length in [0, 16, 32] {
        let text = frame(OpCode::Text, true, &vec![b'x'; length]);
        assert_eq!(allocations_of(&text, 10_000, false), 0, "owned, {length} bytes");
    }
    for length in [0, 16, 128, 1024, 4000] {
        let text = frame(OpCode::Text, true, &vec![b'x'; length]);
        assert_eq!(allocations_of(&text, 10_000, true), 0, "lent, {length} bytes");
    }
}

/// What a message owns: one allocation above 32 bytes.
#[test]
fn an_owned_message_is_one_allocation() {
    let text = frame(OpCode::Text, true, &[b'x'; 33]);
    assert_eq!(allocations_of(&text, 1_000, false), 1_000);
}

#[test]
fn a_large_owned_payload_is_masked_where_it_lies() {
    run(async {
        let (mut ws, wire) = open(Config::default(), true).await;
        wire.writes([super::stream::Step::Stall]);
        for owned in [true, false] {
            let payload = vec![1; 1 << 20];
            let ((), peak) = peak_of(|| {
                let fed = if owned {
                    poll_at_most(1, ws.feed(payload))
                } else {
                    poll_at_most(1, ws.feed(Bytes::from(payload)))
                };
                fed.expect("room").expect("open");
            });
            assert!(peak < 20 << 10, "{peak}");
            wire.writes([]);
            ws.flush().await.expect("open");
            wire.writes([super::stream::Step::Stall]);
        }
    });
}

/// The sizes that the figures above rest on; printed, so that a rise is seen before it is too much.
#[test]
fn sizes() {
    println!("WebSocket<TcpStream> {}", size_of::<WebSocket<TcpStream>>());
    println!("tokio::time::Sleep {}", size_of::<tokio::time::Sleep>());
    assert!(size_of::<Message>() <= 48);
}

/// A peer that pings and never reads: one pong waits in the queue and sixteen pings for their turn, however many come.
#[test]
fn a_flood_of_pings_by_a_peer_that_never_reads_keeps_memory_bounded() {
    run(async {
        let (mut ws, wire) = open(Config::default(), true).await;
        wire.writes([super::stream::Step::Stall]);
        park(&mut ws);
        let before = held();
        let ((), peak) = peak_of(|| {
            for _ in 0..5_000 {
                wire.say(&frame(OpCode::Ping, true, &[7; 125]));
                park(&mut ws);
            }
        });
        println!("5,000 pings that cannot be answered: {} kept, {peak} at most", held() - before);
        assert!(held() - before < 10 << 10, "{}", held() - before);
        assert!(peak < 20 << 10, "{peak}");
        wire.say(&frame(OpCode::Ping, true, b"the last"));
        park(&mut ws);
        wire.writes([]);
        park(&mut ws);
        let pongs = super::stream::frames(&wire.lock().wrote);
        let mut wanted = vec![(0x8a, vec![7; 125]); 16];
        wanted.push((0x8a, b"the last".to_vec()));
        assert_eq!(pongs, wanted);
    });
}
