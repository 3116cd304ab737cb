//! fastwebsockets: frames, over the socket itself (its own handshake would leave hyper's boxed stream between). It writes
//! each frame at once; to send in batches it gets tokio's `BufWriter`, as its documentation of `flush` foresees. It
//! checks the UTF-8 of whole text frames, which all are here. By default: its own handshake, over hyper, and `FragmentCollector`.

mod collector;

use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
use harness::tls::{TlsStream, secure};
use harness::{Client, Mode, TcpStream, connect, handshake};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};

struct Fast<S>(WebSocket<BufWriter<S>>);

trait Open: AsyncRead + AsyncWrite + Unpin {
    async fn open(addr: &str) -> Self;
}

impl Open for TcpStream {
    async fn open(addr: &str) -> Self {
        connect(addr).await
    }
}

impl Open for TlsStream {
    async fn open(addr: &str) -> Self {
        secure(connect(addr).await).await
    }
}

impl<S: Open> Client for Fast<S> {
    async fn open(addr: &str, path: &str) -> Self {
        let mut stream = S::open(addr).await;
        handshake(&mut stream, addr, path).await;
        // An empty buffer is allocated at once: only who sends in batches gets one that holds a batch.
        let buffer = if path.starts_with("/sink") { 128 << 10 } else { 0 };
        Self(WebSocket::after_handshake(BufWriter::with_capacity(buffer, stream), Role::Client))
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        let frame = self.0.read_frame().await.expect("no error");
        see(frame.opcode == OpCode::Text, &frame.payload)
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let opcode = if text { OpCode::Text } else { OpCode::Binary };
        // Masked in place: a borrowed payload would be copied inside before that.
        let frame = Frame::new(true, opcode, None, Payload::Owned(payload.to_vec()));
        self.0.write_frame(frame).await.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

fn main() {
    match harness::mode() {
        Mode::Default => harness::run::<collector::Collector>("fastwebsockets"),
        Mode::Tls => harness::run::<Fast<TlsStream>>("fastwebsockets"),
        _ => harness::run::<Fast<TcpStream>>("fastwebsockets"),
    }
}
