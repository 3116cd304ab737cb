//! The whole way over real TCP on this machine: open, talk, and every way to fail and to end.

use std::net::SocketAddr;
use std::time::Duration;

use aiowebsocket::opening::{Accepting, HandshakeError, HeadLimits};
use aiowebsocket::protocol::{OpCode, UsageError};
use aiowebsocket::{
    CloseCode, Config, Connect, EchoServer, Error, Message, MessageRef, Outgoing, WebSocket, accept, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::stream::frame;
use crate::support::nobody::Nobody;
use crate::support::rng::Rng;

async fn echo_server() -> String {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    tokio::spawn(server.run());
    format!("ws://{address}/")
}

/// Serves one connection.
async fn serve<F, T>(
    serve: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (String, SocketAddr, JoinHandle<T>)
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        serve(stream).await
    });
    (format!("ws://{address}/"), address, served)
}

/// Reads one request head.
async fn request(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    head
}

/// A server that answers the handshake, sends these bytes, and then does what `end` says.
async fn says<F>(bytes: Vec<u8>, end: impl FnOnce(TcpStream) -> F + Send + 'static) -> WebSocket
where
    F: Future<Output = ()> + Send + 'static,
{
    let (url, ..) = serve(|mut stream| async move {
        let mut accepting = Accepting::new(HeadLimits::default());
        let head = request(&mut stream).await;
        accepting.receive(&head, crate::support::start_of_time()).expect("a good request");
        accepting.accept(None, &[]).expect("a plain answer");
        // In one write with the answer: the client's first read brings frames too.
        stream.write_all(&[accepting.output(), &bytes].concat()).await.expect("connected");
        end(stream).await;
    })
    .await;
    connect(url).await.expect("the handshake")
}

/// A server that gives this answer to whatever is asked.
async fn refusal(answer: &'static [u8]) -> Error {
    let (url, ..) = serve(move |mut stream| async move {
        request(&mut stream).await;
        stream.write_all(answer).await.expect("connected");
    })
    .await;
    connect(url).await.expect_err("refused")
}

#[tokio::test]
async fn messages_of_all_sizes_come_back() {
    let mut ws = connect(echo_server().await).await.expect("open");
    // Offered and accepted by default.
    #[cfg(feature = "deflate")]
    assert_eq!(ws.compression().map(ToString::to_string).as_deref(), Some("permessage-deflate"));
    let mut rng = Rng::new();
    for length in [0, 1, 30, 31, 125, 126, 4096, 32_768, 32_769, 65_535, 65_536, 1 << 20, (4 << 20) + 1] {
        let bytes = rng.bytes(length);
        ws.send(&bytes).await.expect("open");
        assert!(ws.recv().await.expect("open").expect("open").as_bytes() == bytes, "{length}");
        ws.send(bytes.clone()).await.expect("open");
        assert!(ws.recv_ref().await.expect("open").expect("open") == MessageRef::Binary(&bytes), "{length}");
        let text = rng.text(length);
        ws.send(&text).await.expect("open");
        assert!(ws.recv().await.expect("open").expect("open").as_text() == Some(&text), "{length}");
        ws.send(text.clone()).await.expect("open");
        assert!(ws.recv_ref().await.expect("open").expect("open") == MessageRef::Text(&text), "{length}");
        ws.send(Message::from(text.clone())).await.expect("open");
        assert!(ws.recv().await.expect("open").expect("open") == Message::from(text), "{length}");
    }
    let text = "水".repeat((16 << 20) / 3);
    ws.send(&text).await.expect("open");
    assert!(ws.recv_ref().await.expect("open").expect("open") == MessageRef::Text(&text));
    assert!(ws.ping().await.expect("open") < Duration::from_secs(10));
    ws.close(CloseCode::NORMAL, "bye").await.expect("closed in order");
}

#[tokio::test]
async fn many_messages_in_one_write_come_back_in_order() {
    let mut ws = connect(echo_server().await).await.expect("open");
    for i in 0..2_000_u32 {
        ws.feed(&i.to_be_bytes()).await.expect("open");
    }
    ws.flush().await.expect("open");
    for i in 0..2_000_u32 {
        assert_eq!(ws.recv_ref().await.expect("open").expect("open").as_bytes(), i.to_be_bytes());
    }
}

#[tokio::test]
async fn fragments_are_put_together() {
    let large = Rng::new().bytes(300_000);
    let mut bytes = frame(OpCode::Text, false, "Grü".as_bytes());
    bytes.extend(frame(OpCode::Ping, true, b"between"));
    bytes.extend(frame(OpCode::Continuation, true, "ße".as_bytes()));
    bytes.extend(frame(OpCode::Binary, false, b""));
    for chunk in large.chunks(7_001) {
        bytes.extend(frame(OpCode::Continuation, false, chunk));
    }
    bytes.extend(frame(OpCode::Continuation, true, b""));
    let mut ws = says(bytes, |stream| async move {
        std::mem::forget(stream);
    })
    .await;
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("Grüße"));
    assert!(ws.recv().await.expect("open").expect("open").as_bytes() == large);
}

