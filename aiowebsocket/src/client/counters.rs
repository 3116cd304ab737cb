//! What passed through a connection, readable from anywhere while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What passed through a connection so far, and its newest round trip. A clone is the same counters: give them to whoever watches.
///
/// Reading takes no lock and never waits. The connection writes them when it reads, writes or waits, so they are at most as old
/// as what it is doing now; one that nobody asked for them keeps none.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    messages_received: AtomicU64,
    bytes_received: AtomicU64,
    messages_sent: AtomicU64,
    bytes_sent: AtomicU64,
    /// In nanoseconds; none before the first pong.
    latency: AtomicU64,
}

/// The same, as the connection counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) messages_received: u64,
    pub(super) bytes_received: u64,
    pub(super) messages_sent: u64,
    pub(super) bytes_sent: u64,
}

impl Counters {
    /// Messages that were received: whole ones, whether or not the program has taken them yet.
    pub fn messages_received(&self) -> u64 {
        self.0.messages_received.load(Ordering::Relaxed)
    }

    /// Bytes that were read from the stream, behind the opening handshake.
    pub fn bytes_received(&self) -> u64 {
        self.0.bytes_received.load(Ordering::Relaxed)
    }

    /// Messages that were queued to be sent.
    pub fn messages_sent(&self) -> u64 {
        self.0.messages_sent.load(Ordering::Relaxed)
    }

    /// Bytes that were written to the stream, behind the opening handshake.
    pub fn bytes_sent(&self) -> u64 {
        self.0.bytes_sent.load(Ordering::Relaxed)
    }

    /// The round-trip time of the newest ping that was answered, keep-alive's included.
    pub fn latency(&self) -> Option<Duration> {
        match self.0.latency.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(super) fn publish(&self, tally: &Tally, latency: Option<Duration>) {
        let Shared { messages_received, bytes_received, messages_sent, bytes_sent, latency: newest } =
            &*self.0;
        messages_received.store(tally.messages_received, Ordering::Relaxed);
        bytes_received.store(tally.bytes_received, Ordering::Relaxed);
        messages_sent.store(tally.messages_sent, Ordering::Relaxed);
        bytes_sent.store(tally.bytes_sent, Ordering::Relaxed);
        if let Some(latency) = latency {
            let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
            newest.store(nanos.max(1), Ordering::Relaxed);
        }
    }
}
