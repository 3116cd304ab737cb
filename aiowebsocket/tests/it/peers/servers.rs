//! Our client against the servers that people run.

use std::num::NonZeroUsize;
use std::time::Duration;

#[cfg(feature = "tls")]
use aiowebsocket::Tls;
use aiowebsocket::{CloseCode, Config, Error, Message, WebSocket, connect};
use tokio::time::timeout;

use super::process::Process;
use super::{SIZES, TEXT_PARTS, binary, closings, done, is_there, text, within};
#[cfg(feature = "tls")]
use crate::support::certificates::{Authority, Wrong};

/// A server, and what its API can do.
struct Server {
    peer: &'static str,
    script: &'static str,
    args: &'static [&'static str],
    /// It can send a message in fragments.
    fragments: bool,
    /// It can send a ping when told to; others ping only by themselves, every so often.
    pings: bool,
    /// It takes a ping inside a compressed message that comes in fragments. wsproto 1.3.2 forgets that the message is compressed.
    pings_inside: bool,
    /// It can cut a connection.
    cuts: bool,
    /// It answers a Close frame with the same code (RFC 6455 5.5.1: "typically"); others with 1000.
    echoes_code: bool,
}

const SERVER: Server = Server {
    peer: "",
    script: "",
    args: &[],
    fragments: true,
    pings: true,
    pings_inside: true,
    cuts: true,
    echoes_code: true,
};

#[tokio::test]
async fn websockets() {
    talk(Server { peer: "websockets", script: "servers/websockets_echo.py", ..SERVER }).await;
}

#[tokio::test]
async fn aiohttp() {
    let server = Server { peer: "aiohttp", script: "servers/aiohttp_echo.py", ..SERVER };
    talk(Server { fragments: false, echoes_code: false, ..server }).await;
}

#[tokio::test]
async fn uvicorn_websockets() {
    talk(uvicorn(&["websockets"])).await;
    keepalive("uvicorn", "servers/uvicorn_echo.py", &["websockets", "0.2"]).await;
}

#[tokio::test]
async fn uvicorn_websockets_sansio() {
    talk(uvicorn(&["websockets-sansio"])).await;
    keepalive("uvicorn", "servers/uvicorn_echo.py", &["websockets-sansio", "0.2"]).await;
}

#[tokio::test]
async fn uvicorn_wsproto() {
    talk(Server { pings_inside: false, ..uvicorn(&["wsproto"]) }).await;
    keepalive("uvicorn", "servers/uvicorn_echo.py", &["wsproto", "0.2"]).await;
}

fn uvicorn(args: &'static [&'static str]) -> Server {
    let server = Server { peer: "uvicorn", script: "servers/uvicorn_echo.py", args, ..SERVER };
    Server { fragments: false, pings: false, cuts: false, ..server }
}

#[tokio::test]
async fn ws() {
    talk(Server { peer: "ws", script: "servers/ws_echo.mjs", ..SERVER }).await;
}

#[tokio::test]
async fn bun() {
    talk(Server { peer: "bun", script: "servers/bun_echo.ts", fragments: false, ..SERVER }).await;
}

/// Over TLS by each of the libraries that their own TLS stands on: OpenSSL in Python, with asyncio's and in Node's.
#[cfg(feature = "tls")]
#[tokio::test]
async fn over_tls() {
    let authority = Authority::new();
    let files = authority.server(Wrong::Nothing).files();
    let (certificate, key) = (files.path("certificate.pem"), files.path("key.pem"));
    let args = ["--tls", certificate.to_str().expect("plain"), key.to_str().expect("plain")];
    let tls = Tls::new().ca_pem(authority.pem().as_bytes()).expect("a certificate").only_these_cas();
    for (peer, script) in [
        ("websockets", "servers/websockets_echo.py"),
        ("aiohttp", "servers/aiohttp_echo.py"),
        ("ws", "servers/ws_echo.mjs"),
    ] {
        if !is_there(peer) {
            continue;
        }
        let mut process = Process::script(script, &args);
        let base = format!("wss://127.0.0.1:{}", process.port().await);
        let open = async |path: &str| {
            let connecting = connect(format!("{base}/{path}")).tls(tls.clone()).no_compression();
            done(peer, connecting.into_future()).await
        };
        let mut ws = open("").await;
        let info = ws.tls().expect("it is secure");
        assert!(info.version == "TLSv1.3" && !info.is_resumed, "{peer}: {info}");
        for size in SIZES {
            done("send", ws.send(binary(size))).await;
            let back = done("recv", ws.recv()).await.expect("open");
            assert!(back.as_bytes() == binary(size), "{peer}: {size} bytes came back changed");
        }
        done("ping", ws.ping()).await;
        done("close", ws.close(CloseCode::NORMAL, "bye")).await;
        // Another session, resumed, that the server closes, and one that it cuts.
        let mut ws = open("close?code=4001&reason=enough").await;
        assert!(ws.tls().expect("it is secure").is_resumed, "{peer}");
        let closed = within("the end", ws.recv()).await.expect_err("a code of the application's");
        assert!(matches!(&closed, Error::Closed { code, .. } if code.get() == 4001), "{peer}: {closed:?}");
        let mut ws = open("abrupt").await;
        let cut = within("the end", ws.recv()).await.expect_err("it was cut");
        assert!(matches!(cut, Error::Tls(_) | Error::Io(_)), "{peer}: {cut:?}");
        process.kill();
    }
}

