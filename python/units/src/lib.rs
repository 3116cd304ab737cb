//! UTF-8 into units of one, two or four bytes, each of them a character: how Python keeps a `str`.
//!
//! Nothing here is inlined elsewhere: what calls it is compiled for size, and so would be what is inlined there.

/// The highest bit of each byte of a word.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many characters there are, and how many bytes the unit of the widest has. By words: a wheel makes nothing of vectors.
#[inline(never)]
pub fn measure(utf8: &[u8]) -> (usize, usize) {
    let (blocks, rest) = utf8.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let (mut continuations, mut two, mut four) = (0, 0, 0);
    // So many words that a byte can count all their bytes.
    for some in blocks.chunks(31).chain([[last].as_slice()]) {
        let mut counts = 0_u64;
        for block in some {
            let word = u64::from_ne_bytes(*block);
            // In the highest bit of each byte: whether it begins with 10, is 0b11000100 or more, is 0b11110000 or more.
            let begins = word & (word << 1);
            counts += (word & !(word << 1) & HIGH) >> 7;
            two |= begins & ((word << 2) | (word << 3) | (word << 4) | (word << 5));
            four |= begins & (word << 2) & (word << 3);
        }
        continuations += counts.wrapping_mul(0x0101_0101_0101_0101) >> 56;
    }
    let continuations = usize::try_from(continuations).expect("not more than there are bytes");
    let unit = match (two & HIGH, four & HIGH) {
        (_, 1..) => 4,
        (1.., _) => 2,
        _ => 1,
    };
    (utf8.len() - continuations, unit)
}

/// A unit, for characters that fit into it.
pub trait Unit: Copy {
    /// Writes the characters, whose width is known to be enough for each, into as many units.
    fn write(text: &str, to: &mut [Self]);
}

impl Unit for u8 {
    #[expect(clippy::cast_possible_truncation, reason = "the widest character was measured before")]
    #[inline(never)]
    fn write(text: &str, to: &mut [Self]) {
        write(text, to, |char| u32::from(char) as Self);
    }
}

impl Unit for u16 {
    #[expect(clippy::cast_possible_truncation, reason = "the widest character was measured before")]
    #[inline(never)]
    fn write(text: &str, to: &mut [Self]) {
        write(text, to, |char| u32::from(char) as Self);
    }
}

impl Unit for u32 {
    #[inline(never)]
    fn write(text: &str, to: &mut [Self]) {
        write(text, to, Self::from);
    }
}

/// Characters taken one by one before the next look at whether a block of ASCII begins: text of other scripts has few such blocks, and
/// each look costs about as much as a character.
const SOME: usize = 12;

/// Writes the characters, whose width is known to be enough for each.
#[inline(always)]
fn write<U>(text: &str, to: &mut [U], unit: impl Fn(char) -> U) {
    let (mut text, mut done) = (text, 0);
    while !text.is_empty() {
        let Some(to) = to.get_mut(done..) else { return };
        if let Some((block, rest)) = ascii_block(text)
            && let Some(units) = to.first_chunk_mut::<8>()
        {
            *units = block.map(|byte| unit(char::from(byte)));
            (text, done) = (rest, done + 8);
            continue;
        }
        let mut chars = text.chars();
        let mut some = 0;
        for to in to.iter_mut().take(SOME) {
            let Some(char) = chars.next() else { return };
            *to = unit(char);
            some += 1;
        }
        (text, done) = (chars.as_str(), done + some);
    }
}

/// The first eight characters, where they are ASCII, and the rest.
#[inline(always)]
fn ascii_block(text: &str) -> Option<(&[u8; 8], &str)> {
    let block = text.as_bytes().first_chunk::<8>()?;
    if u64::from_ne_bytes(*block) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    Some((block, text.get(8..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length around the blocks, in each width, beside what the standard library says.
    #[test]
    fn every_character_has_its_unit() {
        let widest = [
            ('z', 1),
            ('\u{ff}', 1),
            ('\u{100}', 2),
            ('\u{7ff}', 2),
            ('\u{800}', 2),
            ('\u{ffff}', 2),
            ('\u{10000}', 4),
            ('\u{10ffff}', 4),
        ];
        for (wide, unit) in widest {
            // Few of them, and nothing else.
            for (len, every) in (1..420).flat_map(|len| [(len, 11), (len, 1)]) {
                let text: String = (0..len)
                    .map(|at| if at % every == every - 1 || at == len / 2 { wide } else { 'z' })
                    .collect();
                assert_eq!(measure(text.as_bytes()), (len, unit));
                let chars: Vec<u32> = text.chars().map(u32::from).collect();
                let mut units = vec![0_u32; len];
                Unit::write(&text, &mut units);
                assert_eq!(units, chars);
                if u32::from(wide) <= 0xffff {
                    let mut units = vec![0_u16; len];
                    Unit::write(&text, &mut units);
                    assert!(units.iter().map(|unit| u32::from(*unit)).eq(chars.iter().copied()));
                }
                if u32::from(wide) <= 0xff {
                    let mut units = vec![0_u8; len];
                    Unit::write(&text, &mut units);
                    assert!(units.iter().map(|unit| u32::from(*unit)).eq(chars.iter().copied()));
                }
            }
        }
    }
}
