//! permessage-deflate (RFC 7692) as plain data: what a program asks for, and what the two ends agreed on. `opening/` negotiates
//! it, `protocol/` compresses by it.

use std::fmt;

use crate::opening::OutOfRange;

/// The window of DEFLATE itself, 32 KiB: what holds where nothing smaller was agreed (RFC 7692 7.1.2).
pub(crate) const LARGEST_WINDOW: u8 = 15;

/// Compression of messages by permessage-deflate (RFC 7692): what is offered or accepted, and how hard this end tries.
///
/// The four parameters of the RFC have its names; *client* and *server* are the two ends, whichever this one is. They bound
/// the compressor of the end that they name: a window of `n` bits reaches 2ⁿ bytes back, and without context takeover each
/// message is compressed for itself.
///
/// Do not compress a secret in one message with text that somebody else chose: by the length of what leaves, an observer can
/// guess the secret byte by byte, over TLS too (the attacks CRIME and BREACH). With context takeover the messages before count as
/// well. Send such messages plain: [`Outgoing::plain`](crate::Outgoing::plain), or leave compression off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    pub(crate) threshold: usize,
    pub(crate) server_no_context_takeover: bool,
    pub(crate) client_no_context_takeover: bool,
    pub(crate) server_max_window_bits: u8,
    /// `None`: the server may not choose.
    pub(crate) client_max_window_bits: Option<u8>,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: 1,
            memory_level: 5,
            threshold: 64,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: LARGEST_WINDOW,
            client_max_window_bits: Some(LARGEST_WINDOW),
        }
    }
}

impl Deflate {
    /// How hard this end's compressor tries, 1 (fastest) to 9 (smallest). Default 1: a JSON message of 169 bytes takes 0.55 µs, where
    /// level 6 takes 4.81 µs, and leaves with 36 % of its size, where level 6 leaves 30 % (`make bench-deflate`).
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// The memory of this end's compressor, 1 to 9. Default 5, 273 KiB in all, of which each thread has a few and an idle
    /// connection none; 8, as zlib has it, takes 371 KiB and gives short messages no better ratio (`make bench-deflate`).
    pub fn memory_level(mut self, level: u8) -> Self {
        self.memory_level = level;
        self
    }

    /// Messages of fewer bytes leave uncompressed. Default 64: the headers of a packet weigh as much as what compression could
    /// save of them.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The server compresses each message for itself (RFC 7692 7.1.1.1). From a client this is a demand: the handshake fails with
    /// a server that accepts compression without it. It saves the client the memory of the server's context, 46 KiB a connection,
    /// and costs most of the compression of small messages.
    pub fn server_no_context_takeover(mut self) -> Self {
        self.server_no_context_takeover = true;
        self
    }

    /// The client compresses each message for itself (RFC 7692 7.1.1.2). From a client this is a promise that the server may use
    /// or not, from a server a demand.
    pub fn client_no_context_takeover(mut self) -> Self {
        self.client_no_context_takeover = true;
        self
    }

    /// The most bits of the window of the server's compressor, 8 to 15 (RFC 7692 7.1.2.1). From a client a demand, where below
    /// the default of 15. Our own compressor has no window of 8 bits: limited to that, this end sends plain messages.
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = bits;
        self
    }

    /// The most bits of the window of the client's compressor, 8 to 15 (RFC 7692 7.1.2.2). From a client a promise, and the
    /// server may choose fewer; from a server a demand, where the client leaves the choice to it. Default 15. Of 8 bits the same
    /// holds as above.
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = Some(bits);
        self
    }

    /// Leaves `client_max_window_bits` out of a client's offer: the server may not choose the window of the client's compressor,
    /// which is of 15 bits then. For servers that do not know the parameter. Without effect on a server's side.
    pub fn fixed_client_window(mut self) -> Self {
        self.client_max_window_bits = None;
        self
    }

    /// Whether every option is within its range.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn check(&self) -> Result<(), OutOfRange> {
        let options = [
            ("compression level", self.level, 1, 9),
            ("memory level", self.memory_level, 1, 9),
            ("server_max_window_bits", self.server_max_window_bits, 8, 15),
            ("client_max_window_bits", self.client_max_window_bits.unwrap_or(LARGEST_WINDOW), 8, 15),
        ];
        match options.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((option, value, least, most)) => Err(OutOfRange { option, value, least, most }),
            None => Ok(()),
        }
    }
}

/// What the two ends agreed on: the parameters that the server answered, beside the options of this end.
///
/// `Display` shows the answer as it stands in Sec-WebSocket-Extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    pub(crate) options: Deflate,
    pub(crate) server_no_context_takeover: bool,
    pub(crate) client_no_context_takeover: bool,
    /// As answered; none is 15.
    pub(crate) server_max_window_bits: Option<u8>,
    pub(crate) client_max_window_bits: Option<u8>,
}

impl Agreed {
    /// Whether the server compresses each message for itself.
    pub fn server_no_context_takeover(&self) -> bool {
        self.server_no_context_takeover
    }

    /// Whether the client must compress each message for itself.
    pub fn client_no_context_takeover(&self) -> bool {
        self.client_no_context_takeover
    }

    /// The bits of the window of the server's compressor.
    pub fn server_max_window_bits(&self) -> u8 {
        self.server_max_window_bits.unwrap_or(LARGEST_WINDOW)
    }

    /// The most bits that the client's compressor may have.
    pub fn client_max_window_bits(&self) -> u8 {
        self.client_max_window_bits.unwrap_or(LARGEST_WINDOW)
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        if let Some(bits) = self.client_max_window_bits {
            write!(f, "; client_max_window_bits={bits}")?;
        }
        Ok(())
    }
}