/// Every conversation with one server.
async fn talk(server: Server) {
    if !is_there(server.peer) {
        return;
    }
    let mut process = Process::script(server.script, server.args);
    let base = format!("ws://127.0.0.1:{}", process.port().await);
    echo(&base).await;
    pings(&base, &server).await;
    we_fragment(&base, &server).await;
    if server.fragments {
        it_fragments(&base).await;
    }
    subprotocols(&base).await;
    it_closes(&base).await;
    we_close(&base, &server, &mut process).await;
    if server.cuts {
        let mut ws = open(&format!("{base}/abrupt")).await;
        ends_abruptly(&mut ws).await;
    }
    let (mut idle, mut busy) = (open(&base).await, open(&base).await);
    done("send", busy.send(binary(1 << 20))).await;
    process.kill();
    ends_abruptly(&mut idle).await;
    breaks(&mut busy).await;
    let refused = within("dialling where nobody listens", connect(&base).into_future()).await;
    match refused {
        Err(error @ Error::Connect(_)) => assert!(error.is_retryable()),
        other => panic!("refused: {other:?}"),
    }
}

async fn open(url: &str) -> WebSocket {
    done(url, connect(url).into_future()).await
}

/// The next message of a connection that stays open.
async fn next(ws: &mut WebSocket) -> Message {
    done("recv", ws.recv()).await.expect("a message, not the end")
}

/// Compressed where the server does that, and plain.
async fn echo(base: &str) {
    echo_over(open(base).await).await;
    echo_over(done(base, connect(base).no_compression().into_future()).await).await;
}

async fn echo_over(mut ws: WebSocket) {
    for size in SIZES {
        let sent = text(size);
        done("send", ws.send(&sent)).await;
        let received = next(&mut ws).await;
        assert!(
            received.as_text() == Some(sent.as_str()),
            "text of {size} bytes: {:.80?}",
            received.as_text()
        );

        let sent = binary(size);
        done("send", ws.send(&sent)).await;
        let received = next(&mut ws).await;
        assert!(
            received.as_text().is_none() && received.as_bytes() == sent,
            "binary of {size} bytes: got {} bytes, text: {}",
            received.as_bytes().len(),
            received.as_text().is_some(),
        );
    }
    done("close", ws.close(CloseCode::NORMAL, "")).await;
}

/// Pings both ways: ours is answered in a measured time, and so is the server's, which then says so.
async fn pings(base: &str, server: &Server) {
    let mut ws = open(base).await;
    let round_trip = done("ping", ws.ping()).await;
    assert!(Duration::ZERO < round_trip && round_trip < super::STEP, "{round_trip:?}");
    assert_eq!(ws.latency(), Some(round_trip));
    if server.pings {
        let mut ws = open(&format!("{base}/ping")).await;
        let said = done("pong", ws.recv()).await.expect("it stays open");
        assert_eq!(said.as_text(), Some("pong"));
    }
}

/// A server that pings by itself stays, because its pings are answered while we wait.
async fn keepalive(peer: &str, script: &str, args: &[&str]) {
    if !is_there(peer) {
        return;
    }
    let mut process = Process::script(script, args);
    let mut ws = open(&format!("ws://127.0.0.1:{}", process.port().await)).await;
    if let Ok(ended) = timeout(Duration::from_secs(1), ws.recv()).await {
        panic!("nothing was to come within a second of pings: {ended:?}");
    }
    done("send", ws.send("still here")).await;
    let received = next(&mut ws).await;
    assert_eq!(received.as_text(), Some("still here"));
}

