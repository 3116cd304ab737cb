//! What the two ends of a connection agreed on.

use crate::deflate::Agreed;
use crate::protocol::Config;

/// What the two ends of a connection agreed on, and the limits that one of them sets: for
/// [`WebSocket::from_upgraded`](crate::WebSocket::from_upgraded). `Negotiated::default()` agrees on nothing and has the default limits.
#[derive(Clone, Debug, Default)]
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
