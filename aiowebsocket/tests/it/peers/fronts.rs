//! Servers that stand in front of a WebSocket server: ours behind them, our client before them.

use std::future::IntoFuture as _;
use std::sync::Arc;

use aiowebsocket::opening::HandshakeError;
use aiowebsocket::{CloseCode, Error, Tls, WebSocket, accept, connect};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::daemons::Daemon;
use super::{binary, done, is_there, text, within};
use crate::support::certificates::Authority;

/// A server that echoes, and closes as the client does; its port.
pub(super) async fn echo_server(tls: Option<Arc<ServerConfig>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    Some(tls) => echo(accept(stream).tls(tls).await?).await,
                    None => echo(accept(stream).await?).await,
                }
            });
        }
    });
    port
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut ws: WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// What a client trusts that knows this authority alone.
pub(super) fn trusting(authority: &Authority) -> Tls {
    Tls::new().ca_pem(authority.pem().as_bytes()).expect("a certificate").only_these_cas()
}

/// Messages of both kinds and many sizes come back, both ends ping, and a close code passes.
pub(super) async fn converses(ws: &mut WebSocket<TcpStream>) {
    for size in [0, 1, 126, 65_536, 1 << 20] {
        let sent = text(size);
        done("send", ws.send(&sent)).await;
        let received = done("recv", ws.recv()).await.expect("it stays open");
        assert!(received.as_text() == Some(sent.as_str()), "text of {size} bytes");
        let sent = binary(size);
        done("send", ws.send(&sent)).await;
        let received = done("recv", ws.recv()).await.expect("it stays open");
        assert!(received.as_text().is_none() && received.as_bytes() == sent, "binary of {size} bytes");
    }
    done("ping", ws.ping()).await;
    done("close", ws.close(CloseCode::new(4001), "enough")).await;
    assert_eq!(ws.close_code().map(CloseCode::get), Some(4001));
}

#[tokio::test]
async fn nginx() {
    stands_in_front("nginx").await;
}

#[tokio::test]
async fn haproxy() {
    stands_in_front("haproxy").await;
}

async fn stands_in_front(peer: &'static str) {
    if !is_there(peer) {
        return;
    }
    let authority = Authority::new();
    let mut front = Daemon::start(peer, &authority, echo_server(None).await).await;
    let plain = format!("ws://127.0.0.1:{}", front.port);
    let secure = format!("wss://localhost:{}", front.tls_port);
    for url in [&plain, &secure] {
        let mut ws = done(url, connect(url).tls(trusting(&authority)).into_future()).await;
        assert_eq!(ws.tls().is_some(), url == &secure);
        converses(&mut ws).await;
        redirects(&format!("{url}/moved"), &authority).await;
        refuses(&format!("{url}/secret"), &authority).await;
    }
    // TLS where there is none, and none where there is.
    let crossed = format!("wss://127.0.0.1:{}", front.port);
    match within(&crossed, connect(&crossed).tls(trusting(&authority)).into_future()).await {
        Err(Error::Tls(_)) => {}
        other => panic!("TLS to a port without: {other:?}"),
    }
    let crossed = format!("ws://127.0.0.1:{}", front.tls_port);
    match within(&crossed, connect(&crossed).into_future()).await {
        Err(Error::Handshake(_) | Error::Io(_)) => {}
        other => panic!("no TLS to a port with: {other:?}"),
    }
    // It dies with connections open, in the clear and within TLS.
    let mut open = Vec::new();
    for url in [&plain, &secure] {
        open.push(done(url, connect(url).tls(trusting(&authority)).into_future()).await);
    }
    front.kill().await;
    for mut ws in open {
        match within("recv", ws.recv()).await {
            Err(Error::Closed { code: CloseCode::ABNORMAL, .. } | Error::Io(_) | Error::Tls(_)) => {}
            other => panic!("{peer} died: {other:?}"),
        }
        assert_eq!(ws.close_code(), Some(CloseCode::ABNORMAL));
    }
}

async fn redirects(url: &str, authority: &Authority) {
    let mut ws = done(url, connect(url).tls(trusting(authority)).into_future()).await;
    done("send", ws.send("here")).await;
    assert_eq!(done("recv", ws.recv()).await.expect("open").as_text(), Some("here"));
    match within(url, connect(url).tls(trusting(authority)).redirects(0).into_future()).await {
        Err(Error::Handshake(error)) => match &*error {
            HandshakeError::Refused(refusal) => assert_eq!(refusal.status, 307),
            error => panic!("{error}"),
        },
        other => panic!("no redirect is followed: {other:?}"),
    }
}

async fn refuses(url: &str, authority: &Authority) {
    match within(url, connect(url).tls(trusting(authority)).into_future()).await {
        Err(Error::Handshake(error)) => match &*error {
            HandshakeError::Refused(refusal) => {
                assert_eq!(refusal.status, 401);
                assert_eq!(refusal.body, b"who are you?");
            }
            error => panic!("{error}"),
        },
        other => panic!("refused: {other:?}"),
    }
}
