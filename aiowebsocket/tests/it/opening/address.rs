//! Addresses: the cases of spec/opening_url.toml, and that nothing shows what must stay secret.

use aiowebsocket::opening::{Address, Host, Scheme, UrlError};
use serde::Deserialize;

use super::variant;

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    url: String,
    host: Option<String>,
    port: Option<u16>,
    resource: Option<String>,
    authority: Option<String>,
    secure: Option<bool>,
    user: Option<String>,
    password: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

#[test]
fn urls() {
    let text = include_str!("../../../../spec/opening_url.toml");
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{}", error.message()));
    assert!(file.case.len() > 60, "the cases are there");
    for case in file.case {
        match Address::parse(&case.url) {
            Ok(address) => check_parts(&case, &address),
            Err(error) => {
                assert_eq!(Some(variant(&error)), case.error, "{}", case.name);
                if let Some(message) = case.message {
                    assert_eq!(error.to_string(), message, "{}", case.name);
                }
            }
        }
    }
}

fn check_parts(case: &Case, address: &Address) {
    let name = &case.name;
    assert_eq!(case.error, None, "{name}: {address}");
    let part = |expected: &Option<String>, found: &str| {
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{name}");
        }
    };
    part(&case.host, &address.dial_host());
    part(&case.resource, address.resource());
    part(&case.authority, &address.authority_for_host_header());
    assert!(address.resource().starts_with('/') && address.resource().is_ascii(), "{name}");
    assert_eq!(case.port.unwrap_or(address.port()), address.port(), "{name}");
    assert_eq!(case.secure.unwrap_or(address.is_secure()), address.is_secure(), "{name}");
    let userinfo = address.userinfo().map(|userinfo| (userinfo.user(), userinfo.password()));
    assert_eq!(userinfo, case.user.as_deref().zip(case.password.as_deref()), "{name}");
}

#[test]
fn hosts_are_told_apart() {
    let host = |url: &str| Address::parse(url).unwrap().host().clone();
    assert_eq!(host("ws://example.com"), Host::Name("example.com".to_owned()));
    assert_eq!(host("ws://10.0.0.1"), Host::Ipv4([10, 0, 0, 1].into()));
    assert_eq!(host("ws://[::1]"), Host::Ipv6(std::net::Ipv6Addr::LOCALHOST));
    // Only the four-number form is an address (RFC 3986 3.2.2); the resolver judges what else looks like one.
    assert_eq!(host("ws://10.1"), Host::Name("10.1".to_owned()));
    assert_eq!("wss://h".parse::<Address>().unwrap().scheme(), Scheme::Wss);
}

#[test]
fn secrets_are_not_shown() {
    let address = Address::parse("wss://alice:hunter2@example.com:8443/feed?token=abc").unwrap();
    assert_eq!(address.to_string(), "wss://example.com:8443/feed?…");
    assert_eq!(format!("{address:?}"), "Address(wss://example.com:8443/feed?…)");
    assert_eq!(format!("{:?}", address.userinfo()), "Some(Userinfo(…))");
    for url in ["wss://alice:hunter2@@x/", "wss://alice:hunter2@h:x/?abc", "wss://alice:hunter2@h/?abc%"] {
        let error = Address::parse(url).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!["alice", "hunter2", "abc"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}

#[cfg(feature = "idn")]
#[test]
fn international_hosts_become_punycode() {
    let host = |url: &str| Address::parse(url).map(|address| address.dial_host());
    assert_eq!(host("ws://Bücher.example/").as_deref(), Ok("xn--bcher-kva.example"));
    assert_eq!(host("ws://b%C3%BCcher.example/").as_deref(), Ok("xn--bcher-kva.example"));
    assert_eq!(host("ws://例え。テスト/").as_deref(), Ok("xn--r8jz45g.xn--zckzah"));
    // A compatibility form of an address is that address, and one of a delimiter is none.
    assert_eq!(host("ws://１２７.0.0.1/").as_deref(), Ok("127.0.0.1"));
    assert_eq!(Address::parse("ws://１２７.0.0.1/").unwrap().host(), &Host::Ipv4([127, 0, 0, 1].into()));
    assert_eq!(host("ws://good.example／evil.example/"), Err(UrlError::InvalidInternationalHost));
    assert_eq!(host("ws://good.example＠evil.example/"), Err(UrlError::InvalidInternationalHost));
}

#[cfg(not(feature = "idn"))]
#[test]
fn international_hosts_ask_for_punycode() {
    let error = Address::parse("ws://bücher.example/").unwrap_err();
    assert_eq!(error, UrlError::InternationalHost);
    assert_eq!(
        error.to_string(),
        "the host is not ASCII: write it in punycode (xn--…); a Rust program can build with the feature \"idn\""
    );
    assert_eq!(Address::parse("ws://b%C3%BCcher.example/"), Err(UrlError::InternationalHost));
}
