//! What the crate `tracing` is told of, with the feature of that name: steps of opening and the end at the level of debugging, frames at
//! that of tracing. Of a frame only its opcode, FIN and length are told, never its content.

#[cfg(feature = "tracing")]
mod told {
    use crate::protocol::OpCode;

    /// A frame that was received, or queued to be sent.
    #[inline]
    pub(crate) fn frame(way: &'static str, opcode: OpCode, fin: bool, length: u64) {
        tracing::trace!(target: "aiowebsocket::frames", way, opcode = ?opcode, fin, length);
    }

    #[cfg(any(feature = "tokio", feature = "blocking"))]
    pub(crate) use of_the_face::{end, listens, milestone};

    #[cfg(any(feature = "tokio", feature = "blocking"))]
    mod of_the_face {
        use std::time::Duration;

        use crate::opening::Milestone;

        /// Whether a subscriber wants the steps of opening.
        pub(crate) fn listens() -> bool {
            tracing::enabled!(target: "aiowebsocket::opening", tracing::Level::DEBUG)
        }

        /// A step of opening.
        pub(crate) fn milestone(at: Duration, milestone: &Milestone) {
            let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(target: "aiowebsocket::opening", at_us, "{milestone}");
        }

        /// The end of a connection.
        pub(crate) fn end(code: u16) {
            tracing::debug!(target: "aiowebsocket::connection", code, "the connection ended");
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod told {
    use crate::protocol::OpCode;

    #[inline(always)]
    pub(crate) fn frame(_: &'static str, _: OpCode, _: bool, _: u64) {}

    #[cfg(any(feature = "tokio", feature = "blocking"))]
    pub(crate) use of_the_face::{end, listens, milestone};

    #[cfg(any(feature = "tokio", feature = "blocking"))]
    mod of_the_face {
        use std::time::Duration;

        use crate::opening::Milestone;

        pub(crate) fn listens() -> bool {
            false
        }

        pub(crate) fn milestone(_: Duration, _: &Milestone) {}

        pub(crate) fn end(_: u16) {}
    }
}

pub(crate) use told::*;
