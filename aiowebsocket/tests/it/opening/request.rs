//! The client's request: exact bytes, and what cannot be put into it.

use aiowebsocket::Deflate;
use aiowebsocket::opening::{Accepting, Address, FieldError, HeadLimits, Opening, RequestError, RequestHead};

use super::NONCE;

fn request(url: &str) -> RequestHead {
    RequestHead::new(&Address::parse(url).unwrap())
}

/// The encoded request with the key of RFC 6455 1.3.
fn encoded(request: &RequestHead) -> String {
    let (bytes, accept) = request.encode(NONCE);
    assert_eq!(accept.as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    String::from_utf8(bytes).unwrap()
}

const USER_AGENT: &str = concat!("aiowebsocket/", env!("CARGO_PKG_VERSION"));

#[test]
fn the_default_request() {
    assert_eq!(
        encoded(&request("ws://server.example.com/chat?room=1")),
        format!(
            "GET /chat?room=1 HTTP/1.1\r\n\
             Host: server.example.com\r\n\
             Connection: Upgrade\r\n\
             Upgrade: websocket\r\n\
             User-Agent: {USER_AGENT}\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\
             \r\n"
        )
    );
}

#[test]
fn the_whole_request() {
    let mut request = request("wss://al%69ce:s%3Acret@[::1]:8443");
    request.header("X-One", "1").unwrap().header("x-one", "2").unwrap().header("cookie", "a=\tb").unwrap();
    request.header("USER-agent", "mine").unwrap().header("Origin", "https://example.com").unwrap();
    request.header("host", "virtual.example").unwrap().header("origin", "null").unwrap();
    request.subprotocols(["chat", "superchat"]).unwrap();
    request.extensions(["foo; a=1", "bar"]).unwrap();
    assert_eq!(
        encoded(&request),
        "GET / HTTP/1.1\r\n\
         host: virtual.example\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         USER-agent: mine\r\n\
         Authorization: Basic YWxpY2U6czpjcmV0\r\n\
         X-One: 1\r\n\
         x-one: 2\r\n\
         cookie: a=\tb\r\n\
         origin: null\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: chat, superchat\r\n\
         Sec-WebSocket-Extensions: foo; a=1, bar\r\n\
         \r\n"
    );
}

#[test]
fn the_users_authorization_replaces_the_addresss() {
    let mut request = request("ws://alice:secret@h/");
    request.header("authorization", "Bearer t").unwrap();
    let text = encoded(&request);
    assert!(text.contains("\r\nauthorization: Bearer t\r\n") && !text.contains("Basic"), "{text}");
}

#[test]
fn a_fresh_nonce_makes_a_fresh_key() {
    let request = request("ws://h/");
    let (one, accept_one) = request.encode([0; 16]);
    let (two, accept_two) = request.encode([1; 16]);
    assert!(one != two && accept_one != accept_two);
    assert!(
        accept_one.matches(accept_one.as_str().as_bytes())
            && !accept_one.matches(accept_two.as_str().as_bytes())
    );
}

#[test]
fn optional_lines_can_be_removed() {
    let mut request = request("ws://user@h/");
    request.header("X", "1").unwrap().header("x", "2").unwrap();
    request.remove("user-agent").unwrap().remove("AUTHORIZATION").unwrap().remove("x").unwrap();
    request.remove("never-there").unwrap();
    let text = encoded(&request);
    assert!(!["User-Agent", "Authorization", "X:", "x:"].iter().any(|name| text.contains(name)), "{text}");
    for name in ["host", "Connection", "upgrade", "Sec-WebSocket-Key", "sec-websocket-version"] {
        assert_eq!(request.remove(name).unwrap_err(), RequestError::Required { name: name.to_owned() });
    }
}

#[test]
fn the_offers_as_they_are_written() {
    let default = Deflate::default();
    let offers = [
        (Some(default), "permessage-deflate; client_max_window_bits"),
        (Some(default.fixed_client_window()), "permessage-deflate"),
        (Some(default.client_max_window_bits(10)), "permessage-deflate; client_max_window_bits=10"),
        (
            Some(default.server_no_context_takeover().client_no_context_takeover().server_max_window_bits(9)),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=9; client_max_window_bits",
        ),
    ];
    for (options, offer) in offers {
        let mut request = request("ws://h/");
        request.compression(options).unwrap();
        assert!(encoded(&request).contains(&format!("\r\nSec-WebSocket-Extensions: {offer}\r\n")), "{offer}");
        request.extensions(["foo; bar"]).unwrap();
        assert!(encoded(&request).contains(&format!("\r\nSec-WebSocket-Extensions: {offer}, foo; bar\r\n")));
        request.compression(None).unwrap();
        assert!(encoded(&request).contains("\r\nSec-WebSocket-Extensions: foo; bar\r\n"));
    }
}

#[test]
fn options_outside_of_their_range() {
    let default = Deflate::default();
    for (options, message) in [
        (default.level(0), "the compression level 0 is outside of its range, 1 to 9"),
        (default.level(10), "the compression level 10 is outside of its range, 1 to 9"),
        (default.memory_level(0), "the memory level 0 is outside of its range, 1 to 9"),
        (default.memory_level(10), "the memory level 10 is outside of its range, 1 to 9"),
        (default.server_max_window_bits(7), "the server_max_window_bits 7 is outside of its range, 8 to 15"),
        (
            default.client_max_window_bits(16),
            "the client_max_window_bits 16 is outside of its range, 8 to 15",
        ),
    ] {
        let error = request("ws://h/").compression(Some(options)).unwrap_err();
        assert_eq!(error.to_string(), message);
        let error = Accepting::new(HeadLimits::default()).compression(Some(options)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn our_lines_cannot_be_set() {
    let ours = [
        ("Connection", "the handshake sets it"),
        ("upgrade", "the handshake sets it"),
        ("Sec-WebSocket-Key", "the handshake sets it"),
        ("SEC-WEBSOCKET-VERSION", "the handshake sets it"),
        ("Sec-WebSocket-Protocol", "offer subprotocols with subprotocols()"),
        ("Sec-WebSocket-Extensions", "offer extensions with compression() or extensions()"),
        ("Sec-WebSocket-Accept", "only a server sends it"),
        ("content-length", "an upgrade request has no body"),
        ("Transfer-Encoding", "an upgrade request has no body"),
    ];
    for (name, reason) in ours {
        let error = request("ws://h/").header(name, "x").unwrap_err();
        assert_eq!(error.to_string(), format!("the header {name} cannot be set: {reason}"));
    }
}

#[test]
fn nothing_can_be_injected_by_a_header() {
    let before = encoded(&request("ws://h/"));
    let mut request = request("ws://h/");
    for name in ["", "a b", "a:", "a\r\nb", "a\nb", "a\0", "é", "(a)", "a\u{7f}", " a"] {
        let error = request.header(name, "x").unwrap_err();
        assert_eq!(error, RequestError::Field(FieldError::Name { name: name.to_owned() }), "{name:?}");
    }
    for value in ["a\r\nX: y", "a\rb", "a\nb", "\n", "a\0b", "a\u{7f}", "a\u{1b}[m"] {
        let error = request.header("X", value).unwrap_err();
        assert!(matches!(error, RequestError::Field(FieldError::Value { .. })), "{value:?}");
    }
    for value in [" a", "a ", "\ta", " "] {
        let error = request.header("X", value).unwrap_err();
        assert!(matches!(error, RequestError::Field(FieldError::Blank { .. })), "{value:?}");
    }
    assert_eq!(encoded(&request), before, "what was refused left nothing behind");
    // Bytes from 0x80 up and empty values may be sent.
    request.header("X", [b'a', 0xff]).unwrap().header("Y", "").unwrap();
    let line = b"\r\nX: a\xff\r\nY: \r\n";
    assert!(request.encode(NONCE).0.windows(line.len()).any(|window| window == line));
}

#[test]
fn messages_of_refused_headers() {
    let error = |name: &str, value: &str| request("ws://h/").header(name, value).unwrap_err().to_string();
    assert_eq!(
        error("X Y", "1"),
        "the header name \"X Y\" is not a token: use letters, digits and !#$%&'*+-.^_`|~"
    );
    assert_eq!(
        error("Authorization", "Bearer secret\n"),
        "the value of the header Authorization has the control character 0x0a at byte 13: remove it"
    );
    assert_eq!(error("X", "a "), "the value of the header X begins or ends with a blank: remove it");
    let required = request("ws://h/").remove("Host").unwrap_err().to_string();
    assert_eq!(required, "the header \"Host\" cannot be removed: the handshake needs it");
}

#[test]
fn subprotocols_are_tokens_and_stand_once() {
    let error =
        |names: &[&str]| request("ws://h/").subprotocols(names.iter().copied()).unwrap_err().to_string();
    assert_eq!(error(&["a", "b", "a"]), "the subprotocol \"a\" is offered twice: offer it once");
    for bad in ["", "a b", "a,b", "a\r\nX: y", "a\0", "é", "a\"b"] {
        let expected =
            format!("the subprotocol {bad:?} is not a token: use letters, digits and !#$%&'*+-.^_`|~");
        assert_eq!(error(&[bad]), expected);
    }
    let mut request = request("ws://h/");
    request.subprotocols(["a", "A"]).unwrap().subprotocols(["c"]).unwrap();
    assert!(encoded(&request).contains("Sec-WebSocket-Protocol: c\r\n"));
    request.subprotocols(Vec::<String>::new()).unwrap();
    assert!(!encoded(&request).contains("Sec-WebSocket-Protocol"));
}

#[test]
fn extension_offers_follow_the_grammar() {
    for bad in ["", "a;", "a\r\nX: y", "a; b=\"c d\"", "a b"] {
        let error = request("ws://h/").extensions([bad]).unwrap_err().to_string();
        let expected =
            format!("the extension offer {bad:?} is malformed: write it as in \"name; parameter=value\"");
        assert_eq!(error, expected);
    }
    let mut request = request("ws://h/");
    request.extensions([" a; b "]).unwrap();
    assert!(encoded(&request).contains("Sec-WebSocket-Extensions: a; b\r\n"));
}

#[test]
fn a_request_has_limits() {
    let open = |request| Opening::new(request, NONCE, HeadLimits::default()).map(drop);
    let mut many = request("ws://h/");
    for _ in 0..124 {
        many.header("x", "y").unwrap();
    }
    assert_eq!(open(many.clone()), Ok(()));
    many.header("x", "y").unwrap();
    let error = open(many).unwrap_err();
    assert_eq!(error, RequestError::TooManyLines { lines: 129, limit: 128 });
    assert_eq!(error.to_string(), "the request has 129 header lines, and servers take no more than 128");

    let with_path = |length: usize| request(&format!("ws://h/{}", "a".repeat(length)));
    let room = 65_536 - with_path(0).encode(NONCE).0.len();
    assert_eq!(open(with_path(room)), Ok(()));
    let error = open(with_path(room + 1)).unwrap_err();
    assert_eq!(error.to_string(), "the request has 65537 bytes, and servers take no more than 65536");
}

#[test]
fn a_request_shows_no_secrets() {
    let mut request = request("ws://alice:hunter2@h/p?token=abc");
    request.header("Cookie", "session=1").unwrap();
    assert_eq!(
        format!("{request:?}"),
        "RequestHead { path: \"/p\", lines: [\"Host\", \"Connection\", \"Upgrade\", \"User-Agent\", \
         \"Authorization\", \"Cookie\"], subprotocols: [], extensions: [] }"
    );
}

#[test]
fn output_leaves_in_any_pieces() {
    let mut opening = Opening::new(request("ws://h/"), NONCE, HeadLimits::default()).unwrap();
    let whole = opening.output().to_vec();
    let mut sent = Vec::new();
    while !opening.output().is_empty() {
        let piece = opening.output().len().min(7);
        sent.extend_from_slice(&opening.output()[..piece]);
        opening.written(piece);
    }
    assert_eq!(sent, whole);
}

#[test]
fn lines_in_an_order_and_spelling_of_ones_own() {
    let mut request = request("ws://al:s@server.example.com:81/chat");
    request.header("X-Gone", "1").unwrap();
    request
        .lines([
            ("upgrade", Some(&b"WebSocket"[..])),
            ("X-One", Some(b"1")),
            ("sec-websocket-key", Some(b"bm90IG91cnMgYXQgYWxsIQ==")),
            ("X-Nothing", None),
            ("user-agent", None),
            ("Sec-WebSocket-Version", None),
            ("Connection", Some(b"keep-alive, Upgrade")),
            ("Sec-WebSocket-Protocol", Some(b"chat,superchat")),
            ("X-One", Some(b"2")),
        ])
        .unwrap();
    assert_eq!(
        encoded(&request),
        format!(
            "GET /chat HTTP/1.1\r\n\
             Host: server.example.com:81\r\n\
             upgrade: WebSocket\r\n\
             X-One: 1\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             user-agent: {USER_AGENT}\r\n\
             Sec-WebSocket-Version: 13\r\n\
             Connection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Protocol: chat,superchat\r\n\
             X-One: 2\r\n\
             Authorization: Basic YWw6cw==\r\n\
             \r\n"
        )
    );
    request.subprotocols(["other"]).unwrap();
    assert!(encoded(&request).ends_with("Sec-WebSocket-Protocol: other\r\n\r\n"));

    request.lines([]).unwrap();
    assert_eq!(
        encoded(&request),
        "GET /chat HTTP/1.1\r\n\
         Host: server.example.com:81\r\n\
         Connection: keep-alive, Upgrade\r\n\
         upgrade: WebSocket\r\n\
         Authorization: Basic YWw6cw==\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\
         \r\n"
    );
}

#[test]
fn subprotocols_among_the_lines_are_those_a_server_may_choose() {
    let mut request = request("ws://server.example.com/");
    request.lines([("Sec-WebSocket-Protocol", Some(&b"chat"[..]))]).unwrap();
    let mut opening = Opening::new(request, NONCE, HeadLimits::default()).unwrap();
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    let progress = opening.receive(answer.as_bytes(), super::start_of_time()).unwrap();
    let aiowebsocket::opening::Progress::Open(opened) = progress else { panic!("it is open") };
    assert_eq!(opened.subprotocol.as_deref(), Some("chat"));
}

#[test]
fn lines_that_cannot_be_sent() {
    let before = request("ws://server.example.com/");
    for (lines, says) in [
        (&[("Upgrade", &b"h2c"[..])][..], r#"the header "Upgrade" must say websocket"#),
        (&[("connection", b"close")], r#"the header "connection" must say Upgrade"#),
        (&[("Sec-WebSocket-Version", b"8")], r#"the header "Sec-WebSocket-Version" must say 13"#),
        (&[("Host", b"a"), ("host", b"b")], r#"the header "host" stands twice"#),
        (&[("Sec-WebSocket-Key", b"a"), ("sec-websocket-key", b"a")], r#""sec-websocket-key" stands twice"#),
        (&[("Sec-WebSocket-Protocol", b"a,,b")], r#"the subprotocol "" is not a token"#),
        (&[("Sec-WebSocket-Extensions", b"foo")], "Sec-WebSocket-Extensions cannot be set"),
        (&[("Content-Length", b"1")], "Content-Length cannot be set"),
        (&[("X", b"a\r\nEvil: 1")], "control character 0x0d at byte 1"),
        (&[("X\n", b"a")], "is not a token"),
    ] {
        let mut request = before.clone();
        let error = request.lines(lines.iter().map(|&(name, value)| (name, Some(value)))).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(encoded(&request), encoded(&before));
    }
}

#[test]
fn a_request_line() {
    let mut request = request("ws://server.example.com/");
    request.request_line("GET /feed?a=b:c HTTP/1.1").unwrap();
    assert!(encoded(&request).starts_with("GET /feed?a=b:c HTTP/1.1\r\nHost: "));
    for line in [
        "POST / HTTP/1.1",
        "GET / HTTP/1.0",
        "GET  HTTP/1.1",
        "GET feed HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\r\nX:1 HTTP/1.1",
        "GET /#x HTTP/1.1",
    ] {
        let error = request.request_line(line).map(drop).unwrap_err();
        assert_eq!(error, RequestError::RequestLine { line: line.to_owned() });
    }
    let error = request.request_line("GET /feed?token=secret HTTP/1.0").map(drop).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    assert!(encoded(&request).starts_with("GET /feed?a=b:c HTTP/1.1\r\n"));
}
