//! tokio-websockets: `Stream` and `Sink`, its own handshake. Its write threshold of 8 KiB is raised to what the others have. It
//! checks UTF-8. By default it dials by itself, into a stream that may be TLS, and keeps its threshold.

use futures_util::{SinkExt, StreamExt};
use harness::tls::{TlsStream, secure};
use harness::{Client, Mode, TcpStream, connect};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::{ClientBuilder, Config, Limits, MaybeTlsStream, Message, WebSocketStream};

struct Websockets<S>(WebSocketStream<S>);

trait Open: AsyncRead + AsyncWrite + Unpin + Sized {
    async fn open(builder: ClientBuilder<'_>, addr: &str) -> WebSocketStream<Self>;
}

impl Open for TcpStream {
    async fn open(builder: ClientBuilder<'_>, addr: &str) -> WebSocketStream<Self> {
        let stream = connect(addr).await;
        tuned(builder).connect_on(stream).await.expect("the server accepts").0
    }
}

impl Open for TlsStream {
    async fn open(builder: ClientBuilder<'_>, addr: &str) -> WebSocketStream<Self> {
        let stream = secure(connect(addr).await).await;
        tuned(builder).connect_on(stream).await.expect("the server accepts").0
    }
}

fn tuned(builder: ClientBuilder<'_>) -> ClientBuilder<'_> {
    let config = Config::default().flush_threshold(128 << 10);
    builder.config(config).limits(Limits::default().max_payload_len(Some(64 << 20)))
}

impl Open for MaybeTlsStream<TcpStream> {
    async fn open(builder: ClientBuilder<'_>, _: &str) -> WebSocketStream<Self> {
        builder.connect().await.expect("the server accepts").0
    }
}

impl<S: Open> Client for Websockets<S> {
    async fn open(addr: &str, path: &str) -> Self {
        let builder = ClientBuilder::new().uri(&format!("ws://{addr}{path}")).expect("an address");
        Self(S::open(builder, addr).await)
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        let message = self.0.next().await.expect("no end").expect("no error");
        see(message.is_text(), message.as_payload())
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
        Message::text(String::from_utf8(payload.to_vec()).expect("text"))
    } else {
        Message::binary(payload.clone())
    }
}

fn main() {
    match harness::mode() {
        Mode::Default => harness::run::<Websockets<MaybeTlsStream<TcpStream>>>("tokio-websockets"),
        Mode::Tls => harness::run::<Websockets<TlsStream>>("tokio-websockets"),
        _ => harness::run::<Websockets<TcpStream>>("tokio-websockets"),
    }
}
