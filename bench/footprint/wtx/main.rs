//! wtx with its handshake.

use tokio::net::TcpStream;
use wtx::collection::Vector;
use wtx::misc::UriRef;
use wtx::web_socket::{Frame, OpCode, WebSocketConnector, WebSocketPayloadOrigin};

fn main() {
    let url = std::env::args().nth(1).expect("an address");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(talk(url));
}

async fn talk(url: String) {
    let uri = UriRef::new(url.as_str());
    let stream = TcpStream::connect(uri.host()).await.expect("it listens");
    let connector = WebSocketConnector::default().no_masking(false);
    let mut ws = connector.connect(stream, &uri).await.expect("a WebSocket");
    ws.write_frame(&mut Frame::new_fin(OpCode::Text, &mut b"hello".to_vec()[..])).await.expect("open");
    let mut buffer = Vector::new();
    let frame = ws.read_frame(&mut buffer, WebSocketPayloadOrigin::Adaptive).await.expect("an echo");
    println!("{}", std::str::from_utf8(frame.payload()).expect("text"));
    ws.write_frame(&mut Frame::new_fin(OpCode::Close, &mut 1000_u16.to_be_bytes()[..])).await.expect("open");
}
