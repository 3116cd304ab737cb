//! yawc: `Sink` and `next_frame`, over the socket itself (its own handshake would leave hyper's boxed stream between), with
//! the buffers that its own benchmark uses: 128 KiB to read. UTF-8 is checked because it is asked to.

use futures_util::SinkExt;
use harness::{Client, TcpStream, connect, handshake};
use yawc::{Frame, OpCode, Options, Role, WebSocket};

struct Yawc(WebSocket<TcpStream>);

impl Client for Yawc {
    async fn open(addr: &str, path: &str) -> Self {
        let mut stream = connect(addr).await;
        handshake(&mut stream, addr, path).await;
        let mut options = Options::default().with_utf8().with_limits(64 << 20, 128 << 20);
        // Its memory is measured as it comes: large buffers are for those who receive or send much.
        if path != "/echo" {
            options = options.with_read_buffer_capacity(128 << 10).with_backpressure_boundary(128 << 10);
        }
        Self(WebSocket::from_stream(stream, Role::Client, options).expect("options without extensions"))
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        let frame = self.0.next_frame().await.expect("no error");
        see(frame.opcode() == OpCode::Text, frame.payload())
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let frame = if text { Frame::text(payload.clone()) } else { Frame::binary(payload.clone()) };
        self.0.feed(frame).await.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

fn main() {
    harness::run::<Yawc>("yawc");
}
