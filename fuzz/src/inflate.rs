//! The other zlib: what a peer's compressed messages are (RFC 7692 7.2.2), by `miniz_oxide`, without a thought for memory.

use miniz_oxide::inflate::TINFLStatus as Status;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// What a sender took off the end of each message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// It is no DEFLATE data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDeflate;

/// One direction of a connection: everything that came out of it, of which the last 32 KiB are the window.
pub(crate) struct Inflating {
    /// Whether a message may refer to those before it.
    keeps_context: bool,
    stream: Box<DecompressorOxide>,
    out: Vec<u8>,
    /// Nothing before this byte may be referred to.
    window: usize,
    /// The message begins here.
    message: usize,
    /// Nothing of the next block was seen.
    at_boundary: bool,
}

impl Inflating {
    pub(crate) fn new(keeps_context: bool) -> Self {
        let stream = Box::default();
        Self { keeps_context, stream, out: Vec::new(), window: 0, message: 0, at_boundary: true }
    }

    /// What came out of the message so far.
    pub(crate) fn message(&self) -> &[u8] {
        &self.out[self.message..]
    }

    /// Its sender has a window of so many bytes: nothing before that is referred to from here on.
    pub(crate) fn narrow(&mut self, bytes: usize) {
        self.window = self.window.max(self.out.len().saturating_sub(bytes));
    }

    /// The next bytes of the message.
    pub(crate) fn push(&mut self, mut input: &[u8]) -> Result<(), NotDeflate> {
        let mut has_more = false;
        while has_more || !input.is_empty() {
            let (status, read) = self.run(input, TINFL_FLAG_HAS_MORE_INPUT);
            input = &input[read..];
            self.at_boundary &= read == 0;
            has_more = status == Status::HasMoreOutput;
            match status {
                Status::HasMoreOutput | Status::NeedsMoreInput => {}
                // A block with BFINAL set ends the stream, and the message goes on with another one.
                Status::Done => {
                    self.end_stream();
                    self.at_boundary = true;
                }
                _ => return Err(NotDeflate),
            }
        }
        Ok(())
    }

    /// The message is at its end: it has to be between two blocks once it has its tail again.
    pub(crate) fn finish(&mut self) -> Result<Vec<u8>, NotDeflate> {
        if !self.at_boundary {
            let before = self.out.len();
            let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
            let (status, read) = self.run(&TAIL, flags);
            if read != TAIL.len() || self.out.len() > before {
                return Err(NotDeflate);
            }
            match status {
                Status::BlockBoundary => {}
                Status::Done => self.end_stream(),
                _ => return Err(NotDeflate),
            }
            self.at_boundary = true;
        }
        let message = self.message().to_vec();
        self.message = self.out.len();
        if !self.keeps_context {
            self.end_stream();
        }
        Ok(message)
    }

    /// What comes next refers to nothing before it.
    fn end_stream(&mut self) {
        self.stream = Box::default();
        self.window = self.out.len();
    }

    fn run(&mut self, input: &[u8], flags: u32) -> (Status, usize) {
        let filled = self.out.len();
        self.out.resize(filled + (1 << 16), 0);
        let flags = flags | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let window = &mut self.out[self.window..];
        let (status, read, written) =
            decompress(&mut self.stream, input, window, filled - self.window, flags);
        self.out.truncate(filled + written);
        (status, read)
    }
}
