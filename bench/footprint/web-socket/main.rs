//! web-socket, whose user does the handshake.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use web_socket::{CloseCode, Event, WebSocket};

fn main() {
    let url = std::env::args().nth(1).expect("an address");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(talk(url));
}

async fn talk(url: String) {
    let (addr, path) =
        url.strip_prefix("ws://").and_then(|rest| rest.split_once('/')).expect("ws://ADDR/PATH");
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.expect("open"), 0);
    }
    let mut ws = WebSocket::client(stream);
    ws.send("hello").await.expect("open");
    let Event::Data { data, .. } = ws.recv().await.expect("an echo") else { panic!("no message") };
    println!("{}", std::str::from_utf8(&data).expect("text"));
    ws.close(CloseCode::Normal).await.expect("open");
}
