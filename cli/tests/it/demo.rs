//! The demo.

use std::io::Write as _;

use snapbox::str;

use crate::support::{Server, answering, check, frame, next_frame, run, talking, told};

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

#[test]
fn nothing_that_a_server_says_moves_the_cursor() {
    let url = talking(|stream| {
        loop {
            let answer = match next_frame(stream) {
                (1, _) => frame(1, b"\x1b]0;title\x07\x1b[2J"),
                (9, payload) => frame(10, &payload),
                (_, payload) => return stream.write_all(&frame(8, &payload)).expect("the client reads"),
            };
            stream.write_all(&answer).expect("the client reads");
        }
    });
    let said = String::from_utf8(run(&["demo", &url], b"").stdout).expect("text");
    assert!(said.contains(r" Client receive: \u{1b}]0;title\u{7}\u{1b}[2J"), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
}
