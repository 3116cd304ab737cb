//! The floor: a connection of tokio, an upgrade request and a frame by hand.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

fn main() {
    let url = std::env::args().nth(1).expect("an address");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(connect(url));
}

async fn connect(url: String) {
    let (scheme, rest) = url.split_once("://").expect("an address");
    let (addr, path) = rest.split_once('/').expect("ws://ADDR/PATH");
    let stream = TcpStream::connect(addr).await.expect("it listens");
    #[cfg(feature = "tls")]
    if scheme == "wss" {
        return talk(secure(stream, addr).await, addr, path).await;
    }
    assert_eq!(scheme, "ws");
    talk(stream, addr, path).await;
}

#[cfg(feature = "tls")]
async fn secure(stream: TcpStream, addr: &str) -> tokio_rustls::client::TlsStream<TcpStream> {
    use std::sync::Arc;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};

    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (host, _) = addr.rsplit_once(':').expect("HOST:PORT");
    let name = host.to_owned().try_into().expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS")
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, addr: &str, path: &str) {
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.expect("open"), 0);
    }
    // Its key is zero.
    stream.write_all(b"\x81\x85\0\0\0\0hello").await.expect("open");
    let mut frame = [0; 7];
    stream.read_exact(&mut frame).await.expect("an echo");
    println!("{}", std::str::from_utf8(&frame[2..]).expect("text"));
}
