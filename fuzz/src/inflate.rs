//! The other zlib: what a peer's compressed messages are (RFC 7692 7.2.2), by `miniz_oxide`, without a thought for memory.

use miniz_oxide::inflate::TINFLStatus as Status;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::block::{Verdict, judge};

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
    /// The bits of the block that is being read, until its header is judged.
    block: Option<Vec<bool>>,
}

impl Inflating {
    pub(crate) fn new(keeps_context: bool) -> Self {
        let stream = Box::default();
        Self {
            keeps_context,
            stream,
            out: Vec::new(),
            window: 0,
            message: 0,
            at_boundary: true,
            block: Some(Vec::new()),
        }
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
            let (status, read) =
                self.run(input, TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY);
            let seen = &input[..read];
            input = &input[read..];
            self.at_boundary &= read == 0;
            // Behind a boundary there may be bits of the next block already.
            has_more = matches!(status, Status::HasMoreOutput | Status::BlockBoundary);
            match status {
                Status::HasMoreOutput | Status::NeedsMoreInput => self.judge(seen)?,
                Status::BlockBoundary => {
                    let state = self.stream.block_boundary_state().unwrap_or_default();
                    self.block = Some(bits(&[state.bit_buf]).take(state.num_bits.into()).collect());
                }
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

    /// Looks at the block's next bytes, while they are its header.
    fn judge(&mut self, bytes: &[u8]) -> Result<(), NotDeflate> {
        let Some(block) = &mut self.block else { return Ok(()) };
        block.extend(bits(bytes));
        match judge(block) {
            Verdict::More => Ok(()),
            Verdict::Right => {
                self.block = None;
                Ok(())
            }
            Verdict::Wrong => Err(NotDeflate),
        }
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
            self.block = Some(Vec::new());
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
        *self.stream = Default::default();
        self.window = self.out.len();
        self.block = Some(Vec::new());
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

/// The bits of these bytes, in the order of DEFLATE (RFC 1951 3.1.1).
fn bits(bytes: &[u8]) -> impl Iterator<Item = bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |place| byte >> place & 1 == 1))
}
