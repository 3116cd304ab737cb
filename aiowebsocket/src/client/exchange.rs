//! One turn of a dialogue before the deadline, and the writing of all that there is to say.

use std::future::poll_fn;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::face::exchange::{Exchange, Turn};

/// Writes some of `output` or reads, whatever can be done first.
pub(super) async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
    exchange: &mut Exchange,
    stream: &mut S,
    output: &[u8],
    until: Option<std::time::Instant>,
) -> Turn {
    let turn = poll_fn(|cx| exchange.poll_turn(cx, stream, output));
    match until {
        None => turn.await,
        Some(until) => timeout_at(Instant::from_std(until), turn).await.unwrap_or(Turn::TimeIsUp),
    }
}

/// Writes all of what `next` has, and tells it how much was written.
pub(super) async fn write_out<S: AsyncWrite + Unpin, T>(
    stream: &mut S,
    from: &mut T,
    output: impl Fn(&T) -> &[u8],
    written: impl Fn(&mut T, usize),
) -> io::Result<()> {
    while !output(from).is_empty() {
        let n = stream.write(output(from)).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        written(from, n);
    }
    stream.flush().await
}
