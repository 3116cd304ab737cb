//! What every contender shares: the payloads, the loop of each workload, the clocks and the line that is printed.
//!
//! A contender is a small program that implements [`Client`] and calls [`run`]:
//!
//! ```text
//! client [--default] WORKLOAD SIZE COUNT ADDR
//! ```
//!
//! Workloads: `burst-binary`, `burst-text`, `burst-json`, `burst-deflate` (receive COUNT messages that the server pushes),
//! `echo` (send one, wait for it, COUNT times), `latency` (the same, each round trip timed), `batch` (send COUNT messages,
//! [`batch`] of them a flush), `connect` (open COUNT connections, one after the other), `memory` (open COUNT
//! connections, use each once). Over TLS with `tls-` before the name, `tls-resume` being `tls-connect` with resumed sessions. With `check-` before the name every received byte is compared, which is too slow to be measured.

// The trait is for the programs of this folder, which are all single-threaded.
#![allow(async_fn_in_trait, reason = "no future of these leaves its thread")]

pub mod frame;
pub mod payload;
pub mod tls;

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Instant;

use payload::{Checksum, Kind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
pub use tokio::net::TcpStream;

/// What a run asks of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The fastest mode that the contender's documentation shows.
    Best,
    /// What comes without asking for anything.
    Default,
    /// The best mode, and permessage-deflate.
    Deflate,
    /// The best mode, over TLS.
    Tls,
}

/// The mode of this run. The arguments are read once: to read them takes nine calls of the allocator, and some clients ask for
/// each connection.
pub fn mode() -> Mode {
    static MODE: OnceLock<Mode> = OnceLock::new();
    *MODE.get_or_init(read_mode)
}

fn read_mode() -> Mode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next() {
        Some(first) if first == DEFAULT => Mode::Default,
        Some(first) if first.ends_with("burst-deflate") => Mode::Deflate,
        Some(first) if first.trim_start_matches("check-").starts_with("tls-") => Mode::Tls,
        _ => Mode::Best,
    }
}

const DEFAULT: &str = "--default";

/// One WebSocket connection, in one of the contender's modes.
pub trait Client: Sized {
    /// Waiting for a message blocks the thread.
    const BLOCKS: bool = false;

    /// A receive that waited and was dropped can lose what was read: the connection is of no use after it.
    const BREAKS: bool = false;

    /// Connects to `addr` and opens `ws://addr/path`.
    async fn open(addr: &str, path: &str) -> Self;

    /// Receives one message and shows it: whether it is text, and its bytes.
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R;

    /// Queues one message where the library can queue, else sends it.
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes);

    /// Returns when everything queued has left.
    async fn flush(&mut self);

    /// Sends one message.
    async fn send(&mut self, text: bool, payload: &bytes::Bytes) {
        self.feed(text, payload).await;
        self.flush().await;
    }
}

/// Messages a flush: 64, and fewer where they would be more than a MiB.
pub fn batch(size: usize) -> u64 {
    ((1 << 20) / size).clamp(1, 64) as u64
}

/// The whole `main` of a contender.
pub fn run<C: Client>(name: &str) {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != DEFAULT).collect();
    let [workload, size, count, addr] = &arguments[..] else {
        eprintln!("usage: {name} [{DEFAULT}] WORKLOAD SIZE COUNT ADDR");
        std::process::exit(2);
    };
    let size: usize = size.parse().expect("SIZE is a number of bytes");
    let count: u64 = count.parse().expect("COUNT is a number of messages");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
    let line = runtime.block_on(async {
        let (workload, check) = match workload.strip_prefix("check-") {
            Some(workload) => (workload, true),
            None => (workload.as_str(), false),
        };
        let workload = workload.strip_prefix("tls-").unwrap_or(workload);
        match (workload, check) {
            ("echo", false) => echo::<C, false>(addr, size, count).await,
            ("echo", true) => echo::<C, true>(addr, size, count).await,
            ("latency", _) => latency::<C>(addr, size, count).await,
            ("connect" | "resume", _) => open_many::<C>(addr, count).await,
            ("batch", _) => send_batches::<C>(addr, size, count).await,
            ("memory", _) => memory::<C>(addr, size, count).await,
            (burst, check) => {
                let kind = burst.strip_prefix("burst-").and_then(Kind::named).expect("a known workload");
                if check {
                    receive::<C, true>(addr, kind, size, count).await
                } else {
                    receive::<C, false>(addr, kind, size, count).await
                }
            }
        }
    });
    println!(r#"{{"client":"{name}","workload":"{workload}","size":{size},{line}}}"#);
}

/// A connected stream, with TCP_NODELAY as every client sets it.
pub async fn connect(addr: &str) -> TcpStream {
    let stream = TcpStream::connect(addr).await.expect("the server listens");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    stream
}

/// The opening handshake, for contenders whose own would put another layer between them and the socket.
pub async fn handshake(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), addr: &str, path: &str) {
    assert_eq!(offered(stream, addr, path, None).await, None, "nothing was offered");
}

/// The same with an offer of extensions; what the server agreed to.
pub async fn offered(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    addr: &str,
    path: &str,
    offer: Option<&str>,
) -> Option<String> {
    stream.write_all(frame::request(addr, path, offer).as_bytes()).await.expect("the request leaves");
    stream.flush().await.expect("the request leaves");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // The server says nothing behind its response before it was spoken to.
        assert_ne!(stream.read_buf(&mut head).await.expect("a response"), 0);
    }
    let head = String::from_utf8(head).expect("heads are ASCII here");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    frame::value(&head, "Sec-WebSocket-Extensions").map(str::to_owned)
}

