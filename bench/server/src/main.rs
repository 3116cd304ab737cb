//! The neutral server: `server ADDR` prints the address that it listens on, and serves until it is killed.
//!
//! What it does stands in the path:
//!
//! * `/burst/KIND/SIZE/COUNT`: waits for one message, then pushes COUNT frames from memory;
//! * `/echo`: sends every frame back, unmasked, once it is there whole;
//! * `/sink/COUNT`: swallows COUNT messages and says what it counted.
//!
//! `server expect KIND SIZE COUNT` prints the count, bytes and checksum that a workload has to give.
//!
//! One thread a connection, blocking sockets, no library of any contender.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use base64::Engine;
use harness::frame::{Head, head, put_head, unmask};
use harness::payload::{self, Checksum, Kind};

/// The smallest block that a burst is written in: large enough that its system calls do not count.
const BLOCK: usize = 256 << 10;

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
        [addr] => serve(addr),
        _ => {
            eprintln!("usage: server ADDR | server expect KIND SIZE COUNT");
            std::process::exit(2);
        }
    }
}

fn serve(addr: &str) {
    let listener = TcpListener::bind(addr).expect("a free address");
    println!("{}", listener.local_addr().expect("a bound socket has an address"));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        // A client that goes away in the middle ends its thread and nothing else. Small stacks: thousands are idle at once.
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        thread.spawn(|| _ = connection(stream)).expect("a thread");
    }
}

fn connection(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let path = accept(&mut stream)?;
    let words: Vec<&str> = path.split('/').skip(1).collect();
    let number = |word: &str| word.parse::<u64>().expect("a number in the path");
    match words[..] {
        ["burst", kind, size, count] => {
            let kind = Kind::named(kind).expect("a kind in the path");
            burst(stream, kind, number(size) as usize, number(count))
        }
        ["echo"] => echo(stream),
        ["sink", count] => sink(stream, number(count)),
        _ => panic!("no such path: {path}"),
    }
}

/// The opening handshake; the path that was asked for.
fn accept(stream: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut part = [0; 4096];
        let n = stream.read(&mut part)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&part[..n]);
    }
    let request = String::from_utf8(request).expect("requests are ASCII here");
    let key = request
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim())
        })
        .expect("an upgrade request has a key");
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).digest().bytes();
    let accept = base64::prelude::BASE64_STANDARD.encode(digest);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes())?;
    Ok(request.split(' ').nth(1).expect("a request line has a path").to_owned())
}

fn burst(mut stream: TcpStream, kind: Kind, size: usize, count: u64) -> io::Result<()> {
    let mut block = Vec::new();
    let payloads = payload::all(kind, size);
    let mut in_block = 0;
    while block.len() < BLOCK {
        for payload in &payloads {
            put_head(&mut block, kind.is_text(), payload.len(), None);
            block.extend_from_slice(payload);
            in_block += 1;
        }
    }
    let frame = block.len() / in_block as usize;
    let mut go = [0; 64];
    if stream.read(&mut go)? == 0 {
        return Ok(());
    }
    let mut left = count;
    while left > 0 {
        let now = left.min(in_block);
        stream.write_all(&block[..now as usize * frame])?;
        left -= now;
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

fn echo(stream: TcpStream) -> io::Result<()> {
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

fn sink(stream: TcpStream, count: u64) -> io::Result<()> {
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
struct Frames {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Frames {
    fn new(stream: TcpStream, capacity: usize) -> Self {
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
