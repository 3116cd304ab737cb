//! tokio-tungstenite: `Stream` and `Sink`, its own handshake, its default buffers of 128 KiB. It checks UTF-8.

use futures_util::{SinkExt, StreamExt};
use harness::{Client, TcpStream, connect};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

struct Tungstenite(WebSocketStream<TcpStream>);

impl Client for Tungstenite {
    async fn open(addr: &str, path: &str) -> Self {
        let stream = connect(addr).await;
        Self(client_async(format!("ws://{addr}{path}"), stream).await.expect("the server accepts").0)
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        match self.0.next().await.expect("no end").expect("no error") {
            Message::Text(text) => see(true, text.as_bytes()),
            Message::Binary(bytes) => see(false, &bytes),
            other => panic!("not a message: {other:?}"),
        }
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let message = if text {
            Message::Text(Utf8Bytes::try_from(payload.clone()).expect("text"))
        } else {
            Message::Binary(payload.clone())
        };
        self.0.feed(message).await.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

fn main() {
    harness::run::<Tungstenite>("tokio-tungstenite");
}
