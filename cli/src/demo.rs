//! The demo: the conversation that this project began with, ten rounds of it.

use std::io::{self, Write, stdout};
use std::time::Duration;

use aiowebsocket::{CloseCode, EchoServer};

use crate::clock::{now, time_of_day};
use crate::escape::escape;
use crate::exit::{Exit, Failure, Outcome};
use crate::place::Place;
use crate::proxy::Proxies;

const ROUNDS: usize = 10;
const MESSAGE: &str = "AioWebSocket - Async WebSocket Client";

/// Talks to the server at `url`, or to an echo server of its own, and prints what was said and how long it took.
pub(crate) async fn run(url: Option<String>) -> Outcome {
    match url {
        Some(url) => converse(&url, Proxies::environment()).await,
        None => {
            let server = EchoServer::bind("127.0.0.1:0").await.map_err(|error| no_server(&error))?;
            let url = format!("ws://{}/", server.local_addr().map_err(|error| no_server(&error))?);
            let server = tokio::spawn(server.run());
            let conversation = converse(&url, Proxies::None).await;
            server.abort();
            conversation
        }
    }
}

async fn converse(url: &str, proxies: Proxies) -> Outcome {
    let place = Place::of(url, proxies)?;
    let failed = |error| place.failure(&error);
    let mut out = stdout().lock();
    let trail = place.trail();
    let connect = aiowebsocket::connect(url).observe(move |_, milestone| trail.note(milestone));
    let mut ws = place.proxies.apply(connect).await.map_err(failed)?;
    writeln!(out, "connected to {}", place.url)?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = now();
        ws.send(MESSAGE).await.map_err(failed)?;
        writeln!(out, "{} Client send: {MESSAGE}", time_of_day())?;
        let message = ws.recv().await.map_err(failed)?.ok_or_else(|| {
            let url = &place.url;
            Failure::new(
                Exit::Failed,
                format!("{url}: the server closed the connection in the middle of the conversation"),
            )
        })?;
        times.push(began.elapsed());
        match message.as_text() {
            // A server of somebody else says what it likes, and this is for people.
            Some(text) => writeln!(out, "{} Client receive: {}", time_of_day(), escape(text))?,
            None => writeln!(out, "{} Client receive: {} bytes", time_of_day(), message.as_bytes().len())?,
        }
    }
    times.sort_unstable();
    let ping = ws.ping().await.map_err(failed)?;
    ws.close(CloseCode::NORMAL, "").await.map_err(failed)?;
    let [shortest, median, longest] = [times[0], times[ROUNDS / 2], times[ROUNDS - 1]].map(micros);
    writeln!(
        out,
        "{ROUNDS} round trips: shortest {shortest}, median {median}, longest {longest}; ping {}",
        micros(ping)
    )?;
    Ok(Exit::Success)
}

fn no_server(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("no server of our own: {error}"))
}

fn micros(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}
