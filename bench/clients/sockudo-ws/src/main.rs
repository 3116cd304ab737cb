//! sockudo-ws: `Stream` and `Sink`, its own handshake without type erasure (`connect_raw`). It checks UTF-8.

use futures_util::{SinkExt, StreamExt};
use harness::{Client, TcpStream, connect};
use sockudo_ws::client::WebSocketClient;
use sockudo_ws::{Config, Http1, Message, WebSocketStream};

struct Sockudo(WebSocketStream<TcpStream>);

impl Client for Sockudo {
    async fn open(addr: &str, path: &str) -> Self {
        let stream = connect(addr).await;
        let client = WebSocketClient::<Http1>::new(Config::default());
        Self(client.connect_raw(stream, addr, path, None).await.expect("the server accepts").0)
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
        let message = if text { Message::Text(payload.clone()) } else { Message::Binary(payload.clone()) };
        self.0.feed(message).await.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

fn main() {
    harness::run::<Sockudo>("sockudo-ws");
}
