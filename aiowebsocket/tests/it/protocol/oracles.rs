//! The fast parts, each against a version that is too simple to be wrong.

use aiowebsocket::protocol::parts::{Incremental, apply, boxed, copy, copy_masked, is_valid, rotate};
use aiowebsocket::protocol::{Header, MAX_CONTROL, MAX_HEADER, OpCode, PeerError};
use proptest::prelude::*;

use crate::support::rng::Rng;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn naive_mask(data: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
    data.iter().enumerate().map(|(i, byte)| byte ^ key[(offset + i) % 4]).collect()
}

#[test]
fn masking_at_every_length_and_place() {
    let data = Rng::new().bytes(400);
    for length in 0..200 {
        for place in 0..40 {
            let data = &data[place..place + length];
            for offset in 0..5 {
                let key = rotate(KEY, offset);
                let expected = naive_mask(data, KEY, offset);
                let mut copy = vec![0xee; place + length + 8];
                copy_masked(&mut copy[place..place + length], data, key);
                assert_eq!(copy[place..place + length], expected);
                assert!(copy[..place].iter().chain(&copy[place + length..]).all(|&byte| byte == 0xee));
                let mut in_place = vec![0xee; place + length + 8];
                in_place[place..place + length].copy_from_slice(data);
                apply(&mut in_place[place..place + length], key);
                assert_eq!(in_place[place..place + length], expected);
                assert!(
                    in_place[..place].iter().chain(&in_place[place + length..]).all(|&byte| byte == 0xee)
                );
            }
        }
    }
}

#[test]
fn copies_around_the_size_of_a_piece() {
    let data = Rng::new().bytes(20_000);
    for length in (0..3).chain(2_040..2_060).chain(4_090..4_100).chain([16_384, 20_000]) {
        let mut copied = vec![0xee; length];
        copy(&mut copied, &data[..length]);
        assert!(copied == data[..length], "{length}");
        assert!(*boxed(&data[..length]) == data[..length], "{length}");
    }
}

#[test]
fn masking_far_into_a_payload() {
    for offset in [0, 1, 2, 3, 4, 7, (1 << 32) + 1, usize::MAX - 1, usize::MAX] {
        let mut data = [0; 4];
        apply(&mut data, rotate(KEY, offset));
        assert_eq!(data.to_vec(), (0..4).map(|i| KEY[(offset % 4 + i) % 4]).collect::<Vec<_>>());
    }
}

/// Checks `bytes` cut in two and in three at every place; short inputs only.
fn check_cuts(bytes: &[u8]) {
    let good = std::str::from_utf8(bytes).is_ok();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let mut check = Incremental::default();
            let found = [&bytes[..first], &bytes[first..second], &bytes[second..]]
                .iter()
                .try_for_each(|chunk| check.push(chunk))
                .and_then(|()| check.finish())
                .is_ok();
            assert_eq!(found, good, "{} at {first}, {second}", bytes.escape_ascii());
        }
    }
}

/// How many bytes one can read before it is certain that no UTF-8 text begins so: by trying whether anything can follow.
fn naive_first_wrong(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len()).find(|&n| match std::str::from_utf8(&bytes[..n]) {
        Ok(_) => false,
        Err(error) => !completes(&bytes[error.valid_up_to()..n]),
    })
}

/// Whether some character of UTF-8 begins with `rest`.
fn completes(rest: &[u8]) -> bool {
    let tails: [&[u8]; 6] = [b"\x80", b"\xbf", b"\x80\x80", b"\xbf\xbf", b"\x80\x80\x80", b"\xbf\xbf\xbf"];
    tails.iter().any(|tail| std::str::from_utf8(&[rest, tail].concat()).is_ok())
}

fn check_utf8(bytes: &[u8]) {
    assert_eq!(is_valid(bytes), std::str::from_utf8(bytes).is_ok(), "{}", bytes.escape_ascii());
    check_cuts(bytes);
    let mut check = Incremental::default();
    let found = bytes.iter().position(|byte| check.push(&[*byte]).is_err());
    assert_eq!(found.map(|at| at + 1), naive_first_wrong(bytes), "{}", bytes.escape_ascii());
}

/// Every string of up to two bytes, and those of three and four from the bytes at which the rules change.
#[test]
fn utf8_short_strings() {
    let borders = [
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
        0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff,
    ];
    check_utf8(&[]);
    for a in 0..=255 {
        check_utf8(&[a]);
        for b in 0..=255 {
            check_utf8(&[a, b]);
        }
    }
    for a in borders {
        for b in borders {
            for c in borders {
                check_utf8(&[a, b, c]);
                for d in [0x00, 0x80, 0xbf, 0xc2] {
                    check_utf8(&[a, b, c, d]);
                }
            }
        }
    }
}

