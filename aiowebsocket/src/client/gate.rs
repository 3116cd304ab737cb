//! One connection at a time to each remote address while it is opening (RFC 6455 4.1, item 2), for whoever asks for it.
//!
//! The rule protects servers from pages that make one browser open many connections. A program that opens many means it, so
//! there is no gate unless [`Connect::gate`](super::Connect::gate) is given one.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
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
    async fn pass(self, address: SocketAddr) -> Pass {
        loop {
            // Listening before looking: who leaves in between is heard.
            let left = self.inner.left.notified();
            let mut left = std::pin::pin!(left);
            left.as_mut().enable();
            if self.inner.lock().insert(address) {
                return Box::new(Entered { gate: self.clone(), address });
            }
            left.await;
        }
    }
}

/// A gate as a connection knows it: behind a pointer, so that a program without one has no code for it.
pub(super) trait Enter: fmt::Debug + Send + Sync {
    fn enter(&self, address: SocketAddr) -> Entering;
}

/// The wait for a pass.
pub(super) type Entering = Pin<Box<dyn Future<Output = Pass> + Send>>;

/// The right to be connecting; given up when it is dropped.
pub(super) type Pass = Box<dyn fmt::Debug + Send>;

impl Enter for Gate {
    fn enter(&self, address: SocketAddr) -> Entering {
        Box::pin(self.clone().pass(address))
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.connecting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose handshake is not over, one way or the other.
#[derive(Debug)]
struct Entered {
    gate: Gate,
    address: SocketAddr,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.gate.inner.lock().remove(&self.address);
        self.gate.inner.left.notify_waiters();
    }
}
