//! The small client: the library with the feature `tokio` and no other. What it does as every other, and what is said in the place of
//! what it lacks.
#![cfg(test)]

use aiowebsocket::layer::TlsFault;
use aiowebsocket::opening::HandshakeError;
use aiowebsocket::{CloseCode, EchoServer, Error, Message, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The address of a server that gives this answer to the first request, and that request.
async fn answers(answer: &'static [u8]) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a request"));
        }
        stream.write_all(answer).await.expect("connected");
        String::from_utf8(head).expect("an ASCII head")
    });
    (format!("ws://{address}/"), asked)
}

#[tokio::test]
async fn messages_come_back() {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", server.local_addr().expect("bound"));
    tokio::spawn(server.run());
    let mut ws = connect(&url).await.expect("a server");
    for message in [Message::Text("größer".into()), Message::Binary(vec![7; 100_000].into())] {
        ws.send(message.clone()).await.expect("open");
        assert_eq!(ws.recv().await.expect("open"), Some(message));
    }
    ws.close(CloseCode::NORMAL, "bye").await.expect("closed");
}

#[tokio::test]
async fn a_redirect_is_a_refusal_that_says_where_to() {
    let elsewhere =
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: ws://127.0.0.1:1/there\r\nContent-Length: 0\r\n\r\n";
    let Err(Error::Handshake(error)) = connect(answers(elsewhere).await.0).await else {
        panic!("nobody is there to follow it")
    };
    let HandshakeError::Refused(refusal) = *error else { panic!("{error}") };
    assert_eq!((refusal.status.as_u16(), refusal.location()), (307, Some("ws://127.0.0.1:1/there")));
}

#[tokio::test]
async fn an_address_that_asks_for_tls_is_told_so() {
    let url = answers(b"").await.0.replace("ws://", "wss://");
    let Err(Error::Tls(error)) = connect(url).await else { panic!("there is no TLS") };
    assert!(matches!(error.fault(), TlsFault::Unsupported), "{error}");
    assert!(error.to_string().contains("tls"), "{error} names the feature");
}

#[tokio::test]
async fn no_extension_is_offered() {
    let (url, asked) = answers(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    connect(url).await.expect_err("refused");
    let asked = asked.await.expect("a request");
    assert!(asked.contains("\r\nSec-WebSocket-Key: ") && !asked.contains("Extensions"), "{asked}");
}
