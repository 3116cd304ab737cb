//! The floor: a connection of tokio, an upgrade request and a frame by hand.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
    // Its key is zero.
    stream.write_all(b"\x81\x85\0\0\0\0hello").await.expect("open");
    let mut frame = [0; 7];
    stream.read_exact(&mut frame).await.expect("an echo");
    println!("{}", std::str::from_utf8(&frame[2..]).expect("text"));
}