#[tokio::test]
async fn the_server_chooses_a_subprotocol_or_none() {
    for (spoken, chosen) in [(&["a", "json"][..], Some("a")), (&["json"], Some("json")), (&["xml"], None)] {
        let (url, _, served) =
            serve(|stream| accept(stream).subprotocols(spoken.iter().copied()).with_request()).await;
        let (ws, response) = connect(url)
            .subprotocols(["json", "a"])
            .header("X-Question", "?")
            .with_response()
            .await
            .expect("open");
        let (server, request) = served.await.expect("no panic").expect("open");
        assert_eq!((ws.subprotocol(), server.subprotocol()), (chosen, chosen));
        assert_eq!(request.subprotocols, ["json", "a"]);
        assert_eq!(request.headers["x-question"], "?");
        assert_eq!(request.resource, "/");
        assert_eq!(response.status.as_u16(), 101);
        assert_eq!(
            response.headers.get("sec-websocket-protocol").map(|name| name.as_bytes()),
            chosen.map(str::as_bytes)
        );
    }
}

#[tokio::test]
async fn the_application_decides_and_adds_headers() {
    let (url, _, served) = serve(|stream| {
        accept(stream)
            .decide(
                |request| if request.origin().is_some() { Ok(()) } else { Err(http::StatusCode::FORBIDDEN) },
            )
            .with_request()
    })
    .await;
    let error = connect(url).await.expect_err("no Origin");
    assert_eq!(error.to_string(), "the server refused the upgrade: 403 Forbidden");
    let error = served.await.expect("no panic").expect_err("refused");
    assert_eq!(error.to_string(), "the request was refused with 403 Forbidden");

    let (url, _, served) =
        serve(|stream| accept(stream).header("Set-Cookie", "a=b").decide(|_| Ok(())).into_future()).await;
    let (_ws, response) = connect(url).header("Origin", "http://x").with_response().await.expect("open");
    assert_eq!(response.headers["set-cookie"], "a=b");
    served.await.expect("no panic").expect("open");
}

#[tokio::test]
async fn a_refusal_keeps_status_headers_and_body() {
    let error = refusal(
        b"HTTP/1.1 403 Go away\r\nX-Reason: none\r\nContent-Length: 11\r\n\r\nnot for you and this is cut",
    )
    .await;
    assert_eq!(error.to_string(), "the server refused the upgrade: 403 Forbidden");
    assert!(!error.is_retryable());
    let Error::Handshake(error) = error else { panic!("{error:?}") };
    let HandshakeError::Refused(refusal) = *error else { panic!("{error:?}") };
    assert_eq!((refusal.status.as_u16(), &refusal.body[..]), (403, &b"not for you"[..]));
    assert_eq!(refusal.headers["x-reason"], "none");
    assert!(refusal.is_complete);
}

