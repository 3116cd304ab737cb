//! A client that connects again, and a server process that is killed and started again 50 times at random points.
//!
//! Each message has its number and is sent once. The server writes each number into a file before it acknowledges it, so
//! that what it had received survives its death; what the client was told is compared with that file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aiowebsocket::protocol::parts::pooled_bytes;
use aiowebsocket::{
    Backoff, CloseCode, Error, Message, ReconnectEvent, Reconnecting, WebSocket, accept, connect,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::alloc;
use crate::support::rng::Rng;

/// How often the server is killed.
const KILLS: u32 = 50;

/// Numbers that wait for their acknowledgement at the same time, at most.
const IN_FLIGHT: usize = 1_000;

/// More numbers than a run comes to: memory for them is there from the beginning, so that what grows is a leak.
const MOST: usize = 1 << 20;

/// By how many bytes the client may have grown between the fifth kill and the last.
const GROWTH: isize = 1 << 10;

const LOG: &str = "AIOWEBSOCKET_SOAK_LOG";
const ADDRESS: &str = "AIOWEBSOCKET_SOAK_ADDRESS";

/// What the test below starts as a process of its own: this binary, with this test and its environment.
#[test]
#[ignore = "the server of the test beside it, nothing by itself"]
fn server_process() {
    let (Ok(log), Ok(address)) = (std::env::var(LOG), std::env::var(ADDRESS)) else { return };
    // It ends with the one who started it, however that ends.
    std::thread::spawn(|| {
        _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let log = OpenOptions::new().append(true).create(true).open(log).expect("a file");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(log, address.parse().expect("an address")));
}

/// A socket that holds the port; between two servers nobody listens there, and nobody else gets it.
fn reserve(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.set_reuseport(true).expect("an option");
    socket.bind(address).expect("the port is ours");
    socket
}

async fn serve(mut log: File, address: SocketAddr) {
    let listener = reserve(address).listen(16).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut ws: WebSocket<TcpStream> = accept(stream).await.expect("a good request");
        // What is not the hook's greeting comes too early.
        let greeting = ws.recv().await.ok().flatten();
        assert_eq!(greeting.expect("open").as_text(), Some("hello"), "the hook comes first");
        ws.send("welcome").await.expect("open");
        while let Ok(Some(message)) = ws.recv().await {
            let number = number_of(&message);
            log.write_all(&number.to_le_bytes()).expect("room");
            // So that the client's queue fills now and then, behind full buffers of the kernel.
            if number.is_multiple_of(64) {
                sleep(Duration::from_millis(10)).await;
            }
            if ws.send(number.to_string()).await.is_err() {
                break;
            }
        }
    }
}

/// A number, and bytes that depend on it, so that a message which lost or doubled some is seen.
fn message(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + length, number.to_le_bytes()[0]);
    bytes
}

fn number_of(message: &Message) -> u64 {
    let (number, rest) = message.as_bytes().split_first_chunk().expect("a number first");
    assert!(rest.iter().all(|byte| *byte == number[0]), "the bytes of one message");
    u64::from_le_bytes(*number)
}

/// The server's process. Dropped, it is killed.
struct Server(Child);

