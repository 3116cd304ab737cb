//! yawc: `Sink` and `next_frame`, over the socket itself (its own handshake would leave hyper's boxed stream between), with
//! the buffers that its own benchmark uses: 128 KiB to read. UTF-8 is checked because it is asked to. By default it dials by
//! itself and does not check.

use futures_util::SinkExt;
use harness::tls::{TlsStream, secure};
use harness::{Client, Mode, TcpStream, connect, offered};
use tokio::io::{AsyncRead, AsyncWrite};
use yawc::{Frame, MaybeTlsStream, OpCode, Options, Role, WebSocket};

struct Yawc<S>(WebSocket<S>);

trait Open: AsyncRead + AsyncWrite + Unpin + Sized {
    async fn open(addr: &str, path: &str) -> WebSocket<Self>;
}

impl Open for TcpStream {
    async fn open(addr: &str, path: &str) -> WebSocket<Self> {
        over(connect(addr).await, addr, path).await
    }
}

impl Open for TlsStream {
    async fn open(addr: &str, path: &str) -> WebSocket<Self> {
        over(secure(connect(addr).await).await, addr, path).await
    }
}

async fn over<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, addr: &str, path: &str) -> WebSocket<S> {
    let mut options = Options::default().with_utf8().with_limits(64 << 20, 128 << 20);
    let offer = (harness::mode() == Mode::Deflate).then_some("permessage-deflate");
    if offer.is_some() {
        options = options.with_balanced_compression();
    }
    let agreed = offered(&mut stream, addr, path, offer).await;
    // Its memory is measured as it comes: large buffers are for those who receive or send much.
    if path != "/echo" {
        options = options.with_read_buffer_capacity(128 << 10).with_backpressure_boundary(128 << 10);
    }
    WebSocket::from_stream_with_extensions(stream, Role::Client, agreed.as_deref(), options)
        .expect("what was offered")
}

impl Open for MaybeTlsStream<TcpStream> {
    async fn open(addr: &str, path: &str) -> WebSocket<Self> {
        // 1 MiB is its limit by default, which a payload of that size passes.
        let url = format!("ws://{addr}{path}").parse().expect("an address");
        let options = Options::default().with_limits(64 << 20, 128 << 20);
        WebSocket::connect(url).with_options(options).await.expect("the server accepts")
    }
}

impl<S: Open> Client for Yawc<S> {
    async fn open(addr: &str, path: &str) -> Self {
        Self(S::open(addr, path).await)
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        let frame = self.0.next_frame().await.expect("no error");
        see(frame.opcode() == OpCode::Text, frame.payload())
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        self.0.feed(frame(text, payload)).await.expect("the server is there");
    }

    #[inline]
    async fn send(&mut self, text: bool, payload: &bytes::Bytes) {
        self.0.send(frame(text, payload)).await.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

#[inline]
fn frame(text: bool, payload: &bytes::Bytes) -> Frame {
    if text { Frame::text(payload.clone()) } else { Frame::binary(payload.clone()) }
}

fn main() {
    match harness::mode() {
        Mode::Default => harness::run::<Yawc<MaybeTlsStream<TcpStream>>>("yawc"),
        Mode::Tls => harness::run::<Yawc<TlsStream>>("yawc"),
        _ => harness::run::<Yawc<TcpStream>>("yawc"),
    }
}
