//! aiowebsocket with its face for tokio alone.

use aiowebsocket::{CloseCode, connect};

fn main() {
    let url = std::env::args().nth(1).expect("an address");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(talk(url));
}

async fn talk(url: String) {
    let mut ws = connect(url.as_str()).await.expect("it listens");
    ws.send("hello").await.expect("open");
    println!("{}", ws.recv().await.expect("open").expect("an echo").as_text().expect("text"));
    ws.close(CloseCode::NORMAL, "").await.expect("open");
}
