//! The header of a block of DEFLATE data that brings its own codes (RFC 1951 3.2.7): what zlib refuses in it. `miniz_oxide` lets some of
//! that pass until it meets what cannot be decoded, or for ever; the reference refuses it as zlib does.

/// The order in which the lengths of the code for lengths stand.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The literal that ends a block.
const END_OF_BLOCK: usize = 256;

/// What is known of a header by the bits that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is wrong so far.
    More,
    /// It is complete, or it is none of this kind.
    Right,
    /// No block begins like this.
    Wrong,
}

/// Judges the bits that a block begins with, in the order in which they are read.
pub(crate) fn judge(bits: &[bool]) -> Verdict {
    match header(&mut Bits(bits)) {
        None => Verdict::More,
        Some(true) => Verdict::Right,
        Some(false) => Verdict::Wrong,
    }
}

/// Whether it is right; `None` where it goes on.
fn header(bits: &mut Bits<'_>) -> Option<bool> {
    let (_final, kind) = (bits.take(1)?, bits.take(2)?);
    if kind != 2 {
        return Some(true);
    }
    let (literals, distances, lengths) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    // RFC 1951 3.2.6: literals 286 and 287 and distances 30 and 31 never occur.
    if literals > 286 || distances > 30 {
        return Some(false);
    }
    let mut of_lengths = [0; 19];
    for &place in &ORDER[..lengths] {
        of_lengths[place] = bits.take(3)?;
    }
    if space_left(&of_lengths) != Some(0) {
        return Some(false);
    }
    let mut found = Vec::new();
    while found.len() < literals + distances {
        let (length, times) = match bits.symbol(&of_lengths)? {
            16 => (found.last().copied(), 3 + bits.take(2)?),
            17 => (Some(0), 3 + bits.take(3)?),
            18 => (Some(0), 11 + bits.take(7)?),
            length => (Some(length), 1),
        };
        let Some(length) = length else { return Some(false) };
        found.resize(found.len() + times, length);
        if found.len() > literals + distances {
            return Some(false);
        }
    }
    let (literals, distances) = found.split_at(literals);
    let is_code = |lengths: &[usize]| match space_left(lengths) {
        Some(0) => true,
        // A code of one symbol has one bit.
        Some(_) => lengths.iter().all(|&length| length <= 1),
        None => false,
    };
    Some(literals[END_OF_BLOCK] > 0 && is_code(literals) && is_code(distances))
}

/// What a code of these lengths leaves unused, in codes of 15 bits; `None` where there are too many of them.
fn space_left(lengths: &[usize]) -> Option<usize> {
    lengths
        .iter()
        .filter(|&&length| length > 0)
        .try_fold(1 << 15, |left: usize, &length| left.checked_sub(1 << (15 - length)))
}

/// Bits that were not read yet.
struct Bits<'a>(&'a [bool]);

impl Bits<'_> {
    /// A number of `n` bits, the lowest first.
    fn take(&mut self, n: usize) -> Option<usize> {
        let (bits, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(bits.iter().rev().fold(0, |number, &bit| number << 1 | usize::from(bit)))
    }

    /// A symbol of the complete code of these lengths (3.2.2): codes of a length are in a row, behind the shorter ones.
    fn symbol(&mut self, lengths: &[usize]) -> Option<usize> {
        let (mut code, mut first) = (0, 0);
        for length in 1..=15 {
            code = code << 1 | self.take(1)?;
            first <<= 1;
            let mut alike = (0..lengths.len()).filter(|&symbol| lengths[symbol] == length);
            let count = alike.clone().count();
            if code < first + count {
                return alike.nth(code - first);
            }
            first += count;
        }
        unreachable!("a complete code has every row of bits")
    }
}
