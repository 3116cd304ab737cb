//! Addresses.

use aiowebsocket::opening::{AcceptProgress, Accepting, Address, HeadLimits, Host, RequestHead};

use crate::start_of_time;

/// The bytes are an address.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(address) = Address::parse(&text) else { return };
    let resource = address.resource();
    assert!(resource.starts_with('/') && resource.bytes().all(|byte| byte.is_ascii_graphic()), "{resource}");
    // An empty query is left out (RFC 6455 3).
    assert!(!resource.contains('#') && resource.find('?') != Some(resource.len() - 1), "{resource}");
    assert!(address.port() != 0);
    let host = address.dial_host();
    assert!(!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()), "{host}");

    // Written out and read again it is the same.
    let authority = address.authority_for_host_header();
    let again = format!("{}://{authority}{resource}", address.scheme().as_str());
    let again = Address::parse(&again).unwrap_or_else(|error| panic!("{again}: {error}"));
    assert_eq!(
        (again.scheme(), again.host(), again.port(), again.resource()),
        (address.scheme(), address.host(), address.port(), resource)
    );

    // A server understands the request that is made of it.
    let (request, _) = RequestHead::new(&address).encode([0; 16]);
    let limits = HeadLimits { max_bytes: usize::MAX, ..HeadLimits::default() };
    match Accepting::new(limits).receive(&request, start_of_time()) {
        Ok(AcceptProgress::Request(request)) => {
            assert_eq!(request.resource, resource);
            assert_eq!(request.headers["host"], authority);
        }
        other => panic!("{other:?}"),
    }
    against_http(&text, &address);
}

/// What `http::Uri` reads in it too, it reads alike.
fn against_http(text: &str, address: &Address) {
    let Ok(uri) = text.parse::<http::Uri>() else { return };
    if let Host::Name(name) = address.host()
        && text.is_ascii()
        && !text.contains('%')
    {
        assert_eq!(uri.host().map(str::to_ascii_lowercase).as_ref(), Some(name), "{text}");
    }
    if let Some(port) = uri.port_u16() {
        assert_eq!(port, address.port(), "{text}");
    }
    let wanted = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let wanted = match wanted.split_once('?') {
        Some((path, "")) => path,
        _ => wanted,
    };
    let wanted = if wanted.starts_with('/') { wanted.to_owned() } else { format!("/{wanted}") };
    // Characters that a URI cannot hold are ours to encode; that parser passes some of them on.
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if wanted.bytes().all(plain) {
        assert_eq!(wanted, address.resource(), "{text}");
    }
}
