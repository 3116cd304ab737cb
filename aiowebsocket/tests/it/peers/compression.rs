//! Compression with the servers that people run: what each answers to our offers, and that messages come back. That they do in every
//! other conversation too is in servers.rs and clients.rs, which offer and accept it by default.

use aiowebsocket::{Deflate, Error, Message, Outgoing, WebSocket, connect};

use super::process::Process;
use super::{binary, done, is_there, text, within};

/// Answered with this, or `None` where the server declines or does not honour the demand.
type Answer = Option<&'static str>;

/// What a server answers: to the default offer, to `server_no_context_takeover`, to `server_max_window_bits=10`, and to
/// `client_max_window_bits=10`.
struct Answers {
    default: Answer,
    no_takeover: Answer,
    small_server_window: Answer,
    small_client_window: Answer,
}

const BARE: Answer = Some("permessage-deflate");
const NO_TAKEOVER: Answer = Some("permessage-deflate; server_no_context_takeover");
const WINDOW_10: Answer = Some("permessage-deflate; server_max_window_bits=10");

#[tokio::test]
async fn websockets() {
    let answers = Answers {
        default: Some("permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"),
        no_takeover: Some(
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
        ),
        small_server_window: Some("permessage-deflate; server_max_window_bits=10; client_max_window_bits=12"),
        small_client_window: Some("permessage-deflate; server_max_window_bits=12; client_max_window_bits=10"),
    };
    talk("websockets", "servers/websockets_echo.py", &[], answers).await;
}

#[tokio::test]
async fn aiohttp() {
    let answers = Answers {
        default: BARE,
        no_takeover: NO_TAKEOVER,
        small_server_window: WINDOW_10,
        small_client_window: BARE,
    };
    talk("aiohttp", "servers/aiohttp_echo.py", &[], answers).await;
}

#[tokio::test]
async fn uvicorn_wsproto() {
    let answers = Answers {
        default: Some("permessage-deflate; client_max_window_bits=15"),
        no_takeover: Some("permessage-deflate; server_no_context_takeover; client_max_window_bits=15"),
        small_server_window: Some("permessage-deflate; server_max_window_bits=10; client_max_window_bits=15"),
        small_client_window: Some("permessage-deflate; client_max_window_bits=10"),
    };
    talk("uvicorn", "servers/uvicorn_echo.py", &["wsproto"], answers).await;
}

#[tokio::test]
async fn ws() {
    let answers = Answers {
        default: BARE,
        no_takeover: NO_TAKEOVER,
        small_server_window: WINDOW_10,
        small_client_window: Some("permessage-deflate; client_max_window_bits=10"),
    };
    talk("ws", "servers/ws_echo.mjs", &[], answers).await;
}

#[tokio::test]
async fn bun() {
    let both = Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    let answers =
        Answers { default: both, no_takeover: both, small_server_window: None, small_client_window: both };
    talk("bun", "servers/bun_echo.ts", &[], answers).await;
}

async fn talk(peer: &'static str, script: &str, args: &[&str], answers: Answers) {
    if !is_there(peer) {
        return;
    }
    let mut process = Process::script(script, args);
    let base = format!("ws://127.0.0.1:{}", process.port().await);
    let options = Deflate::default();
    for (name, options, answer) in [
        ("default", options, answers.default),
        ("no takeover", options.server_no_context_takeover(), answers.no_takeover),
        ("a small window of the server", options.server_max_window_bits(10), answers.small_server_window),
        ("a small window of ours", options.client_max_window_bits(10), answers.small_client_window),
        ("level 9", options.level(9).memory_level(9), answers.default),
        ("level 6 without takeover", options.level(6).client_no_context_takeover(), None),
    ] {
        let what = format!("{peer}, {name}");
        match within(&what, connect(&base).compression(options).into_future()).await {
            Ok(ws) => {
                let agreed = ws.compression().map(ToString::to_string);
                assert!(name.contains("without") || agreed.as_deref() == answer, "{what}: {agreed:?}");
                echo(&what, ws).await;
            }
            Err(Error::Handshake(error)) if answer.is_none() => {
                assert!(error.to_string().contains("permessage-deflate has"), "{what}: {error}");
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
    let plain = done(peer, connect(&base).no_compression().into_future()).await;
    assert_eq!(plain.compression(), None);
    echo(peer, plain).await;
}

/// Messages that refer to each other, that do not get smaller, that leave plain, and one that leaves in parts.
async fn echo(what: &str, mut ws: WebSocket) {
    for size in [10, 100, 1000, 100, 100_000] {
        for plain in [false, true, false] {
            for message in [Message::from(text(size)), Message::from(noise(size))] {
                let mut sent = Outgoing::from(&message);
                if plain {
                    sent = sent.plain();
                }
                done(what, ws.send(sent)).await;
                let received = done(what, ws.recv()).await.expect("an echo");
                assert!(received == message, "{what}: {size} bytes, plain: {plain}");
            }
        }
    }
    for (part, last) in [("one part, ", false), ("", false), ("another part, one part", true)] {
        done(what, ws.send_part(part, last)).await;
    }
    let received = done(what, ws.recv_ref()).await.expect("an echo");
    assert_eq!(received.as_text(), Some("one part, another part, one part"));
}

/// Bytes that no compressor makes smaller, but for the second time.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    let mut bytes = binary(size);
    bytes.iter_mut().for_each(|byte| *byte ^= next());
    bytes
}
