//! fastwebsockets with its handshake.

use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, handshake};
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::rt::Executor;
use tokio::net::TcpStream;

struct Spawn;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

fn main() {
    let url = std::env::args().nth(1).expect("an address");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(talk(url));
}

async fn talk(url: String) {
    let (addr, path) = url.strip_prefix("ws://").and_then(|rest| rest.split_once('/')).expect("ws://ADDR/PATH");
    let stream = TcpStream::connect(addr).await.expect("it listens");
    let request = Request::builder()
        .uri(format!("/{path}"))
        .header("Host", addr)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header("Sec-WebSocket-Key", handshake::generate_key())
        .header("Sec-WebSocket-Version", "13")
        .body(Empty::<bytes::Bytes>::new())
        .expect("a request");
    let (ws, _) = handshake::client(&Spawn, request, stream).await.expect("a WebSocket");
    let mut ws = FragmentCollector::new(ws);
    ws.write_frame(Frame::text(Payload::Borrowed(b"hello"))).await.expect("open");
    let frame = ws.read_frame().await.expect("an echo");
    assert_eq!(frame.opcode, OpCode::Text);
    println!("{}", std::str::from_utf8(&frame.payload).expect("text"));
    ws.write_frame(Frame::close(1000, b"")).await.expect("open");
}
