//! What passed through a connection, readable from anywhere while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What passed through a connection so far, and its newest round trip. A clone is the same counters: give them to whoever watches.
///
/// Reading takes no lock and never waits. A connection counts from when it is first asked for them, and keeps none before; a
/// [`Reconnecting`](crate::Reconnecting) counts from the beginning, over all its connections.
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

    pub(crate) fn message_received(&self) {
        add(&self.0.messages_received, 1);
    }

    pub(crate) fn read(&self, n: usize) {
        add(&self.0.bytes_received, n as u64);
    }

    pub(crate) fn message_sent(&self) {
        add(&self.0.messages_sent, 1);
    }

    pub(crate) fn wrote(&self, n: usize) {
        add(&self.0.bytes_sent, n as u64);
    }

    pub(crate) fn answered(&self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.latency.store(nanos.max(1), Ordering::Relaxed);
    }
}

/// Only the connection writes, so nothing is lost between the two, and no bus is locked.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}
