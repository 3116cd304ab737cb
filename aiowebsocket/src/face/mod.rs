//! What the faces of this crate share: messages, errors, options, and the driver of an open connection. Nothing here names a
//! runtime or a socket; a face brings a pipe and a clock.

mod backlog;
mod connect;
mod counters;
mod data;
mod destination;
pub(crate) mod driver;
mod error;
pub(crate) mod exchange;
mod means;
mod message;
mod negotiated;
mod outgoing;
pub(crate) mod pipe;
mod program;
mod target;

#[cfg(feature = "blocking")]
pub(crate) use connect::Route;
pub use connect::{Connect, Dial, Dials};
pub use counters::Counters;
pub use data::{Data, INLINE, Text};
pub use error::{Error, TimeLimit};
pub(crate) use means::{Means, Open};
pub use message::{Event, Message, MessageRef, Part};
pub use negotiated::Negotiated;
pub use outgoing::Outgoing;
pub use program::ProgramError;
pub(crate) use target::Asked;
pub use target::Target;
