//! What the crate `tracing` is told of, with the feature of that name: steps of opening and the end at the level of debugging, frames at
//! that of tracing. Of a frame its opcode, FIN and length are told; of its content as much as [`Config::trace_payloads`] asks for, which
//! is nothing by default. Of the opening nothing that is secret is told, whatever is asked for.
//!
//! [`Config::trace_payloads`]: crate::protocol::Config::trace_payloads

#[cfg(feature = "tracing")]
mod told {
    use std::fmt;

    use crate::protocol::OpCode;

    /// A frame that was received, or queued to be sent.
    #[inline]
    pub(crate) fn frame(way: &'static str, opcode: OpCode, fin: bool, length: u64) {
        tracing::trace!(target: "aiowebsocket::frames", way, opcode = ?opcode, fin, length);
    }

    /// The bytes of a payload that begin `offset` bytes into it, where they are among its first `most`. What arrives in pieces is told
    /// in pieces, so that nothing waits, or is kept, for being told.
    #[inline]
    pub(crate) fn payload<'a>(most: u16, way: &'static str, offset: u64, bytes: impl FnOnce() -> &'a [u8]) {
        if offset < u64::from(most) {
            show(most, way, offset, bytes());
        }
    }

    /// The payload of a control frame, which is no text but for the reason of a Close frame.
    #[inline]
    pub(crate) fn control<'a>(most: u16, way: &'static str, bytes: impl FnOnce() -> &'a [u8]) {
        if most > 0
            && let bytes = bytes()
            && !bytes.is_empty()
        {
            tell(way, 0, &Hexadecimal(&bytes[..bytes.len().min(most.into())]));
        }
    }

    #[cold]
    #[inline(never)]
    fn show(most: u16, way: &'static str, offset: u64, bytes: &[u8]) {
        let left = usize::try_from(u64::from(most) - offset).expect("no more than 65,535");
        let shown = &bytes[..bytes.len().min(left)];
        let (text, rest) = match std::str::from_utf8(shown) {
            Ok(text) => (text, &[][..]),
            // It was cut inside a character.
            Err(error) if error.error_len().is_none() => {
                let (text, rest) = shown.split_at(error.valid_up_to());
                (std::str::from_utf8(text).unwrap_or_default(), rest)
            }
            Err(_) => ("", shown),
        };
        match (text, rest) {
            ("", []) => {}
            ("", rest) => tell(way, offset, &Hexadecimal(rest)),
            // In quotes and escaped, so that it stays on its line.
            (text, []) => tell(way, offset, &format_args!("{text:?}")),
            (text, rest) => tell(way, offset, &format_args!("{text:?} {}", Hexadecimal(rest))),
        }
    }

    #[cold]
    #[inline(never)]
    fn tell(way: &'static str, offset: u64, payload: &dyn fmt::Display) {
        tracing::trace!(target: "aiowebsocket::payloads", way, offset, payload = %payload);
    }

    /// Two digits a byte.
    struct Hexadecimal<'a>(&'a [u8]);

    impl fmt::Display for Hexadecimal<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }

    #[cfg(any(feature = "tokio", feature = "blocking"))]
    pub(crate) use of_the_face::{end, listens, milestone, milestones};

    #[cfg(any(feature = "tokio", feature = "blocking"))]
    mod of_the_face {
        use std::time::Duration;

        use crate::opening::{Connecting, Milestone};

        /// Whether a subscriber wants the steps of opening.
        pub(crate) fn listens() -> bool {
            tracing::enabled!(target: "aiowebsocket::opening", tracing::Level::DEBUG)
        }

        /// A step of opening.
        pub(crate) fn milestone(at: Duration, milestone: &Milestone) {
            let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(target: "aiowebsocket::opening", at_us, "{milestone}");
        }

        /// What happened since the last call, where nobody else listens.
        pub(crate) fn milestones(machine: &mut Connecting) {
            while let Some((at, step)) = machine.milestone() {
                milestone(at, &step);
            }
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

    #[inline(always)]
    pub(crate) fn payload<'a>(_: u16, _: &'static str, _: u64, _: impl FnOnce() -> &'a [u8]) {}

    #[inline(always)]
    pub(crate) fn control<'a>(_: u16, _: &'static str, _: impl FnOnce() -> &'a [u8]) {}

    #[cfg(any(feature = "tokio", feature = "blocking"))]
    pub(crate) use of_the_face::{end, listens, milestone, milestones};

    #[cfg(any(feature = "tokio", feature = "blocking"))]
    mod of_the_face {
        use std::time::Duration;

        use crate::opening::{Connecting, Milestone};

        pub(crate) fn listens() -> bool {
            false
        }

        pub(crate) fn milestone(_: Duration, _: &Milestone) {}

        pub(crate) fn milestones(_: &mut Connecting) {}

        pub(crate) fn end(_: u16) {}
    }
}

pub(crate) use told::*;
