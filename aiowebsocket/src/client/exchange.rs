//! A wait with a deadline, one turn of a dialogue before it, and the writing of all that there is to say.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::driver::Alarm;
use crate::face::exchange::{Exchange, Turn};
use crate::face::pipe::Clock;

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

/// Writes some of `output` or reads, whatever can be done first.
pub(super) async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
    exchange: &mut Exchange,
    stream: &mut S,
    output: &[u8],
    alarm: &mut Alarm,
    until: Option<Instant>,
) -> Turn {
    let turn = wait_until(alarm, until, |cx| exchange.poll_turn(cx, stream, output)).await;
    turn.unwrap_or(Turn::TimeIsUp)
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
