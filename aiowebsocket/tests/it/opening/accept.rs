//! The server's answers: exact bytes, and what an application cannot say.

use std::time::Duration;

use aiowebsocket::opening::{
    AcceptError, AcceptProgress, Accepting, Address, FieldError, HeadLimits, Opening, Progress, ReplyError,
    RequestHead,
};
use http::StatusCode;

use super::{NONCE, start_of_time};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: foo; a, bar\r\n\r\n";

/// A server's side that has its request.
fn deciding() -> Accepting {
    let mut accepting = Accepting::new(HeadLimits::default());
    let progress = accepting.receive(REQUEST, start_of_time());
    assert!(matches!(progress, Ok(AcceptProgress::Request(_))));
    accepting
}

fn output(accepting: &Accepting) -> &str {
    str::from_utf8(accepting.output()).unwrap()
}

/// What `Debug` shows ends in logs.
#[test]
fn debug_shows_no_secret_of_a_request() {
    let request = str::from_utf8(REQUEST).unwrap();
    let request = request.replace("/chat HTTP", "/chat?token=hush HTTP").replace("superchat", "bearer.hush");
    let request = request
        .replace("Host: h", "Host: h\r\nAuthorization: Bearer hush\r\nCookie: a=hush\r\nX-Api-Key: hush");
    let mut accepting = Accepting::new(HeadLimits::default());
    let Ok(AcceptProgress::Request(request)) = accepting.receive(request.as_bytes(), start_of_time()) else {
        panic!("a good request")
    };
    for shown in [format!("{request:?}"), format!("{accepting:?}")] {
        assert!(!shown.contains("hush"), "{shown}");
    }
    let shown = format!("{request:?}");
    assert!(shown.contains("\"/chat\"") && shown.contains("\"authorization\""), "{shown}");
}

#[test]
fn rfc6455_4_2_2_the_plain_101() {
    let mut accepting = deciding();
    accepting.accept(None, &[]).unwrap();
    assert_eq!(
        output(&accepting),
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         \r\n"
    );
}

#[test]
fn rfc6455_4_2_2_the_whole_101() {
    let mut accepting = deciding();
    accepting
        .accept(
            Some("superchat"),
            &[("Server", "x"), ("Sec-WebSocket-Extensions", "foo"), ("Set-Cookie", "a=b")],
        )
        .unwrap();
    assert_eq!(
        output(&accepting),
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Protocol: superchat\r\n\
         Server: x\r\n\
         Sec-WebSocket-Extensions: foo\r\n\
         Set-Cookie: a=b\r\n\
         \r\n"
    );
}

#[test]
fn rfc6455_4_2_2_only_what_was_offered_is_chosen() {
    let mut accepting = deciding();
    for name in ["Chat", "", "other", "chat\r\nX: y"] {
        let expected = ReplyError::SubprotocolNotOffered { name: name.to_owned() };
        assert_eq!(accepting.accept(Some(name), &[]), Err(expected));
    }
    let extensions = "Sec-WebSocket-Extensions";
    assert_eq!(accepting.accept(None, &[(extensions, "baz")]), Err(ReplyError::Extensions));
    assert_eq!(accepting.accept(None, &[(extensions, "foo;")]), Err(ReplyError::Extensions));
    let twice = [(extensions, "foo"), ("sec-websocket-extensions", "bar")];
    assert_eq!(accepting.accept(None, &twice), Err(ReplyError::Extensions));
    assert_eq!(accepting.output(), b"", "the request still waits");
    accepting.accept(Some("chat"), &[]).unwrap();
    assert_eq!(accepting.accept(None, &[]), Err(ReplyError::NoRequest));
}

#[test]
fn nothing_can_be_injected_into_an_answer() {
    let mut accepting = deciding();
    for header in [("X", "a\r\nY: z"), ("X", "a\0"), ("X\n", "a"), ("", "a")] {
        assert!(matches!(accepting.accept(None, &[header]), Err(ReplyError::Field(_))), "{header:?}");
        let refused = accepting.refuse(StatusCode::FORBIDDEN, &[header], b"");
        assert!(matches!(refused, Err(ReplyError::Field(_))), "{header:?}");
    }
    for name in ["upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Content-Length"]
    {
        let reserved = accepting.accept(None, &[(name, "x")]);
        assert!(matches!(reserved, Err(ReplyError::Field(FieldError::Reserved { .. }))), "{name}");
    }
    assert_eq!(accepting.output(), b"");
}

