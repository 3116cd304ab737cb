//! What every contender shares: the payloads, the loop of each workload, the clocks and the line that is printed.
//!
//! A contender is a small program that implements [`Client`] and calls [`run`]:
//!
//! ```text
//! client WORKLOAD SIZE COUNT ADDR
//! ```
//!
//! Workloads: `burst-binary`, `burst-text`, `burst-json` (receive COUNT messages that the server pushes), `echo` (send one,
//! wait for it, COUNT times), `batch` (send COUNT messages, [`batch`] of them a flush), `memory` (open COUNT connections,
//! use each once). With `check-` before the name every received byte is compared, which is too slow to be measured.

// The trait is for the programs of this folder, which are all single-threaded.
#![allow(async_fn_in_trait, reason = "no future of these leaves its thread")]

pub mod frame;
pub mod payload;

use std::hint::black_box;
use std::time::Instant;

use payload::{Checksum, Kind};
pub use tokio::net::TcpStream;

/// One WebSocket connection, in the contender's best documented mode.
pub trait Client: Sized {
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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workload, size, count, addr] = &arguments[..] else {
        eprintln!("usage: {name} WORKLOAD SIZE COUNT ADDR");
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
        match (workload, check) {
            ("echo", false) => echo::<C, false>(addr, size, count).await,
            ("echo", true) => echo::<C, true>(addr, size, count).await,
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
pub async fn handshake(stream: &mut TcpStream, addr: &str, path: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(frame::request(addr, path).as_bytes()).await.expect("the request leaves");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // The server says nothing behind its response before it was spoken to.
        assert_ne!(stream.read_buf(&mut head).await.expect("a response"), 0);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
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
    let idle = resident_kib();
    let mut checksum = Checksum::default();
    for client in &mut clients {
        client.send(false, payload).await;
        client.recv(|text, bytes| checksum.add(text, bytes)).await;
    }
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