/// A server that refuses early may close its side before the request has left: what it said is told, and not the broken pipe.
#[tokio::test]
async fn a_refusal_is_read_where_the_request_cannot_be_written() {
    let (writer, gone) = tokio::io::duplex(64);
    drop(gone);
    let stream = tokio::io::join(&b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater"[..], writer);
    let error = connect("ws://example.com/").over(stream).await.expect_err("refused");
    let Error::Handshake(error) = error else { panic!("{error:?}") };
    let HandshakeError::Refused(refusal) = *error else { panic!("{error:?}") };
    assert_eq!((refusal.status.as_u16(), &refusal.body[..]), (503, &b"later"[..]));
}

/// Its body has no length, and the server closed without having read our request: that resets the connection behind it.
#[tokio::test]
async fn a_refusal_is_one_where_the_connection_breaks_behind_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        // It is there, and nobody reads it.
        stream.peek(&mut [0]).await.expect("a request");
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\nno").await.expect("connected");
    });
    let error = connect(format!("ws://{address}/")).await.expect_err("a refusal");
    server.await.expect("no panic");
    let Error::Handshake(error) = error else { panic!("{error:?}") };
    let HandshakeError::Refused(refusal) = *error else { panic!("{error:?}") };
    assert_eq!((refusal.status.as_u16(), refusal.is_complete), (403, false));
}

#[tokio::test]
async fn a_426_names_the_versions_that_the_server_speaks() {
    let error =
        refusal(b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 7, 8\r\nContent-Length: 0\r\n\r\n")
            .await;
    assert_eq!(error.to_string(), "the server refused the upgrade: 426 Upgrade Required");
    let Error::Handshake(error) = error else { panic!("{error:?}") };
    let HandshakeError::Refused(refusal) = *error else { panic!("{error:?}") };
    assert_eq!(refusal.supported_versions(), [7, 8]);
}

#[tokio::test]
async fn answers_that_are_none_say_what_is_wrong() {
    for (answer, expected, retryable) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "the server does not speak HTTP here: its answer begins with \"SSH-2.0-OpenSSH_9.6\\r\\n\"", false),
        (b"\x15\x03\x01\x00\x02\x02\x46", "the server does not speak HTTP here: its answer begins with \"\\x15\\x03\\x01\\x00\\x02\\x02F\", which is TLS (use wss://)", false),
        (b"", "the server closed the connection without an answer to the upgrade request", true),
        (b"HTTP/1.1 101 Sw", "the server closed the connection in the middle of its response, after 15 bytes", true),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "the server's Sec-WebSocket-Accept does not answer our key: it is no WebSocket server, or the response is an old one out of a cache",
            false,
        ),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "the server refused the upgrade: 503 Service Unavailable", true),
    ] {
        let error = refusal(answer).await;
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.is_retryable(), retryable, "{expected}");
        assert!(matches!(error, Error::Handshake(_)));
    }
}

#[tokio::test]
async fn nobody_at_the_address() {
    let nobody = Nobody::new();
    let error = connect(nobody.url()).await.expect_err("nobody");
    assert_eq!(
        error.to_string(),
        format!("no connection could be made: {}: Connection refused (os error 111)", nobody.address())
    );
    assert!(matches!(error, Error::Connect(_)) && error.is_retryable());
}

/// A client that is given the port of a server that is gone, which a system does by chance, must not talk to itself.
#[tokio::test]
async fn a_socket_that_connects_to_itself_is_no_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let error = connect(format!("ws://{address}/")).local_address(address).await.expect_err("nobody");
    assert_eq!(error.to_string(), format!("no connection could be made: {address}: connection refused"));
    assert!(error.is_retryable());
}

/// Mistakes are told before anything is dialled, whatever comes after them.
/// Each option sets its own limit or time, and nothing else.
#[test]
fn options_are_the_fields_of_the_config() {
    let secs = Duration::from_secs;
    let connect = || connect("ws://example.com/");
    let same = |options: Connect, set: fn(&mut Config)| {
        let mut config = Config::default();
        set(&mut config);
        assert_eq!(format!("{options:?}"), format!("{:?}", connect().config(config)));
    };
    same(connect().max_message(5), |config| (config.max_message, config.max_frame) = (5, 5));
    same(connect().max_queue(5), |config| config.max_queue = 5);
    same(connect().max_backlog(5), |config| config.max_backlog = 5);
    same(connect().close_timeout(secs(5)), |config| config.close_timeout = Duration::from_secs(5));
    same(connect().no_keepalive(), |config| config.keepalive = None);
    same(connect().keepalive(secs(5), secs(6)), |config| {
        let keepalive = config.keepalive.as_mut().expect("the default");
        (keepalive.interval, keepalive.timeout) = (Duration::from_secs(5), Duration::from_secs(6));
    });
}

