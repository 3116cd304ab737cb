//! Peers that mean harm, over real TCP. The attacker is a thread of its own that knows nothing but bytes; the attacked end has the test's thread
//! to itself, so that the allocator counts all it holds and nothing else.
#![expect(clippy::print_stdout, reason = "the figures are half of what these tests are for: --nocapture")]
#![expect(clippy::disallowed_methods, reason = "an attacker has a socket, and a clock to be slow by")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use aiowebsocket::opening::{Accepting, HeadLimits};
use aiowebsocket::protocol::OpCode;
use aiowebsocket::{CloseCode, Config, Connect, Deflate, Error, Message, TimeLimit, accept, connect};
use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::core::create_comp_flags_from_zip_params;
use miniz_oxide::{MZFlush, deflate::stream::deflate};
use tokio::time::{Instant, timeout};

use super::stream::frame;
use crate::support::alloc::{allocations, held, peak_of};
use crate::support::start_of_time;

const KIB: isize = 1 << 10;
const MIB: isize = 1 << 20;

/// What a connection may hold beside what its limits are about: the read buffers that a thread keeps, the runtime's own, a few KiB of its
/// own.
const BESIDE: isize = 400 * KIB;

/// Longer than anything here takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A server in a thread of its own: takes one connection and does this with it.
fn server(attack: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let attacker = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        stream.set_nodelay(true).expect("connected");
        attack(patient(stream));
    });
    (address, attacker)
}

/// No attacker outlives its test.
fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("connected");
    stream.set_write_timeout(Some(PATIENCE)).expect("connected");
    stream
}

/// The same, where the opening handshake goes as it should and the attack comes after it.
fn open_server(attack: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    server(|mut stream| {
        let mut accepting = Accepting::new(HeadLimits::default());
        accepting.compression(Some(Deflate::default())).expect("the defaults");
        let mut head = [0; 4096];
        let n = stream.read(&mut head).expect("a request");
        accepting.receive(&head[..n], start_of_time()).expect("a good request in one piece");
        accepting.accept(None, &[]).expect("a plain answer");
        stream.write_all(accepting.output()).expect("connected");
        attack(stream);
    })
}

/// Reads until the other end has had enough.
fn drain(mut stream: TcpStream) {
    let mut bytes = [0; 65_536];
    while stream.read(&mut bytes).is_ok_and(|n| n > 0) {}
}

/// Writes this for ever and never reads: until the other end has had enough.
fn flood(stream: &mut TcpStream, bytes: &[u8]) {
    while stream.write_all(bytes).is_ok() {}
}

/// What comes of it in a runtime of this thread, and the most that was held meanwhile.
fn attacked<T>(name: &str, attacked: impl Future<Output = T>) -> (T, isize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let guarded = async { timeout(PATIENCE, attacked).await.expect("an attack that comes to an end") };
    let (outcome, peak) = peak_of(|| runtime.block_on(guarded));
    println!("{name}: at most {peak} bytes");
    (outcome, peak)
}

fn client(address: SocketAddr) -> Connect {
    connect(format!("ws://{address}/")).close_timeout(millis(300))
}

