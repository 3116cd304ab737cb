//! The neutral server: `server ADDR FILE` prints the address that it listens on and the one where it speaks TLS, writes the certificate for the
//! latter to FILE, and serves until it is killed. `server ADDR` does without TLS.
//!
//! What it does stands in the path:
//!
//! * `/burst/KIND/SIZE/COUNT`: waits for one message, then pushes COUNT frames from memory; of the kind `deflate` they are
//!   compressed as the client's offer has it (zlib's level 6);
//! * `/echo`: sends every frame back, unmasked, once it is there whole;
//! * `/sink/COUNT`: swallows COUNT messages and says what it counted.
//!
//! `server expect KIND SIZE COUNT` prints the count, bytes and checksum that a workload has to give.
//!
//! One thread a connection, blocking sockets, no library of any contender.

mod block;
mod tls;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use base64::Engine;
use block::{Agreed, Block};
use harness::frame::{Head, head, put_head, unmask, value};
use harness::payload::{self, Checksum, Kind};

/// A Close without a code.
const CLOSE: [u8; 2] = [0x88, 0];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["expect", kind, size, count] => {
            let kind = Kind::named(kind).expect("KIND is binary, text or json");
            let (size, count) = (size.parse().expect("SIZE"), count.parse().expect("COUNT"));
            println!("{}", Checksum::expected(kind, size, count).write());
        }
        [addr] => serve(&listen(addr), connection),
        [addr, certificate, ref suites @ ..] => {
            let plain = listen(addr);
            let config = tls::config(Path::new(certificate), suites == ["one-suite"]);
            let secure = listen(addr);
            std::thread::spawn(move || {
                serve(&secure, move |stream| connection(tls::accept(&config, stream)?))
            });
            serve(&plain, connection);
        }
        _ => {
            eprintln!("usage: server ADDR [CERTIFICATE [one-suite]] | server expect KIND SIZE COUNT");
            std::process::exit(2);
        }
    }
}

fn listen(addr: &str) -> TcpListener {
    let listener = TcpListener::bind(addr).expect("a free address");
    println!("{}", listener.local_addr().expect("a bound socket has an address"));
    listener
}

fn serve(listener: &TcpListener, talk: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let talk = talk.clone();
        // A client that goes away in the middle ends its thread and nothing else. Small stacks: thousands are idle at once.
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        thread.spawn(move || _ = stream.set_nodelay(true).and_then(|()| talk(stream))).expect("a thread");
    }
}

fn connection(mut stream: impl Read + Write) -> io::Result<()> {
    let request = read_request(&mut stream)?;
    let path = request.split(' ').nth(1).expect("a request line has a path");
    let words: Vec<&str> = path.split('/').skip(1).collect();
    let number = |word: &str| word.parse::<u64>().expect("a number in the path");
    match words[..] {
        ["burst", kind, size, count] => {
            let kind = Kind::named(kind).expect("a kind in the path");
            let (payloads, count) = (payload::all(kind, number(size) as usize), number(count) as usize);
            let agreed = (kind == Kind::Deflate).then(|| Agreed::of(&request));
            // Before the client's clock runs.
            let blocks = match &agreed {
                Some(agreed) => Block::deflated(&payloads, agreed),
                None => [Block::default(), Block::plain(&payloads, kind.is_text(), count)],
            };
            accept(&mut stream, &request, agreed)?;
            burst(stream, &blocks, count)
        }
        ["echo"] => {
            accept(&mut stream, &request, None)?;
            echo(stream)
        }
        ["sink", count] => {
            accept(&mut stream, &request, None)?;
            sink(stream, number(count))
        }
        _ => panic!("no such path: {path}"),
    }
}

fn read_request(stream: &mut impl Read) -> io::Result<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut part = [0; 4096];
        let n = stream.read(&mut part)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&part[..n]);
    }
    Ok(String::from_utf8(request).expect("requests are ASCII here"))
}

