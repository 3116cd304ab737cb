//! The small parts of the protocol, each against a twin of a few lines.

use aiowebsocket::protocol::parts::{Incremental, apply, copy_masked, is_valid, rotate};
use aiowebsocket::protocol::{CloseCode, CloseFrame, Header, MAX_HEADER, MAX_REASON};

use crate::input::{Cuts, Input};

/// The first byte chooses the part, the rest is for it.
pub fn parts(data: &[u8]) {
    let mut choices = Input::new(data);
    match choices.byte() % 4 {
        0 => header(choices.rest()),
        1 => close(choices.rest()),
        2 => {
            let cuts = Cuts::new(choices.byte());
            utf8(choices.rest(), cuts);
        }
        _ => {
            let key = [choices.byte(), choices.byte(), choices.byte(), choices.byte()];
            let at = usize::from(choices.byte());
            mask(choices.rest(), key, at);
        }
    }
}

/// A header is whole, wrong, or wants more; what was decided of its beginning stands; encoding gives the same bytes.
fn header(bytes: &[u8]) {
    let decided = Header::decode(bytes);
    for end in 0..bytes.len().min(MAX_HEADER) {
        match Header::decode(&bytes[..end]) {
            Ok(None) => {}
            Ok(Some((header, size))) => {
                assert_eq!(decided, Ok(Some((header, size))));
                assert_eq!(size, end, "a header is whole with its last byte, not later");
                break;
            }
            Err(error) => {
                assert_eq!(decided, Err(error), "a rule that was broken stays broken");
                break;
            }
        }
    }
    match decided {
        Ok(Some((header, size))) => {
            let mut encoded = [0; MAX_HEADER];
            assert_eq!(header.encode(&mut encoded), size);
            assert_eq!(encoded[..size], bytes[..size]);
        }
        Ok(None) => assert!(bytes.len() < MAX_HEADER, "fourteen bytes are always enough"),
        Err(_) => {}
    }
}

/// What a Close frame says can be said again, and nothing else can be read from one.
fn close(payload: &[u8]) {
    let read = CloseFrame::decode(payload);
    let good = match payload {
        [] => true,
        [_] => false,
        [high, low, reason @ ..] => {
            CloseCode::new(u16::from_be_bytes([*high, *low])).may_be_sent()
                && std::str::from_utf8(reason).is_ok()
        }
    };
    assert_eq!(read.is_ok(), good);
    if let Ok(frame) = read {
        let written = CloseFrame::encode(frame.code, &frame.reason);
        assert_eq!(written.is_ok(), frame.reason.len() <= MAX_REASON);
        if let Ok(written) = written {
            assert_eq!(written, payload);
        }
        assert!(frame.code == CloseCode::NO_STATUS || frame.code.may_be_sent());
    }
}

/// Text in pieces is judged as the standard library judges it whole, and at the first byte that no text can go on with.
fn utf8(bytes: &[u8], mut cuts: Cuts) {
    let whole = std::str::from_utf8(bytes);
    assert_eq!(is_valid(bytes), whole.is_ok());
    let wrong_at = match whole {
        Err(error) if error.error_len().is_some() => Some(error.valid_up_to()),
        _ => None,
    };
    let mut text = Incremental::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cuts.cut().min(rest.len()));
        rest = after;
        let seen = &bytes[..bytes.len() - rest.len()];
        let broken = std::str::from_utf8(seen).is_err_and(|error| error.error_len().is_some());
        assert_eq!(text.push(piece).is_err(), broken, "after {} bytes", seen.len());
        if broken {
            assert!(wrong_at.is_some());
            return;
        }
    }
    assert_eq!(text.finish().is_ok(), whole.is_ok());
}

/// Masking in one pass, in place, and from any place on, against a byte at a time.
fn mask(bytes: &[u8], key: [u8; 4], at: usize) {
    let naive: Vec<u8> = bytes.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
    let mut copied = vec![0; bytes.len()];
    copy_masked(&mut copied, bytes, key);
    assert_eq!(copied, naive);
    let mut applied = bytes.to_vec();
    let at = at.min(bytes.len());
    apply(&mut applied[..at], key);
    apply(&mut applied[at..], rotate(key, at));
    assert_eq!(applied, naive);
}