/// The whole of 127.0.0.0/8 is this machine.
#[tokio::test]
async fn a_connection_begins_where_it_is_told_to() {
    let seen_from = async |options: fn(Connect) -> Connect| {
        let (url, _, served) = serve(|stream| async move {
            let from = stream.peer_addr().expect("connected");
            (from, accept(stream).await.map(drop))
        })
        .await;
        let ws = options(connect(url)).await?;
        let (from, accepted) = served.await.expect("no panic");
        accepted.expect("open");
        assert_eq!(ws.get_ref().local_addr().expect("connected"), from);
        Ok::<_, Error>(from.ip().to_string())
    };
    assert_eq!(seen_from(|connect| connect).await.expect("open"), "127.0.0.1");
    let from = seen_from(|connect| connect.local_address(([127, 0, 0, 3], 0).into())).await;
    assert_eq!(from.expect("open"), "127.0.0.3");
    let from =
        seen_from(|connect| connect.socket_options(|socket| socket.bind(([127, 0, 0, 4], 0).into()))).await;
    assert_eq!(from.expect("open"), "127.0.0.4");

    // What the system or the user refuses is why there is no connection.
    let url = echo_server().await;
    let other = connect(&url).local_address(([0, 0, 0, 0, 0, 0, 0, 1], 0).into()).await.expect_err("IPv6");
    assert!(matches!(other, Error::Connect(_)), "{other:?}");
    let refuse = |_: &tokio::net::TcpSocket| Err(std::io::Error::other("no mark for you"));
    let refused = connect(&url).socket_options(refuse).await.expect_err("the option's own error");
    assert!(
        matches!(&refused, Error::Connect(_)) && refused.to_string().contains("no mark for you"),
        "{refused}"
    );
}