/// Ends the opening handshake.
fn accept(stream: &mut impl Write, request: &str, agreed: Option<Agreed>) -> io::Result<()> {
    let key = value(request, "Sec-WebSocket-Key").expect("an upgrade request has a key");
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).digest().bytes();
    let accept = base64::prelude::BASE64_STANDARD.encode(digest);
    let extensions = agreed.map_or(String::new(), |agreed| format!("Sec-WebSocket-Extensions: {agreed}\r\n"));
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{extensions}\r\n"
    );
    stream.write_all(response.as_bytes())
}

/// The first block once, then the second as often as it takes.
fn burst(mut stream: impl Read + Write, [first, again]: &[Block; 2], count: usize) -> io::Result<()> {
    let mut go = [0; 64];
    if stream.read(&mut go)? == 0 {
        return Ok(());
    }
    let mut left = count;
    let mut block = first;
    while left > 0 {
        let now = left.min(block.frames());
        stream.write_all(block.first(now))?;
        left -= now;
        block = again;
    }
    // Until the client has read it all and goes, or says that it will.
    if stream.read(&mut go)? > 0 {
        stream.write_all(&CLOSE)?;
        if go[0] != CLOSE[0] {
            // Its answer: an end before that would break the connection.
            _ = stream.read(&mut go)?;
        }
    }
    Ok(())
}

fn echo(stream: impl Read + Write) -> io::Result<()> {
    let mut frames = Frames::new(stream, 0);
    let mut out = Vec::new();
    while let Some((head, payload)) = frames.next()? {
        unmask(payload, head.key);
        out.clear();
        // A Close gets its answer like everything else.
        put_head(&mut out, head.is_text(), payload.len(), None);
        out[0] = head.first;
        out.extend_from_slice(payload);
        frames.stream.write_all(&out)?;
        if head.first == CLOSE[0] {
            return Ok(());
        }
        // A connection that waits holds little: thousands do.
        out.shrink_to(64 << 10);
    }
    Ok(())
}

fn sink(stream: impl Read + Write, count: u64) -> io::Result<()> {
    let mut frames = Frames::new(stream, 256 << 10);
    let mut checksum = Checksum::default();
    while checksum.messages < count {
        let Some((head, payload)) = frames.next()? else { return Ok(()) };
        // Both ends are what the checksum looks at.
        let (length, key) = (payload.len(), head.key);
        let mut rotated = key;
        rotated.rotate_left(length % 4);
        if length < 16 {
            unmask(payload, key);
        } else {
            unmask(&mut payload[..8], key);
            unmask(&mut payload[length - 8..], rotated);
        }
        checksum.add(head.is_text(), payload);
    }
    let line = checksum.write();
    let mut out = Vec::new();
    put_head(&mut out, true, line.len(), None);
    out.extend_from_slice(line.as_bytes());
    frames.stream.write_all(&out)?;
    while frames.next()?.is_some() {}
    Ok(())
}

/// Whole frames out of a socket.
struct Frames<S> {
    stream: S,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<S: Read> Frames<S> {
    fn new(stream: S, capacity: usize) -> Self {
        Self { stream, buffer: vec![0; capacity.max(4 << 10)], start: 0, end: 0 }
    }

    fn next(&mut self) -> io::Result<Option<(Head, &mut [u8])>> {
        loop {
            let there = self.end - self.start;
            let known = head(&self.buffer[self.start..self.end]);
            if let Some(head) = known
                && there >= head.len + head.payload
            {
                let at = self.start + head.len;
                self.start = at + head.payload;
                return Ok(Some((head, &mut self.buffer[at..at + head.payload])));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, there);
            let whole = known.map_or(0, |head| head.len + head.payload);
            if whole > self.buffer.len() {
                self.buffer.resize(whole.next_power_of_two(), 0);
            }
            let n = self.stream.read(&mut self.buffer[self.end..])?;
            if n == 0 {
                return Ok(None);
            }
            self.end += n;
        }
    }
}
