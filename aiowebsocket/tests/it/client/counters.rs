//! What a connection counts, and who may read it.

use aiowebsocket::{CloseCode, EchoServer, connect};

#[tokio::test]
async fn counters_are_read_from_anywhere() {
    let server = EchoServer::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", server.local_addr().expect("bound"));
    tokio::spawn(server.run());
    let mut ws = connect(url).no_compression().await.expect("open");

    ws.send("before anybody asks").await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    let counters = ws.counters();
    ws.send("somebody has asked!").await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    assert_eq!((counters.messages_sent(), counters.messages_received()), (1, 1));
    // A header of six bytes with the mask, and of two without it.
    assert_eq!((counters.bytes_sent(), counters.bytes_received()), (19 + 6, 19 + 2));
    assert_eq!(counters.latency(), None);

    let latency = ws.ping().await.expect("a pong");
    assert_eq!(counters.latency(), Some(latency));
    assert_eq!(
        (counters.messages_sent(), counters.bytes_sent()),
        (1, 19 + 6 + 8 + 6),
        "a ping is no message"
    );

    // Owned, lent, in parts, large, and kept while somebody sends.
    ws.feed(vec![0; 100_000]).await.expect("queued");
    ws.send_part("in ", false).await.expect("sent");
    ws.send_part("parts", true).await.expect("sent");
    assert_eq!(counters.messages_sent(), 3);
    assert!(ws.recv_ref().await.expect("received").is_some());
    while !ws.recv_part().await.expect("received").expect("open").last {}
    assert_eq!(counters.messages_received(), 3);

    // From another thread, while the two halves work.
    let (sender, mut receiver) = ws.split();
    let watching = counters.clone();
    let watcher = std::thread::spawn(move || {
        while watching.messages_received() < 103 {
            std::thread::yield_now();
        }
        watching.messages_sent()
    });
    for _ in 0..100 {
        sender.send("again").await.expect("sent");
        receiver.recv().await.expect("received");
    }
    assert!(watcher.join().expect("no panic") >= 103);
    sender.close(CloseCode::NORMAL, "").await.expect("closed");
    assert_eq!((counters.messages_sent(), counters.messages_received()), (103, 103));
}
