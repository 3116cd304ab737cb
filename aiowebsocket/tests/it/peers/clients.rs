//! Our server against the clients that people use: each runs the same conversations and says what it saw, one fact a line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use aiowebsocket::{CloseCode, EchoServer, Error, accept};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::process::Process;
use super::{SIZES, TEXT_PARTS, chromium, closings, done, is_there, local, scripts, within};
use crate::support::nobody::Nobody;

/// What a client's API can do.
struct Client {
    /// It can send a message in fragments.
    fragments: bool,
    /// It can send a ping, and close with 1001.
    pings: bool,
    /// It answers a Close frame with the same code; others with 1000.
    echoes_code: bool,
}

#[tokio::test]
async fn websockets() {
    script("websockets", "clients/websockets_client.py", CLIENT).await;
}

#[tokio::test]
async fn aiohttp() {
    script("aiohttp", "clients/aiohttp_client.py", Client { fragments: false, echoes_code: false, ..CLIENT })
        .await;
}

#[tokio::test]
async fn ws() {
    script("ws", "clients/ws_client.mjs", CLIENT).await;
}

const CLIENT: Client = Client { fragments: true, pings: true, echoes_code: true };

/// A page in headless Chromium, served by us, that reports over one more WebSocket.
#[tokio::test]
async fn a_page_in_chromium() {
    if !is_there("chromium") {
        return;
    }
    let server = Server::start().await;
    let (page, site) = listen().await;
    let _pages = AbortOnDrop(tokio::spawn(serve_pages(page)));
    let [echo, plain, commands, refused] = server.addresses();
    let url =
        format!("http://{site}/page.html?echo={echo}&plain={plain}&commands={commands}&refused={refused}");
    let profile = Profile::new();
    // Ends by itself some time after us, if we cannot end it.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", "90"]).arg(chromium());
    command.env("LD_LIBRARY_PATH", local().join("chromium/lib"));
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--no-proxy-server", "--disable-dev-shm-usage"]);
    command.arg(format!("--user-data-dir={}", profile.0.display())).arg(url);
    let browser = Process::start("chromium", command);
    server.judge(browser, Facts::Reported, &Client { fragments: false, pings: false, ..CLIENT }).await;
}

async fn script(peer: &str, script: &str, client: Client) {
    if !is_there(peer) {
        return;
    }
    let server = Server::start().await;
    let addresses = server.addresses();
    let process = Process::script(script, &addresses.each_ref().map(String::as_str));
    server.judge(process, Facts::Printed, &client).await;
}

const LOOPBACK: &str = "127.0.0.1:0";

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = done("bind", TcpListener::bind(LOOPBACK)).await;
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Where a client's facts come from.
enum Facts {
    Printed,
    Reported,
}

/// Our servers: one that echoes, one that does so without compression, and one that obeys commands in the path.
struct Server {
    echo: SocketAddr,
    plain: SocketAddr,
    commands: SocketAddr,
    refused: Nobody,
    ends: UnboundedReceiver<String>,
    reported: UnboundedReceiver<String>,
    _tasks: [AbortOnDrop<()>; 3],
}

impl Server {
    async fn start() -> Self {
        let echo = done("bind", EchoServer::bind(LOOPBACK)).await;
        let plain = done("bind", EchoServer::bind(LOOPBACK)).await.no_compression();
        let (commands, commands_at) = listen().await;
        let refused = Nobody::new();
        let (end, ends) = unbounded_channel();
        let (report, reported) = unbounded_channel();
        Self {
            echo: echo.local_addr().expect("it is bound"),
            plain: plain.local_addr().expect("it is bound"),
            commands: commands_at,
            refused,
            ends,
            reported,
            _tasks: [
                AbortOnDrop(tokio::spawn(async { echo.run().await.expect("it listens") })),
                AbortOnDrop(tokio::spawn(async { plain.run().await.expect("it listens") })),
                AbortOnDrop(tokio::spawn(serve(commands, end, report))),
            ],
        }
    }

    fn addresses(&self) -> [String; 4] {
        [self.echo, self.plain, self.commands, self.refused.address()]
            .map(|address| format!("ws://{address}"))
    }

    /// Waits for the client to finish, and holds what it saw and what we saw against what was to be seen.
    async fn judge(mut self, mut process: Process, facts: Facts, client: &Client) {
        let mut seen = Vec::new();
        loop {
            let fact = match facts {
                Facts::Printed => process.line().await,
                Facts::Reported => {
                    let after = format!("the fact after {:?}", seen.last());
                    within(&after, self.reported.recv()).await.filter(|fact| fact != END)
                }
            };
            let Some(fact) = fact else { break };
            seen.push(fact);
        }
        let (mut ends, wanted_ends) = (Vec::new(), wanted_ends(client));
        while let Ok(end) = self.ends.try_recv() {
            ends.push(end);
        }
        hold(&seen, &wanted(client), &format!("our side: {ends:#?}"));
        // Our side of the last connections may be a moment behind.
        while ends.len() < wanted_ends.len() {
            let after = format!("the end of a connection after {ends:#?}");
            ends.push(within(&after, self.ends.recv()).await.expect("the server runs"));
        }
        hold(&ends, &wanted_ends, "on our side");
    }
}

/// The same facts, in any order.
fn hold(seen: &[String], wanted: &[String], more: &str) {
    let missing: Vec<_> = wanted.iter().filter(|fact| !seen.contains(fact)).collect();
    let others: Vec<_> = seen.iter().filter(|fact| !wanted.contains(fact)).collect();
    assert!(
        missing.is_empty() && others.is_empty() && seen.len() == wanted.len(),
        "missing: {missing:#?}\nseen instead: {others:#?}\n{more}",
    );
}

