//! A socket that never blocks by itself, as the driver's pipe; and the time, as its clock.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use mio::net::TcpStream;
use socket2::{Domain, Protocol, Type};

use super::connect::SocketHook;
use super::poller::now;
use crate::face::pipe::{Clock, Pipe};

/// Bytes of a large message that are read at once: they are zeroed before, so no more than a read usually brings.
const APPEND: usize = 128 << 10;

/// The socket of a connection.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: Arc<TcpStream>,
    /// How many writes have moved bytes.
    pub(super) writes: u64,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: Arc::new(stream), writes: 0 }
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.writes += 1;
        }
        written
    }
}

/// Begins to connect; [`connected`] tells what came of it.
pub(super) fn begin(
    address: SocketAddr,
    local: Option<SocketAddr>,
    hook: Option<&SocketHook>,
) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Messages are written whole, so waiting for more to fill a packet only adds delay.
    socket.set_tcp_nodelay(true)?;
    if let Some(local) = local {
        socket.bind(&local.into())?;
    }
    if let Some(hook) = hook {
        hook(&socket)?;
    }
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

/// What became of an attempt to connect to this address.
pub(super) fn connected(stream: &TcpStream, address: SocketAddr) -> Poll<io::Result<()>> {
    if let Some(error) = stream.take_error()? {
        return Poll::Ready(Err(error));
    }
    if stream.peer_addr().is_err() {
        return Poll::Pending;
    }
    // Where nobody listens on a port that the system gives to clients, it may be our own: TCP then connects the socket with
    // itself, and our request would come back as the answer.
    if stream.local_addr()? == address {
        return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
    }
    Poll::Ready(Ok(()))
}

impl Pipe for Socket {
    fn poll_read(&mut self, _: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        attempt(|| (&*self.stream).read(space))
    }

    fn poll_append(
        &mut self,
        _: &mut Context<'_>,
        memory: &mut BytesMut,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let before = memory.len();
        memory.resize(before + limit.min(memory.capacity() - before).min(APPEND), 0);
        let read = attempt(|| (&*self.stream).read(&mut memory[before..]));
        memory.truncate(before + if let Poll::Ready(Ok(n)) = read { n } else { 0 });
        read
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = attempt(|| (&*self.stream).write(bytes));
        self.wrote(written)
    }

    fn poll_write_vectored(
        &mut self,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = attempt(|| (&*self.stream).write_vectored(slices));
        self.wrote(written)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}

/// Once, or again where a signal came in between.
fn attempt(mut call: impl FnMut() -> io::Result<usize>) -> Poll<io::Result<usize>> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            done => return Poll::Ready(done),
        }
    }
}

/// The system's time. Who waits knows the deadline, so nobody is woken for it.
#[derive(Debug, Default)]
pub(super) struct Watch {
    is_released: bool,
}

impl Clock for Watch {
    fn now() -> Instant {
        now()
    }

    fn has_turn() -> bool {
        true
    }

    fn poll_alarm(&mut self, _: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if deadline <= now() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn release(&mut self) -> bool {
        !std::mem::replace(&mut self.is_released, true)
    }
}
