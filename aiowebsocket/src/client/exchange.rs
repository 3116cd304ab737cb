//! One turn of a dialogue before the deadline, and the writing of all that there is to say.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::driver::Alarm;
use crate::face::exchange::{Exchange, Turn};
use crate::face::pipe::Clock;
use crate::opening::Wire;

/// Writes some of `output` or reads, whatever can be done first. `None`: the deadline passed.
pub(super) async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
    exchange: &mut Exchange,
    stream: &mut S,
    output: &[u8],
    alarm: &mut Alarm,
    until: Option<Instant>,
) -> Option<Turn> {
    poll_fn(|cx| match (exchange.poll_turn(cx, stream, output), until) {
        (Poll::Ready(turn), _) => Poll::Ready(Some(turn)),
        (Poll::Pending, Some(deadline)) => alarm.poll_alarm(cx, deadline).map(|()| None),
        (Poll::Pending, None) => Poll::Pending,
    })
    .await
}

/// Writes all that there is to write.
pub(super) async fn write_out<S: AsyncWrite + Unpin>(stream: &mut S, wire: &mut Wire) -> io::Result<()> {
    while !wire.output().is_empty() {
        let n = stream.write(wire.output()).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        wire.written(n);
    }
    stream.flush().await
}
