//! Random numbers for tests: the same on every run, others with `SEED=… cargo test`, and told when a test fails.

/// Xorshift64*: enough to cut bytes at random places.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
    seed: u64,
}

impl Rng {
    /// The numbers of this run: those of `SEED`, or always the same.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
        Self::with_seed(seed)
    }

    pub(crate) fn with_seed(seed: u64) -> Self {
        // Zero would stay zero; near seeds would begin alike.
        Self { state: seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A length up to `limit`, of every order of magnitude alike: the small ones are where the forms change.
    pub(crate) fn length(&mut self, limit: usize) -> usize {
        let bits = self.below(limit.ilog2() as usize + 2);
        self.below(1 << bits).min(limit)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(self.next().to_be_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// Text of `length` bytes with characters of one to four.
    pub(crate) fn text(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        let mut choices = 0;
        while text.len() < length {
            // Two bits a character.
            choices = if choices < 4 { self.next() } else { choices >> 2 };
            let character = match choices % 4 {
                0 => 'a',
                1 => 'é',
                2 => '水',
                _ => '🌊',
            };
            text.push(if text.len() + character.len_utf8() > length { 'a' } else { character });
        }
        text
    }
}

impl Drop for Rng {
    #[expect(clippy::print_stderr, reason = "a failure that cannot be had again is no use")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to have this again: SEED={}", self.seed);
        }
    }
}
