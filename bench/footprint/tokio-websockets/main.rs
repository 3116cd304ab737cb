//! tokio-websockets as a client, with its smallest choices of random numbers and SHA-1.

use futures_util::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Message};

fn main() {
    #[cfg(feature = "tls")]
    rustls::crypto::ring::default_provider().install_default().expect("the first");
    let url = std::env::args().nth(1).expect("an address");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(talk(url));
}

async fn talk(url: String) {
    let (mut ws, _) =
        ClientBuilder::new().uri(&url).expect("an address").connect().await.expect("it listens");
    ws.send(Message::text("hello")).await.expect("open");
    println!("{}", ws.next().await.expect("open").expect("an echo").as_text().expect("text"));
    ws.close().await.expect("open");
}
