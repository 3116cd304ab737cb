//! RFC 6455 after the opening handshake, as a machine: bytes and the time go in; messages, bytes and the next
//! deadline come out. No socket, no clock, no task, no randomness of its own.
//!
//! ```text
//!  bytes ─► buffer ─► connection ─► frame (header) ─► message (fragments), utf8 ─► Step::Message
//!                          │ state (closing), deadline (time), error (whose fault → which close code)
//!  bytes ◄─ output ◄── mask ◄──────────── sending: Connection::send, ping, close; pongs by itself
//! ```
//!
//! [`Connection`] is the whole of it; its documentation tells the contract by which a face drives it.

pub(crate) mod buffer;
mod close;
mod config;
mod connection;
pub(crate) mod copy;
mod deadline;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "without_deflate.rs"]
mod deflate;
mod error;
mod frame;
mod mask;
mod message;
mod output;
mod reading;
mod secure;
mod sending;
mod state;
mod step;
pub(crate) mod utf8;

#[cfg(test)]
pub(crate) use buffer::pooled;
pub use close::{CloseCode, CloseFrame, MAX_REASON};
pub use config::{Config, KeepAlive};
pub use connection::{Connection, DESTINATION_ABOVE};
pub use deadline::Timeout;
pub use error::{Ending, PeerError, UsageError};
pub use frame::{Header, MAX_CONTROL, MAX_HEADER, OpCode};
pub use mask::MaskKeys;
pub use message::Kind;
pub use output::{Output, Payload};
pub use sending::{CannotSend, NotOpen};
pub use step::{Incoming, Place, Plain, Step};

/// Which end of a connection: the client masks what it sends, the server ends TCP first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opened the connection.
    Client,
    /// Accepted it.
    Server,
}

/// The fast paths of this module, public so that tests can hold them against naive ones, and what the pool of a thread has, so that tests can tell
/// it from a leak. Not covered by any promise of stability.
#[doc(hidden)]
pub mod parts {
    pub use super::buffer::pooled_bytes;
    pub use super::copy::{boxed, copy};
    pub use super::mask::{apply, copy_masked, rotate};
    pub use super::utf8::{Incremental, InvalidUtf8, is_valid};
}
