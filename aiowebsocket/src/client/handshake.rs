//! The pump of the server's opening handshake: writes what the machine has, reads, sleeps; through TLS where there is any.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::driver::{Alarm, now};
use super::exchange;
use crate::face::Error;
use crate::face::exchange::{Exchange, Turn};
use crate::opening::{AcceptError, AcceptProgress, Accepting, Request, Wire};

/// Runs the handshake up to the request. What the machine wants written is written before, also where it fails: the client
/// learns why.
pub(super) async fn run<S>(
    stream: &mut S,
    wire: &mut Wire,
    accepting: &mut Accepting,
) -> Result<Request, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut exchange, mut alarm) = (Exchange::new(), Alarm::default());
    loop {
        let until = accepting.next_timeout();
        let turn = exchange::turn(&mut exchange, stream, wire.output(), &mut alarm, until).await;
        let progress = match turn {
            Some(Turn::Wrote(n)) => {
                wire.written(n);
                continue;
            }
            Some(Turn::Read(0)) => requested(accepting.receive_end()),
            Some(Turn::Read(_)) => receive(wire, accepting, exchange.bytes()),
            None => requested(accepting.handle_timeout(now())),
            Some(Turn::Broken(error)) => return Err(Error::Io(error)),
        };
        match progress {
            Ok(Some(request)) => return Ok(request),
            Ok(None) => {}
            Err(error) => {
                // The error to tell is the handshake's.
                end(stream, wire, accepting).await;
                return Err(error);
            }
        }
    }
}

fn receive(wire: &mut Wire, accepting: &mut Accepting, bytes: &[u8]) -> Result<Option<Request>, Error> {
    let mut request = None;
    wire.receive(&[], bytes, |_, plain| -> Result<bool, Error> {
        if plain.is_empty() {
            return Ok(true);
        }
        request = requested(accepting.receive(plain, now()))?.or(request.take());
        Ok(request.is_none())
    })?;
    if request.is_none() && wire.is_ended() {
        return requested(accepting.receive_end());
    }
    Ok(request)
}

fn requested(progress: Result<AcceptProgress, AcceptError>) -> Result<Option<Request>, Error> {
    match progress? {
        AcceptProgress::More => Ok(None),
        AcceptProgress::Request(request) => Ok(Some(request)),
    }
}

/// Writes everything that the machine has.
pub(super) async fn write_out<S>(
    stream: &mut S,
    wire: &mut Wire,
    accepting: &mut Accepting,
) -> Result<(), Error>
where
    S: AsyncWrite + Unpin,
{
    let n = accepting.output().len();
    if n > 0 {
        wire.send(accepting.output())?;
        accepting.written(n);
    }
    exchange::write_out(stream, wire).await.map_err(Error::Io)
}

/// Writes the last that there is to say, and the end of TLS and of the stream.
pub(super) async fn end<S: AsyncWrite + Unpin>(stream: &mut S, wire: &mut Wire, accepting: &mut Accepting) {
    _ = write_out(stream, wire, accepting).await;
    wire.close();
    _ = write_out(stream, wire, accepting).await;
    _ = stream.shutdown().await;
}
