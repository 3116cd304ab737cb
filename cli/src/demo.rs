//! The demo: the conversation that this project began with, ten rounds of it.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use aiowebsocket::{CloseCode, EchoServer};

use crate::Failure;

const ROUNDS: usize = 10;
const MESSAGE: &str = "AioWebSocket - Async WebSocket Client";

/// Talks to the server at `url`, or to an echo server of its own, and prints what was said and how long it took.
pub(crate) async fn run(url: Option<String>) -> Result<(), Failure> {
    match url {
        Some(url) => converse(&url).await,
        None => {
            let server = EchoServer::bind("127.0.0.1:0").await?;
            let url = format!("ws://{}/", server.local_addr()?);
            let server = tokio::spawn(server.run());
            let conversation = converse(&url).await;
            server.abort();
            conversation
        }
    }
}

async fn converse(url: &str) -> Result<(), Failure> {
    let mut out = stdout();
    let mut ws = aiowebsocket::connect(url).await?;
    writeln!(out, "connected to {url}")?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = now();
        ws.send(MESSAGE).await?;
        writeln!(out, "{} Client send: {MESSAGE}", clock())?;
        let message =
            ws.recv().await?.ok_or("the server closed the connection in the middle of the conversation")?;
        times.push(began.elapsed());
        match message.as_text() {
            Some(text) => writeln!(out, "{} Client receive: {text}", clock())?,
            None => writeln!(out, "{} Client receive: {} bytes", clock(), message.as_bytes().len())?,
        }
    }
    times.sort_unstable();
    let ping = ws.ping().await?;
    ws.close(CloseCode::NORMAL, "").await?;
    let [shortest, median, longest] = [times[0], times[ROUNDS / 2], times[ROUNDS - 1]].map(micros);
    writeln!(
        out,
        "{ROUNDS} round trips: shortest {shortest}, median {median}, longest {longest}; ping {}",
        micros(ping)
    )?;
    Ok(())
}

fn micros(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}

#[expect(clippy::disallowed_methods, reason = "the demo measures and shows time")]
fn now() -> Instant {
    Instant::now()
}

/// The time of day, in UTC, as the log line's beginning.
#[expect(clippy::disallowed_methods, reason = "the demo measures and shows time")]
fn clock() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, since.subsec_millis())
}
