//! What the two ends of a connection agreed on.

use std::fmt;

use crate::deflate::Agreed;
use crate::protocol::Config;

/// What the two ends of a connection agreed on, and the limits that one of them sets: for
/// [`WebSocket::from_upgraded`](crate::WebSocket::from_upgraded). `Negotiated::default()` agrees on nothing and has the default limits.
/// `Debug` does not show the subprotocol, which may carry a secret.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Negotiated {
    /// The subprotocol.
    pub subprotocol: Option<String>,
    /// The compression: [`Deflate::answer`](crate::Deflate::answer) makes it from a request. Without the feature `deflate` there is
    /// none.
    pub compression: Option<Agreed>,
    /// The limits and times of the connection.
    pub config: Config,
}

impl fmt::Debug for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who offered it knew whether it was a secret; it is not known here.
        let subprotocol = self.subprotocol.as_ref().map(|_| "…");
        f.debug_struct("Negotiated")
            .field("subprotocol", &subprotocol)
            .field("compression", &self.compression)
            .field("config", &self.config)
            .finish()
    }
}
