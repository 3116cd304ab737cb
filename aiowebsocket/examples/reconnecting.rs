//! A feed whose server stops in the middle and comes back: the client subscribes again and goes on.
//!
//! `cargo run -p aiowebsocket --example reconnecting`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use aiowebsocket::{Backoff, CloseCode, ReconnectEvent, accept, connect};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (listener, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let server = tokio::spawn(serve(listener, address));

    // So short only here, where there is one client: the default waits up to five seconds before it connects again.
    let policy =
        Backoff::default().first_delay(Duration::from_millis(200)).base_delay(Duration::from_millis(200));
    let mut feed = connect(format!("ws://{address}/feed")).reconnecting(policy).on_connect(|ws| {
        // Before anything else, on every connection.
        Box::pin(ws.send("subscribe"))
    });

    let mut ticks = 0;
    while let Some(event) = feed.next().await? {
        match event {
            ReconnectEvent::Connected { attempt } => println!("connected, at attempt {attempt}"),
            ReconnectEvent::Message(message) => {
                println!("{}", message.as_text().unwrap_or("(binary)"));
                ticks += 1;
                if ticks == 6 {
                    feed.close(CloseCode::NORMAL, "seen enough").await?;
                }
            }
            ReconnectEvent::Disconnected { cause, retry_in, unsent } => {
                println!("{cause}");
                println!("again in {retry_in:.1?}; {} messages were not sent", unsent.len());
            }
            _ => {}
        }
    }
    server.await??;
    Ok(())
}

async fn listen(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Three ticks to who subscribes, then an end without a word, some time without a server, and the same again.
async fn serve(mut listener: TcpListener, address: SocketAddr) -> Result<(), aiowebsocket::Error> {
    for run in ["first", "second"] {
        let (stream, _) = listener.accept().await.map_err(aiowebsocket::Error::Io)?;
        // Nobody is there to answer the next attempts.
        drop(listener);
        let mut ws = accept(stream).await?;
        if let Some(request) = ws.recv().await? {
            for tick in 1..=3 {
                ws.send(format!("{}: tick {tick} of the {run} run", request.as_text().unwrap_or_default()))
                    .await?;
            }
        }
        if run == "second" {
            while ws.recv().await?.is_some() {}
        }
        drop(ws);
        tokio::time::sleep(Duration::from_millis(300)).await;
        listener = listen(address).await.map_err(aiowebsocket::Error::Io)?.0;
    }
    Ok(())
}
