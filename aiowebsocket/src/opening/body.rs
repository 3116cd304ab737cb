//! The first part of a refusal's body: enough to read what the server had to say, never more (RFC 9112 6 and 7).

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{StatusCode, Version};

use super::http::{Lines, lines_of, list};
use super::response::Response;

/// How much of a body is kept: an error page's text is at its beginning, and JSON errors are shorter by far.
pub(super) const BODY_LIMIT: usize = 16 * 1024;

/// How many bytes chunk sizes, chunk extensions and line ends may take: chunks of one byte with no extension take
/// five times their data, and nobody sends error pages in those.
const CHUNK_OVERHEAD_LIMIT: usize = 16 * 1024;

/// A body on its way in.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    framing: Framing,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyProgress {
    More,
    /// The whole body is there.
    Complete,
    /// More came than is kept, or its chunks are malformed: what is there is all there will be.
    Cut,
}

/// Where a body ends (RFC 9112 6.3).
#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked { state: Chunk, overhead: usize },
    ToEnd,
}

/// Where in the chunked coding we are (RFC 9112 7.1).
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// In the digits of the size.
    Size {
        size: u64,
        digits: bool,
    },
    /// After the size, up to the line feed: an extension, or nothing.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// The line end after the data.
    DataEnd,
}

impl Body {
    /// The body that follows this head.
    pub(super) fn of(response: &Response) -> Self {
        Self { bytes: Vec::new(), framing: framing(response) }
    }

    /// What is there.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> BodyProgress {
        match &mut self.framing {
            Framing::ToEnd => keep(&mut self.bytes, bytes),
            Framing::Length(left) => {
                let taken = at_most(bytes, *left);
                *left -= taken.len() as u64;
                match keep(&mut self.bytes, taken) {
                    BodyProgress::More if *left == 0 => BodyProgress::Complete,
                    progress => progress,
                }
            }
            Framing::Chunked { state, overhead } => push_chunked(state, overhead, &mut self.bytes, bytes),
        }
    }

    /// The server ended its stream: whether the body is complete by that.
    pub(super) fn is_complete_at_end(&self) -> bool {
        matches!(self.framing, Framing::ToEnd)
    }
}

fn framing(response: &Response) -> Framing {
    let headers = &response.headers;
    // RFC 9110 6.4.1: neither has content, whatever its header lines say.
    if matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Framing::Length(0);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112 6.1: a transfer coding in HTTP/1.0 is a fault; 6.3: one that does not end in `chunked` goes on to
        // the end of the stream. It outweighs Content-Length.
        let chunked = list(headers, &TRANSFER_ENCODING)
            .last()
            .is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        return if chunked && response.version == Version::HTTP_11 {
            Framing::Chunked { state: Chunk::Size { size: 0, digits: false }, overhead: 0 }
        } else {
            Framing::ToEnd
        };
    }
    match lines_of(headers, &CONTENT_LENGTH) {
        // RFC 9112 6.3: with several lengths none can be trusted. The connection is given up anyway.
        Lines::None | Lines::Several => Framing::ToEnd,
        Lines::One(value) => str::from_utf8(value)
            .ok()
            // `parse` would take a sign.
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map_or(Framing::ToEnd, Framing::Length),
    }
}

fn push_chunked(
    state: &mut Chunk,
    overhead: &mut usize,
    kept: &mut Vec<u8>,
    mut bytes: &[u8],
) -> BodyProgress {
    while let Some((&byte, rest)) = bytes.split_first() {
        if let Chunk::Data { left } = *state {
            let taken = at_most(bytes, left);
            if keep(kept, taken) == BodyProgress::Cut {
                return BodyProgress::Cut;
            }
            bytes = &bytes[taken.len()..];
            let left = left - taken.len() as u64;
            *state = if left == 0 { Chunk::DataEnd } else { Chunk::Data { left } };
            continue;
        }
        *overhead += 1;
        if *overhead > CHUNK_OVERHEAD_LIMIT {
            return BodyProgress::Cut;
        }
        match state.after(byte) {
            // The trailer that may follow tells nothing that we want, and the connection is given up.
            Some(Chunk::Data { left: 0 }) => return BodyProgress::Complete,
            Some(next) => *state = next,
            None => return BodyProgress::Cut,
        }
        bytes = rest;
    }
    BodyProgress::More
}

impl Chunk {
    /// The next state after a byte that is not data; `None` when it may not stand there.
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Size { size, digits: true } | Self::SizeEnd { size }, b'\n') => {
                Some(Self::Data { left: size })
            }
            (Self::Size { size, digits: true }, b';' | b' ' | b'\t' | b'\r') => Some(Self::SizeEnd { size }),
            (Self::Size { size, .. }, digit) => {
                let digit = char::from(digit).to_digit(16)?;
                let size = size.checked_mul(16)?.checked_add(digit.into())?;
                Some(Self::Size { size, digits: true })
            }
            (Self::SizeEnd { size }, _) => Some(Self::SizeEnd { size }),
            (Self::DataEnd, b'\n') => Some(Self::Size { size: 0, digits: false }),
            (Self::DataEnd, b'\r') => Some(Self::DataEnd),
            (Self::DataEnd | Self::Data { .. }, _) => None,
        }
    }
}

/// Keeps what fits; what does not is cut off.
fn keep(kept: &mut Vec<u8>, bytes: &[u8]) -> BodyProgress {
    let room = BODY_LIMIT - kept.len();
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    if bytes.len() > room { BodyProgress::Cut } else { BodyProgress::More }
}

fn at_most(bytes: &[u8], length: u64) -> &[u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    &bytes[..bytes.len().min(length)]
}