impl Server {
    fn start(log: &Path, address: SocketAddr) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--ignored", "--exact", "soak::reconnecting::server_process", "--nocapture"]);
        command.env(LOG, log).env(ADDRESS, address.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().expect("a process"))
    }

    fn kill(mut self) {
        let ended = self.0.try_wait().expect("our own process");
        assert!(ended.is_none(), "the server ended by itself: {ended:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL: it has no time to say or to finish anything.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Bytes that the client holds, without the buffers that its thread keeps for whoever reads and writes next: more of them than before, or fewer,
/// are no leak.
fn client_holds() -> isize {
    alloc::held() - pooled_bytes().cast_signed()
}

/// What the client knows of its numbers.
struct Known {
    next: u64,
    acknowledged: Vec<u64>,
    unsent: Vec<u64>,
    /// Sent on the connection that is there, and not acknowledged yet.
    in_flight: usize,
    connections: u32,
    /// Numbers of connections that ended before they were acknowledged: received or not.
    unknown: usize,
}

#[test]
#[ignore = "half a minute: make soak"]
fn a_server_that_is_killed_50_times() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut rng = Rng::new();
    let log = std::env::temp_dir().join(format!("aiowebsocket-soak-{}", std::process::id()));
    let remove = Remove(log.clone());
    let known = runtime.block_on(run(&log, &mut rng));
    compare(&known, &std::fs::read(&log).expect("the server's file"));
    drop(remove);
}

async fn run(log: &Path, rng: &mut Rng) -> Known {
    let held = reserve(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = held.local_addr().expect("bound");
    let policy = Backoff::default()
        .first_delay(Duration::from_millis(20))
        .base_delay(Duration::from_millis(10))
        .max_delay(Duration::from_millis(50));
    let mut feed = connect(format!("ws://{address}/")).reconnecting(policy).on_connect(|ws| {
        Box::pin(async {
            ws.send("hello").await?;
            match ws.recv().await? {
                Some(message) if message.as_text() == Some("welcome") => Ok(()),
                _ => Err(Error::passing("not welcome")),
            }
        })
    });
    let mut known = Known {
        next: 0,
        acknowledged: Vec::with_capacity(MOST),
        unsent: Vec::with_capacity(MOST),
        in_flight: 0,
        connections: 0,
        unknown: 0,
    };
    let mut grown = 0;
    for kill in 0..KILLS {
        let server = Server::start(log, address);
        // Before it listens, in the middle of a handshake, of a message, of a write.
        let life = Duration::from_micros(rng.below(300_000) as u64);
        _ = timeout(life, converse(&mut feed, &mut known, rng)).await;
        server.kill();
        if kill == 4 || kill == KILLS - 1 {
            // The same moment of both: nothing is queued, and the client waits.
            while feed.websocket().is_some() {
                heard(feed.next().await.expect("no error is final").expect("it is not closed"), &mut known);
            }
            grown = client_holds() - grown;
        }
        // Sometimes it is back at once.
        let death = Duration::from_micros(rng.below(60_000) as u64);
        _ = timeout(death, converse(&mut feed, &mut known, rng)).await;
    }
    assert!(grown < GROWTH, "the client holds {grown} bytes more than after five kills");
    // A last one that is not killed: all that is sent arrives.
    let server = Server::start(log, address);
    let last = known.acknowledged.len() + 1_000;
    while known.acknowledged.len() < last || known.in_flight > 0 {
        if feed.websocket().is_some() && known.in_flight == 0 {
            send_some(&mut feed, &mut known, rng).await;
        }
        let event = timeout(Duration::from_secs(10), feed.next()).await.expect("an answer");
        heard(event.expect("no error is final").expect("it is not closed"), &mut known);
    }
    feed.close(CloseCode::NORMAL, "").await.expect("closed in order");
    assert!(feed.take_unsent().is_empty(), "all was sent");
    server.kill();
    report(&known, grown);
    known
}

#[expect(clippy::print_stdout, reason = "what a run came to")]
fn report(known: &Known, grown: isize) {
    println!(
        "{} connections, {} messages: {} acknowledged, {} told as unsent, {} unknown; {grown} bytes more in the end",
        known.connections,
        known.next,
        known.acknowledged.len(),
        known.unsent.len(),
        known.unknown,
    );
}

/// Sends and receives until it is dropped, which may be at any await.
async fn converse(feed: &mut Reconnecting, known: &mut Known, rng: &mut Rng) {
    loop {
        let may_send = feed.websocket().is_some() && known.in_flight < IN_FLIGHT;
        tokio::select! {
            event = feed.next() => heard(event.expect("no error is final").expect("it is not closed"), known),
            () = tokio::task::yield_now(), if may_send => send_some(feed, known, rng).await,
        }
    }
}

/// A few messages, queued or sent.
async fn send_some(feed: &mut Reconnecting, known: &mut Known, rng: &mut Rng) {
    for _ in 0..1 + rng.below(8) {
        let message = message(known.next, rng.length(200_000));
        known.next += 1;
        // Once it is polled it is taken, and dropping it is one more of the things that may happen.
        known.in_flight += 1;
        let sent = if rng.one_in(3) { feed.send(message).await } else { feed.feed(message).await };
        if sent.is_err() {
            // The end of the connection is told by `next`, and may have come before this number was taken.
            return;
        }
    }
}

fn heard(event: ReconnectEvent, known: &mut Known) {
    match event {
        ReconnectEvent::Connected { .. } => {
            known.connections += 1;
            assert_eq!(known.in_flight, 0, "nothing is sent before the connection is told");
        }
        ReconnectEvent::Message(message) => {
            let number = message.as_text().and_then(|text| text.parse().ok()).expect("a number");
            assert!(
                known.acknowledged.last().is_none_or(|last| *last < number),
                "{number} comes in order, once"
            );
            known.acknowledged.push(number);
            known.in_flight -= 1;
        }
        ReconnectEvent::Disconnected { unsent, .. } => {
            known.unsent.extend(unsent.iter().map(number_of));
            known.unknown += known.in_flight - unsent.len();
            known.in_flight = 0;
        }
        _ => panic!("another event"),
    }
}

/// What the client was told against what the server received.
fn compare(known: &Known, log: &[u8]) {
    let (numbers, torn) = log.as_chunks::<8>();
    assert!(torn.is_empty(), "a number is written whole");
    let received: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
    assert!(received.windows(2).all(|pair| pair[0] < pair[1]), "each is received at most once, and in order");
    for number in &known.acknowledged {
        assert!(received.binary_search(number).is_ok(), "{number} was acknowledged and never received");
    }
    for number in &known.unsent {
        assert!(received.binary_search(number).is_err(), "{number} was told as unsent and received");
    }
    let unacknowledged = received.len() - known.acknowledged.len();
    assert!(unacknowledged <= known.unknown, "{unacknowledged} were received and not acknowledged");
    // The run was what it is meant to be.
    assert!(known.connections > KILLS / 2, "{} connections", known.connections);
    assert!(known.acknowledged.len() > 1_000 && !known.unsent.is_empty() && known.unknown > 0);
}

/// The file goes with the test.
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}
