//! wtx: messages lent where it received them (`Adaptive`); by default copied out (`Consistent`). Its own handshake, without the
//! draft that does away with masking. It writes each message at once, and checks UTF-8.

use harness::{Client, Mode, TcpStream, connect};
use wtx::collection::Vector;
use wtx::misc::UriRef;
use wtx::rng::Xorshift64;
use wtx::web_socket::compression::{Flate2, NegotiatedFlate2};
use wtx::web_socket::{
    DeflateConfig, Frame, OpCode, WebSocketConnector, WebSocketOwned, WebSocketPayloadOrigin,
};

/// Without compression there is nothing to be negotiated, and nothing to be asked for each frame.
enum Socket {
    Plain(WebSocketOwned<(), Xorshift64, TcpStream, true>),
    Deflate(WebSocketOwned<Option<NegotiatedFlate2>, Xorshift64, TcpStream, true>),
}

struct Wtx<const COPIED: bool> {
    socket: Socket,
    buffer: Vector<u8>,
    out: Vec<u8>,
}

/// What is done with either.
macro_rules! with {
    ($socket:expr, $ws:ident => $what:expr) => {
        match $socket {
            Socket::Plain($ws) => $what,
            Socket::Deflate($ws) => $what,
        }
    };
}

impl<const COPIED: bool> Client for Wtx<COPIED> {
    async fn open(addr: &str, path: &str) -> Self {
        let stream = connect(addr).await;
        let url = format!("ws://{addr}{path}");
        let (connector, uri) = (WebSocketConnector::default().no_masking(false), UriRef::new(url.as_str()));
        let socket = if harness::mode() == Mode::Deflate {
            let connector = connector.compression(Flate2::from(DeflateConfig::default()));
            Socket::Deflate(connector.connect(stream, &uri).await.expect("the server accepts"))
        } else {
            Socket::Plain(connector.connect(stream, &uri).await.expect("the server accepts"))
        };
        Self { socket, buffer: Vector::new(), out: Vec::new() }
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        let origin =
            if COPIED { WebSocketPayloadOrigin::Consistent } else { WebSocketPayloadOrigin::Adaptive };
        self.buffer.clear();
        with!(&mut self.socket, ws => {
            let frame = ws.read_frame(&mut self.buffer, origin).await.expect("no error");
            see(frame.op_code() == OpCode::Text, frame.payload())
        })
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let op_code = if text { OpCode::Text } else { OpCode::Binary };
        // It masks in place.
        self.out.clear();
        self.out.extend_from_slice(payload);
        let mut frame = Frame::new_fin(op_code, &mut self.out[..]);
        with!(&mut self.socket, ws => ws.write_frame(&mut frame).await.expect("the server is there"));
    }

    async fn flush(&mut self) {}
}

fn main() {
    match harness::mode() {
        Mode::Default => harness::run::<Wtx<true>>("wtx"),
        _ => harness::run::<Wtx<false>>("wtx"),
    }
}