#[tokio::test]
async fn mistakes_in_the_options_are_told_before_dialling() {
    // Would be refused at once, and differently.
    let url = "ws://127.0.0.1:1/";
    let check = async |connect: Connect, expected: &str| {
        let error = connect.await.expect_err("a mistake");
        assert_eq!(error.to_string(), expected);
        assert!(!error.is_retryable());
        assert!(matches!(error, Error::Url(_) | Error::Request(_)), "{error:?}");
    };
    check(connect("http://127.0.0.1:1/"), r#""http" is not a WebSocket scheme: use ws://"#).await;
    check(connect("ws://127.0.0.1:1/#part"), r##"the address has a fragment, which WebSocket addresses cannot have: remove it, or write %23 for a "#""##).await;
    check(
        connect(url).header("X y", "z"),
        r#"the header name "X y" is not a token: use letters, digits and !#$%&'*+-.^_`|~"#,
    )
    .await;
    check(
        connect(url).header("X", "a\r\nInjected: b").header("Y", "fine"),
        r#"the value of the header X has the control character 0x0d at byte 1: remove it"#,
    )
    .await;
    check(
        connect(url).header("Sec-WebSocket-Key", "mine"),
        r#"the header Sec-WebSocket-Key cannot be set: the handshake sets it"#,
    )
    .await;
    check(
        connect(url).subprotocols(["a b"]),
        r#"the subprotocol "a b" is not a token: use letters, digits and !#$%&'*+-.^_`|~"#,
    )
    .await;
    check(connect(url).subprotocols(["a", "a"]), r#"the subprotocol "a" is offered twice: offer it once"#)
        .await;
}

#[tokio::test]
async fn a_reset_and_an_end_without_close_are_1006() {
    let hello = frame(OpCode::Text, true, b"hello");
    let mut ws = says(hello.clone(), |mut stream| async move {
        stream.shutdown().await.expect("connected");
        _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("hello"));
    for _ in 0..3 {
        let error = ws.recv().await.expect_err("1006");
        assert!(matches!(error, Error::Closed { code: CloseCode::ABNORMAL, .. }), "{error:?}");
        assert_eq!(error.to_string(), "the peer ended the connection without a Close frame (1006)");
        assert!(error.is_retryable());
    }
    assert_eq!(ws.close_code(), Some(CloseCode::ABNORMAL));
    assert!(ws.send("too late").await.is_err());
    assert!(ws.close(CloseCode::NORMAL, "").await.is_err());

    let (reset, wait) = tokio::sync::oneshot::channel::<()>();
    let mut ws = says(hello, |stream| async move {
        wait.await.expect("told when");
        stream.set_zero_linger().expect("connected");
    })
    .await;
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("hello"));
    reset.send(()).expect("waits");
    for _ in 0..3 {
        let error = ws.recv().await.expect_err("reset");
        assert_eq!(error.to_string(), "the connection broke: Connection reset by peer (os error 104)");
        assert!(matches!(error, Error::Io(_)) && error.is_retryable());
    }
    assert_eq!(ws.close_code(), Some(CloseCode::ABNORMAL));
}

#[tokio::test]
async fn close_codes_arrive_on_both_sides() {
    for (code, reason, clean) in [
        (CloseCode::NORMAL, "done", true),
        (CloseCode::GOING_AWAY, "", true),
        (CloseCode::new(4_321), "ciao 水", false),
        (CloseCode::INTERNAL_ERROR, "", false),
    ] {
        for client_first in [true, false] {
            let (url, _, served) = serve(move |stream| async move {
                let mut ws = accept(stream).await.expect("the handshake");
                if !client_first {
                    ws.close(code, reason).await.expect("closed in order");
                }
                let last = ws.recv().await.map(|message| assert!(message.is_none()));
                (last, ws.close_code(), ws.close_reason())
            })
            .await;
            let mut ws = connect(url).await.expect("open");
            if client_first {
                ws.close(code, reason).await.expect("closed in order");
            }
            let last = ws.recv().await.map(|message| assert!(message.is_none()));
            let (server_last, server_code, server_reason) = served.await.expect("no panic");
            assert_eq!((ws.close_code(), server_code), (Some(code), Some(code)));
            // The reason is only the first one's to say.
            let heard = if client_first { server_reason } else { ws.close_reason() };
            assert_eq!(heard.as_deref(), Some(reason));
            assert_eq!((last.is_ok(), server_last.is_ok()), (clean, clean), "{code:?}");
            if let (false, Err(error)) = (client_first, last) {
                let expected = match reason {
                    "" => "the connection was closed: 1011 (Internal Error)".to_owned(),
                    _ => format!("the connection was closed: 4321: {reason:?}"),
                };
                assert_eq!(error.to_string(), expected);
            }
        }
    }
}

#[tokio::test]
async fn after_close_nothing_is_sent_and_closing_again_is_no_error() {
    let mut ws = connect(echo_server().await).await.expect("open");
    let error = ws.close(CloseCode::ABNORMAL, "").await.expect_err("never sent");
    assert_eq!(
        error.to_string(),
        "the close code 1006 must not be sent; use 1000-1003, 1007-1014 or 3000-4999"
    );
    let error = ws.close(CloseCode::NORMAL, &"x".repeat(124)).await.expect_err("too long");
    assert_eq!(error.to_string(), "a close reason of 124 bytes; 123 bytes of UTF-8 are the most");
    // Nothing has changed by that.
    ws.send("still open").await.expect("open");
    assert!(ws.recv().await.expect("open").is_some());
    for _ in 0..2 {
        ws.close(CloseCode::NORMAL, "").await.expect("closed in order");
        assert!(matches!(ws.recv().await, Ok(None)));
        assert!(matches!(ws.recv_ref().await, Ok(None)));
    }
    for _ in 0..2 {
        let error = ws.send("too late").await.expect_err("closed");
        assert!(matches!(error, Error::Closed { code: CloseCode::NORMAL, .. }), "{error:?}");
        assert!(ws.feed("too late").await.is_err());
        assert!(ws.ping().await.is_err());
        ws.flush().await.expect("nothing waits");
    }

    // While the peer has not answered yet, the caller's own Close is the reason.
    let mut ws = says(Vec::new(), |stream| async move { std::mem::forget(stream) }).await;
    let closing = tokio::time::timeout(Duration::from_millis(1), ws.close(CloseCode::NORMAL, "")).await;
    assert!(closing.is_err(), "nobody answers");
    let error = ws.send("too late").await.expect_err("closing");
    assert!(matches!(error, Error::Usage(UsageError::NotOpen)), "{error:?}");
    assert_eq!(error.to_string(), "nothing can be sent after close() was called");
    assert!(matches!(ws.ping().await, Err(Error::Usage(UsageError::NotOpen))));
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_is_told_and_named() {
    for (bytes, told, expected) in [
        (&b"\x83\x00"[..], 1002_u16, "the peer used the reserved opcode 0x3 (1002)"),
        (b"\x81\x02\xc3\x28", 1007, "the peer sent a text message that is not UTF-8 (1007)"),
        (
            b"\x82\x7f\0\0\0\0\x10\0\0\0",
            1009,
            "the peer announced a frame of 268435456 bytes; the limit is 67108864 (1009)",
        ),
    ] {
        let (tell, hear) = tokio::sync::oneshot::channel();
        let mut ws = says(bytes.to_vec(), |mut stream| async move {
            let mut got = Vec::new();
            _ = stream.read_to_end(&mut got).await;
            tell.send(got).expect("waits");
        })
        .await;
        let error = ws.recv().await.expect_err("broken rule");
        assert_eq!(error.to_string(), expected);
        match &error {
            Error::TooBig(_) => assert_eq!(told, 1009),
            Error::Protocol(error) => assert_eq!(error.close_code(), CloseCode::new(told)),
            other => panic!("{other:?}"),
        }
        assert!(!error.is_retryable());
        let frames = super::stream::frames(&hear.await.expect("told"));
        assert_eq!(frames, [(0x88, told.to_be_bytes().to_vec())]);
        assert_eq!(ws.close_code(), Some(CloseCode::new(told)));
        assert_eq!(ws.recv().await.expect_err("the same again").to_string(), expected);
    }
}

/// Dialled by name, and TCP_NODELAY is set.
#[tokio::test]
async fn names_are_resolved_and_segments_not_delayed() {
    let url = echo_server().await.replace("127.0.0.1", "localhost");
    let mut ws = connect(url).await.expect("open");
    assert!(ws.get_ref().nodelay().expect("connected"));
    ws.send("by name").await.expect("open");
    assert!(ws.recv().await.expect("open").is_some());
}

/// Futures and types may move between threads: told by the compiler, and by a runtime with several.
#[test]
fn everything_is_send() {
    fn is_send<T: Send>(_: &T) {}
    fn check(mut ws: WebSocket) {
        is_send(&ws);
        is_send(&ws.recv());
        is_send(&ws.recv_ref());
        is_send(&ws.send("x"));
        is_send(&ws.feed(vec![1]));
        is_send(&ws.flush());
        is_send(&ws.ping());
        is_send(&ws.close(CloseCode::NORMAL, ""));
    }
    fn accepts(stream: TcpStream) {
        is_send(&accept(stream).with_request());
    }
    fn also<T: Send + Sync>() {}
    also::<Error>();
    also::<Message>();
    also::<MessageRef<'_>>();
    also::<Outgoing<'_>>();
    also::<WebSocket>();
    is_send(&connect("ws://x/").with_response());
    is_send(&connect("ws://x/").into_future());
    _ = (check as fn(WebSocket), accepts as fn(TcpStream));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_may_begin_on_one_thread_and_end_on_another() {
    let url = echo_server().await;
    let clients: Vec<_> = (0..20_u8)
        .map(|i| {
            let url = url.clone();
            // Polled once here, and then by whichever worker takes the task.
            let mut connecting = connect(url).into_future();
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            _ = connecting.as_mut().poll(&mut cx);
            tokio::spawn(async move {
                let mut ws = connecting.await.expect("open");
                for n in 0..50 {
                    let message = vec![i; n * 300];
                    ws.send(&message).await.expect("open");
                    tokio::task::yield_now().await;
                    assert!(ws.recv().await.expect("open").expect("open").as_bytes() == message);
                }
                ws.close(CloseCode::NORMAL, "").await.expect("closed in order");
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no panic");
    }
}
