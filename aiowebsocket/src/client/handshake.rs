//! The pump of the opening handshake, for both sides: writes what the machine has, reads, sleeps.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::driver::now;
use super::error::Error;
use crate::opening::{AcceptProgress, Accepting, Opened, Opening, Progress, Request};

/// Bytes of one read. Heads of real servers have a few hundred.
const READ: usize = 4 << 10;

/// What the two handshake machines have in common.
pub(super) trait Handshake {
    type Outcome;

    fn output(&self) -> &[u8];
    fn written(&mut self, n: usize);
    fn receive(&mut self, bytes: &[u8]) -> Result<Option<Self::Outcome>, Error>;
    fn receive_end(&mut self) -> Result<Option<Self::Outcome>, Error>;
    fn next_timeout(&self) -> Option<std::time::Instant>;
    fn handle_timeout(&mut self) -> Result<Option<Self::Outcome>, Error>;
}

/// Runs a handshake up to its outcome. What the machine wants written is written before, also where it fails: the other side
/// learns why.
pub(super) async fn run<S, H>(stream: &mut S, handshake: &mut H) -> Result<H::Outcome, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handshake,
{
    let mut buffer = vec![0; READ];
    loop {
        // A peer that refuses early may have closed its side: what it said is still there to be read.
        let written = write_out(stream, handshake).await;
        let progress = match read(stream, &mut buffer, handshake.next_timeout()).await {
            Read::Bytes(n) => handshake.receive(&buffer[..n]),
            Read::End => handshake.receive_end(),
            Read::TimeIsUp => handshake.handle_timeout(),
            Read::Broken(error) => return Err(Error::Io(written.err().unwrap_or(error))),
        };
        match progress {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            Err(error) => {
                // The error to tell is the handshake's.
                _ = write_out(stream, handshake).await;
                _ = stream.shutdown().await;
                return Err(error);
            }
        }
    }
}

/// Writes everything that the machine has.
pub(super) async fn write_out<S, H>(stream: &mut S, handshake: &mut H) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
    H: Handshake,
{
    while !handshake.output().is_empty() {
        let n = stream.write(handshake.output()).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        handshake.written(n);
    }
    stream.flush().await
}

enum Read {
    Bytes(usize),
    End,
    TimeIsUp,
    Broken(io::Error),
}

async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut [u8],
    until: Option<std::time::Instant>,
) -> Read {
    let read = match until {
        None => stream.read(buffer).await,
        Some(until) => match timeout_at(Instant::from_std(until), stream.read(buffer)).await {
            Ok(read) => read,
            Err(_) => return Read::TimeIsUp,
        },
    };
    match read {
        Ok(0) => Read::End,
        Ok(n) => Read::Bytes(n),
        Err(error) => Read::Broken(error),
    }
}

impl Handshake for Opening {
    type Outcome = Opened;

    fn output(&self) -> &[u8] {
        self.output()
    }

    fn written(&mut self, n: usize) {
        self.written(n);
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Option<Opened>, Error> {
        Ok(opened(self.receive(bytes, now())?))
    }

    fn receive_end(&mut self) -> Result<Option<Opened>, Error> {
        Ok(opened(self.receive_end(now())?))
    }

    fn next_timeout(&self) -> Option<std::time::Instant> {
        self.next_timeout()
    }

    fn handle_timeout(&mut self) -> Result<Option<Opened>, Error> {
        Ok(opened(self.handle_timeout(now())?))
    }
}

fn opened(progress: Progress) -> Option<Opened> {
    match progress {
        Progress::More => None,
        Progress::Open(opened) => Some(opened),
    }
}

impl Handshake for Accepting {
    type Outcome = Request;

    fn output(&self) -> &[u8] {
        self.output()
    }

    fn written(&mut self, n: usize) {
        self.written(n);
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Option<Request>, Error> {
        Ok(requested(self.receive(bytes, now())?))
    }

    fn receive_end(&mut self) -> Result<Option<Request>, Error> {
        Ok(requested(self.receive_end()?))
    }

    fn next_timeout(&self) -> Option<std::time::Instant> {
        self.next_timeout()
    }

    fn handle_timeout(&mut self) -> Result<Option<Request>, Error> {
        Ok(requested(self.handle_timeout(now())?))
    }
}

fn requested(progress: AcceptProgress) -> Option<Request> {
    match progress {
        AcceptProgress::More => None,
        AcceptProgress::Request(request) => Some(request),
    }
}
