//! This library, lent: `recv_ref` and borrowed payloads, with what most peers have: over the socket that the harness connects, no
//! keep-alive, no limit on the time that opening takes, and no compression offered but where that is measured.

use aiowebsocket::{MessageRef, OpenLimits, WebSocket};
use harness::{Client, Mode, tls};

struct Lent(WebSocket);

impl Client for Lent {
    async fn open(addr: &str, path: &str) -> Self {
        let connect = match harness::mode() {
            Mode::Tls => aiowebsocket::connect(format!("wss://{addr}{path}").as_str()).tls(tls::config()),
            _ => aiowebsocket::connect(format!("ws://{addr}{path}").as_str()),
        };
        let connect = if harness::mode() == Mode::Deflate { connect } else { connect.no_compression() };
        let mut limits = OpenLimits::default();
        limits.whole = None;
        let connect = connect.no_keepalive().open_limits(limits).through(harness::connect(addr).await);
        Self(connect.await.expect("the server accepts"))
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        match self.0.recv_ref().await.expect("no error").expect("no end") {
            MessageRef::Text(text) => see(true, text.as_bytes()),
            MessageRef::Binary(bytes) => see(false, bytes),
        }
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let fed = if text {
            self.0.feed(std::str::from_utf8(payload).expect("text")).await
        } else {
            self.0.feed(&payload[..]).await
        };
        fed.expect("the server is there");
    }

    #[inline]
    async fn send(&mut self, text: bool, payload: &bytes::Bytes) {
        let sent = if text {
            self.0.send(std::str::from_utf8(payload).expect("text")).await
        } else {
            self.0.send(&payload[..]).await
        };
        sent.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.0.flush().await.expect("the server is there");
    }
}

fn main() {
    harness::run::<Lent>("aiowebsocket");
}
