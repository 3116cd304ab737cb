//! What the faces of this crate share: messages, errors, options, and the driver of an open connection. Nothing here names a
//! runtime or a socket; a face brings a pipe and a clock.

mod backlog;
mod connect;
mod counters;
mod destination;
pub(crate) mod driver;
mod error;
pub(crate) mod exchange;
mod means;
mod message;
mod negotiated;
pub(crate) mod pipe;
mod target;

#[cfg(feature = "blocking")]
pub(crate) use connect::Route;
pub use connect::{Connect, Dial, Dials};
pub use counters::Counters;
pub use error::{Error, TimeLimit};
pub(crate) use means::{Means, Open};
pub use message::{Data, Event, INLINE, Message, MessageRef, Outgoing, Part, Text};
pub use negotiated::Negotiated;
pub(crate) use target::Asked;
pub use target::Target;
