//! Bytes of the fuzzer as choices: each is used once, and where they end every choice is zero.

/// What is left of the bytes.
#[derive(Clone, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                byte
            }
            None => 0,
        }
    }

    /// The next two bytes.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A length of every order of magnitude up to 64 KiB: three bits say how it is scaled.
    pub fn length(&mut self) -> usize {
        let word = usize::from(self.word());
        let (scale, value) = (word >> 13, word & 0x1fff);
        match scale {
            0 => value % 8,
            1 => 120 + value % 12,
            2 => 65_530 + value % 12,
            3 => value,
            4 => value * 4,
            _ => value % 200,
        }
    }

    /// The next bytes, so many or what is left.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Where a stream is cut into reads.
#[derive(Clone, Debug)]
pub enum Cuts {
    /// Nowhere.
    Whole,
    /// After every byte; the number counts coins.
    Bytes(u8),
    /// At places that follow from this number.
    Random(u64),
}

impl Cuts {
    /// Cuts by a byte of the fuzzer.
    pub fn new(choice: u8) -> Self {
        match choice {
            0 => Self::Whole,
            1 => Self::Bytes(0),
            seed => Self::Random(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        }
    }

    /// The most bytes of the next read; never none.
    pub fn cut(&mut self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Bytes(_) => 1,
            Self::Random(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                let bits = *state >> 60;
                1 + usize::try_from((*state >> 32) & ((1 << bits) - 1)).unwrap_or(0)
            }
        }
    }

    /// True once in a while.
    pub fn coin(&mut self) -> bool {
        match self {
            Self::Whole => false,
            Self::Bytes(coins) => {
                *coins = (*coins + 1) % 13;
                *coins == 0
            }
            Self::Random(_) => self.cut().is_multiple_of(2),
        }
    }
}
