//! This library as it comes: `recv` and shared payloads, keep-alive on, and its own configuration of TLS.

use std::sync::OnceLock;

use aiowebsocket::{Message, Tls, WebSocket};
use harness::{Client, Mode, tls};

struct Owned(WebSocket);

/// Trusts the server's certificate and nobody else, as the configuration that the others have.
fn own_tls() -> Tls {
    static TLS: OnceLock<Tls> = OnceLock::new();
    let make = || {
        let tls = Tls::new().ca_file(tls::certificate()).expect("a certificate").only_these_cas();
        tls::measured((*tls.config().expect("a configuration")).clone()).into()
    };
    TLS.get_or_init(make).clone()
}

impl Client for Owned {
    async fn open(addr: &str, path: &str) -> Self {
        let connect = match harness::mode() {
            Mode::Tls => aiowebsocket::connect(format!("wss://{addr}{path}").as_str()).tls(own_tls()),
            _ => aiowebsocket::connect(format!("ws://{addr}{path}").as_str()),
        };
        Self(connect.await.expect("the server accepts"))
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        match self.0.recv().await.expect("no error").expect("no end") {
            Message::Text(text) => see(true, text.as_bytes()),
            Message::Binary(data) => see(false, &data),
        }
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let fed = if text {
            self.0.feed(std::str::from_utf8(payload).expect("text")).await
        } else {
            self.0.feed(payload.clone()).await
        };
        fed.expect("the server is there");
    }

    #[inline]
    async fn send(&mut self, text: bool, payload: &bytes::Bytes) {
        let sent = if text {
            self.0.send(std::str::from_utf8(payload).expect("text")).await
        } else {
            self.0.send(payload.clone()).await
        };
        sent.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

fn main() {
    harness::run::<Owned>("aiowebsocket-owned");
}
