//! One frame's header: reading it, writing it, and every rule that a header alone can break
//! (RFC 6455 5.2, 5.3, 5.5). Nothing here looks at a payload, and nothing allocates.

use super::error::PeerError;

/// The longest header: 2 bytes, an 8-byte length, a 4-byte mask key.
pub const MAX_HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455 5.5).
pub const MAX_CONTROL: usize = 125;

/// What a frame carries (RFC 6455 5.2, 11.8). Reserved values never get this far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// The next fragment of the message in progress.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or comes unasked.
    Pong = 0xA,
}

impl OpCode {
    /// The opcode of these four bits; `None` for the reserved ones.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Close, ping and pong: never fragmented, at most 125 bytes, allowed between fragments.
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The header of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// This frame ends its message.
    pub fin: bool,
    /// RSV1 to RSV3 as the bits 4, 2, 1.
    pub rsv: u8,
    /// What the payload is.
    pub opcode: OpCode,
    /// The key that the payload was masked with, if it was.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload that follow.
    pub length: u64,
}

impl Header {
    /// Reads the header at the front of `bytes`: the header and its size in bytes, or `None` while it is
    /// incomplete, which is no error. A rule is judged as soon as the bytes that break it are there.
    ///
    /// # Errors
    /// Reserved opcode, fragmented or too long control frame, a length not in its shortest form or over 63 bits.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, PeerError> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        let fin = first & 0x80 != 0;
        let rsv = first >> 4 & 0x7;
        let Some(opcode) = OpCode::from_bits(first & 0x0f) else {
            return Err(PeerError::ReservedOpcode(first & 0x0f));
        };
        let short = second & 0x7f;
        // 5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
        if opcode.is_control() {
            if !fin {
                return Err(PeerError::FragmentedControl);
            }
            if usize::from(short) > MAX_CONTROL {
                return Err(PeerError::ControlTooLong);
            }
        }
        // 5.2: "the minimal number of bytes MUST be used to encode the length"
        let (length, mut size) = match short {
            0..=125 => (u64::from(short), 2),
            126 => {
                let Some(long) = bytes.get(2..4) else { return Ok(None) };
                let length = u64::from(u16::from_be_bytes([long[0], long[1]]));
                if length < 126 {
                    return Err(PeerError::LengthNotMinimal);
                }
                (length, 4)
            }
            _ => {
                let Some(long) = bytes.get(2..10).and_then(|long| <[u8; 8]>::try_from(long).ok()) else {
                    return Ok(None);
                };
                let length = u64::from_be_bytes(long);
                // "the most significant bit MUST be 0"
                if length >> 63 != 0 {
                    return Err(PeerError::LengthOver63Bits);
                }
                if length <= u64::from(u16::MAX) {
                    return Err(PeerError::LengthNotMinimal);
                }
                (length, 10)
            }
        };
        let mask = if second & 0x80 != 0 {
            let Some(key) = bytes.get(size..size + 4) else { return Ok(None) };
            size += 4;
            Some([key[0], key[1], key[2], key[3]])
        } else {
            None
        };
        Ok(Some((Self { fin, rsv, opcode, mask, length }, size)))
    }

    /// The size of a whole frame with so much payload: what [`encode`](Self::encode) writes, and the payload.
    pub(super) fn frame_size(payload: usize, masked: bool) -> usize {
        let length = match payload {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        length + if masked { 4 } else { 0 } + payload
    }

    /// Writes the header to the front of `to` in its shortest form and returns its size.
    #[inline]
    pub fn encode(&self, to: &mut [u8; MAX_HEADER]) -> usize {
        debug_assert!(self.length >> 63 == 0, "a length of a message in memory fits 63 bits");
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        to[0] = u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode as u8;
        let size = match self.length {
            length @ 0..=125 => {
                to[1] = masked | length.to_le_bytes()[0];
                2
            }
            length @ 126..=0xffff => {
                to[1] = masked | 126;
                to[2..4].copy_from_slice(&length.to_be_bytes()[6..]);
                4
            }
            length => {
                to[1] = masked | 127;
                to[2..10].copy_from_slice(&length.to_be_bytes());
                10
            }
        };
        let Some(key) = self.mask else { return size };
        to[size..size + 4].copy_from_slice(&key);
        size + 4
    }
}