#[test]
fn a_refusal_closes_the_connection() {
    let mut accepting = deciding();
    assert_eq!(
        accepting.refuse(StatusCode::CONTINUE, &[], b""),
        Err(ReplyError::NotFinal { status: StatusCode::CONTINUE })
    );
    accepting
        .refuse(StatusCode::UNAUTHORIZED, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"who?")
        .unwrap();
    assert_eq!(
        output(&accepting),
        "HTTP/1.1 401 Unauthorized\r\n\
         Connection: close\r\n\
         WWW-Authenticate: Basic realm=\"x\"\r\n\
         Content-Length: 4\r\n\
         \r\n\
         who?"
    );
    let mut accepting = deciding();
    accepting.refuse(StatusCode::NO_CONTENT, &[], b"lost").unwrap();
    assert_eq!(output(&accepting), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
}

#[test]
fn rfc6455_4_4_the_answer_to_another_version() {
    let mut accepting = Accepting::new(HeadLimits::default());
    let request = String::from_utf8(REQUEST.to_vec()).unwrap().replace(": 13", ": 25");
    assert!(matches!(accepting.receive(request.as_bytes(), start_of_time()), Err(AcceptError::Version)));
    assert_eq!(
        output(&accepting),
        "HTTP/1.1 426 Upgrade Required\r\n\
         Connection: Upgrade, close\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Content-Length: 66\r\n\
         \r\n\
         the request does not ask for version 13 of the WebSocket protocol\n"
    );
}

#[test]
fn early_bytes_are_bounded() {
    let mut accepting = deciding();
    let now = start_of_time();
    assert!(matches!(accepting.receive(&[7; 65_536], now), Ok(AcceptProgress::More)));
    assert!(matches!(accepting.receive(&[], now), Ok(AcceptProgress::More)));
    assert!(matches!(accepting.receive(&[7], now), Err(AcceptError::TooEarly { limit: 65_536 })));
    assert!(output(&accepting).starts_with("HTTP/1.1 400 "));
    assert_eq!(accepting.take_leftover(), b"");
    // The same in one piece with the request.
    let mut accepting = Accepting::new(HeadLimits::default());
    let flood = [REQUEST, &[7; 65_537]].concat();
    assert!(matches!(accepting.receive(&flood, now), Err(AcceptError::TooEarly { .. })));
}

#[test]
fn a_request_has_ten_seconds_from_its_first_byte() {
    let mut accepting = Accepting::new(HeadLimits::default());
    let now = start_of_time();
    let after = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(accepting.next_timeout(), None);
    assert!(accepting.receive(b"", after(0)).is_ok() && accepting.next_timeout().is_none());
    assert!(accepting.receive(b"GET", after(5)).is_ok() && accepting.receive(b" /", after(9)).is_ok());
    assert_eq!(accepting.next_timeout(), Some(after(15)));
    assert!(matches!(accepting.handle_timeout(after(15)), Err(AcceptError::Timeout)));
    assert!(output(&accepting).starts_with("HTTP/1.1 408 "));
    assert_eq!(deciding().next_timeout(), None, "the application may take its time");
}

#[test]
fn an_end_is_the_end() {
    assert_eq!(deciding().receive_end().unwrap_err(), AcceptError::EndBeforeAnswer);
    let mut accepting = deciding();
    accepting.accept(None, &[]).unwrap();
    assert_eq!(accepting.receive_end().unwrap_err(), AcceptError::Finished);
}

/// Client and server, ours both: what one sends the other takes.
#[test]
fn both_sides_agree() {
    let mut request = RequestHead::new(&Address::parse("wss://user:pass@[::1]:9000/a?b=ü").unwrap());
    request.header("Origin", "https://example.com").unwrap();
    request.subprotocols(["one", "two"]).unwrap().extensions(["foo; bar=1"]).unwrap();
    let mut client = Opening::new(request, NONCE, HeadLimits::default()).unwrap();
    let mut server = Accepting::new(HeadLimits::default());
    let now = start_of_time();

    let Ok(AcceptProgress::Request(request)) = server.receive(client.output(), now) else {
        panic!("a request of ours is valid");
    };
    client.written(client.output().len());
    assert_eq!((request.resource.as_str(), request.origin()), ("/a?b=%C3%BC", Some("https://example.com")));
    assert_eq!(request.headers["authorization"], "Basic dXNlcjpwYXNz");
    server.accept(Some("two"), &[("Sec-WebSocket-Extensions", "foo")]).unwrap();

    let bytes = [server.output(), b"\x81\x00"].concat();
    let Ok(Progress::Open(opened)) = client.receive(&bytes, now) else {
        panic!("an answer of ours is valid");
    };
    assert_eq!(opened.subprotocol.as_deref(), Some("two"));
    assert_eq!(opened.extensions[0].to_string(), "foo");
    assert_eq!(opened.leftover, b"\x81\x00");
}
