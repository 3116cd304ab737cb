//! Agreements on compression, for machines whose opening handshake a test leaves out.

use aiowebsocket::opening::{Address, HeadLimits, Opening, Progress, RequestHead};
use aiowebsocket::{Agreed, Deflate};
use http::{HeaderMap, HeaderValue};

use super::start_of_time;

/// What a server with `options` answers to this offer.
pub(crate) fn agreed_with(options: Deflate, offer: &str) -> Agreed {
    let mut request = HeaderMap::new();
    request.insert("sec-websocket-extensions", HeaderValue::from_str(offer).expect("a header value"));
    options.answer(&request).unwrap_or_else(|| panic!("{offer:?} is an offer"))
}

/// The same of a server without wishes.
pub(crate) fn agreed(offer: &str) -> Agreed {
    agreed_with(Deflate::default(), offer)
}

/// What a client with `options` takes from this answer.
pub(crate) fn taken_by_client(options: Deflate, answer: &str) -> Agreed {
    let address = Address::parse("ws://server.example.com/chat").expect("an address");
    let mut request = RequestHead::new(&address);
    request.compression(Some(options)).expect("options within their ranges");
    // RFC 6455 1.3.
    let mut opening =
        Opening::new(request, *b"the sample nonce", HeadLimits::default()).expect("a small request");
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: {answer}\r\n\r\n"
    );
    match opening.receive(response.as_bytes(), start_of_time()) {
        Ok(Progress::Open(opened)) => opened.compression.expect("it was answered"),
        other => panic!("{other:?}"),
    }
}