/// The facts that a client that can do all this is to see.
fn wanted(client: &Client) -> Vec<String> {
    let mut facts = Vec::new();
    for size in SIZES {
        for kind in ["text", "binary"] {
            facts.push(format!("{kind} {size} same"));
            facts.push(format!("plain {kind} {size} same"));
        }
    }
    facts.push("their fragments of text same".into());
    facts.push("their fragments of binary same".into());
    facts.push("pinged: pong".into());
    facts.push("subprotocol chat".into());
    facts.push("no subprotocol ".into());
    for (code, reason) in closings() {
        facts.push(format!("closed {code} {reason}"));
        if code != 1001 || client.pings {
            facts.push(format!("closing {code}"));
        }
    }
    facts.push("abrupt 1006".into());
    facts.push("refused".into());
    if client.pings {
        facts.push("ping answered".into());
    }
    if client.fragments {
        facts.push("fragments of text same".into());
        facts.push("fragments of binary same".into());
    }
    facts
}

/// What our server is to see of the connections whose end says something.
fn wanted_ends(client: &Client) -> Vec<String> {
    closings()
        .into_iter()
        .flat_map(|(code, reason)| {
            let answer = if client.echoes_code { code } else { 1000 };
            let closing =
                (code != 1001 || client.pings).then(|| format!("we saw /closing/{code} {code} {reason}"));
            [Some(format!("we saw /close {answer}")), closing]
        })
        .flatten()
        // All of them offer compression, and leave the client's window to us.
        .chain(["we agreed on permessage-deflate".to_owned()])
        .collect()
}

const END: &str = "the end of the report";

async fn serve(listener: TcpListener, ends: UnboundedSender<String>, report: UnboundedSender<String>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("it listens");
        let (ends, report) = (ends.clone(), report.clone());
        connections.spawn(async move {
            let done = obey(stream, &ends, &report).await;
            // The client's end of it tells what went wrong.
            if let Err(error) = done {
                _ = ends.send(format!("we saw an error: {error}"));
            }
        });
    }
}

/// Serves one connection by what its path says; without a command it echoes.
async fn obey(
    stream: TcpStream,
    ends: &UnboundedSender<String>,
    report: &UnboundedSender<String>,
) -> Result<(), Error> {
    let (mut ws, request) = accept(stream).subprotocols(["chat"]).with_request().await?;
    let (path, query) = request.resource.split_once('?').unwrap_or((&request.resource, ""));
    match path {
        "/close" => {
            let value = |name| {
                query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                    .expect("it is there")
            };
            let code = value("code").parse().map(CloseCode::new).expect("a number");
            ws.close(code, &unpercent(value("reason"))).await?;
            let answer = ws.close_code().expect("it is closed");
            _ = ends.send(format!("we saw {path} {}", answer.get()));
            return Ok(());
        }
        "/abrupt" => return Ok(()),
        "/fragments" => {
            for (index, part) in TEXT_PARTS.iter().enumerate() {
                ws.send_part(*part, index + 1 == TEXT_PARTS.len()).await?;
                ws.ping().await?;
            }
            // The client is ready for the next.
            assert!(ws.recv().await?.is_some_and(|word| word.as_text() == Some("more")));
            for n in 0..5 {
                ws.send_part(&[n; 300], n == 4).await?;
            }
        }
        "/ping" => {
            let agreed = ws.compression().map_or("nothing".into(), ToString::to_string);
            _ = ends.send(format!("we agreed on {agreed}"));
            ws.ping().await?;
            ws.send("pong").await?;
        }
        _ => {}
    }
    let ended = loop {
        match ws.recv().await {
            Ok(Some(message)) if path == "/report" => {
                _ = report.send(message.as_text().unwrap_or("not text").to_owned());
            }
            Ok(Some(message)) => ws.send(message).await?,
            Ok(None) => break Ok(()),
            Err(Error::Closed { .. }) if path.starts_with("/closing") => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if path == "/report" {
        _ = report.send(END.into());
    }
    if path.starts_with("/closing") {
        let code = ws.close_code().expect("it is closed").get();
        let reason = ws.close_reason().unwrap_or_default();
        _ = ends.send(format!("we saw {path} {code} {reason}"));
    }
    ended?;
    ws.close(CloseCode::NORMAL, "").await
}

/// A value in a query, as it was meant.
fn unpercent(value: &str) -> String {
    let mut parts = value.split('%');
    let mut bytes = parts.next().expect("there is a first").as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("text")
}

/// Serves the page and its module to the browser.
async fn serve_pages(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("it listens");
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0) {}
            let head = String::from_utf8_lossy(&head);
            let target = head.split(' ').nth(1).unwrap_or_default();
            let (status, kind, body) = match target.split('?').next() {
                Some(path @ "/page.html") => ("200 OK", "text/html", page(path)),
                Some(path @ "/messages.mjs") => ("200 OK", "text/javascript", page(path)),
                _ => ("404 Not Found", "text/plain", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len(),
            );
            _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        });
    }
}

fn page(path: &str) -> Vec<u8> {
    std::fs::read(scripts().join("clients").join(&path[1..])).expect("it is in the repository")
}

/// The browser's folder: empty at first, gone in the end.
struct Profile(PathBuf);

impl Profile {
    fn new() -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{}", std::process::id())))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A task that ends with the test.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
