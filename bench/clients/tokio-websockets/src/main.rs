//! tokio-websockets: `Stream` and `Sink`, its own handshake. Its write threshold of 8 KiB is raised to what the others have. It
//! checks UTF-8.

use futures_util::{SinkExt, StreamExt};
use harness::{Client, TcpStream, connect};
use tokio_websockets::{ClientBuilder, Config, Limits, Message, WebSocketStream};

struct Websockets(WebSocketStream<TcpStream>);

impl Client for Websockets {
    async fn open(addr: &str, path: &str) -> Self {
        let stream = connect(addr).await;
        let builder = ClientBuilder::new()
            .uri(&format!("ws://{addr}{path}"))
            .expect("an address")
            .config(Config::default().flush_threshold(128 << 10))
            .limits(Limits::default().max_payload_len(Some(64 << 20)));
        Self(builder.connect_on(stream).await.expect("the server accepts").0)
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        let message = self.0.next().await.expect("no end").expect("no error");
        see(message.is_text(), message.as_payload())
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let message = if text {
            Message::text(String::from_utf8(payload.to_vec()).expect("text"))
        } else {
            Message::binary(payload.clone())
        };
        self.0.feed(message).await.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

fn main() {
    harness::run::<Websockets>("tokio-websockets");
}
