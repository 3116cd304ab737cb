//! web-socket: frames over tokio's buffered stream, as its own benchmark has it; by default over the socket itself. It has no
//! handshake, and does not check UTF-8.

use harness::tls::{TlsStream, secure};
use harness::{Client, Mode, TcpStream, connect, handshake};
use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use web_socket::{DataType, Event, WebSocket};

struct Socket<S>(WebSocket<S>);

trait Wrap: AsyncRead + AsyncWrite + Unpin {
    async fn wrap(stream: TcpStream) -> Self;
}

impl Wrap for TcpStream {
    async fn wrap(stream: TcpStream) -> Self {
        stream
    }
}

impl Wrap for BufStream<TcpStream> {
    async fn wrap(stream: TcpStream) -> Self {
        Self::with_capacity(128 << 10, 128 << 10, stream)
    }
}

impl Wrap for BufStream<TlsStream> {
    async fn wrap(stream: TcpStream) -> Self {
        Self::with_capacity(128 << 10, 128 << 10, secure(stream).await)
    }
}

impl<S: Wrap> Client for Socket<S> {
    async fn open(addr: &str, path: &str) -> Self {
        let mut stream = S::wrap(connect(addr).await).await;
        handshake(&mut stream, addr, path).await;
        Self(WebSocket::client(stream))
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        match self.0.recv().await.expect("no error") {
            Event::Data { ty: DataType::Complete(kind), data } => see(kind.is_text(), &data),
            other => panic!("not a message: {other:?}"),
        }
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let sent = if text {
            self.0.send(std::str::from_utf8(payload).expect("text")).await
        } else {
            self.0.send(&payload[..]).await
        };
        sent.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flash().await.expect("the server is there");
    }
}

fn main() {
    match harness::mode() {
        Mode::Default => harness::run::<Socket<TcpStream>>("web-socket"),
        Mode::Tls => harness::run::<Socket<BufStream<TlsStream>>>("web-socket"),
        _ => harness::run::<Socket<BufStream<TcpStream>>>("web-socket"),
    }
}
