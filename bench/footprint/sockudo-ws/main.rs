//! sockudo-ws without compression.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::client::WebSocketClient;
use sockudo_ws::{Config, Http1, Message};

fn main() {
    let url = std::env::args().nth(1).expect("an address");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(talk(url));
}

async fn talk(url: String) {
    let client = WebSocketClient::<Http1>::new(Config::default());
    let (mut ws, _) = client.connect_to_url(&url, None).await.expect("it listens");
    ws.send(Message::Text("hello".into())).await.expect("open");
    let Message::Text(text) = ws.next().await.expect("open").expect("an echo") else { panic!("not text") };
    println!("{}", std::str::from_utf8(&text).expect("text"));
    ws.close(1000, "").await.expect("open");
}
