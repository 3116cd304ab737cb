//! One connection at a time to each remote address while it is opening (RFC 6455 4.1, item 2), for whoever asks for it.
//!
//! The rule protects servers from pages that make one browser open many connections. A program that opens many means it, so
//! there is no gate unless [`Connect::gate`](super::Connect::gate) is given one.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Lets one connection at a time be CONNECTING to each IP address and port. Clones are the same gate: give one to every
/// `connect` that is to obey it.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    connecting: Mutex<HashSet<SocketAddr>>,
    left: Notify,
}

impl Gate {
    /// An open gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until nobody else is connecting to `address`.
    pub(super) async fn enter(&self, address: SocketAddr) -> Pass {
        loop {
            // Listening before looking: who leaves in between is heard.
            let left = self.inner.left.notified();
            let mut left = std::pin::pin!(left);
            left.as_mut().enable();
            if self.inner.lock().insert(address) {
                return Pass { gate: self.clone(), address };
            }
            left.await;
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.connecting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to be connecting; given up when the handshake is over, one way or the other.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Gate,
    address: SocketAddr,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.inner.lock().remove(&self.address);
        self.gate.inner.left.notify_waiters();
    }
}
