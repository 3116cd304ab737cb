//! Credentials: how they are sent, where they never go, and that nothing shows them.

use aiowebsocket::opening::{Address, HandshakeError, HeadLimits, Opening, RequestHead};

use super::{NONCE, start_of_time};

fn address(url: &str) -> Address {
    Address::parse(url).unwrap()
}

fn request(url: &str) -> RequestHead {
    RequestHead::new(&address(url))
}

/// The header lines, without those of the key.
fn lines(request: &RequestHead) -> Vec<String> {
    let text = String::from_utf8(request.encode(NONCE).0).unwrap();
    let is_other = |line: &&str| !line.is_empty() && !line.starts_with("Sec-WebSocket-Key");
    text.split("\r\n").filter(is_other).map(str::to_owned).collect()
}

fn has(request: &RequestHead, line: &str) -> bool {
    lines(request).iter().any(|found| found == line)
}

/// The names of the header lines, in lower case and order.
fn names(request: &RequestHead) -> Vec<String> {
    let names = lines(request);
    names[1..].iter().map(|line| line.split(':').next().unwrap_or_default().to_ascii_lowercase()).collect()
}

#[test]
fn credentials_as_they_are_sent() {
    let mut request = request("ws://al:s@h/");
    assert!(has(&request, "Authorization: Basic YWw6cw=="));
    // RFC 6750 2.1, and RFC 7617 2: its examples.
    request.bearer("mF_9.B5f-4.1JqM").unwrap();
    assert!(has(&request, "Authorization: Bearer mF_9.B5f-4.1JqM"));
    request.basic("Aladdin", "open sesame").unwrap();
    assert!(has(&request, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    request.basic("test", "123£").unwrap();
    assert!(has(&request, "Authorization: Basic dGVzdDoxMjPCow=="));
    assert_eq!(names(&request).iter().filter(|name| *name == "authorization").count(), 1);
    // RFC 6265 5.4: one line.
    request
        .cookie("SID", "31d4d96e407aad42")
        .unwrap()
        .cookie("lang", "\"en-US\"")
        .unwrap()
        .cookie("e", "")
        .unwrap();
    assert!(has(&request, "Cookie: SID=31d4d96e407aad42; lang=\"en-US\"; e="));
    request.remove("cookie").unwrap().header("cookie", "a=b").unwrap().cookie("c", "d").unwrap();
    assert!(has(&request, "cookie: a=b; c=d"));
    request.header("Cookie", "").unwrap();
}

#[test]
fn nothing_can_be_injected_by_a_credential() {
    let mut request = request("ws://h/");
    let before = lines(&request);
    let mut refused = Vec::new();
    for token in ["", "a b", "a\r\nX: y", "a\n", "\0", "é", "a\u{7f}"] {
        refused.push(request.bearer(token).unwrap_err().to_string());
    }
    for (user, password) in
        [("hunter:2", ""), ("hunter2\n", ""), ("", "hunter2\r\nX: y"), ("a", "hunter2\u{85}")]
    {
        refused.push(request.basic(user, password).unwrap_err().to_string());
    }
    for (name, value) in [("", "hunter2"), ("hunter2=", "a"), ("a b", "c"), ("a;", "b"), ("a\r\nX: y", "b")] {
        refused.push(request.cookie(name, value).unwrap_err().to_string());
    }
    for value in ["hunter2; b=c", "hunter2\r\nX: y", "hunter2 3", "hunter2,", "\"", "a\"b", "\\", "é", "\0"]
    {
        refused.push(request.cookie("name", value).unwrap_err().to_string());
    }
    for name in ["", "hunter2,b", "hunter2\r\nX: y", "a b", "é"] {
        refused.push(request.secret_subprotocols([name]).unwrap_err().to_string());
    }
    assert!(request.secret_header("X", "hunter2\r\nY: z").is_err());
    assert!(request.secret_header("Content-Length", "1").is_err());
    assert_eq!(lines(&request), before, "what was refused left nothing behind");
    assert!(!refused.concat().contains("hunter"), "{refused:?}");
    assert_eq!(
        refused[0],
        "the bearer token cannot be sent: use visible ASCII characters, at least one, and no blanks"
    );
    assert_eq!(
        refused[7],
        "the user or password cannot be sent: use no control characters, and no colon in the user"
    );
    assert_eq!(
        refused[16],
        "the cookie's value cannot be sent: use visible ASCII characters other than \" , ; and \\, \
         percent-encode the others"
    );
}

#[test]
fn secret_subprotocols_are_offered_in_either_order_of_calls() {
    let mut one = request("ws://h/");
    one.secret_subprotocols(["token.abc", "token.abc"]).unwrap().subprotocols(["v1", "v2"]).unwrap();
    assert!(has(&one, "Sec-WebSocket-Protocol: v1, v2, token.abc"));
    let mut two = request("ws://h/");
    two.subprotocols(["v1", "token.abc", "v2"]).unwrap().secret_subprotocols(["token.abc", "t2"]).unwrap();
    assert!(has(&two, "Sec-WebSocket-Protocol: v1, token.abc, v2, t2"));
    let mut alone = request("ws://h/");
    alone.secret_subprotocols(["token.abc"]).unwrap();
    assert!(has(&alone, "Sec-WebSocket-Protocol: token.abc"));
    // In a line of one's own, too.
    alone.lines([("sec-websocket-protocol", Some(&b"a,b"[..]))]).unwrap();
    assert!(has(&alone, "sec-websocket-protocol: a,b, token.abc"));
}

/// A server may choose the secret one, and one that sends all of them back does not make an error show it.
#[test]
fn a_secret_subprotocol_may_be_chosen_and_is_not_shown() {
    let answered = |protocol: &str| {
        let mut request = request("ws://h/");
        request.subprotocols(["v1"]).unwrap().secret_subprotocols(["token.abc"]).unwrap();
        let mut opening = Opening::new(request, NONCE, HeadLimits::default()).unwrap();
        assert!(!format!("{opening:?}").contains("abc"));
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        opening.receive(head.as_bytes(), start_of_time())
    };
    assert!(answered("token.abc").is_ok());
    let error = answered("v1, token.abc").unwrap_err();
    assert!(matches!(error, HandshakeError::SubprotocolNotOffered { .. }));
    assert_eq!(error.to_string(), "the server chose the subprotocol \"v1, …\", which was not offered");
    assert!(!format!("{error:?}").contains("abc"));
}

#[test]
fn a_request_shows_no_credentials() {
    let mut request = request("wss://alice:hunter2@h/p?hunter2");
    request
        .bearer("hunter2")
        .unwrap()
        .cookie("a", "hunter2")
        .unwrap()
        .secret_header("X-Key", "hunter2")
        .unwrap();
    request
        .subprotocols(["chat", "hunter2"])
        .unwrap()
        .secret_subprotocols(["hunter2", "hunter2.more"])
        .unwrap();
    let shown = format!("{request:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
    assert!(shown.contains("subprotocols: [\"chat\", \"…\", \"…\"]"), "{shown}");
}

/// A request with every kind of secret, and with lines that are none.
fn full(from: &str) -> RequestHead {
    let mut request = request(from);
    request.header("authorization", "Digest mine").unwrap().header("cookie", "a=b").unwrap();
    request.header("Cookie", "c=d").unwrap().header("Proxy-Authorization", "Basic x").unwrap();
    request.header("X-Plain", "1").unwrap().secret_header("X-Api-Key", "2").unwrap();
    request.header("Origin", "https://o.example").unwrap().header("Host", "virtual.example").unwrap();
    request.subprotocols(["v1", "token.a"]).unwrap().secret_subprotocols(["token.a", "token.b"]).unwrap();
    request
}

#[test]
fn credentials_stay_with_their_server() {
    let from = "ws://one.example/a?b";
    for to in ["ws://one.example/c?d", "ws://ONE.example:80/c?d"] {
        let request = full(from).redirected(&address(from), &address(to));
        assert_eq!(lines(&request)[0], "GET /c?d HTTP/1.1");
        let kept = [
            "Host: virtual.example",
            "authorization: Digest mine",
            "cookie: a=b",
            "Cookie: c=d",
            "X-Plain: 1",
            "X-Api-Key: 2",
            "Origin: https://o.example",
            "Sec-WebSocket-Protocol: v1, token.a, token.b",
        ];
        for line in kept {
            assert!(has(&request, line), "{to}: {line}");
        }
        assert!(!names(&request).contains(&"proxy-authorization".to_owned()), "{to}");
    }
    // Scheme, host, port; an address is another host than its name.
    for (from, to, host) in [
        (from, "wss://one.example/c", "one.example"),
        (from, "wss://one.example:80/c", "one.example:80"),
        (from, "ws://two.example/c", "two.example"),
        (from, "ws://sub.one.example/c", "sub.one.example"),
        (from, "ws://one.example:8080/c", "one.example:8080"),
        ("ws://localhost/", "ws://127.0.0.1/", "127.0.0.1"),
        ("wss://al:s@one.example/", "wss://two.example/", "two.example"),
    ] {
        let before = full(from);
        let request = before.redirected(&address(from), &address(to));
        let expected = ["host", "connection", "upgrade", "user-agent", "x-plain", "origin"];
        assert_eq!(names(&request)[..6], expected, "{to}");
        assert_eq!(names(&request)[6..], ["sec-websocket-version", "sec-websocket-protocol"], "{to}");
        assert!(has(&request, &format!("Host: {host}")), "{to}");
        assert!(has(&request, "Sec-WebSocket-Protocol: v1"), "{to}");
        // And back again they do not come, either.
        let back = request.redirected(&address(to), &address(from));
        assert!(!lines(&back).concat().contains("mine") && !lines(&back).concat().contains("token"), "{to}");
        assert!(has(&before, "X-Api-Key: 2"), "the request itself stays as it was");
    }
}

#[test]
fn credentials_in_a_redirect_are_for_where_it_leads() {
    let from = address("ws://al:s@one.example/");
    let to = address("wss://bo:t@two.example/");
    let request = full("ws://al:s@one.example/").redirected(&from, &to);
    assert!(has(&request, "Authorization: Basic Ym86dA=="));
    assert_eq!(names(&request).iter().filter(|name| *name == "authorization").count(), 1);
    // The same user at the same server: what the user has set since stays.
    let mut request = RequestHead::new(&from);
    request.bearer("mine").unwrap();
    let same = request.redirected(&from, &address("ws://al:s@one.example/b"));
    assert!(has(&same, "Authorization: Bearer mine"));
    let other = request.redirected(&from, &address("ws://bo:t@one.example/b"));
    assert!(has(&other, "Authorization: Basic Ym86dA=="));
    // The same user at another server was not asked for by us, but by the redirect.
    let elsewhere = request.redirected(&from, &address("ws://al:s@two.example/"));
    assert!(has(&elsewhere, "Authorization: Basic YWw6cw=="));
}

/// Lines in an order of one's own keep their marks.
#[test]
fn secrets_among_ordered_lines() {
    let (from, to) = (address("ws://one.example/"), address("ws://two.example/"));
    let mut request = RequestHead::new(&from);
    request.secret_header("X-Api-Key", "2").unwrap();
    request
        .lines([
            ("sec-websocket-protocol", Some(&b"v1,token.a"[..])),
            ("x-api-key", None),
            ("COOKIE", Some(b"a=b")),
            ("host", None),
            ("AUTHORIZATION", Some(b"Digest x")),
            ("X-Plain", Some(b"1")),
        ])
        .unwrap();
    request.secret_subprotocols(["token.a"]).unwrap();
    let request = request.redirected(&from, &to);
    assert_eq!(
        names(&request),
        ["host", "x-plain", "connection", "upgrade", "sec-websocket-version", "sec-websocket-protocol"]
    );
    assert!(has(&request, "host: two.example") && has(&request, "Sec-WebSocket-Protocol: v1"));
}
