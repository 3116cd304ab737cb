//! yawc without TLS.

use futures_util::SinkExt;
use yawc::{Frame, WebSocket};

fn main() {
    let url = std::env::args().nth(1).expect("an address");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(talk(url));
}

async fn talk(url: String) {
    let mut ws = WebSocket::connect(url.parse().expect("an address")).await.expect("it listens");
    ws.send(Frame::text("hello")).await.expect("open");
    let frame = ws.next_frame().await.expect("an echo");
    println!("{}", std::str::from_utf8(frame.payload()).expect("text"));
    ws.close().await.expect("open");
}
