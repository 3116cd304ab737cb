//! A server whose upgrade hyper does, handed to `WebSocket::from_upgraded`; and a client that talks to it.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::convert::Infallible;
use std::error::Error;

use aiowebsocket::opening::accept_value;
use aiowebsocket::{CloseCode, Message, Negotiated, Role, WebSocket, connect};
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/echo", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .with_upgrades();
            tokio::spawn(connection);
        }
    });

    let mut ws = connect(url).await?;
    for text in ["hello", "from hyper"] {
        ws.send(text).await?;
        let echo = ws.recv().await?;
        println!("{echo:?}");
        assert_eq!(echo.as_ref().and_then(Message::as_text), Some(text));
    }
    ws.close(CloseCode::NORMAL, "bye").await?;
    Ok(())
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        let mut refusal = Response::new("a WebSocket lives here\n".to_owned());
        *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return Ok(refusal);
    };
    let accept = accept_value(key.as_bytes());
    tokio::spawn(echo(hyper::upgrade::on(&mut request)));
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(String::new());
    Ok(response.expect("good headers"))
}

async fn echo(upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    // What hyper has read behind the handshake it gives back by itself, as the stream's first bytes.
    let stream = TokioIo::new(upgraded);
    let mut ws = WebSocket::from_upgraded(stream, Role::Server, Negotiated::default(), &[]);
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}
