//! A minute of echo over a bad line, without a wrong byte.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use aiowebsocket::{CloseCode, EchoServer, connect};
use tokio::time::{Instant, timeout};

use crate::support::namespace::{self, nft};
use crate::support::relay::{Lane, Relay};
use crate::support::rng::Rng;

const MINUTE: Duration = Duration::from_secs(60);

/// Messages under way at the same time.
const WINDOW: usize = 16;

async fn echo_server() -> SocketAddr {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    tokio::spawn(server.run());
    address
}

/// Sends and receives for a minute; how many messages came back as they were.
#[expect(clippy::print_stdout, reason = "what a run came to")]
async fn echo_for_a_minute(line: &str, server: SocketAddr) -> usize {
    let connecting = connect(format!("ws://{server}/")).open_timeout(MINUTE);
    let mut ws = connecting.await.expect("open");
    let mut rng = Rng::new();
    let (mut under_way, mut echoes, mut bytes) = (VecDeque::new(), 0, 0);
    let start = Instant::now();
    while start.elapsed() < MINUTE || !under_way.is_empty() {
        while start.elapsed() < MINUTE && under_way.len() < WINDOW {
            let length = rng.length(20_000);
            let message = rng.bytes(length);
            ws.send(&message).await.expect("open");
            under_way.push_back(message);
        }
        let echo = timeout(MINUTE, ws.recv()).await.expect("an echo in time").expect("open").expect("open");
        let message = under_way.pop_front().expect("one that was sent");
        assert!(echo.as_bytes() == message, "echo {echoes} is not what was sent");
        echoes += 1;
        bytes += message.len();
    }
    ws.close(CloseCode::NORMAL, "").await.expect("closed in order");
    println!("{line}: {echoes} messages and {bytes} bytes there and back, round trip {:?}", ws.latency());
    echoes
}

#[tokio::test]
#[ignore = "a minute: make soak"]
async fn a_delay_of_100_ms_with_jitter() {
    let lane = Lane {
        delay: Duration::from_millis(100),
        jitter: Duration::from_millis(50),
        piece: Some(1_448),
        ..Lane::default()
    };
    let relay = Relay::start(echo_server().await, lane, lane).await;
    // A window takes 200 to 300 ms.
    assert!(echo_for_a_minute("100 to 150 ms each way", relay.address).await > 1_000);
}

#[test]
#[ignore = "a minute: make soak"]
fn a_fifth_of_all_packets_is_lost() {
    namespace::run_in_one("soak::lines::with_a_network_of_its_own");
}

#[test]
#[ignore = "the test above, once it has a network of its own"]
fn with_a_network_of_its_own() {
    if !namespace::is_inside() {
        return;
    }
    nft("add rule inet faults in numgen random mod 100 < 20 counter drop");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let echoes = runtime.expect("a runtime").block_on(async {
        let server = echo_server().await;
        echo_for_a_minute("a fifth of all packets lost", server).await
    });
    assert!(echoes > 50, "{echoes} echoes");
    assert!(namespace::dropped() > 20, "packets were lost");
}
