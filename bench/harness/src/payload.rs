//! What is sent: a few payloads of each size, told apart by their first eight bytes, and the checksum that tells whether they arrived.

use bytes::Bytes;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes that are no text.
    Binary,
    /// Text of several scripts, one to four bytes a character, as chats have it.
    Text,
    /// ASCII text, as feeds have it.
    Json,
    /// The same with other numbers in each record, sent compressed: see [`offered`](crate::offered).
    Deflate,
}

impl Kind {
    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Binary, Self::Text, Self::Json, Self::Deflate].into_iter().find(|kind| kind.name() == name)
    }

    /// Its name on the command line and in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Text => "text",
            Self::Json => "json",
            Self::Deflate => "deflate",
        }
    }

    /// Whether its messages are text messages.
    pub fn is_text(self) -> bool {
        self != Self::Binary
    }

    fn pattern(self) -> &'static [u8] {
        match self {
            Self::Binary => b"\x00\x01\x02\x03\xfc\xfd\xfe\xff",
            Self::Text => "Grüße, 世界! Привет, κόσμε 🌍 and plain words between. ".as_bytes(),
            Self::Json => {
                br#"{"e":"trade","s":"BTCUSDT","p":"43210.98","q":"0.00123","T":1700000000000,"m":true},"#
            }
            Self::Deflate => unreachable!("its records differ"),
        }
    }
}

/// The payloads of a workload: message `i` has the payload `i % all.len()`. At most 64, and at most 256 KiB together
/// where one is not larger, so that they lie in the cache for everybody.
pub fn all(kind: Kind, size: usize) -> Vec<Bytes> {
    assert!(size >= 16, "SIZE is at least 16");
    let different = ((256 << 10) / size).clamp(1, 64);
    (0..different).map(|index| one(kind, size, index).into()).collect()
}

/// Exactly `size` bytes; text is padded where a character would be cut.
fn one(kind: Kind, size: usize, index: usize) -> Vec<u8> {
    let mut payload = format!("{index:08x}").into_bytes();
    if kind == Kind::Deflate {
        records(&mut payload, index, size);
    } else {
        payload.extend(kind.pattern().iter().copied().cycle().take(size - 8));
    }
    if kind.is_text()
        && let Err(cut) = std::str::from_utf8(&payload)
    {
        payload.truncate(cut.valid_up_to());
        payload.resize(size, b'.');
    }
    payload
}

/// Fills up to `size` bytes with records whose numbers nobody can foresee, as far as a compressor is concerned.
fn records(payload: &mut Vec<u8>, index: usize, size: usize) {
    const SYMBOLS: [&str; 8] =
        ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "ADAUSDT", "DOTUSDT", "LTCUSDT"];
    let mut state = index as u32;
    // The upper bits: the lower ones of such a generator repeat soon.
    let mut number = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (u64::from(state) * u64::from(below) >> 32) as u32
    };
    while payload.len() < size {
        let symbol = SYMBOLS[number(8) as usize];
        let (price, cents) = (number(100_000), number(100));
        let (quantity, id, buy) = (number(1_000_000), number(1_000_000_000), number(2) == 1);
        let record = format!(
            r#"{{"e":"trade","s":"{symbol}","p":"{price}.{cents:02}","q":"0.{quantity:06}","t":{id},"m":{buy}}},"#
        );
        payload.extend_from_slice(record.as_bytes());
    }
    payload.truncate(size);
}

/// Counts messages and bytes, and sums up the order, kind, length and both ends of each: a lost, doubled, cut, swapped or
/// wrongly unmasked message changes it. Cheap enough to run inside the clock: every contender pays the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    /// Messages.
    pub messages: u64,
    /// Bytes of payload.
    pub bytes: u64,
    /// The sum.
    pub sum: u64,
}

impl Checksum {
    /// Adds one message of at least eight bytes.
    #[inline]
    pub fn add(&mut self, text: bool, payload: &[u8]) {
        let first = payload.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        let last = payload.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
        self.messages += 1;
        self.bytes += payload.len() as u64;
        self.sum = (self.sum.rotate_left(5) ^ first)
            .wrapping_add(last.rotate_left(17))
            .wrapping_add(payload.len() as u64 * 2 + u64::from(text));
    }

    /// What a workload has to give.
    pub fn expected(kind: Kind, size: usize, count: u64) -> Self {
        let payloads = all(kind, size);
        let mut checksum = Self::default();
        for i in 0..count {
            checksum.add(kind.is_text(), &payloads[i as usize % payloads.len()]);
        }
        checksum
    }

    /// As the sink says it.
    pub fn write(self) -> String {
        format!("{} {} {:016x}", self.messages, self.bytes, self.sum)
    }

    /// The inverse of [`write`](Self::write).
    pub fn read(line: &[u8]) -> Self {
        let line = std::str::from_utf8(line).expect("the sink's line is text");
        let mut words = line.split(' ');
        let mut word = || words.next().expect("three numbers");
        Self {
            messages: word().parse().expect("messages"),
            bytes: word().parse().expect("bytes"),
            sum: u64::from_str_radix(word(), 16).expect("a sum"),
        }
    }
}
