//! soketto without compression.

use soketto::handshake::{Client, ServerResponse};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncReadCompatExt;

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
    let stream = TcpStream::connect(addr).await.expect("it listens");
    let path = format!("/{path}");
    let mut client = Client::new(stream.compat(), addr, &path);
    assert!(matches!(client.handshake().await.expect("an answer"), ServerResponse::Accepted { .. }));
    let (mut sender, mut receiver) = client.into_builder().finish();
    sender.send_text("hello").await.expect("open");
    sender.flush().await.expect("open");
    let mut message = Vec::new();
    receiver.receive_data(&mut message).await.expect("an echo");
    println!("{}", std::str::from_utf8(&message).expect("text"));
    sender.close().await.expect("open");
}
