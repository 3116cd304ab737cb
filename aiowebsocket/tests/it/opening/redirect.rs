//! Redirects: the cases of spec/opening_redirect.toml, and chains.

use aiowebsocket::opening::{
    Address, HandshakeError, HeadLimits, Opening, RedirectFault, Redirects, Refusal, RequestHead,
};
use proptest::prelude::*;
use serde::Deserialize;

use super::{NONCE, start_of_time, variant};

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    from: Option<String>,
    status: Option<u16>,
    location: Option<Location>,
    limit: Option<u8>,
    #[serde(default)]
    followed: u8,
    to: Option<String>,
    fault: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Location {
    One(String),
    Several(Vec<String>),
}

fn address(url: &str) -> Address {
    Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// The refusal that a server's bytes come to.
fn refusal(head: &[u8]) -> Refusal {
    let request = RequestHead::new(&address("ws://a/"));
    let mut opening = Opening::new(request, NONCE, HeadLimits::default()).unwrap();
    match opening.receive(head, start_of_time()) {
        Err(HandshakeError::Refused(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

fn redirect(status: u16, locations: &[&str]) -> Refusal {
    let mut head = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n");
    for location in locations {
        head.push_str(&format!("Location: {location}\r\n"));
    }
    head.push_str("\r\n");
    let byte = |c: char| u8::try_from(u32::from(c)).expect("each character of a case is one byte");
    refusal(&head.chars().map(byte).collect::<Vec<_>>())
}

#[test]
fn redirects() {
    let text = include_str!("../../../../spec/opening_redirect.toml");
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{}", error.message()));
    assert!(file.case.len() > 70, "the cases are there");
    for case in &file.case {
        let name = &case.name;
        let from = address(case.from.as_deref().unwrap_or("ws://a/b/c/d?q"));
        let locations: Vec<&str> = match &case.location {
            None => Vec::new(),
            Some(Location::One(location)) => vec![location],
            Some(Location::Several(locations)) => locations.iter().map(String::as_str).collect(),
        };
        let mut redirects = case.limit.map_or_else(Redirects::default, Redirects::new);
        for _ in 0..case.followed {
            assert!(redirects.follow(&redirect(307, &["/"]), &from).unwrap().is_some(), "{name}");
        }
        match redirects.follow(&redirect(case.status.unwrap_or(302), &locations), &from) {
            Ok(to) => {
                assert_eq!(to, case.to.as_deref().map(address), "{name}");
                assert_eq!(case.fault, None, "{name}");
                assert_eq!(redirects.followed(), case.followed + u8::from(to.is_some()), "{name}");
            }
            Err(error) => {
                assert_eq!(Some(variant(&error.fault)), case.fault, "{name}: {error}");
                assert_eq!(case.to, None, "{name}");
                assert_eq!(error.status.as_u16(), case.status.unwrap_or(302), "{name}");
                if let Some(message) = &case.message {
                    assert_eq!(error.to_string(), *message, "{name}");
                }
                let shown = format!("{error} {error:?}");
                assert!(
                    !["al:s", "alice", "hunter2", "token"].iter().any(|secret| shown.contains(secret)),
                    "{shown}"
                );
            }
        }
    }
}

/// Two servers that send us to each other, for ever.
#[test]
fn a_loop_ends_by_the_limit() {
    let mut redirects = Redirects::new(7);
    let mut at = address("wss://one.example/");
    let mut asked = 0;
    let error = loop {
        asked += 1;
        let other = if asked % 2 == 0 { "https://one.example/" } else { "//two.example/" };
        match redirects.follow(&redirect(302, &[other]), &at) {
            Ok(to) => at = to.expect("followed"),
            Err(error) => break error,
        }
    };
    assert_eq!((asked, redirects.followed()), (8, 7));
    assert_eq!(error.fault, RedirectFault::TooMany { limit: 7 });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2048, ..ProptestConfig::default() })]

    /// Whatever a Location says: it is no panic, a reference without a scheme and without two slashes never leaves the server,
    /// and no error shows what stands in it.
    #[test]
    fn a_path_never_leaves_its_server(location in "(/|/|//|[.]/|[.][.]/|[?#@:;%a\\\\]|https?:|wss?:|[ -~]|é){0,8}secret") {
        let from = address("wss://al:s@one.example:8443/a/b?c");
        let Some(refusal) = try_redirect(&location) else { return Ok(()) };
        match Redirects::default().follow(&refusal, &from) {
            Ok(to) => {
                let to = to.expect("it is followed");
                prop_assert!(to.is_secure());
                let first = location.split(['/', '?', '#']).next().unwrap_or_default();
                if !location.starts_with("//") && !first.contains(':') {
                    prop_assert_eq!((to.host(), to.port(), to.userinfo()), (from.host(), from.port(), from.userinfo()));
                }
                prop_assert!(to.resource().starts_with('/') && to.resource().is_ascii());
                // What came out is an address, and comes out as it is.
                let same = address(&format!("wss://{}{}", to.authority_for_host_header(), to.resource()));
                prop_assert_eq!(same.resource(), to.resource());
            }
            Err(error) => prop_assert!(!format!("{error}{error:?}").contains("secret"), "{}", error),
        }
    }
}

/// A redirect with this Location, if a header line can have it: blanks around it are none of its own.
fn try_redirect(location: &str) -> Option<Refusal> {
    let head = format!("HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n");
    (location.trim() == location).then(|| refusal(head.as_bytes()))
}

#[test]
fn a_refusal_tells_its_challenges() {
    let refused = refusal(
        b"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm=\"a, b\", charset=\"UTF-8\"\r\n\
          X: y\r\nwww-authenticate: Bearer\r\nWWW-Authenticate: \xff\r\n\r\n",
    );
    assert_eq!(refused.challenges(), ["Basic realm=\"a, b\", charset=\"UTF-8\"", "Bearer"]);
    assert!(redirect(302, &["/"]).challenges().is_empty());
}

#[test]
fn a_refusal_tells_when_to_come_again() {
    use std::time::{Duration, SystemTime};
    // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 5.6.7.
    let example = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let minute_before = example - Duration::from_secs(60);
    let after = |lines: &str, now| {
        refusal(format!("HTTP/1.1 503 x\r\nContent-Length: 0\r\n{lines}\r\n").as_bytes()).retry_after(now)
    };
    let secs = |secs| Some(Duration::from_secs(secs));
    for (value, expected) in [
        ("120", secs(120)),
        ("0", secs(0)),
        ("99999999999999999999999", secs(u64::MAX)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", secs(60)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", secs(60)),
        ("Sun Nov  6 08:49:37 1994", secs(60)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1 s", None),
        ("soon", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ] {
        assert_eq!(after(&format!("Retry-After: {value}\r\n"), minute_before), expected, "{value:?}");
    }
    let date = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(after(date, example + Duration::from_secs(1)), secs(0), "it has passed");
    assert_eq!(after("", example), None);
    assert_eq!(after("Retry-After: 1\r\nRetry-After: 2\r\n", example), None);
}
