//! As the documentation of its handshake shows it.

use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, handshake};
use harness::{Client, connect};
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::rt::Executor;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

pub struct Collector(FragmentCollector<TokioIo<Upgraded>>);

/// What hyper's connection runs on.
struct Spawn;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

impl Client for Collector {
    async fn open(addr: &str, path: &str) -> Self {
        let stream = connect(addr).await;
        let request = Request::builder()
            .uri(path)
            .header("Host", addr)
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "upgrade")
            .header("Sec-WebSocket-Key", handshake::generate_key())
            .header("Sec-WebSocket-Version", "13")
            .body(Empty::<bytes::Bytes>::new())
            .expect("a request");
        let (socket, _) = handshake::client(&Spawn, request, stream).await.expect("the server accepts");
        Self(FragmentCollector::new(socket))
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        let frame = self.0.read_frame().await.expect("no error");
        see(frame.opcode == OpCode::Text, &frame.payload)
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let opcode = if text { OpCode::Text } else { OpCode::Binary };
        let frame = Frame::new(true, opcode, None, Payload::Borrowed(payload));
        self.0.write_frame(frame).await.expect("the server is there");
    }

    async fn flush(&mut self) {}
}
