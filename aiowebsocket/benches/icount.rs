//! Counts instructions per message, by callgrind, over a transport in memory: `make icount`.
//!
//! Instructions repeat where times do not: the same binary gives the same count on a loaded machine. Each workload runs in a
//! process of its own under callgrind with two numbers of messages; the difference, divided by the messages between, is
//! free of start-up. The transport copies the peer's bytes from memory where a socket would have the kernel do
//! that, so its own share is measured alone (`transport`) and subtracted: what remains is what a user-space profile of
//! a real socket shows beside the system calls.
//!
//! `icount` prints a table beside the goals and the record in `benches/icount.toml`, and fails on a rise of more than
//! 3 % where toolchain and processor are those of the record; elsewhere it only reports. `icount --record` writes the record.
//! `icount WORKLOAD N` is one run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, ExitCode};
use std::task::{Context, Poll};

use aiowebsocket::{WebSocket, connect};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A rise above this part of the record fails.
const TOLERANCE: f64 = 0.03;

/// What is measured: name, payload, and the goal in instructions per message.
const WORKLOADS: &[(&str, Payload, Work, u64)] = &[
    ("lent-16-binary", Payload::Binary(16), Work::Lent, 140),
    ("owned-16-binary", Payload::Binary(16), Work::Owned, 260),
    ("lent-128-text", Payload::Mixed(128), Work::Lent, 260),
    ("owned-128-text", Payload::Mixed(128), Work::Owned, 480),
    ("lent-1024-mixed", Payload::Mixed(1024), Work::Lent, 1_050),
    ("owned-1024-mixed", Payload::Mixed(1024), Work::Owned, 1_300),
    ("lent-1024-json", Payload::Json(1024), Work::Lent, 330),
    ("feed-16-binary", Payload::Binary(16), Work::Feed, 200),
    ("feed-1024-binary", Payload::Binary(1024), Work::Feed, 600),
    ("feed-16-shared", Payload::Binary(16), Work::FeedShared, 240),
    ("halves-16-binary", Payload::Binary(16), Work::Halves, 170),
    ("halves-feed-16", Payload::Binary(16), Work::FeedHalves, 400),
];

#[derive(Clone, Copy)]
enum Payload {
    Binary(usize),
    /// Text of several scripts, as chats have it: one to four bytes a character.
    Mixed(usize),
    /// ASCII, as feeds have it.
    Json(usize),
}

#[derive(Clone, Copy)]
enum Work {
    /// `recv_ref`.
    Lent,
    /// `recv`.
    Owned,
    /// `feed`, 64 messages a flush.
    Feed,
    /// The same with `Bytes` that are held elsewhere too.
    FeedShared,
    /// `recv` of a receiver beside its sender.
    Halves,
    /// `feed` of a sender beside its receiver, 64 messages a flush.
    FeedHalves,
}

impl Work {
    /// What is sent is swallowed, not copied: there the transport has no share.
    fn sends(self) -> bool {
        matches!(self, Self::Feed | Self::FeedShared | Self::FeedHalves)
    }
}

impl Payload {
    fn is_text(self) -> bool {
        !matches!(self, Self::Binary(_))
    }

    /// Exactly the length asked for; text is padded with ASCII where a character would be cut.
    fn bytes(self) -> Vec<u8> {
        let (length, pattern): (usize, &[u8]) = match self {
            Self::Binary(length) => (length, b"\x00\x01\x02\x03\xfc\xfd\xfe\xff"),
            Self::Mixed(length) => {
                (length, "Grüße, 世界! Привет, κόσμε 🌍 and plain words between. ".as_bytes())
            }
            Self::Json(length) => (
                length,
                br#"{"e":"trade","s":"BTCUSDT","p":"43210.98","q":"0.00123","T":1700000000000,"m":true},"#,
            ),
        };
        let mut bytes: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
        if self.is_text() {
            while std::str::from_utf8(&bytes).is_err() {
                let valid = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
                bytes.truncate(valid);
            }
            bytes.resize(length, b'.');
        }
        bytes
    }

