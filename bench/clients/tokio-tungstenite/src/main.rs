//! tokio-tungstenite: `Stream` and `Sink`, its own handshake, its default buffers of 128 KiB. It checks UTF-8. By default
//! it dials by itself, into a stream that may be TLS.

use futures_util::{SinkExt, StreamExt};
use harness::tls::{TlsStream, secure};
use harness::{Client, Mode, TcpStream, connect};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

struct Tungstenite<S>(WebSocketStream<S>);

trait Open: AsyncRead + AsyncWrite + Unpin + Sized {
    async fn open(addr: &str, path: &str) -> WebSocketStream<Self>;
}

impl Open for TcpStream {
    async fn open(addr: &str, path: &str) -> WebSocketStream<Self> {
        let stream = connect(addr).await;
        client_async(format!("ws://{addr}{path}"), stream).await.expect("the server accepts").0
    }
}

impl Open for TlsStream {
    async fn open(addr: &str, path: &str) -> WebSocketStream<Self> {
        let stream = secure(connect(addr).await).await;
        client_async(format!("ws://{addr}{path}"), stream).await.expect("the server accepts").0
    }
}

impl Open for MaybeTlsStream<TcpStream> {
    async fn open(addr: &str, path: &str) -> WebSocketStream<Self> {
        connect_async(format!("ws://{addr}{path}")).await.expect("the server accepts").0
    }
}

impl<S: Open> Client for Tungstenite<S> {
    async fn open(addr: &str, path: &str) -> Self {
        Self(S::open(addr, path).await)
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
    if text {
        Message::Text(Utf8Bytes::try_from(payload.clone()).expect("text"))
    } else {
        Message::Binary(payload.clone())
    }
}

fn main() {
    match harness::mode() {
        Mode::Default => harness::run::<Tungstenite<MaybeTlsStream<TcpStream>>>("tokio-tungstenite"),
        Mode::Tls => harness::run::<Tungstenite<TlsStream>>("tokio-tungstenite"),
        _ => harness::run::<Tungstenite<TcpStream>>("tokio-tungstenite"),
    }
}
