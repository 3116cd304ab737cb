//! Bad lines, over real TCP: the relay of support/relay.rs in front of an echo server, and a network without a way through.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use aiowebsocket::opening::HandshakeError;
use aiowebsocket::{
    Backoff, Config, EchoServer, Error, KeepAlive, ReconnectEvent, TimeLimit, WebSocket, connect,
};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};

use crate::support::namespace::{self, nft};
use crate::support::relay::{Cut, Lane, Relay};
use crate::support::rng::Rng;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn echo_server() -> SocketAddr {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    tokio::spawn(server.run());
    address
}

async fn open(relay: &Relay) -> Result<WebSocket, Error> {
    connect(format!("ws://{}/", relay.address)).await
}

/// So much later or slower than any of these tests should be.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("nothing hangs")
}

#[tokio::test]
async fn one_byte_at_a_time() {
    let lane = Lane { piece: Some(1), ..Lane::default() };
    let relay = Relay::start(echo_server().await, lane, lane).await;
    let mut ws = open(&relay).await.expect("open");
    let mut rng = Rng::new();
    for size in [0, 1, 125, 126, 3_000, 20_000] {
        let message = rng.bytes(size);
        ws.send(&message).await.expect("open");
        let echo = in_time(ws.recv()).await.expect("open").expect("open");
        assert!(echo.as_bytes() == message, "{size} bytes");
    }
    ws.close(aiowebsocket::CloseCode::NORMAL, "").await.expect("closed in order");
}

/// The bytes of the echo server's response.
const RESPONSE: usize = 129;

/// The bytes of an echo.
const ECHO: usize = 22;

/// Connections at the same time, most of which wait for their end.
const TOGETHER: usize = 16;

/// What was received before the cut, and how it ended. Messages are numbered.
async fn until_the_cut(relay: &Relay) -> (usize, Error) {
    let mut ws = match connect(format!("ws://{}/", relay.address)).no_compression().await {
        Ok(ws) => ws,
        Err(error) => return (0, error),
    };
    for received in 0..12 {
        let message = format!("{received:0>20}");
        if let Err(error) = ws.send(&message).await {
            return (received, error);
        }
        match ws.recv().await {
            Ok(Some(echo)) => assert_eq!(echo.as_text(), Some(&*message)),
            Ok(None) => panic!("no Close frame came"),
            Err(error) => return (received, error),
        }
    }
    panic!("the cut comes before the last echo")
}

/// The stream ends behind each byte of the response and of the messages, and the request is cut off at each of its bytes. It
/// comes to an error that says so and may be tried again; what was whole before it was received.
#[tokio::test]
async fn an_end_at_any_byte() {
    let server = echo_server().await;
    let ways = [Cut::Shut, Cut::Reset];
    let down = ways.into_iter().flat_map(|how| (0..RESPONSE + 8 * ECHO).map(move |after| (after, how)));
    let responses = stream::iter(down).for_each_concurrent(TOGETHER, async |(after, how)| {
        let cut = Lane { cut: Some((after, how)), ..Lane::default() };
        let relay = Relay::start(server, Lane::default(), cut).await;
        let (received, error) = in_time(until_the_cut(&relay)).await;
        let whole = after.saturating_sub(RESPONSE) / ECHO;
        // A reset may come before what was sent before it was read.
        assert!(received == whole || how == Cut::Reset && received < whole, "{received} in {after} bytes");
        let is_told_apart = match (&error, how) {
            (Error::Handshake(error), Cut::Shut) => {
                let is_it =
                    matches!(**error, HandshakeError::UnexpectedEnd { received } if received == after);
                after < RESPONSE && is_it
            }
            (Error::Closed { code, .. }, Cut::Shut) => after >= RESPONSE && code.get() == 1006,
            (Error::Io(error), _) => error.kind() == ErrorKind::ConnectionReset,
            _ => false,
        };
        assert!(is_told_apart && error.is_retryable(), "{how:?} after {after} bytes: {error:?}");
    });
    responses.await;
    let up = ways.into_iter().flat_map(|how| (0..250).map(move |after| (after, how)));
    let requests = stream::iter(up).for_each_concurrent(TOGETHER, async |(after, how)| {
        let cut = Lane { cut: Some((after, how)), ..Lane::default() };
        let relay = Relay::start(server, cut, Lane::default()).await;
        let (_, error) = in_time(until_the_cut(&relay)).await;
        assert!(error.is_retryable(), "{how:?} after {after} bytes of the request: {error:?}");
    });
    requests.await;
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_message() {
    let cut = Lane { cut: Some((40_000, Cut::Reset)), ..Lane::default() };
    let relay = Relay::start(echo_server().await, Lane::default(), cut).await;
    let mut ws = open(&relay).await.expect("open");
    ws.send("whole").await.expect("open");
    assert_eq!(in_time(ws.recv()).await.expect("open").expect("open").as_text(), Some("whole"));
    ws.send(Rng::new().bytes(100_000)).await.expect("open");
    for _ in 0..2 {
        let error = in_time(ws.recv()).await.expect_err("half a message is none");
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionReset),
            "{error:?}"
        );
        assert!(error.is_retryable());
    }
}