/// Around the length from which another code is used, with one wrong or cut character at each place.
#[test]
fn utf8_long_strings() {
    let mut rng = Rng::new();
    for length in (0..140).chain([255, 256, 1000, 5000]) {
        let good = rng.text(length).into_bytes();
        assert!(is_valid(&good));
        for _ in 0..40 {
            let mut bytes = good.clone();
            if !bytes.is_empty() && rng.one_in(2) {
                let place = rng.below(bytes.len());
                bytes[place] = rng.bytes(1)[0];
            }
            bytes.truncate(bytes.len() - rng.below(bytes.len().min(4) + 1));
            let expected = std::str::from_utf8(&bytes).is_ok();
            assert_eq!(is_valid(&bytes), expected, "{}", bytes.escape_ascii());
            let mut check = Incremental::default();
            let mut rest = &bytes[..];
            let mut failed_at = None;
            while !rest.is_empty() && failed_at.is_none() {
                let (chunk, behind) = rest.split_at(1 + rng.below(rest.len()));
                rest = behind;
                if check.push(chunk).is_err() {
                    failed_at = Some(bytes.len() - rest.len());
                }
            }
            assert_eq!(failed_at.is_none() && check.finish().is_ok(), expected, "{}", bytes.escape_ascii());
            // In the chunk that holds the first wrong byte, not in a later one.
            match (failed_at, std::str::from_utf8(&bytes).err().filter(|error| error.error_len().is_some())) {
                (None, wrong) => assert_eq!(wrong, None),
                (Some(at), wrong) => assert!(wrong.expect("wrong").valid_up_to() < at),
            }
        }
    }
}

/// The header as 5.2 draws it, bit by bit; `None` where it is not complete.
fn naive_decode(bytes: &[u8]) -> Option<Result<(Header, usize), PeerError>> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let opcode = match first % 16 {
        0 => OpCode::Continuation,
        1 => OpCode::Text,
        2 => OpCode::Binary,
        8 => OpCode::Close,
        9 => OpCode::Ping,
        10 => OpCode::Pong,
        other => return Some(Err(PeerError::ReservedOpcode(other))),
    };
    if opcode as u8 >= 8 && first < 128 {
        return Some(Err(PeerError::FragmentedControl));
    }
    if opcode as u8 >= 8 && usize::from(second % 128) > MAX_CONTROL {
        return Some(Err(PeerError::ControlTooLong));
    }
    let (least, long) = match second % 128 {
        126 => (126, 2),
        127 => (65536, 8),
        _ => (0, 0),
    };
    let field = bytes.get(2..2 + long)?;
    let length = field.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let length = if long == 0 { u64::from(second % 128) } else { length };
    if length > i64::MAX as u64 {
        return Some(Err(PeerError::LengthOver63Bits));
    }
    if length < least {
        return Some(Err(PeerError::LengthNotMinimal));
    }
    let (mask, size) = if second < 128 {
        (None, 2 + long)
    } else {
        (Some(bytes.get(2 + long..6 + long)?.try_into().expect("four")), 6 + long)
    };
    Some(Ok((Header { fin: first >= 128, rsv: first / 16 % 8, opcode, mask, length }, size)))
}

fn check_decode(bytes: &[u8]) {
    let found = match Header::decode(bytes) {
        Ok(None) => None,
        Ok(Some(header)) => Some(Ok(header)),
        Err(error) => Some(Err(error)),
    };
    assert_eq!(found, naive_decode(bytes), "{}", bytes.escape_ascii());
}

#[test]
fn headers_of_every_first_two_bytes() {
    let tails: [&[u8]; 7] = [
        &[0; 12],
        &[0, 125, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 5, 6, 7, 8],
        &[0xff; 12],
        &[0, 126, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        &[0, 0, 0, 0, 0, 1, 0, 0, 5, 6, 7, 8],
        &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4],
    ];
    for start in 0..=u16::MAX {
        for tail in tails {
            let bytes = [&start.to_be_bytes()[..], tail].concat();
            // All cuts where the second byte can matter for them; the rest whole.
            let shortest = if start % 8 == 6 || start % 8 == 7 { 0 } else { bytes.len() };
            for end in shortest..=bytes.len() {
                check_decode(&bytes[..end]);
            }
        }
    }
}

fn opcodes() -> impl Strategy<Value = OpCode> {
    prop::sample::select(vec![
        OpCode::Continuation,
        OpCode::Text,
        OpCode::Binary,
        OpCode::Close,
        OpCode::Ping,
        OpCode::Pong,
    ])
}

fn lengths() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..=130, 65_530_u64..65_540, 0_u64..1 << 20, 0_u64..1 << 63]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn headers_come_back(
        fin: bool, rsv in 0_u8..8, opcode in opcodes(), mask: Option<[u8; 4]>, length in lengths(), more: Vec<u8>,
    ) {
        let control = opcode.is_control();
        let header = Header {
            fin: fin || control, rsv, opcode, mask, length: if control { length % 126 } else { length },
        };
        let mut bytes = [0xee; MAX_HEADER];
        let size = header.encode(&mut bytes);
        prop_assert!(size <= MAX_HEADER);
        prop_assert!(bytes[size..].iter().all(|&byte| byte == 0xee));
        for cut in 0..size {
            prop_assert_eq!(Header::decode(&bytes[..cut]), Ok(None));
        }
        prop_assert_eq!(Header::decode(&[&bytes[..size], &more].concat()), Ok(Some((header, size))));
    }

    #[test]
    fn headers_of_any_bytes(bytes: [u8; MAX_HEADER], length in 0..=MAX_HEADER) {
        check_decode(&bytes[..length]);
    }

    #[test]
    fn masking_any_bytes(data: Vec<u8>, key: [u8; 4], offset: usize) {
        let mut masked = data.clone();
        apply(&mut masked, rotate(key, offset));
        prop_assert_eq!(&masked, &naive_mask(&data, key, offset % 4));
        apply(&mut masked, rotate(key, offset));
        prop_assert_eq!(masked, data);
    }
}
