//! `aiows serve`: a server that sends every message back, or to everybody else.

use std::io::{self, Write, stdout};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aiowebsocket::opening::{Address, RequestHead};
use aiowebsocket::{CloseCode, Config, Deflate, Error, WebSocket, accept};
use clap::Args;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::broadcast::{Client, Hub};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::tell;
use crate::signal::Signals;
use crate::target::Compression;
use crate::tls::{ServerTls, ServerTlsOptions};

/// Connections at the same time; more wait to be accepted. Under the limit on open files that systems begin with.
const CLIENTS: usize = 900;

/// How long a connection may take to close when the server stops, or throws a client out.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long accepting rests after it failed: most failures are a lack of files or memory.
const REST: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub(crate) struct ServeOptions {
    /// Where to listen: ADDRESS:PORT, or a port of 127.0.0.1; port 0 lets the system choose
    #[arg(default_value = "127.0.0.1:8765", value_name = "ADDR")]
    address: String,

    /// Sends each message to all other clients instead of back
    ///
    /// A client that reads so slowly that 4 MiB or 4096 messages wait for it is closed with 1013.
    #[arg(short, long)]
    broadcast: bool,

    /// Speaks a subprotocol, the best first; may be given several times
    #[arg(short, long = "subprotocol", value_name = "NAME")]
    subprotocols: Vec<String>,

    #[command(flatten)]
    compression: Compression,

    /// Tells on standard error who comes and goes
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten, next_help_heading = "TLS")]
    tls: ServerTlsOptions,
}

/// Serves until Ctrl-C or SIGTERM; that is its proper end.
pub(crate) async fn run(options: &ServeOptions) -> Outcome {
    check_subprotocols(&options.subprotocols)?;
    let listener = listen(&options.address).await?;
    let address = listener.local_addr()?;
    let tls = options.tls.server(address.ip())?;
    // Before that a signal ends it by itself: a name may take long to be looked up, and a file may be a pipe that nobody writes.
    let mut signals = Signals::new()?;
    let mut out = stdout().lock();
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    writeln!(out, "listening on {scheme}://{address}/")?;
    if let Some(ServerTls { made: Some(fingerprint), .. }) = &tls {
        writeln!(out, "with a certificate made for this run: --pin {fingerprint}")?;
    }
    out.flush()?;
    drop(out);

    let service = Arc::new(Service {
        hub: options.broadcast.then(Hub::default),
        subprotocols: options.subprotocols.clone(),
        compression: options.compression.options(),
        tls: tls.map(|tls| tls.config),
        verbose: options.verbose,
    });
    let (stop, stopping) = watch::channel(false);
    let mut clients = JoinSet::new();
    let Err(_) = signals.or(take_in(listener, &service, &stopping, &mut clients)).await;
    // The listener is gone with the future above: nobody is taken in any more.
    stop.send_replace(true);
    let all_gone = async { while clients.join_next().await.is_some() {} };
    _ = signals.or(timeout(PATIENCE + REST, all_gone)).await?;
    Ok(Exit::Success)
}

/// The request's own rules are the rules for what a server may choose.
fn check_subprotocols(names: &[String]) -> Result<(), Failure> {
    let checked = Address::parse("ws://localhost/").map(|address| {
        RequestHead::new(&address).subprotocols(names).map(drop).map_err(|error| error.to_string())
    });
    match checked {
        Ok(Err(error)) => Err(Failure::new(Exit::Usage, error)),
        _ => Ok(()),
    }
}

async fn listen(address: &str) -> Result<TcpListener, Failure> {
    let listened = match address.parse::<u16>() {
        Ok(port) => TcpListener::bind(("127.0.0.1", port)).await,
        Err(_) => TcpListener::bind(address).await,
    };
    listened.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(
            Exit::Failed,
            format!("{address} is in use by another program: choose another port, or 0 for a free one"),
        ),
        io::ErrorKind::InvalidInput => Failure::new(
            Exit::Usage,
            format!("{address:?} is no address to listen on: write it as 127.0.0.1:8765 or 8765"),
        ),
        _ => Failure::new(Exit::Failed, format!("{address} cannot be listened on: {error}")),
    })
}

