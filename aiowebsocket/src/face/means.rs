//! What a connection opens with, whatever it opens over: who is told of its steps, and who does its TLS.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::layer::{Layer, TlsError};
use crate::opening::{Connecting, Host, Milestone, Opened};
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::trace;

/// What a connection starts with.
pub(crate) type Open = (Box<Opened>, Option<Box<dyn Layer>>);

/// Whom the user tells of each step. All that takes is behind this pointer, so that a program without one has no code for it.
pub(super) type Observer = Arc<dyn Observe + Send + Sync>;

/// Watches a machine, and tells of its steps.
pub(super) trait Observe {
    fn watch(&self, machine: &mut Connecting);
    fn tell(&self, machine: &mut Connecting);
}

impl<F: Fn(Duration, &Milestone)> Observe for F {
    fn watch(&self, machine: &mut Connecting) {
        machine.watch();
    }

    fn tell(&self, machine: &mut Connecting) {
        while let Some((at, milestone)) = machine.milestone() {
            trace::milestone(at, &milestone);
            self(at, &milestone);
        }
    }
}

/// The user's own engine of TLS, for a host, and whether that is the proxy's.
pub(super) type Layers = Arc<dyn Fn(&Host, bool) -> Result<Box<dyn Layer>, TlsError> + Send + Sync>;

/// What a face makes of what the machine asks for.
#[doc(hidden)]
#[cfg_attr(not(feature = "tokio"), expect(unreachable_pub, reason = "named by a trait of the tokio face"))]
#[derive(Clone, Default)]
pub struct Means {
    pub(super) observer: Option<Observer>,
    pub(super) layers: Option<Layers>,
    /// Nobody is going to look at the header lines of the response.
    pub(crate) skips_headers: bool,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
}

impl Means {
    /// Has the machine tell of each step where anybody listens, and keep what anybody looks at.
    pub(crate) fn begin(&self, machine: &mut Connecting) {
        if self.skips_headers {
            machine.skip_headers();
        }
        match &self.observer {
            Some(observer) => observer.watch(machine),
            None if trace::listens() => machine.watch(),
            None => {}
        }
    }

    /// Tells whoever listens what happened.
    pub(crate) fn tell(&self, machine: &mut Connecting) {
        match &self.observer {
            Some(observer) => observer.tell(machine),
            None => trace::milestones(machine),
        }
    }

    /// Whether the trust store was read, or is not needed: [`prepare`](Self::prepare) takes some milliseconds before that.
    #[cfg(all(feature = "tokio", feature = "tls"))]
    pub(crate) fn is_ready(&self) -> bool {
        self.layers.is_some() || self.tls().is_ready()
    }

    /// Reads the trust store. What is wrong with it is told where it is used.
    #[cfg(all(feature = "tokio", feature = "tls"))]
    pub(crate) fn prepare(&self) {
        drop(self.tls().config());
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Tls {
        self.tls.clone().unwrap_or_else(Tls::shared)
    }

    /// A layer of TLS with this host.
    pub(crate) fn layer(&self, host: &Host, is_proxy: bool) -> Result<Box<dyn Layer>, TlsError> {
        if let Some(make) = &self.layers {
            return make(host, is_proxy);
        }
        #[cfg(feature = "tls")]
        return self.tls().layer(host);
        #[cfg(not(feature = "tls"))]
        return Err(TlsError::new(crate::layer::TlsFault::Unsupported));
    }
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").finish_non_exhaustive()
    }
}
