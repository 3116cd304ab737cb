//! soketto: one vector that all messages are received into; a buffer of 128 KiB between it and the socket to write. By default
//! there is none. It checks no UTF-8. A `receive_data` that is dropped while it waits fails the next one with `UnexpectedOpCode(Continue)`.

use harness::tls::{TlsStream, secure};
use harness::{Client, Mode, TcpStream, connect};
use soketto::connection::{Receiver, Sender};
use soketto::handshake::{self, ServerResponse};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

struct Soketto<S> {
    sender: Sender<Compat<S>>,
    receiver: Receiver<Compat<S>>,
    message: Vec<u8>,
}

trait Wrap: AsyncRead + AsyncWrite + Unpin {
    async fn wrap(stream: TcpStream) -> Self;
}

impl Wrap for TcpStream {
    async fn wrap(stream: TcpStream) -> Self {
        stream
    }
}

impl Wrap for BufWriter<TcpStream> {
    async fn wrap(stream: TcpStream) -> Self {
        Self::with_capacity(128 << 10, stream)
    }
}

impl Wrap for BufWriter<TlsStream> {
    async fn wrap(stream: TcpStream) -> Self {
        Self::with_capacity(128 << 10, secure(stream).await)
    }
}

impl<S: Wrap> Client for Soketto<S> {
    const BREAKS: bool = true;

    async fn open(addr: &str, path: &str) -> Self {
        let stream = S::wrap(connect(addr).await).await;
        let mut client = handshake::Client::new(stream.compat(), addr, path);
        let answer = client.handshake().await.expect("an answer");
        assert!(matches!(answer, ServerResponse::Accepted { .. }), "{answer:?}");
        let (sender, receiver) = client.into_builder().finish();
        Self { sender, receiver, message: Vec::new() }
    }

    #[inline]
    async fn recv<R>(&mut self, see: impl FnOnce(bool, &[u8]) -> R) -> R {
        self.message.clear();
        let data = self.receiver.receive_data(&mut self.message).await.expect("no error");
        see(data.is_text(), &self.message)
    }

    #[inline]
    async fn feed(&mut self, text: bool, payload: &bytes::Bytes) {
        let sent = if text {
            self.sender.send_text(std::str::from_utf8(payload).expect("text")).await
        } else {
            self.sender.send_binary(payload).await
        };
        sent.expect("the server is there");
    }

    #[inline]
    async fn flush(&mut self) {
        self.sender.flush().await.expect("the server is there");
    }
}

fn main() {
    match harness::mode() {
        Mode::Default => harness::run::<Soketto<TcpStream>>("soketto"),
        Mode::Tls => harness::run::<Soketto<BufWriter<TlsStream>>>("soketto"),
        _ => harness::run::<Soketto<BufWriter<TcpStream>>>("soketto"),
    }
}