/// Accepts connections for ever.
async fn take_in(
    listener: TcpListener,
    service: &Arc<Service>,
    stopping: &watch::Receiver<bool>,
    clients: &mut JoinSet<()>,
) -> std::convert::Infallible {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let place = places.clone().acquire_owned().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (service, stopping) = (service.clone(), stopping.clone());
                clients.spawn(async move {
                    let _place = place;
                    service.serve(stream, peer, stopping).await;
                });
            }
            // A client that left before it was accepted, or no file for it: the next may do better.
            Err(error) => {
                service.tell(format_args!("no connection was accepted: {error}"));
                sleep(REST).await;
            }
        }
        // Those that are over are let go of.
        while clients.try_join_next().is_some() {}
    }
}

/// What every connection shares.
struct Service {
    hub: Option<Hub>,
    subprotocols: Vec<String>,
    compression: Option<Deflate>,
    tls: Option<Arc<ServerConfig>>,
    verbose: bool,
}

impl Service {
    /// One connection from its handshake to its end.
    async fn serve(&self, stream: TcpStream, peer: SocketAddr, mut stopping: watch::Receiver<bool>) {
        _ = stream.set_nodelay(true);
        let mut config = Config::default();
        config.close_timeout = PATIENCE;
        let mut accepting = accept(stream).subprotocols(&self.subprotocols).config(config);
        accepting = match self.compression {
            Some(options) => accepting.compression(options),
            None => accepting.no_compression(),
        };
        if let Some(tls) = &self.tls {
            accepting = accepting.tls(tls.clone());
        }
        let accepted = tokio::select! {
            accepted = accepting.with_request() => accepted,
            _ = stopping.wait_for(|&stop| stop) => return,
        };
        let mut ws = match accepted {
            Ok((ws, request)) => {
                let compression = ws.compression().map_or(String::new(), |agreed| format!(", {agreed}"));
                self.tell(format_args!("{peer} opened {}{compression}", request.resource));
                ws
            }
            Err(error) => return self.tell(format_args!("{peer} was refused: {error}")),
        };
        let ended = tokio::select! {
            ended = self.converse(&mut ws) => ended,
            _ = stopping.wait_for(|&stop| stop) => Ok(Some((CloseCode::GOING_AWAY, "the server stops"))),
        };
        let ended = match ended {
            Ok(Some((code, reason))) => {
                self.tell(format_args!("{peer} is closed with {code}: {reason:?}"));
                ws.close(code, reason).await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match (ended, ws.close_code()) {
            (Ok(()), Some(code)) => self.tell(format_args!("{peer} closed: {code}")),
            (Ok(()), None) => self.tell(format_args!("{peer} closed")),
            (Err(error), _) => self.tell(format_args!("{peer} ended: {error}")),
        }
    }

    /// Until the client closes (`None`), or is to be closed with a code and reason.
    async fn converse(&self, ws: &mut WebSocket) -> Result<Option<(CloseCode, &'static str)>, Error> {
        match &self.hub {
            Some(hub) => pass_on(ws, &hub.join()).await,
            None => echo(ws).await.map(|()| None),
        }
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        if self.verbose {
            tell(&what.to_string());
        }
    }
}

/// Sends every message back.
async fn echo(ws: &mut WebSocket) -> Result<(), Error> {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// Sends what this client says to the others, and what the others say to it.
async fn pass_on(
    ws: &mut WebSocket,
    client: &Client<'_>,
) -> Result<Option<(CloseCode, &'static str)>, Error> {
    let mut outgoing = Vec::new();
    loop {
        let step = async {
            tokio::select! {
                message = ws.recv() => match message? {
                    Some(message) => client.say(message),
                    None => return Ok::<_, Error>(true),
                },
                () = client.wait() => {
                    client.take(&mut outgoing);
                    for message in outgoing.drain(..) {
                        ws.feed(&*message).await?;
                    }
                    ws.flush().await?;
                }
            }
            Ok(false)
        };
        tokio::select! {
            biased;
            () = client.too_slow() => return Ok(Some((CloseCode::TRY_AGAIN_LATER, "this client reads too slowly"))),
            is_over = step => if is_over? {
                return Ok(None);
            },
        }
    }
}