/// The code and the words of a failure that is the peer's fault.
fn fault(error: &Error) -> (u16, String) {
    match error {
        Error::Protocol(fault) => (fault.close_code().get(), error.to_string()),
        Error::TooBig(_) => (1009, error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pings_to_an_end_that_cannot_answer() {
    const PINGS: usize = 200_000;
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let (address, attacker) = open_server(move |mut stream| {
        let pings = frame(OpCode::Ping, true, &[7; 125]).repeat(1000);
        for _ in 0..PINGS / 1000 {
            stream.write_all(&pings).expect("they are read");
        }
        stream.write_all(&frame(OpCode::Text, true, b"that was all")).expect("they are read");
        // Not one pong was read: 26 MB of them are more than two sockets hold.
        _ = is_over.recv();
    });
    let (last, peak) = attacked("200,000 pings of 125 bytes, no pong read", async {
        let mut ws = client(address).await.expect("open");
        ws.recv().await.expect("open")
    });
    assert_eq!(last, Some(Message::from("that was all")));
    assert!(peak < BESIDE, "{peak}");
    drop(over);
    attacker.join().expect("all was read");
}

#[test]
fn fragments_of_one_byte_without_end() {
    let (address, attacker) = open_server(|mut stream| {
        stream.write_all(&frame(OpCode::Text, false, b"a")).expect("connected");
        flood(&mut stream, &frame(OpCode::Continuation, false, b"b").repeat(1000));
    });
    let before = allocations();
    let (error, peak) = attacked("fragments of one byte without end", async {
        let mut ws = client(address).await.expect("open");
        ws.recv().await.expect_err("not a message")
    });
    assert_eq!(
        fault(&error),
        (1009, "the peer cut a message into more than 131072 fragments (1009)".to_owned())
    );
    // 128 KiB, in a vector that grows: its old memory and the new, twice as large, exist together.
    assert!(peak < 3 * 128 * KIB + 128 * KIB, "{peak}");
    // Time: what is there is not copied again for each.
    assert!(allocations() - before < 300, "{}", allocations() - before);
    attacker.join().expect("no panic");
}

/// 2^63 - 1, as a frame and as the second fragment, with the limits and without.
#[test]
fn lengths_that_nobody_has() {
    const LENGTH: [u8; 8] = (i64::MAX).to_be_bytes();
    for (name, begin) in [("whole", &b"\x82\x7f"[..]), ("fragment", b"\x02\x00\x80\x7f")] {
        for is_limited in [true, false] {
            let header = [begin, &LENGTH].concat();
            let (address, attacker) = open_server(move |mut stream| {
                stream.write_all(&header).expect("connected");
                stream.write_all(&[7; 1 << 20]).expect("connected");
                drain(stream);
            });
            let name = format!("2^63 - 1 bytes, {name}, {}", if is_limited { "limited" } else { "no limit" });
            let (outcome, peak) = attacked(&name, async {
                let mut config = Config::default();
                config.close_timeout = millis(300);
                if !is_limited {
                    (config.max_message, config.max_frame) = (u64::MAX, u64::MAX);
                }
                let mut ws = client(address).config(config).await.expect("open");
                timeout(millis(500), ws.recv()).await
            });
            if is_limited {
                let error = outcome.expect("at once").expect_err("too big");
                assert_eq!(fault(&error).0, 1009);
                assert!(peak < BESIDE, "{name}: {peak}");
            } else {
                assert!(outcome.is_err(), "it waits for the rest");
                // A destination begins with 4 MiB; fragments lie in a vector that grows, its old memory beside the new.
                assert!(peak < 4 * MIB + BESIDE, "{name}: {peak}");
            }
            attacker.join().expect("no panic");
        }
    }
}

/// A head that goes on a byte at a time, and one that goes on as fast as it can; to a client and to a server.
#[test]
fn heads_without_end() {
    const BEGIN: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ";
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    /// Writes a byte every millisecond, or lines without end.
    fn attack(mut stream: TcpStream, begin: &[u8], is_slow: bool) {
        if is_slow {
            for byte in begin.iter().chain(std::iter::repeat(&b'x')) {
                std::thread::sleep(millis(1));
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        }
        _ = stream.write_all(begin);
        flood(&mut stream, &b"x\r\nX-Another: ".repeat(1000));
    }
    for is_slow in [true, false] {
        let pace = if is_slow { "a byte each millisecond" } else { "lines without end" };
        let (address, attacker) = server(move |stream| attack(stream, BEGIN, is_slow));
        let (error, peak) = attacked(&format!("a response, {pace}"), async {
            let start = Instant::now();
            let error = client(address).open_timeout(millis(300)).await.expect_err("no answer");
            assert!(start.elapsed() < millis(5_000), "{:?}", start.elapsed());
            error
        });
        if is_slow {
            assert!(matches!(error, Error::Timeout(TimeLimit::Open(_))), "{error:?}");
        } else {
            assert_eq!(error.to_string(), "the server's response has more than 128 header lines");
        }
        assert!(peak < 160 * KIB, "{pace}: {peak}");
        attacker.join().expect("no panic");

        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let attacker = std::thread::spawn(move || {
            attack(patient(TcpStream::connect(address).expect("it listens")), REQUEST, is_slow);
        });
        let (stream, _) = listener.accept().expect("a client");
        stream.set_nonblocking(true).expect("connected");
        let (error, peak) = attacked(&format!("a request, {pace}"), async {
            let stream = tokio::net::TcpStream::from_std(stream).expect("not blocking");
            let start = Instant::now();
            let error = accept(stream).open_timeout(millis(300)).await.expect_err("no request");
            assert!(start.elapsed() < millis(5_000), "{:?}", start.elapsed());
            error
        });
        if is_slow {
            assert!(matches!(error, Error::Timeout(TimeLimit::Open(_)) | Error::Accept(_)), "{error:?}");
        } else {
            assert_eq!(error.to_string(), "the request has more than 128 header lines");
        }
        assert!(peak < 160 * KIB, "{pace}: {peak}");
        attacker.join().expect("no panic");
    }
}

/// A continuation of nothing, and whatever comes behind it for as long as the connection takes to close.
#[test]
fn a_continuation_without_a_start() {
    let (address, attacker) = open_server(|mut stream| {
        flood(&mut stream, &frame(OpCode::Continuation, false, &[7; 1000]).repeat(60));
    });
    let (error, peak) = attacked("a continuation without a start, without end", async {
        let mut ws = client(address).await.expect("open");
        let start = Instant::now();
        let error = ws.recv().await.expect_err("no message");
        assert!(start.elapsed() < millis(5_000), "{:?}", start.elapsed());
        error
    });
    assert_eq!(fault(&error).0, 1002);
    assert!(peak < BESIDE, "{peak}");
    attacker.join().expect("no panic");
}

/// One of each thousand is kept: it must not keep the buffer that it came in.
#[test]
fn messages_that_are_kept() {
    const MESSAGES: usize = 200_000;
    let (address, attacker) = open_server(|mut stream| {
        let messages = frame(OpCode::Text, true, &[b'k'; 40]).repeat(1000);
        for _ in 0..MESSAGES / 1000 {
            stream.write_all(&messages).expect("they are read");
        }
        stream.write_all(&frame(OpCode::Close, true, b"")).expect("they are read");
        drain(stream);
    });
    let ((count, each), peak) = attacked("200,000 messages of 40 bytes, one of each thousand kept", async {
        let mut ws = client(address).await.expect("open");
        let mut kept = Vec::with_capacity(MESSAGES / 1000);
        let mut count = 0_usize;
        while let Ok(Some(message)) = ws.recv().await {
            if count.is_multiple_of(1000) {
                kept.push(message);
            }
            count += 1;
        }
        drop(ws);
        let (number, before) = (kept.len(), held());
        kept.clear();
        (count, (before - held()) / number.cast_signed())
    });
    println!("each message that is kept: {each} bytes on the heap");
    assert_eq!((count, each), (MESSAGES, 40));
    assert!(peak < BESIDE, "{peak}");
    attacker.join().expect("no panic");
}

/// A peer that takes nothing: the queue is bounded, and keep-alive ends it. One that talks all the while is alive; then the
/// backlog is bounded too.
#[test]
fn a_peer_that_stops_reading_while_we_send() {
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let (address, attacker) = open_server(move |stream| {
        _ = is_over.recv();
        drop(stream);
    });
    let (error, peak) = attacked("sending to a peer that never reads", async {
        let mut ws =
            client(address).keepalive(millis(1000), millis(1000)).no_compression().await.expect("open");
        loop {
            if let Err(error) = ws.feed(&[7; 65_536]).await {
                break error;
            }
        }
    });
    assert!(matches!(error, Error::Timeout(TimeLimit::KeepAlive)), "{error:?}");
    // The queue, and the message that reached its limit.
    assert!((MIB..2 * MIB + BESIDE).contains(&peak), "{peak}");
    drop(over);
    attacker.join().expect("no panic");

    let (address, attacker) = open_server(|mut stream| {
        flood(&mut stream, &frame(OpCode::Binary, true, &[7; 30_000]));
    });
    let (sent, peak) = attacked("sending to a peer that talks and never reads", async {
        let mut ws = client(address).no_compression().await.expect("open");
        let mut sent = 0;
        while let Ok(done) = timeout(millis(2000), ws.feed(&[7; 65_536])).await {
            done.expect("open");
            sent += 1;
        }
        sent
    });
    assert!(sent > 16, "{sent}: the queue is full");
    // That, and the backlog.
    assert!((2 * MIB..3 * MIB + BESIDE).contains(&peak), "{peak}");
    attacker.join().expect("no panic");
}

/// Before its Close frame, behind it, and where we found a fault: it goes on and on.
#[test]
fn a_peer_that_sends_for_ever_after_close() {
    for (name, first) in [
        ("without a Close frame", frame(OpCode::Text, true, b"first")),
        (
            "behind a Close frame",
            [frame(OpCode::Text, true, b"first"), frame(OpCode::Close, true, b"")].concat(),
        ),
        ("behind a fault", [frame(OpCode::Text, true, b"first"), b"\x83\x00".to_vec()].concat()),
    ] {
        let (address, attacker) = open_server(move |mut stream| {
            stream.write_all(&first).expect("connected");
            flood(&mut stream, &frame(OpCode::Binary, true, &[7; 60_000]));
        });
        let (took, peak) = attacked(&format!("data for ever {name}"), async {
            let mut ws = client(address).await.expect("open");
            assert_eq!(ws.recv().await.expect("open"), Some(Message::from("first")));
            let start = Instant::now();
            _ = ws.close(CloseCode::NORMAL, "").await;
            drop(ws);
            start.elapsed()
        });
        assert!(took < millis(5_000), "{name}: {took:?}");
        assert!(peak < BESIDE, "{name}: {peak}");
        attacker.join().expect("no panic");
    }
}

/// 1000 to 1, whole and a byte a fragment: the limit, and not what it would become.
#[test]
fn a_bomb() {
    const LIMIT: isize = MIB;
    let bomb = {
        let mut compressor = Box::new(CompressorOxide::new(create_comp_flags_from_zip_params(9, -15, 0)));
        let mut bytes = vec![0; 1 << 20];
        let result = deflate(&mut compressor, &vec![0; 64 << 20], &mut bytes, MZFlush::Sync);
        assert_eq!(result.bytes_consumed, 64 << 20);
        bytes.truncate(result.bytes_written - 4);
        bytes
    };
    for (name, piece) in [("whole", usize::MAX), ("in fragments", 1)] {
        let bomb = bomb.clone();
        let (address, attacker) = open_server(move |mut stream| {
            let mut frames = Vec::new();
            let count = bomb.chunks(piece.min(bomb.len())).len();
            for (i, chunk) in bomb.chunks(piece.min(bomb.len())).enumerate() {
                let opcode = if i == 0 { OpCode::Binary } else { OpCode::Continuation };
                let start = frames.len();
                frames.extend(frame(opcode, i + 1 == count, chunk));
                frames[start] |= if i == 0 { 0x40 } else { 0 };
            }
            _ = stream.write_all(&frames);
            drain(stream);
        });
        let (error, peak) = attacked(&format!("a bomb of 64 MiB, {name}, with a limit of 1 MiB"), async {
            let mut ws = client(address).max_message(LIMIT.cast_unsigned() as u64).await.expect("open");
            assert!(ws.compression().is_some());
            ws.recv().await.expect_err("too big")
        });
        assert_eq!(fault(&error).0, 1009, "{name}");
        assert!(peak < LIMIT + 64 * KIB, "{name}: {peak}");
        attacker.join().expect("no panic");
    }
}
