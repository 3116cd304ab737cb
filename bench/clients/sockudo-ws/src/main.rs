//! sockudo-ws: `Stream` and `Sink`, its own handshake without type erasure (`connect_raw`). It checks UTF-8. By default it
//! dials by itself, boxes the stream, and keeps alive.

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use harness::tls::{TlsStream, secure};
use harness::{Client, Mode, TcpStream, connect, offered};
use sockudo_ws::client::WebSocketClient;
use sockudo_ws::{
    CompressedWebSocketStream, Config, DeflateConfig, Error, Http1, Message, Result, WebSocketStream,
};

struct Sockudo<W>(W);

/// Without its keep-alive, as most others are.
fn silent() -> Config {
    Config::builder().auto_ping(false).idle_timeout(0).build()
}

trait Open: Stream<Item = Result<Message>> + Sink<Message, Error = Error> + Unpin + Sized {
    async fn open(addr: &str, path: &str) -> Self;
}

impl Open for WebSocketStream<TcpStream> {
    async fn open(addr: &str, path: &str) -> Self {
        let stream = connect(addr).await;
        let client = WebSocketClient::<Http1>::new(silent());
        client.connect_raw(stream, addr, path, None).await.expect("the server accepts").0
    }
}

impl Open for WebSocketStream<TlsStream> {
    async fn open(addr: &str, path: &str) -> Self {
        let stream = secure(connect(addr).await).await;
        let client = WebSocketClient::<Http1>::new(silent());
        client.connect_raw(stream, addr, path, None).await.expect("the server accepts").0
    }
}

impl Open for WebSocketStream<sockudo_ws::Stream<Http1>> {
    async fn open(addr: &str, path: &str) -> Self {
        let client = WebSocketClient::<Http1>::new(Config::default());
        client.connect_to_url(&format!("ws://{addr}{path}"), None).await.expect("the server accepts").0
    }
}

impl Open for CompressedWebSocketStream<TcpStream> {
    async fn open(addr: &str, path: &str) -> Self {
        let mut stream = connect(addr).await;
        let agreed = offered(&mut stream, addr, path, Some("permessage-deflate")).await;
        assert_eq!(agreed.as_deref(), Some("permessage-deflate"));
        Self::client(stream, silent(), DeflateConfig::default())
    }
}

impl<W: Open> Client for Sockudo<W> {
    async fn open(addr: &str, path: &str) -> Self {
        Self(W::open(addr, path).await)
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        match self.0.next().await.expect("no end").expect("no error") {
            Message::Text(text) => see(true, &text),
            Message::Binary(bytes) => see(false, &bytes),
            other => panic!("not a message: {other:?}"),
        }
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        self.0.feed(message(text, payload)).await.expect("the server is there");
    }

    #[inline]
    async fn send(&mut self, text: bool, payload: &bytes::Bytes) {
        self.0.send(message(text, payload)).await.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

#[inline]
fn message(text: bool, payload: &bytes::Bytes) -> Message {
    if text { Message::Text(payload.clone()) } else { Message::Binary(payload.clone()) }
}

fn main() {
    match harness::mode() {
        Mode::Best => harness::run::<Sockudo<WebSocketStream<TcpStream>>>("sockudo-ws"),
        Mode::Default => harness::run::<Sockudo<WebSocketStream<sockudo_ws::Stream<Http1>>>>("sockudo-ws"),
        Mode::Tls => harness::run::<Sockudo<WebSocketStream<TlsStream>>>("sockudo-ws"),
        Mode::Deflate => harness::run::<Sockudo<CompressedWebSocketStream<TcpStream>>>("sockudo-ws"),
    }
}
