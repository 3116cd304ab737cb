//! Agreements on compression, for machines whose opening handshake a test leaves out.

use aiowebsocket::{Agreed, Deflate};
use http::{HeaderMap, HeaderValue};

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
