//! Minimal framing, for the server and the floors: no rule is checked, nothing is fragmented.

/// A buffer of a floor begins at a multiple of this: what is read to just behind the beginning of a page is slow on some processors
/// (see `Buffer` of the library).
pub const LINE: usize = 64;

/// Where `buffer` begins to lie at a multiple of [`LINE`].
pub fn line(buffer: &[u8]) -> usize {
    buffer.as_ptr().addr().wrapping_neg() % LINE
}

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The first byte: final bit and operation.
    pub first: u8,
    /// Bytes of the head, key included.
    pub len: usize,
    /// Bytes of payload.
    pub payload: usize,
    /// The key, zero where the frame is not masked.
    pub key: [u8; 4],
}

impl Head {
    /// Whether it is a text message.
    pub fn is_text(&self) -> bool {
        self.first & 0xF == 1
    }
}

/// The head at the beginning of `bytes`, if it is all there.
#[inline(always)]
pub fn head(bytes: &[u8]) -> Option<Head> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (payload, long) = match second & 0x7F {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 8),
        short => (usize::from(short), 0),
    };
    let (key, len) =
        if second & 0x80 == 0 { ([0; 4], 2 + long) } else { (*rest[long..].first_chunk()?, 6 + long) };
    Some(Head { first, len, payload, key })
}

/// Appends the head of an unmasked frame, or of a masked one.
#[inline(always)]
pub fn put_head(out: &mut Vec<u8>, text: bool, payload: usize, key: Option<[u8; 4]>) {
    let mask = if key.is_some() { 0x80 } else { 0 };
    out.push(if text { 0x81 } else { 0x82 });
    if payload < 126 {
        out.push(mask | payload as u8);
    } else if let Ok(payload) = u16::try_from(payload) {
        out.push(mask | 126);
        out.extend_from_slice(&payload.to_be_bytes());
    } else {
        out.push(mask | 127);
        out.extend_from_slice(&(payload as u64).to_be_bytes());
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
}

/// Appends a masked frame: copied and masked in one pass, eight bytes a step.
#[inline]
pub fn put_masked(out: &mut Vec<u8>, text: bool, payload: &[u8], key: [u8; 4]) {
    put_head(out, text, payload.len(), Some(key));
    let start = out.len();
    // Room that is written twice would be a second pass; `resize` is a `memset` only where the buffer has grown.
    out.reserve(payload.len());
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, tail) = payload.as_chunks::<8>();
    out.extend(words.iter().flat_map(|word| (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes()));
    out.extend(tail.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    debug_assert_eq!(out.len(), start + payload.len());
}

/// Removes the mask in place.
pub fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// A key that nobody could guess from one seen before, were this more than a benchmark: xorshift, the cheapest there is.
#[derive(Debug)]
pub struct Keys(u64);

impl Default for Keys {
    fn default() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }
}

impl Keys {
    /// The next key.
    #[inline]
    pub fn next_key(&mut self) -> [u8; 4] {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32).to_ne_bytes()
    }
}

/// An upgrade request, with an offer of extensions where there is one.
pub fn request(addr: &str, path: &str, offer: Option<&str>) -> String {
    let extensions = offer.map_or(String::new(), |offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n"
    )
}

/// The value of a header line of an HTTP head.
pub fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (this, value) = line.split_once(':')?;
        this.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
