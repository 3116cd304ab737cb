//! tokio-tungstenite with what connecting takes.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async;

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
    let (mut ws, _) = connect_async(url).await.expect("it listens");
    ws.send("hello".into()).await.expect("open");
    println!("{}", ws.next().await.expect("open").expect("an echo").to_text().expect("text"));
    ws.close(None).await.expect("open");
}