    /// The unmasked frame that a server would send.
    fn frame(self) -> Vec<u8> {
        let payload = self.bytes();
        let mut frame = vec![if self.is_text() { 0x81 } else { 0x82 }];
        match u8::try_from(payload.len()) {
            Ok(length @ 0..=125) => frame.push(length),
            _ => {
                frame.push(126);
                frame
                    .extend_from_slice(&u16::try_from(payload.len()).expect("a short payload").to_be_bytes());
            }
        }
        frame.extend_from_slice(&payload);
        frame
    }
}

/// Answers the handshake, then gives frames for ever and swallows what is written.
struct Memory {
    response: Vec<u8>,
    frames: Vec<u8>,
    at: usize,
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.response.is_empty() {
            let response = std::mem::take(&mut self.response);
            buf.put_slice(&response);
            return Poll::Ready(Ok(()));
        }
        let n = buf.remaining().min(self.frames.len() - self.at);
        buf.put_slice(&self.frames[self.at..self.at + n]);
        self.at = (self.at + n) % self.frames.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(response) = answer(bytes) {
            self.response = response;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The response to an upgrade request, made by the library's own server side.
fn answer(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"GET ") {
        return None;
    }
    let mut accepting = aiowebsocket::opening::Accepting::new(aiowebsocket::opening::HeadLimits::default());
    #[expect(clippy::disallowed_methods, reason = "a benchmark is a face")]
    let now = std::time::Instant::now();
    accepting.receive(bytes, now).expect("our own request is valid");
    accepting.accept(None, &[]).expect("an acceptance without options");
    Some(accepting.output().to_vec())
}

async fn open(payload: Payload) -> WebSocket<Memory> {
    // Near 128 KiB of whole frames, the largest read.
    let frame = payload.frame();
    let frames = frame.repeat((128 << 10) / frame.len());
    let memory = Memory { response: Vec::new(), frames, at: 0 };
    connect("ws://memory/").over(memory).await.expect("the memory answers")
}

async fn work(payload: Payload, work: Work, messages: u64) {
    let mut ws = open(payload).await;
    let bytes = payload.bytes();
    match work {
        Work::Lent => {
            for _ in 0..messages {
                let message = ws.recv_ref().await.expect("no error").expect("no end");
                assert_eq!(black_box(message).as_bytes().len(), bytes.len());
            }
        }
        Work::Owned => {
            for _ in 0..messages {
                let message = ws.recv().await.expect("no error").expect("no end");
                assert_eq!(black_box(message).as_bytes().len(), bytes.len());
            }
        }
        Work::Feed => {
            for _ in 0..messages / 64 {
                for _ in 0..64 {
                    ws.feed(black_box(bytes.as_slice())).await.expect("room");
                }
                ws.flush().await.expect("the memory takes everything");
            }
        }
        Work::FeedShared => {
            let bytes = bytes::Bytes::from(bytes);
            for _ in 0..messages / 64 {
                for _ in 0..64 {
                    ws.feed(black_box(&bytes).clone()).await.expect("room");
                }
                ws.flush().await.expect("the memory takes everything");
            }
        }
        Work::Halves => {
            let (_sender, mut receiver) = ws.split();
            for _ in 0..messages {
                let message = receiver.recv().await.expect("no error").expect("no end");
                assert_eq!(black_box(message).as_bytes().len(), bytes.len());
            }
        }
        Work::FeedHalves => {
            let (sender, _receiver) = ws.split();
            for _ in 0..messages / 64 {
                for _ in 0..64 {
                    sender.feed(black_box(bytes.as_slice())).await.expect("room");
                }
                sender.flush().await.expect("the memory takes everything");
            }
        }
    }
}

/// The transport's own share of a receiving workload: the same bytes, read and not looked at.
async fn transport(payload: Payload, messages: u64) {
    use tokio::io::AsyncReadExt;
    let frame = payload.frame();
    let frames = frame.repeat((128 << 10) / frame.len());
    let mut memory = Memory { response: Vec::new(), at: 0, frames };
    let mut buffer = vec![0; 128 << 10];
    let mut left = messages * frame.len() as u64;
    while left > 0 {
        left = left.saturating_sub(memory.read(&mut buffer).await.expect("memory does not fail") as u64);
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Record {
    toolchain: String,
    processor: String,
    instructions: BTreeMap<String, u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(false),
        ["--record"] => report(true),
        [name, messages] => {
            run(name, messages.parse().expect("a number of messages"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: icount [--record | WORKLOAD MESSAGES]");
            ExitCode::from(2)
        }
    }
}

fn run(name: &str, messages: u64) {
    let (name, floor) = match name.strip_prefix("transport:") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (_, payload, kind, _) =
        *WORKLOADS.iter().find(|(known, ..)| *known == name).expect("a known workload");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        if floor {
            transport(payload, messages).await;
        } else {
            work(payload, kind, messages).await;
        }
    });
}

fn report(record: bool) -> ExitCode {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/icount.toml");
    let known: Record =
        std::fs::read_to_string(&path).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default();
    let mut now = Record { toolchain: toolchain(), processor: processor(), instructions: BTreeMap::new() };
    let comparable = (&known.toolchain, &known.processor) == (&now.toolchain, &now.processor);
    println!("user-space instructions per message ({}, {})\n", now.toolchain, now.processor);
    println!("{:<18} {:>9} {:>8} {:>8} {:>9}", "workload", "measured", "goal", "record", "transport");
    let mut worse = false;
    for &(name, _, kind, goal) in WORKLOADS {
        let (Some(whole), Some(share)) = (measure(name), measure(&format!("transport:{name}"))) else {
            eprintln!("valgrind did not run; it is Debian's package valgrind");
            return ExitCode::FAILURE;
        };
        let share = if kind.sends() { 0 } else { share };
        let measured = whole.saturating_sub(share);
        now.instructions.insert(name.to_owned(), measured);
        let before = known.instructions.get(name).copied();
        let rose = before.is_some_and(|before| measured as f64 > before as f64 * (1.0 + TOLERANCE));
        worse |= rose;
        println!(
            "{name:<18} {measured:>9} {goal:>8} {:>8} {share:>9}{}{}",
            before.map_or_else(|| "-".to_owned(), |before| before.to_string()),
            if measured > goal { "  over its goal" } else { "" },
            if rose { "  ROSE" } else { "" },
        );
    }
    if record {
        let text = toml::to_string(&now).expect("a record is plain");
        std::fs::write(&path, text).expect("the record can be written");
        return ExitCode::SUCCESS;
    }
    if !comparable {
        println!("\nanother toolchain or processor than the record's: compared for information only");
        return ExitCode::SUCCESS;
    }
    if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Instructions per message of one workload, start-up subtracted.
fn measure(name: &str) -> Option<u64> {
    const FEW: u64 = 64 * 200;
    const MANY: u64 = 64 * 1_200;
    let few = callgrind(name, FEW)?;
    let many = callgrind(name, MANY)?;
    Some((many - few) / (MANY - FEW))
}

fn callgrind(name: &str, messages: u64) -> Option<u64> {
    let this = std::env::current_exe().expect("a running program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args([name, &messages.to_string()])
        .output()
        .ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = text.lines().find_map(|line| line.split_once("Collected : "))?.1.trim();
    collected.parse().ok()
}

fn toolchain() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc is on the path of a build");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    format!(
        "{} family {} model {}",
        field("model name").unwrap_or_else(|| "unknown".to_owned()),
        field("cpu family").unwrap_or_default(),
        field("model\t").unwrap_or_default()
    )
}
