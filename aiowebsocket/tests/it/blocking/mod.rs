//! The blocking face, on sockets of this machine: against the echo server, and against peers that say exact bytes.
#![expect(
    clippy::disallowed_methods,
    reason = "what waits by itself is tried with sockets and time that pass by themselves"
)]

mod calls;
mod opening;
mod threads;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aiowebsocket::blocking::{WebSocket, connect};
use aiowebsocket::opening::{Accepting, HeadLimits};
use aiowebsocket::{EchoServer, Error};
use tokio::runtime::Runtime;

/// What the servers of tokio run on.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

/// The address of an echo server that all tests share.
static ECHO: LazyLock<String> = LazyLock::new(|| {
    let server = RUNTIME.block_on(EchoServer::bind("127.0.0.1:0")).expect("a port");
    let address = server.local_addr().expect("bound");
    RUNTIME.spawn(server.run());
    format!("ws://{address}/")
});

/// Long enough on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A peer that does this with its first connection.
fn serves<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let served = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        serve(stream)
    });
    (address, served)
}

/// Reads one request head.
fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// Answers the opening handshake, and says these bytes right behind.
fn accept(stream: &mut TcpStream, bytes: &[u8]) {
    let mut accepting = Accepting::new(HeadLimits::default());
    let head = request(stream);
    accepting.receive(head.as_bytes(), crate::support::start_of_time()).expect("a good request");
    accepting.accept(None, &[]).expect("a plain answer");
    stream.write_all(&[accepting.output(), bytes].concat()).expect("connected");
}

/// A connection, without compression and keep-alive, to a peer that opens it and then does this.
fn open_to<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (WebSocket, JoinHandle<T>) {
    let (address, served) = serves(|mut stream| {
        accept(&mut stream, b"");
        serve(stream)
    });
    let ws = connect(format!("ws://{address}/")).no_compression().no_keepalive().open();
    (ws.expect("open"), served)
}

/// An unmasked frame, as a server sends it.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => frame.push(u8::try_from(short).expect("short")),
        medium @ 126..=0xffff => {
            frame.push(126);
            frame.extend(u16::try_from(medium).expect("medium").to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// The next frame of a client: its opcode and its payload, unmasked.
fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a header");
    let mut take = |n| {
        let mut bytes = vec![0; n];
        stream.read_exact(&mut bytes).expect("a frame");
        bytes
    };
    let length = match head[1] & 0x7f {
        126 => usize::from(u16::from_be_bytes(take(2).try_into().expect("two"))),
        127 => usize::try_from(u64::from_be_bytes(take(8).try_into().expect("eight"))).expect("small"),
        short => usize::from(short),
    };
    let key = take(4);
    let payload = take(length).iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
    (head[0] & 0xf, payload)
}

/// Receives text, or panics.
fn text(ws: &WebSocket) -> String {
    let message = ws.recv().expect("no error").expect("open");
    message.as_text().expect("text").to_owned()
}

/// How long a call took, and what it said.
fn timed<T>(call: impl FnOnce() -> Result<T, Error>) -> (Duration, Result<T, Error>) {
    let begun = now();
    let result = call();
    (begun.elapsed(), result)
}

fn now() -> Instant {
    Instant::now()
}

/// As long as it takes until another thread waits in a call.
fn a_moment() {
    // Nobody tells when a thread has begun to wait.
    thread::sleep(Duration::from_millis(60));
}