/// We send messages in fragments: part by part with pings between, and cut by size, characters too.
async fn we_fragment(base: &str, server: &Server) {
    let connect_to = |base| if server.pings_inside { connect(base) } else { connect(base).no_compression() };
    let mut ws = done("open", connect_to(base).into_future()).await;
    for (index, part) in TEXT_PARTS.iter().enumerate() {
        done("send a part", ws.send_part(*part, index + 1 == TEXT_PARTS.len())).await;
        done("ping", ws.ping()).await;
    }
    assert_eq!(next(&mut ws).await.as_text(), Some(TEXT_PARTS.concat().as_str()));
    for n in 0..5 {
        done("send a part", ws.send_part(&[n; 300], n == 4)).await;
    }
    let sent: Vec<u8> = (0..5).flat_map(|n| [n; 300]).collect();
    let received = next(&mut ws).await;
    assert!(received.as_text().is_none() && received.as_bytes() == sent, "{received:?}");

    let mut config = Config::default();
    config.fragment_size = NonZeroUsize::new(1_001);
    let mut ws = done("open", connect(base).config(config).into_future()).await;
    let sent = text(100_000);
    done("send", ws.send(&sent)).await;
    assert!(next(&mut ws).await.as_text() == Some(sent.as_str()), "text in fragments of 1,001 bytes");
}

/// The server sends two messages in fragments, pings between them, and echoes on.
async fn it_fragments(base: &str) {
    let mut ws = open(&format!("{base}/fragments")).await;
    let received = next(&mut ws).await;
    assert_eq!(received.as_text(), Some(TEXT_PARTS.concat().as_str()));
    let received = next(&mut ws).await;
    let sent: Vec<u8> = (0..5).flat_map(|n| [n; 300]).collect();
    assert!(received.as_text().is_none() && received.as_bytes() == sent, "{received:?}");
    done("send", ws.send("on")).await;
    let received = next(&mut ws).await;
    assert_eq!(received.as_text(), Some("on"));
}

async fn subprotocols(base: &str) {
    let chat = connect(base).subprotocols(["superchat", "chat"]);
    let ws = done("open", chat.into_future()).await;
    assert_eq!(ws.subprotocol(), Some("chat"));
    assert_eq!(open(base).await.subprotocol(), None);
}

/// The server closes: its code and reason come through, and only 1000 and 1001 are no error.
async fn it_closes(base: &str) {
    for (code, reason) in closings() {
        let mut ws = open(&format!("{base}/close?code={code}&reason={}", percent(&reason))).await;
        let ended = within("recv", ws.recv()).await;
        match ended {
            Ok(None) if code <= 1001 => {}
            Err(Error::Closed { code: seen, reason: why })
                if code > 1001 && seen.get() == code && *why == *reason => {}
            other => panic!("closed with {code}: {other:?}"),
        }
        assert_eq!(ws.close_code().map(CloseCode::get), Some(code));
        assert_eq!(ws.close_reason().as_deref(), Some(reason.as_str()));
        done("close", ws.close(CloseCode::NORMAL, "")).await;
    }
}

/// We close: the server sees the code and the reason, and its answer ends the handshake.
async fn we_close(base: &str, server: &Server, process: &mut Process) {
    for (code, reason) in closings() {
        let path = format!("/closing/{code}");
        let mut ws = open(&format!("{base}{path}")).await;
        done("close", ws.close(CloseCode::new(code), &reason)).await;
        let answer = if server.echoes_code { code } else { 1000 };
        assert_eq!(ws.close_code().map(CloseCode::get), Some(answer), "the answer to {code}");
        let wanted = format!("closed {path} {code} {reason}");
        let seen = loop {
            let line = process.line().await.expect("it goes on");
            if line.starts_with(&format!("closed {path} ")) {
                break line;
            }
        };
        assert_eq!(seen, wanted);
    }
}

/// The connection ends without a Close frame.
async fn ends_abruptly(ws: &mut WebSocket) {
    match within("recv", ws.recv()).await {
        Err(Error::Closed { code: CloseCode::ABNORMAL, .. }) => {}
        other => panic!("an abrupt end: {other:?}"),
    }
    assert_eq!(ws.close_code(), Some(CloseCode::ABNORMAL));
}

/// The server dies with our bytes unread, and perhaps its echo half written: an end or a reset, and a message only
/// if it is whole.
async fn breaks(ws: &mut WebSocket) {
    let ended = loop {
        match within("recv", ws.recv()).await {
            Ok(Some(message)) => assert!(message.as_bytes() == binary(1 << 20), "half a message"),
            ended => break ended,
        }
    };
    assert!(
        matches!(ended, Err(Error::Closed { code: CloseCode::ABNORMAL, .. } | Error::Io(_))),
        "{ended:?}"
    );
    assert_eq!(ws.close_code(), Some(CloseCode::ABNORMAL));
}

/// The text as a value in a query.
fn percent(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
