//! Streams that others have upgraded, streams that are taken back, and control frames that are shown.

use aiowebsocket::protocol::OpCode;
use aiowebsocket::{Config, Event, Message, Negotiated, Role, WebSocket};

use super::stream::{Stream, frame, frames, open, quiet};

#[tokio::test]
async fn what_was_read_behind_the_handshake_comes_first() {
    let (stream, wire) = Stream::alone();
    let bytes = [frame(OpCode::Text, true, b"one"), frame(OpCode::Text, true, b"two")].concat();
    let mut negotiated = Negotiated::default();
    negotiated.subprotocol = Some("chat".to_owned());
    negotiated.config = quiet();
    let agreed = format!("{negotiated:?}");
    // Cut inside the second frame.
    let mut ws = WebSocket::from_upgraded(stream, Role::Client, negotiated, &bytes[..7]);
    wire.say(&bytes[7..]);
    assert_eq!((ws.subprotocol(), ws.role()), (Some("chat"), Role::Client));
    // A subprotocol may carry a secret, and who agreed on it is not known here.
    for shown in [agreed, format!("{ws:?}")] {
        assert!(shown.contains("subprotocol") && !shown.contains("chat"), "{shown}");
    }
    for text in ["one", "two"] {
        assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some(text));
    }
    ws.send("three").await.expect("open");
    assert_eq!(frames(&wire.lock().wrote), [(0x81, b"three".to_vec())]);
}

#[tokio::test]
async fn a_stream_is_taken_back_with_what_was_read() {
    let (mut ws, wire) = open(quiet(), true).await;
    let next = [frame(OpCode::Text, true, b"next"), frame(OpCode::Binary, true, b"bytes")].concat();
    wire.say(&[&frame(OpCode::Text, true, b"one")[..], &next].concat());
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("one"));
    let (stream, unread) = ws.into_inner();
    assert_eq!(unread, next);
    // And on with it.
    let mut negotiated = Negotiated::default();
    negotiated.config = quiet();
    let mut ws = WebSocket::from_upgraded(stream, Role::Client, negotiated, &unread);
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("next"));
    assert_eq!(ws.recv().await.expect("open").expect("open").as_bytes(), b"bytes");
}

#[tokio::test]
async fn control_frames_are_shown_and_answered() {
    let mut config: Config = quiet();
    config.control_events = true;
    let (mut ws, wire) = open(config, true).await;
    let say = || {
        wire.say(&frame(OpCode::Ping, true, b"ping"));
        wire.say(&frame(OpCode::Text, true, b"text"));
        wire.say(&frame(OpCode::Pong, true, b"pong"));
    };
    say();
    for expected in [
        Event::Ping(b"ping"[..].into()),
        Event::Message(Message::Text("text".into())),
        Event::Pong(b"pong"[..].into()),
    ] {
        assert_eq!(ws.recv_event().await.expect("open").expect("open"), expected);
    }
    ws.flush().await.expect("open");
    assert_eq!(frames(&wire.lock().wrote), [(0x8a, b"ping".to_vec())]);
    // They are seen by nobody who does not ask, and answered all the same.
    wire.lock().wrote.clear();
    say();
    wire.say(&frame(OpCode::Text, true, b"more"));
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("text"));
    assert_eq!(ws.recv().await.expect("open").expect("open").as_text(), Some("more"));
    ws.flush().await.expect("open");
    assert_eq!(frames(&wire.lock().wrote), [(0x8a, b"ping".to_vec())]);
}
