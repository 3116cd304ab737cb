//! Refusals: how much is kept, and for how long.

use std::time::Duration;

use aiowebsocket::opening::{Address, HandshakeError, HeadLimits, Opening, Progress, Refusal, RequestHead};

use super::{NONCE, start_of_time, variant};

const LIMIT: usize = 16 * 1024;

fn opening() -> Opening {
    let request = RequestHead::new(&Address::parse("ws://h/").unwrap());
    Opening::new(request, NONCE, HeadLimits::default()).unwrap()
}

/// What comes of a response that is fed in pieces of this length and then ends.
fn refused(response: &[u8], piece: usize) -> Refusal {
    let mut opening = opening();
    let now = start_of_time();
    for bytes in response.chunks(piece) {
        match opening.receive(bytes, now) {
            Ok(Progress::More) => {}
            Ok(Progress::Open(_)) => panic!("opened"),
            Err(HandshakeError::Refused(refusal)) => return *refusal,
            Err(error) => panic!("{error}"),
        }
    }
    match opening.receive_end(now) {
        Err(HandshakeError::Refused(refusal)) => *refusal,
        outcome => panic!("{outcome:?}"),
    }
}

/// The three framings of this body.
fn framed(body: &[u8]) -> [Vec<u8>; 3] {
    let with =
        |head: String, body: &[u8]| [format!("HTTP/1.1 500 X\r\n{head}\r\n").as_bytes(), body].concat();
    let mut chunked = Vec::new();
    for chunk in body.chunks(1000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    [
        with(String::new(), body),
        with(format!("Content-Length: {}\r\n", body.len()), body),
        with("Transfer-Encoding: chunked\r\n".to_owned(), &chunked),
    ]
}

/// What `Debug` shows ends in logs.
#[test]
fn debug_shows_no_secret_of_a_response() {
    let response =
        "HTTP/1.1 302 Found\r\nSet-Cookie: a=hush\r\nLocation: /?token=hush\r\nContent-Length: 4\r\n\r\nhush";
    let refusal = refused(response.as_bytes(), usize::MAX);
    let shown = format!("{refusal:?} {:?}", HandshakeError::Refused(Box::new(refusal.clone())));
    assert!(!shown.contains("hush") && shown.contains("\"set-cookie\""), "{shown}");

    let mut opening = opening();
    let response = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: a=hush\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let shown = format!("{:?}", opening.receive(response.as_bytes(), start_of_time()));
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("\"set-cookie\""), "{shown}");
}

#[test]
fn a_body_is_kept_up_to_its_limit() {
    for (length, is_complete) in
        [(0, true), (LIMIT - 1, true), (LIMIT, true), (LIMIT + 1, false), (1 << 20, false)]
    {
        let body: Vec<u8> = b"0123456789".iter().copied().cycle().take(length).collect();
        for response in framed(&body) {
            for piece in [1, 1000, 16 * 1024, usize::MAX] {
                let refusal = refused(&response, piece);
                assert_eq!(refusal.is_complete, is_complete, "{length}, {piece}");
                assert_eq!(refusal.body, body[..length.min(LIMIT)], "{length}, {piece}");
                assert!(refusal.body.capacity() <= 2 * LIMIT);
            }
        }
    }
}

#[test]
fn chunk_overhead_is_bounded() {
    let head = b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = [&head[..], b"1;", &vec![b'x'; 1 << 20]].concat();
    assert!(!refused(&endless, 4096).is_complete);
    let zeros = [&head[..], &vec![b'0'; 1 << 20]].concat();
    assert!(!refused(&zeros, 4096).is_complete);
    let mut opening = opening();
    let outcome = opening.receive(&endless, start_of_time());
    assert!(matches!(outcome, Err(HandshakeError::Refused(_))), "the machine does not wait for more of it");
}

#[test]
fn a_body_has_two_seconds_after_its_head() {
    let mut opening = opening();
    let now = start_of_time();
    let after = |millis| now + Duration::from_millis(millis);
    assert_eq!(opening.next_timeout(), None);
    assert!(matches!(opening.handle_timeout(after(0)), Ok(Progress::More)));
    assert!(matches!(opening.receive(b"HTTP/1.1 503 X\r\n\r\n", after(100)), Ok(Progress::More)));
    assert_eq!(opening.next_timeout(), Some(after(2_100)));
    // Bytes do not prolong it, and those that are there are taken before the time is judged.
    assert!(matches!(opening.receive(b"busy", after(2_099)), Ok(Progress::More)));
    assert_eq!(opening.next_timeout(), Some(after(2_100)));
    assert!(matches!(opening.handle_timeout(after(2_099)), Ok(Progress::More)));
    assert!(matches!(opening.receive(b"!", after(2_200)), Ok(Progress::More)));
    let Err(HandshakeError::Refused(refusal)) = opening.handle_timeout(after(2_200)) else {
        panic!("the refusal is due");
    };
    assert_eq!((refusal.body.as_slice(), refusal.is_complete), (&b"busy!"[..], false));
    assert_eq!(variant(&opening.handle_timeout(after(9_000)).unwrap_err()), "Finished");
    assert_eq!(variant(&opening.receive_end(after(9_000)).unwrap_err()), "Finished");
}

#[test]
fn an_endless_head_is_cut_short() {
    let mut opening = opening();
    let now = start_of_time();
    let mut taken = 0;
    let error = loop {
        let bytes: &[u8] = if taken == 0 { b"HTTP/1.1 101 X\r\nx: " } else { &[b'y'; 1000] };
        taken += bytes.len();
        match opening.receive(bytes, now) {
            Ok(_) => assert!(taken <= 65_536),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "the head of the server's response is larger than 65536 bytes");
}

#[test]
fn the_last_words_of_an_opening() {
    assert_eq!(HandshakeError::Finished.to_string(), "the opening handshake is over: the call came too late");
}
