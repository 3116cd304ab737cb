//! The server that a command talks to: its address and the options of the upgrade request.

use std::io::{self, Write, stderr};
use std::net::IpAddr;
use std::time::Duration;

use aiowebsocket::{Connect, Error, OpenStep, TimeLimit, WebSocket};
use clap::Args;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::clock::{now, show};
use crate::escape::escape;
use crate::exit::{Failure, Place};
use crate::tap::{Heads, Tap};

/// How long opening may take as a whole: the library's default.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may be silent after a ping of the keep-alive: the library's default.
const SILENT: Duration = Duration::from_secs(20);

/// Header lines whose values are not shown: what `-v` prints is pasted into bug reports.
const SECRETS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

#[derive(Args, Debug)]
pub(crate) struct Target {
    /// The server's address, such as ws://127.0.0.1:8765/feed
    url: String,

    /// Adds a header line to the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,

    /// Offers a subprotocol, the best first; may be given several times
    #[arg(short, long = "subprotocol", value_name = "NAME")]
    subprotocols: Vec<String>,

    /// Sends this Origin header, as a page of that site would
    #[arg(short, long, value_name = "ORIGIN")]
    origin: Option<String>,

    /// Does not offer compression (permessage-deflate)
    #[arg(long)]
    no_compression: bool,

    /// Tells every step of opening and closing, with its time, on standard error
    ///
    /// The values of Authorization, Proxy-Authorization, Cookie and Set-Cookie are not shown.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

fn header(line: &str) -> Result<(String, String), String> {
    match line.split_once(':') {
        Some((name, value)) => Ok((name.to_owned(), value.trim().to_owned())),
        None => Err("write a name, a colon, and a value, as in 'Accept-Language: en'".to_owned()),
    }
}

/// Tells a step of `-v`.
pub(crate) fn tell(step: &str) {
    // Nobody is told where standard error is closed.
    _ = writeln!(stderr().lock(), "{}", escape(step));
}

impl Target {
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        Place::of(&self.url)
    }

    /// The connection to be opened. `ping` is the time between pings of the keep-alive; zero is none.
    pub(crate) fn connect(&self, ping: Duration) -> Connect {
        let mut connect = aiowebsocket::connect(&self.url).subprotocols(&self.subprotocols);
        if let Some(origin) = &self.origin {
            connect = connect.header("Origin", origin);
        }
        for (name, value) in &self.headers {
            connect = connect.header(name, value);
        }
        if self.no_compression {
            connect = connect.no_compression();
        }
        if ping.is_zero() { connect.no_keepalive() } else { connect.keepalive(ping, SILENT) }
    }
}

/// Opens the connection and tells every step of it.
pub(crate) async fn open_in_steps(
    place: &Place,
    connect: Connect,
) -> Result<WebSocket<Tap<TcpStream>>, Error> {
    let began = now();
    let stream = match timeout(OPEN_TIMEOUT, dial(place)).await {
        Ok(stream) => stream?,
        Err(_) => return Err(Error::Timeout(TimeLimit::Open(OpenStep::Connect))),
    };
    let connect = connect.open_timeout(OPEN_TIMEOUT.saturating_sub(began.elapsed()));
    let heads = Heads::default();
    let began = now();
    let opened = connect.over(Tap::new(stream, heads.clone())).await;
    let took = show(began.elapsed());
    let (request, response) = heads.take();
    tell_head('>', &request);
    tell_head('<', &response);
    let ws = opened?;
    let subprotocol =
        ws.subprotocol().map_or("no subprotocol".to_owned(), |name| format!("subprotocol {name}"));
    let compression =
        ws.compression().map_or("no compression".to_owned(), |agreed| format!("compression {agreed}"));
    tell(&format!("* open: handshake {took}, {subprotocol}, {compression}"));
    Ok(ws)
}

async fn dial(place: &Place) -> Result<TcpStream, Error> {
    let began = now();
    let found: Vec<_> = lookup_host((place.host.as_str(), place.port)).await.map_err(Error::Dns)?.collect();
    if place.host.parse::<IpAddr>().is_err() {
        let list: Vec<_> = found.iter().map(|address| address.ip().to_string()).collect();
        tell(&format!("* {} is {} ({})", place.host, list.join(", "), show(began.elapsed())));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in found {
        let began = now();
        match TcpStream::connect(address).await {
            Ok(stream) => {
                tell(&format!("* connected to {address} ({})", show(began.elapsed())));
                stream.set_nodelay(true).map_err(Error::Connect)?;
                return Ok(stream);
            }
            Err(error) => {
                tell(&format!("* no connection to {address}: {error} ({})", show(began.elapsed())));
                last = error;
            }
        }
    }
    Err(Error::Connect(last))
}

/// A head as it went over the wire, line by line.
fn tell_head(direction: char, head: &[u8]) {
    for line in String::from_utf8_lossy(head).lines() {
        match line.split_once(':') {
            Some((name, value)) if SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name)) => {
                tell(&format!("{direction} {name}: ({} bytes, not shown)", value.trim().len()));
            }
            _ => tell(&format!("{direction} {line}")),
        }
    }
}
