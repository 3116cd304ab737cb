//! `connect(http::Request)`.

use aiowebsocket::{Error, connect};
use http::Request;
use tokio::io::{AsyncReadExt, duplex};

/// What is asked for; the server ends the stream then.
async fn asked(request: Request<()>) -> Result<String, Error> {
    let (ours, mut theirs) = duplex(1 << 16);
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match theirs.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        drop(theirs);
        String::from_utf8(head).expect("text")
    };
    match tokio::join!(connect(request).over(ours).into_future(), read) {
        (Err(error), head) if head.is_empty() => Err(error),
        (_, head) => Ok(head),
    }
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_without_its_handshake() {
    let request = Request::get("ws://example.com:81/feed?a=b")
        .header("Host", "other.example")
        .header("X-B", "2")
        .header("X-A", "1")
        .header("Upgrade", "h2c")
        .header("Connection", "close")
        .header("Sec-WebSocket-Key", "not a key")
        .header("Sec-WebSocket-Version", "8")
        .header("Sec-WebSocket-Extensions", "x-theirs")
        .header("Sec-WebSocket-Protocol", "json, text")
        .header("Sec-WebSocket-Protocol", "v2")
        .header("X-B", "3")
        .body(())
        .expect("a request");
    let head = asked(request).await.expect("asked");
    let lines: Vec<&str> = head.lines().filter(|line| !line.starts_with("Sec-WebSocket-Key: ")).collect();
    assert_eq!(lines[0], "GET /feed?a=b HTTP/1.1");
    let once = |name: &str| head.to_ascii_lowercase().matches(&format!("\n{name}:")).count();
    for name in ["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"] {
        assert_eq!(once(name), 1, "{name} in {head}");
    }
    assert!(lines.contains(&"host: other.example") && lines.contains(&"Sec-WebSocket-Version: 13"), "{head}");
    assert!(lines.contains(&"Sec-WebSocket-Protocol: json, text, v2"), "{head}");
    assert!(!head.contains("not a key") && !head.contains("h2c") && !head.contains("x-theirs"), "{head}");
    // What is offered is the builder's, as it is without a request.
    #[cfg(feature = "deflate")]
    assert_eq!(once("sec-websocket-extensions"), 1, "{head}");
    // The order in which a `HeaderMap` gives them: a name's values together.
    let ours: Vec<_> = lines.iter().filter(|line| line.starts_with("x-")).collect();
    assert_eq!(ours, [&"x-b: 2", &"x-b: 3", &"x-a: 1"]);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_told() {
    let relative = Request::get("/feed").body(()).expect("a request");
    assert!(matches!(asked(relative).await, Err(Error::Url(_))));
    let body = Request::get("ws://example.com").header("Content-Length", "5").body(()).expect("a request");
    assert!(matches!(asked(body).await, Err(Error::Request(_))));
}
