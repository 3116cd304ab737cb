//! RFC 6455 4.1, item 2, for those who ask for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aiowebsocket::{Error, Gate, TimeLimit, accept, connect};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A server that takes 20 ms over each handshake; counts how many are under way at once, and the most ever.
async fn slow_server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("its address"));
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    tokio::spawn(async move {
        let open = Arc::new(AtomicUsize::new(0));
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            let (open, seen) = (Arc::clone(&open), Arc::clone(&seen));
            tokio::spawn(async move {
                seen.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(Duration::from_millis(20)).await;
                // Before the answer: the client may go on as soon as it has that.
                open.fetch_sub(1, Ordering::SeqCst);
                let mut ws = accept(stream).await.expect("a handshake");
                _ = ws.recv().await;
            });
        }
    });
    (url, most)
}

async fn open_eight(url: &str, gate: Option<&Gate>) {
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let connect = connect(url);
        let connect = match gate {
            Some(gate) => connect.gate(gate),
            None => connect,
        };
        opening.spawn(connect.into_future());
    }
    let open = opening.join_all().await;
    assert!(open.iter().all(Result::is_ok));
}

#[tokio::test]
async fn one_connection_at_a_time_is_opening_to_an_address() {
    let (url, most) = slow_server().await;
    open_eight(&url, Some(&Gate::new())).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_a_gate_all_are_opening_at_once() {
    let (url, most) = slow_server().await;
    open_eight(&url, None).await;
    assert!(most.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn a_handshake_that_fails_or_is_dropped_opens_the_gate() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = format!("ws://{}/", silent.local_addr().expect("its address"));
    let gate = Gate::new();
    for _ in 0..3 {
        let late = connect(&silent).gate(&gate).open_timeout(Duration::from_millis(20)).await;
        assert!(matches!(
            late,
            Err(Error::Timeout(TimeLimit::Open(_))) | Err(Error::Io(_)) | Err(Error::Connect(_))
        ));
    }
    // Another address does not wait for the first.
    let holds = tokio::spawn(connect(&silent).gate(&gate).into_future());
    let (url, _) = slow_server().await;
    open_eight(&url, Some(&gate)).await;
    holds.abort();
}
