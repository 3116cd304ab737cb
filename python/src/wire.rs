//! What bytes go through: a socket of our own, or memory that `fallback.py` empties and fills from a transport of asyncio, for event
//! loops that cannot watch a socket.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;

use socket2::Socket;

/// The most that is handed to a transport at once: as much as a kernel's send buffer takes.
const HANDED_AT_ONCE: usize = 256 << 10;

/// The way to the peer.
#[derive(Debug)]
pub(crate) enum Wire {
    Socket(Socket),
    Memory(Box<Memory>),
    /// The connection is over, or somebody else reads and writes.
    None,
}

/// Between the machine and a transport.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Bytes that came and were not read.
    incoming: Vec<u8>,
    /// How many of them were read all the same: they go when all of them were.
    read: usize,
    /// No more bytes come.
    has_ended: bool,
    /// Bytes to be handed to the transport.
    outgoing: Vec<u8>,
    /// Our side is to be shut behind them.
    shuts: bool,
    /// Bytes that the transport has and has not told to have left.
    in_flight: u64,
    /// The transport wants no more.
    is_blocked: bool,
}

impl Memory {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let unread = &self.incoming[self.read..];
        if unread.is_empty() {
            return if self.has_ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let n = unread.len().min(into.len());
        into[..n].copy_from_slice(&unread[..n]);
        self.read += n;
        if self.read == self.incoming.len() {
            self.incoming = Vec::new();
            self.read = 0;
        }
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = HANDED_AT_ONCE - self.outgoing.len().min(HANDED_AT_ONCE);
        if self.is_blocked || room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = bytes.len().min(room);
        self.outgoing.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    /// Bytes came from the transport.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
    }

    /// No more bytes come.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether there is something to be read, be it the end.
    pub(crate) fn has_unread(&self) -> bool {
        self.has_ended || !self.incoming.is_empty()
    }

    /// The transport wants no more, or it has written everything and wants more.
    pub(crate) fn block(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
        if !is_blocked {
            self.in_flight = 0;
        }
    }

    /// What is to be handed to the transport now, and whether our side is to be shut behind it. Where it does not block, its bytes have
    /// left: [`handed`](Self::handed) comes next.
    pub(crate) fn hand(&mut self) -> Option<(Vec<u8>, bool)> {
        if self.outgoing.is_empty() && !self.shuts {
            return None;
        }
        self.in_flight += self.outgoing.len() as u64;
        Some((std::mem::take(&mut self.outgoing), std::mem::take(&mut self.shuts)))
    }

    /// The transport was handed them.
    pub(crate) fn handed(&mut self) {
        if !self.is_blocked {
            self.in_flight = 0;
        }
    }

    /// Bytes that the transport holds.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }
}

impl Wire {
    #[inline]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => (&*socket).read(into),
            Self::Memory(memory) => memory.read(into),
            Self::None => Ok(0),
        }
    }

    /// The same into memory that was not written before.
    pub(crate) fn read_uninit(&mut self, into: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.recv(into),
            Self::Memory(memory) => {
                let mut some = [0; 4096];
                let most = into.len().min(some.len());
                let n = memory.read(&mut some[..most])?;
                for (to, from) in into.iter_mut().zip(&some[..n]) {
                    to.write(*from);
                }
                Ok(n)
            }
            Self::None => Ok(0),
        }
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.send(bytes),
            Self::Memory(memory) => memory.write(bytes),
            Self::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => (&*socket).write_vectored(slices),
            Self::Memory(memory) => memory.write(slices.first().map_or(&[], |slice| slice)),
            Self::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Shuts our side.
    pub(crate) fn shut(&mut self) {
        match self {
            // What fails here has ended already.
            Self::Socket(socket) => _ = socket.shutdown(Shutdown::Write),
            Self::Memory(memory) => memory.shuts = true,
            Self::None => {}
        }
    }

    /// The memory, where it is that.
    #[inline]
    pub(crate) fn memory(&mut self) -> Option<&mut Memory> {
        match self {
            Self::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    /// Bytes that were written and have not left.
    pub(crate) fn in_flight(&self) -> u64 {
        match self {
            Self::Memory(memory) => memory.in_flight(),
            _ => 0,
        }
    }
}