async fn receive<C: Client, const CHECK: bool>(addr: &str, kind: Kind, size: usize, count: u64) -> String {
    let mut client = C::open(addr, &format!("/burst/{}/{size}/{count}", kind.name())).await;
    let expected = payload::all(kind, size);
    let mut checksum = Checksum::default();
    let clock = Clock::start();
    client.send(true, &bytes::Bytes::from_static(b"go")).await;
    for i in 0..count {
        client
            .recv(|text, bytes| {
                checksum.add(text, bytes);
                if CHECK {
                    assert_eq!((text, bytes), (kind.is_text(), &expected[i as usize % expected.len()][..]));
                }
            })
            .await;
    }
    clock.line(checksum)
}

async fn echo<C: Client, const CHECK: bool>(addr: &str, size: usize, count: u64) -> String {
    let mut client = C::open(addr, "/echo").await;
    let payloads = payload::all(Kind::Binary, size);
    let mut checksum = Checksum::default();
    let clock = Clock::start();
    for i in 0..count {
        let payload = &payloads[i as usize % payloads.len()];
        client.send(false, payload).await;
        client
            .recv(|text, bytes| {
                checksum.add(text, bytes);
                if CHECK {
                    assert_eq!((text, bytes), (false, &payload[..]));
                }
            })
            .await;
    }
    clock.line(checksum)
}

/// As [`echo`], with a reading of the clock around each round trip.
async fn latency<C: Client>(addr: &str, size: usize, count: u64) -> String {
    let mut client = C::open(addr, "/echo").await;
    let payloads = payload::all(Kind::Binary, size);
    let mut checksum = Checksum::default();
    let mut times = Vec::with_capacity(count as usize);
    let clock = Clock::start();
    for i in 0..count {
        let began = Instant::now();
        client.send(false, &payloads[i as usize % payloads.len()]).await;
        client.recv(|text, bytes| checksum.add(text, bytes)).await;
        times.push(began.elapsed().as_nanos());
    }
    let line = clock.line(checksum);
    times.sort_unstable();
    // The smallest time that this part of the round trips does not exceed.
    let at = |part: f64| times[((part * times.len() as f64).ceil() as usize).clamp(1, times.len()) - 1];
    format!(
        r#"{line},"p50_ns":{},"p90_ns":{},"p99_ns":{},"p999_ns":{},"max_ns":{}"#,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}

/// Connections opened and dropped, one after the other: TCP, the handshake, and what the library keeps.
async fn open_many<C: Client>(addr: &str, count: u64) -> String {
    let clock = Clock::start();
    for _ in 0..count {
        black_box(C::open(addr, "/echo").await);
    }
    clock.line(Checksum { messages: count, ..Checksum::default() })
}

async fn send_batches<C: Client>(addr: &str, size: usize, count: u64) -> String {
    let mut client = C::open(addr, &format!("/sink/{count}")).await;
    let payloads = payload::all(Kind::Binary, size);
    let batch = batch(size);
    let clock = Clock::start();
    for i in 0..count {
        client.feed(false, &payloads[i as usize % payloads.len()]).await;
        if (i + 1) % batch == 0 {
            client.flush().await;
        }
    }
    client.flush().await;
    // What the server counted; the clock stops when it has everything.
    let counted = client.recv(|_, bytes| Checksum::read(bytes)).await;
    clock.line(counted)
}

async fn memory<C: Client>(addr: &str, size: usize, count: u64) -> String {
    let payload = &payload::all(Kind::Binary, size)[0];
    // What only the first connection allocates belongs to no connection.
    let mut first = C::open(addr, "/echo").await;
    first.send(false, payload).await;
    first.recv(|_, _| ()).await;
    let mut clients = Vec::with_capacity(count as usize);
    let before = resident_kib();
    for _ in 0..count {
        clients.push(C::open(addr, "/echo").await);
    }
    wait(&mut clients).await;
    let idle = resident_kib();
    let mut checksum = Checksum::default();
    for client in &mut clients {
        client.send(false, payload).await;
        client.recv(|text, bytes| checksum.add(text, bytes)).await;
    }
    wait(&mut clients).await;
    let used = resident_kib();
    black_box(&mut clients);
    let each = |kib: u64| kib.saturating_sub(before) as f64 / count as f64;
    format!(
        r#""messages":{},"bytes":{},"checksum":"{:016x}","start_kib":{before},"idle_kib":{:.3},"used_kib":{:.3}"#,
        checksum.messages,
        checksum.bytes,
        checksum.sum,
        each(idle),
        each(used)
    )
}

/// Every connection waits for a message once, as idle ones do: nothing is there for any. Not where that cannot be done and undone.
async fn wait<C: Client>(clients: &mut [C]) {
    for client in clients.iter_mut().filter(|_| !C::BLOCKS && !C::BREAKS) {
        let mut message = pin!(client.recv(|_, _| ()));
        poll_fn(|cx| {
            assert!(message.as_mut().poll(cx).is_pending(), "nothing was sent");
            Poll::Ready(())
        })
        .await;
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a mounted /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Self {
        Self { cpu: cpu_seconds(), wall: Instant::now() }
    }

    fn line(self, Checksum { messages, bytes, sum }: Checksum) -> String {
        let wall = self.wall.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - self.cpu;
        format!(
            r#""messages":{messages},"bytes":{bytes},"checksum":"{sum:016x}","wall_s":{wall:.6},"cpu_s":{cpu:.6}"#
        )
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    // SAFETY: `rusage` is numbers only, of which zero is one, and the call writes nothing else.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
