//! A route of an axum server that becomes a WebSocket of this library; and a client that talks to it.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;

use aiowebsocket::opening::accept_value;
use aiowebsocket::{CloseCode, Message, Negotiated, Role, WebSocket, connect};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/echo", listener.local_addr()?);
    let routes = Router::new().route("/echo", get(upgrade));
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let mut ws = connect(url).await?;
    for text in ["hello", "from axum"] {
        ws.send(text).await?;
        let echo = ws.recv().await?;
        println!("{echo:?}");
        assert_eq!(echo.as_ref().and_then(Message::as_text), Some(text));
    }
    ws.close(CloseCode::NORMAL, "bye").await?;
    Ok(())
}

/// axum serves with hyper, which leaves its `OnUpgrade` in the request's extensions.
async fn upgrade(mut request: Request) -> Response {
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (Some(on_upgrade), Some(key)) = (on_upgrade, request.headers().get(SEC_WEBSOCKET_KEY)) else {
        return (StatusCode::UPGRADE_REQUIRED, "a WebSocket lives here\n").into_response();
    };
    let accept = accept_value(key.as_bytes());
    tokio::spawn(echo(on_upgrade));
    let headers = [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_ACCEPT, accept.as_str())];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn echo(on_upgrade: OnUpgrade) {
    let Ok(upgraded) = on_upgrade.await else { return };
    let stream = TokioIo::new(upgraded);
    let mut ws = WebSocket::from_upgraded(stream, Role::Server, Negotiated::default(), &[]);
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}