/// The server's side of the stream has ended, and ours would still be taken: nothing is waited for.
#[tokio::test]
async fn a_peer_that_ended_its_side_only() {
    let cut = Lane { cut: Some((1_000, Cut::Shut)), ..Lane::default() };
    let relay = Relay::start(echo_server().await, Lane::default(), cut).await;
    let mut ws = open(&relay).await.expect("open");
    let message = Rng::new().bytes(5_000);
    ws.send(&message).await.expect("open");
    let error = in_time(ws.recv()).await.expect_err("half a message is none");
    assert_eq!(error.to_string(), "the peer ended the connection without a Close frame (1006)");
    assert!(ws.send("too late").await.is_err());
}

#[tokio::test]
async fn a_long_line_keeps_the_order_and_shows_in_the_latency() {
    let lane = Lane { delay: millis(20), jitter: millis(20), ..Lane::default() };
    let relay = Relay::start(echo_server().await, lane, lane).await;
    let mut ws = open(&relay).await.expect("open");
    let latency = in_time(ws.ping()).await.expect("open");
    assert!(latency >= millis(40), "{latency:?}");
    let mut rng = Rng::new();
    let messages: Vec<_> = (0..200)
        .map(|_| {
            let n = rng.length(5_000);
            rng.bytes(n)
        })
        .collect();
    for message in &messages {
        ws.feed(message).await.expect("open");
    }
    ws.flush().await.expect("open");
    for message in &messages {
        let echo = in_time(ws.recv()).await.expect("open").expect("open");
        assert!(echo.as_bytes() == message);
    }
}

fn impatient(interval: u64, timeout: u64) -> Config {
    let mut config = Config::default();
    config.keepalive = Some(KeepAlive { interval: millis(interval), timeout: millis(timeout) });
    config
}

/// A message that takes ten times as long as the keep-alive has patience: slow is not dead.
#[tokio::test]
async fn a_slow_line_is_no_dead_peer() {
    let slow = Lane { rate: Some(100_000), piece: Some(1_000), ..Lane::default() };
    let relay = Relay::start(echo_server().await, Lane::default(), slow).await;
    let mut ws = connect(format!("ws://{}/", relay.address)).config(impatient(50, 50)).await.expect("open");
    let message = Rng::new().bytes(100_000);
    let start = Instant::now();
    ws.send(&message).await.expect("open");
    let echo = in_time(ws.recv()).await.expect("alive").expect("open");
    assert!(echo.as_bytes() == message);
    assert!(start.elapsed() > millis(900), "{:?}", start.elapsed());
}

/// Nothing comes any more, and nobody says so: after interval and timeout of the keep-alive it is said, and no earlier.
#[tokio::test]
async fn silence_is_noticed_by_keep_alive_in_its_time() {
    let cut = Lane { cut: Some((500, Cut::Silence)), ..Lane::default() };
    let relay = Relay::start(echo_server().await, Lane::default(), cut).await;
    let mut ws = connect(format!("ws://{}/", relay.address)).config(impatient(200, 300)).await.expect("open");
    ws.send(Rng::new().bytes(2_000)).await.expect("open");
    let start = Instant::now();
    let error = in_time(ws.recv()).await.expect_err("silent");
    assert!(matches!(error, Error::Timeout(TimeLimit::KeepAlive)), "{error:?}");
    assert!((millis(400)..millis(1_500)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// A black hole: the kernel drops every packet, in a network of the test's own. The client notices by itself, cannot connect while it
/// lasts, and is back when it is over.
#[test]
fn a_black_hole_is_noticed_and_left() {
    namespace::run_in_one("client::faults::in_a_network_of_its_own");
}

#[test]
#[ignore = "the test above, once it has a network of its own"]
fn in_a_network_of_its_own() {
    if !namespace::is_inside() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let server = echo_server().await;
        let policy = Backoff::default().first_delay(millis(50)).base_delay(millis(50)).max_delay(millis(100));
        let connecting = connect(format!("ws://{server}/")).config(impatient(300, 300));
        let mut feed = connecting.open_timeout(millis(500)).reconnecting(policy);
        let connected = in_time(feed.next()).await;
        assert!(matches!(connected, Ok(Some(ReconnectEvent::Connected { .. }))), "{connected:?}");
        feed.send("hello").await.expect("open");
        let echo = in_time(feed.next()).await;
        assert!(matches!(echo, Ok(Some(ReconnectEvent::Message(_)))), "{echo:?}");

        nft("add rule inet faults in drop");
        let start = Instant::now();
        let lost = in_time(feed.next()).await;
        let Ok(Some(ReconnectEvent::Disconnected { cause, .. })) = lost else { panic!("{lost:?}") };
        assert!(matches!(cause, Error::Timeout(TimeLimit::KeepAlive)), "{cause:?}");
        assert!((millis(300)..millis(1_500)).contains(&start.elapsed()), "{:?}", start.elapsed());
        for _ in 0..3 {
            let lost = in_time(feed.next()).await;
            let Ok(Some(ReconnectEvent::Disconnected { cause, .. })) = lost else { panic!("{lost:?}") };
            assert!(matches!(cause, Error::Timeout(TimeLimit::Open(_))), "{cause:?}");
        }

        nft("flush chain inet faults in");
        let connected = in_time(async {
            loop {
                if let ReconnectEvent::Connected { attempt } =
                    feed.next().await.expect("goes on").expect("goes on")
                {
                    return attempt;
                }
            }
        });
        assert!(connected.await >= 4);
        feed.send("hello again").await.expect("open");
        let echo = in_time(feed.next()).await;
        let Ok(Some(ReconnectEvent::Message(message))) = echo else { panic!("{echo:?}") };
        assert_eq!(message.as_text(), Some("hello again"));
    });
}
