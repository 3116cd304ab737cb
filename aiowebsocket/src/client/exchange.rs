//! A wait with a deadline, one turn of a dialogue before it, and the writing of all that there is to say.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::driver::Alarm;
use crate::face::exchange::{Exchange, Turn};
use crate::face::pipe::Clock;
use crate::opening::Wire;

/// Waits for what `poll` waits for, or the deadline, which is `None`. All waits of an opening share one alarm: a timer of each
/// one's own is set and cleared twice as often, some 400 instructions each.
pub(super) async fn wait_until<T>(
    alarm: &mut Alarm,
    until: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    poll_fn(|cx| match (poll(cx), until) {
        (Poll::Ready(done), _) => Poll::Ready(Some(done)),
        (Poll::Pending, Some(deadline)) => alarm.poll_alarm(cx, deadline).map(|()| None),
        (Poll::Pending, None) => Poll::Pending,
    })
    .await
}

/// Writes some of `output` or reads, whatever can be done first. `None`: the deadline passed.
pub(super) async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
    exchange: &mut Exchange,
    stream: &mut S,
    output: &[u8],
    alarm: &mut Alarm,
    until: Option<Instant>,
) -> Option<Turn> {
    wait_until(alarm, until, |cx| exchange.poll_turn(cx, stream, output)).await
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
