//! The demo.

use snapbox::str;

use crate::support::{Server, answering, check, told};

#[test]
fn without_arguments() {
    check(
        told(&[], ""),
        str![[r#"
exit code: 0
----- stdout
connected to ws://127.0.0.1:PORT/
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
TIME Client send: AioWebSocket - Async WebSocket Client
TIME Client receive: AioWebSocket - Async WebSocket Client
10 round trips: shortest DURATION, median DURATION, longest DURATION; ping DURATION
----- stderr

"#]],
    );
}

#[test]
fn with_the_server_of_somebody_else() {
    let server = Server::start(&[]);
    assert_eq!(told(&["demo", &server.url], ""), told(&[], ""));
    let elsewhere = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    check(
        told(&["demo", &elsewhere], ""),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 404 Not Found; is the path right?

"#]],
    );
}
