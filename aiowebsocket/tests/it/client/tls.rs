//! `wss://` by the library itself: what is trusted and what is not, what each failure says, how it ends, and how the bytes fall.

use std::future::IntoFuture as _;
use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aiowebsocket::opening::{AcceptError, HandshakeError};
use aiowebsocket::tls::{fingerprint_sha256, server_config, server_config_pem};
use aiowebsocket::{
    CloseCode, Config, Error, Milestone, OpenStep, Proxy, Tls, TlsFault, WebSocket, accept, connect,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};
use rustls::{DEFAULT_VERSIONS, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::support::certificates::{Authority, Files, Issued, Wrong};
use crate::support::rng::Rng;

/// What a client that knows this authority alone trusts.
fn trusting(authority: &Authority) -> Tls {
    Tls::new().ca_pem(authority.pem().as_bytes()).expect("a certificate").only_these_cas()
}

/// An echo server with this configuration; its address.
async fn echo(config: Arc<ServerConfig>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            let accepting = accept(stream).tls(Arc::clone(&config));
            tokio::spawn(async move {
                let mut ws = accepting.await?;
                while let Some(message) = ws.recv().await? {
                    ws.send(message).await?;
                }
                ws.close(CloseCode::NORMAL, "").await
            });
        }
    });
    format!("wss://127.0.0.1:{port}/")
}

/// A server that is no WebSocket server: it does this with its first connection.
async fn serves<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        serve(stream).await;
    });
    format!("wss://127.0.0.1:{port}/")
}

/// The fault that a connection with this `tls` comes to.
async fn fault(url: &str, tls: Tls) -> TlsFault {
    match connect(url).tls(tls).await {
        Err(Error::Tls(error)) => error.fault().clone(),
        other => panic!("{other:?}"),
    }
}

fn good(authority: &Authority) -> Arc<ServerConfig> {
    authority.server(Wrong::Nothing).server_config(DEFAULT_VERSIONS, None)
}

async fn comes_back(ws: &mut WebSocket<impl AsyncRead + AsyncWrite + Unpin>, size: usize, rng: &mut Rng) {
    let payload = rng.bytes(size);
    ws.send(payload.clone()).await.expect("sent");
    let message = ws.recv().await.expect("received").expect("open");
    assert!(message.as_bytes() == payload, "{size} bytes came back changed");
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_over_both_versions() {
    let authority = Authority::new();
    let mut rng = Rng::new();
    for version in [&TLS12, &TLS13] {
        let url = echo(authority.server(Wrong::Nothing).server_config(&[version], None)).await;
        let mut ws = connect(&url).tls(trusting(&authority)).no_compression().await.expect("open");
        let info = ws.tls().expect("it is secure");
        let (version, suite) = match version == &TLS12 {
            true => ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
            false => ("TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        };
        // The first that we offer, of a server that takes what its client would rather have.
        assert_eq!((info.version.as_str(), info.cipher.as_str()), (version, suite));
        assert_eq!(info.alpn, None);
        for size in [0, 1, 125, 126, 4_000, 16_300, 16_384, 16_385, 65_536, 65_537, 300_000, 5 << 20] {
            comes_back(&mut ws, size, &mut rng).await;
        }
        // Many messages in one write, and text that is cut by records.
        for i in 0..5_000 {
            ws.feed(&format!("message {i} — ünïcödé")).await.expect("queued");
        }
        ws.flush().await.expect("written");
        for i in 0..5_000 {
            let message = ws.recv().await.expect("received").expect("open");
            assert_eq!(message.as_text(), Some(format!("message {i} — ünïcödé").as_str()));
        }
        assert!(ws.ping().await.expect("a pong") < Duration::from_secs(5));
        ws.close(CloseCode::NORMAL, "done").await.expect("closed");
        assert_eq!(ws.close_code(), Some(CloseCode::NORMAL));
    }
}

/// More than is opened at a time, and more than one record, each way; the first message follows at once.
#[tokio::test]
async fn heads_of_all_sizes_pass() {
    let authority = Authority::new();
    let config = authority.server(Wrong::Nothing).server_config(DEFAULT_VERSIONS, None);
    for size in [0, 700, 900, 1_024, 2_000, 16_384, 20_000, 60_000] {
        let config = Arc::clone(&config);
        let url = serves(async move |stream| {
            let answer = accept(stream).tls(config).header("X-Long", "a".repeat(size));
            let mut ws = answer.await.expect("opened");
            ws.send("at once").await.expect("sent");
            assert!(ws.recv().await.is_ok());
        });
        let connect = connect(url.await).tls(trusting(&authority)).header("X-Long", "b".repeat(size));
        let (mut ws, response) = connect.with_response().await.expect("open");
        assert_eq!(response.headers["x-long"].len(), size);
        let message = ws.recv().await.expect("received").expect("open");
        assert_eq!(message.as_text(), Some("at once"));
        ws.close(CloseCode::NORMAL, "").await.expect("closed");
    }
}

/// Both ends write more than the buffers between them hold.
#[tokio::test]
async fn split_halves_send_and_receive_at_once() {
    let authority = Authority::new();
    let url = echo(good(&authority)).await;
    let ws = connect(&url).tls(trusting(&authority)).await.expect("open");
    let (sender, mut receiver) = ws.split();
    let sending = tokio::spawn(async move {
        for i in 0..2_000_u32 {
            sender.send(vec![i.to_le_bytes()[0]; 20_000]).await.expect("sent");
        }
        sender
    });
    for i in 0..2_000_u32 {
        let message = receiver.recv().await.expect("received").expect("open");
        assert!(message.as_bytes() == [i.to_le_bytes()[0]; 20_000], "message {i}");
    }
    sending.await.expect("no panic");
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_apart() {
    let authority = Authority::new();
    let url = |wrong| echo(authority.server(wrong).server_config(DEFAULT_VERSIONS, None));

    let expired = url(Wrong::Expired).await;
    assert_eq!(
        fault(&expired, trusting(&authority)).await,
        TlsFault::Expired { not_after: Some(1_009_843_200) }
    );
    let early = url(Wrong::NotYetValid).await;
    assert_eq!(
        fault(&early, trusting(&authority)).await,
        TlsFault::NotYetValid { not_before: Some(64_060_588_800) }
    );
    let other = url(Wrong::OtherHost).await;
    let TlsFault::WrongHost { expected, presented } = fault(&other, trusting(&authority)).await else {
        panic!("it is for elsewhere.example")
    };
    assert_eq!(expected, "127.0.0.1");
    assert_eq!(presented, ["elsewhere.example"]);

    let unknown = url(Wrong::Nothing).await;
    assert_eq!(fault(&unknown, trusting(&Authority::new())).await, TlsFault::UnknownIssuer);
    // The trust store of the machine does not know the tests' authority either.
    assert_eq!(fault(&unknown, Tls::new()).await, TlsFault::UnknownIssuer);

    let lists = Files::of(&[("list.pem", &authority.revocation_list())]);
    let revoked = echo(authority.revoked().server_config(DEFAULT_VERSIONS, None)).await;
    let checking = trusting(&authority).crl_file(lists.path("list.pem")).expect("a list");
    assert_eq!(fault(&revoked, checking.clone()).await, TlsFault::Revoked);
    connect(&revoked).tls(trusting(&authority)).await.expect("without the list nobody knows");
    connect(&unknown).tls(checking).await.expect("the other certificate is not in the list");
}

/// A proxy has a certificate of its own, and what is wrong with it is not the server's fault.
#[tokio::test]
async fn what_is_wrong_with_a_proxys_certificate_is_told_as_the_proxys() {
    let authority = Authority::new();
    let told = async |wrong, tls| {
        let url = echo(authority.server(wrong).server_config(DEFAULT_VERSIONS, None)).await;
        let proxy = Proxy::parse(&url.replace("wss://", "https://")).expect("an address");
        let error =
            connect("ws://feed.example.com/").proxy(proxy).tls(tls).await.expect_err("a wrong certificate");
        error.to_string()
    };
    let stranger = trusting(&Authority::new());
    for (wrong, tls, expected) in [
        (Wrong::Expired, trusting(&authority), "the proxy's certificate has expired (2002-01-01)"),
        (
            Wrong::OtherHost,
            trusting(&authority),
            "the proxy's certificate is not for 127.0.0.1, but for elsewhere.example",
        ),
        (Wrong::Nothing, stranger, "the proxy's certificate was issued by somebody who is not trusted here"),
        (
            Wrong::Nothing,
            Tls::new().pin_sha256([0; 32]),
            "the proxy's certificate is not the one that was pinned",
        ),
    ] {
        let error = told(wrong, tls).await;
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_pinned_certificate_is_the_only_one_that_is_taken() {
    let authority = Authority::new();
    // Neither its name nor its dates nor its issuer matter.
    let server = authority.server(Wrong::Expired);
    let url = echo(server.server_config(DEFAULT_VERSIONS, None)).await;
    let pin = |issued: &Issued| fingerprint_sha256(&issued.der());
    let other = authority.server(Wrong::Nothing);
    connect(&url).tls(Tls::new().pin_sha256(pin(&server))).await.expect("it is the pinned one");
    connect(&url)
        .tls(Tls::new().pin_sha256(pin(&other)).pin_sha256(pin(&server)))
        .await
        .expect("it is one of those that were pinned");
    let presented = pin(&server);
    assert_eq!(fault(&url, Tls::new().pin_sha256(pin(&other))).await, TlsFault::NotPinned { presented });
    // FIPS 180-2 B.1.
    let abc = fingerprint_sha256(b"abc").map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(abc, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[tokio::test]
async fn verification_is_off_only_where_that_is_said() {
    let authority = Authority::new();
    let url = echo(authority.server(Wrong::OtherHost).server_config(DEFAULT_VERSIONS, None)).await;
    connect(&url).tls(Tls::new().dangerously_without_verification()).await.expect("anything goes");
    assert!(!matches!(fault(&url, Tls::new()).await, TlsFault::NotPinned { .. }));
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let authority = Authority::new();
    let server = authority.server(Wrong::Nothing);
    for version in [&TLS12, &TLS13] {
        let url = echo(server.server_config(&[version], Some(&authority))).await;
        let files = authority.client().files();
        let tls = trusting(&authority)
            .client_certificate(files.path("certificate.pem"), files.path("key.pem"))
            .expect("they belong together");
        let mut ws = connect(&url).tls(tls).await.expect("it is known");
        comes_back(&mut ws, 1_000, &mut Rng::new()).await;
        let refused = fault(&url, trusting(&authority)).await;
        assert!(matches!(refused, TlsFault::Refused { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn a_server_is_made_of_two_files_or_what_is_in_them() {
    let authority = Authority::new();
    let issued = authority.server(Wrong::Nothing);
    let files = issued.files();
    let (certificate, key) = (files.path("certificate.pem"), files.path("key.pem"));
    for config in [
        server_config(&certificate, &key),
        server_config_pem(issued.certificate.as_bytes(), issued.key.as_bytes()),
    ] {
        let url = echo(config.expect("they belong together")).await;
        let mut ws = connect(&url).tls(trusting(&authority)).await.expect("open");
        comes_back(&mut ws, 1_000, &mut Rng::new()).await;
    }

    let other = authority.server(Wrong::Nothing).files();
    let mixed = server_config(&certificate, other.path("key.pem")).expect_err("the key of another");
    assert_eq!(mixed.fault(), &TlsFault::Configuration);
    assert!(mixed.to_string().ends_with(": the private key belongs to another certificate"), "{mixed}");
    for (error, what) in [
        (server_config(&key, &key).expect_err("no certificate"), "there is no certificate in it"),
        (server_config(&certificate, &certificate).expect_err("no key"), "there is no private key in it"),
        (server_config(files.path("missing"), &key).expect_err("no file"), "missing: "),
        (Tls::new().ca_file(&key).expect_err("no certificate"), "key.pem: there is no certificate in it"),
        (
            Tls::new().client_certificate(&key, &key).expect_err("no certificate"),
            "key.pem: there is no certificate",
        ),
        (Tls::new().client_certificate(&certificate, &certificate).expect_err("no key"), "no private key"),
        (Tls::new().crl_file(&key).expect_err("no list"), "key.pem: there is no revocation list in it"),
    ] {
        assert_eq!(error.fault(), &TlsFault::Configuration);
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn a_whole_configuration_of_rustls_is_taken_as_it_is() {
    let authority = Authority::new();
    let url = echo(good(&authority)).await;
    let config = trusting(&authority).config().expect("a configuration");
    connect(&url).tls(Tls::from(config)).await.expect("open");
}

#[tokio::test]
async fn versions_without_each_other_have_nothing_in_common() {
    let authority = Authority::new();
    let url = echo(authority.server(Wrong::Nothing).server_config(&[&TLS12], None)).await;
    let refused = fault(&url, trusting(&authority).only_tls13()).await;
    assert_eq!(refused, TlsFault::NoCommonProtocol);
}

#[tokio::test]
async fn plain_http_and_other_answers_are_recognised() {
    for (answer, shown) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "plain HTTP (use ws://)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
    ] {
        let url = serves(move |mut stream| async move {
            stream.write_all(answer).await.expect("connected");
            _ = stream.read(&mut [0; 1024]).await;
        })
        .await;
        let error = connect(&url).await.expect_err("no TLS");
        assert!(
            matches!(&error, Error::Tls(tls) if matches!(tls.fault(), TlsFault::NotTls { .. })),
            "{error:?}"
        );
        assert!(error.to_string().contains(shown), "{error}");
    }
    // A proxy that is asked for TLS and speaks plain HTTP.
    let url = serves(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("connected");
        _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let proxy = Proxy::parse(&url.replace("wss://", "https://")).expect("an address");
    let error = connect("ws://feed.example.com/").proxy(proxy).await.expect_err("no TLS");
    assert_eq!(
        error.to_string(),
        "the proxy does not speak TLS here: what it sent begins with \"HTTP/1.1 400 Bad Request\\r\\n\\r\\n\", \
         which is plain HTTP (use http://)"
    );
    // The other way round: a client that does not speak TLS to a server that does.
    let authority = Authority::new();
    let (mut ours, theirs) = tokio::io::duplex(4096);
    let accepting = tokio::spawn(accept(theirs).tls(good(&authority)).into_future());
    ours.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
    let refused = accepting.await.expect("no panic").expect_err("no TLS");
    assert!(
        matches!(&refused, Error::Tls(tls) if matches!(tls.fault(), TlsFault::NotTls { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_end_that_tls_does_not_know_of_is_told() {
    // In the handshake.
    let url = serves(|mut stream| async move {
        _ = stream.read(&mut [0; 64]).await;
    })
    .await;
    let cut = connect(&url).await.expect_err("cut");
    assert!(
        matches!(&cut, Error::Tls(tls) if tls.fault() == &TlsFault::Truncated) || matches!(cut, Error::Io(_)),
        "{cut:?}"
    );

    // After it: TCP ends, TLS does not.
    let authority = Authority::new();
    let config = good(&authority);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("wss://{}/", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut ws = accept(stream).tls(config).await.expect("open");
        ws.send("half of what there is to say").await.expect("sent");
        drop(ws);
    });
    let mut ws = connect(&url).tls(trusting(&authority)).await.expect("open");
    assert!(ws.recv().await.expect("the half").is_some());
    let error = ws.recv().await.expect_err("the other half is missing");
    assert!(matches!(&error, Error::Tls(tls) if tls.fault() == &TlsFault::Truncated), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(ws.close_code(), Some(CloseCode::ABNORMAL));
}

/// The server's side by rustls' own blocking interface: what it hears at the end is what we said.
#[tokio::test]
async fn the_end_of_tls_is_said_after_the_close_frame() {
    let authority = Authority::new();
    let config = good(&authority);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port").into_std().expect("a socket");
    listener.set_nonblocking(false).expect("a socket");
    let url = format!("wss://{}/", listener.local_addr().expect("bound"));
    let heard = tokio::task::spawn_blocking(move || {
        let (stream, _) = listener.accept().expect("a client");
        let connection = rustls::ServerConnection::new(config).expect("a configuration");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            head.push(byte[0]);
        }
        let mut accepting =
            aiowebsocket::opening::Accepting::new(aiowebsocket::opening::HeadLimits::default());
        accepting.receive(&head, crate::support::start_of_time()).expect("a good request");
        accepting.accept(None, &[]).expect("a plain answer");
        stream.write_all(accepting.output()).expect("connected");
        // Their Close frame, then ours; then the end of TLS, which is the end of what can be read without an error.
        let mut close = [0; 8];
        stream.read_exact(&mut close).expect("a Close frame");
        assert_eq!(close[0], 0x88);
        stream.write_all(&[0x88, 2, 0x03, 0xe8]).expect("connected");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).map(|_| rest)
    });
    let mut ws = connect(&url).tls(trusting(&authority)).no_compression().await.expect("open");
    let closed = tokio::spawn(async move { ws.close(CloseCode::NORMAL, "").await });
    assert_eq!(heard.await.expect("no panic").expect("TLS ended"), b"", "nothing follows the Close frame");
    closed.await.expect("no panic").expect("closed");
}

/// Either end may say that nothing follows and then wait for the other to say so too, before it ends TCP.
#[tokio::test]
async fn the_end_of_tls_is_the_end_while_a_connection_opens() {
    let authority = Authority::new();
    // A server whose refusal goes on to the end.
    let config = good(&authority);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port").into_std().expect("a socket");
    listener.set_nonblocking(false).expect("a socket");
    let url = format!("wss://{}/", listener.local_addr().expect("bound"));
    let server = tokio::task::spawn_blocking(move || {
        let (stream, _) = listener.accept().expect("a client");
        let connection = rustls::ServerConnection::new(config).expect("a configuration");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        _ = stream.read(&mut [0; 4096]).expect("a request");
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\nno").expect("connected");
        stream.conn.send_close_notify();
        stream.flush().expect("connected");
        _ = stream.read_to_end(&mut Vec::new());
    });
    let error = connect(&url).tls(trusting(&authority)).await.expect_err("a refusal");
    server.await.expect("no panic");
    let Error::Handshake(error) = error else { panic!("{error:?}") };
    let HandshakeError::Refused(refusal) = *error else { panic!("{error:?}") };
    assert!(refusal.is_complete && refusal.body == b"no", "{refusal:?}");

    // A client that asks for nothing.
    let mut roots = rustls::RootCertStore::empty();
    let pem = authority.pem();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let stream = TcpStream::connect(address).await.expect("a listener").into_std().expect("a socket");
    stream.set_nonblocking(false).expect("a socket");
    let client = tokio::task::spawn_blocking(move || {
        let name = "localhost".try_into().expect("a name");
        let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a configuration");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        stream.flush().expect("a handshake");
        stream.conn.send_close_notify();
        stream.flush().expect("connected");
        _ = stream.read_to_end(&mut Vec::new());
    });
    let (stream, _) = listener.accept().await.expect("a client");
    let error = accept(stream).tls(good(&authority)).await.expect_err("no request");
    client.await.expect("no panic");
    let Error::Accept(error) = error else { panic!("{error:?}") };
    assert!(matches!(*error, AcceptError::UnexpectedEnd { received: 0 }), "{error:?}");
}

#[tokio::test]
async fn sessions_are_resumed_among_connections_of_the_same_options_only() {
    let authority = Authority::new();
    let server = authority.server(Wrong::Nothing);
    for version in [&TLS12, &TLS13] {
        let url = echo(server.server_config(&[version], None)).await;
        let tls = trusting(&authority);
        let resumed = async |tls: &Tls| {
            let mut ws = connect(&url).tls(tls.clone()).await.expect("open");
            // The tickets of TLS 1.3 come behind the handshake.
            comes_back(&mut ws, 10, &mut Rng::new()).await;
            let info = ws.tls().expect("secure");
            ws.close(CloseCode::NORMAL, "").await.expect("closed");
            info.is_resumed
        };
        assert!(!resumed(&tls).await, "there is nothing to resume yet");
        assert!(resumed(&tls).await, "{version:?}");
        // The same trust, but another store.
        assert!(!resumed(&trusting(&authority)).await);
        // What was opened without verification opens nothing with it.
        let careless = Tls::new().dangerously_without_verification();
        assert!(!resumed(&careless).await);
        assert!(resumed(&careless).await);
        assert_eq!(fault(&url, trusting(&Authority::new())).await, TlsFault::UnknownIssuer);
    }
}

/// It is a CA, which no path may end with; but it is the very one that was given.
#[tokio::test]
async fn a_certificate_that_signed_itself() {
    let wrongs = [Wrong::Nothing, Wrong::OtherHost, Wrong::Expired, Wrong::NotYetValid];
    for wrong in wrongs {
        let (issued, other) = (Issued::by_itself(wrong), Issued::by_itself(wrong));
        let url = echo(issued.server_config(DEFAULT_VERSIONS, None)).await;
        let given =
            |issued: &Issued| Tls::new().ca_pem(issued.certificate.as_bytes()).expect("a certificate");
        for tls in [given(&issued), given(&issued).only_these_cas(), given(&issued).only_tls13()] {
            match (wrong, connect(&url).tls(tls).await) {
                (Wrong::Nothing, Ok(mut ws)) => comes_back(&mut ws, 10, &mut Rng::new()).await,
                (Wrong::OtherHost, Err(Error::Tls(error))) => {
                    assert!(matches!(error.fault(), TlsFault::WrongHost { .. }), "{error}");
                }
                (Wrong::Expired, Err(Error::Tls(error))) => {
                    assert!(matches!(error.fault(), TlsFault::Expired { .. }), "{error}");
                }
                (Wrong::NotYetValid, Err(Error::Tls(error))) => {
                    assert!(matches!(error.fault(), TlsFault::NotYetValid { .. }), "{error}");
                }
                (wrong, opened) => panic!("{wrong:?}: {:?}", opened.map(|_| ())),
            }
        }
        // Of the same names, and not the one that was given.
        let opened = connect(&url).tls(given(&other).only_these_cas()).await;
        let Err(Error::Tls(error)) = opened else { panic!("{wrong:?}: {opened:?}") };
        if wrong == Wrong::Nothing {
            let list = Files::of(&[("list.pem", &Authority::new().revocation_list())]);
            let tls = given(&issued).only_these_cas().crl_file(list.path("list.pem")).expect("a list");
            assert_eq!(fault(&url, tls).await, TlsFault::BadCertificate, "nobody would look it up");
            assert_eq!(error.fault(), &TlsFault::BadCertificate);
            assert!(
                error.to_string().ends_with("give it as one to trust, without revocation lists"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn options_that_cannot_be_used_say_so_before_anything_is_sent() {
    assert!(Tls::new().ca_file("/nowhere/ca.pem").is_err());
    assert!(Tls::new().ca_pem(b"no certificate").is_err());
    let none = Tls::new().only_these_cas().config().expect_err("nobody is trusted");
    assert!(none.to_string().contains("no certificate is trusted"), "{none}");
    let authority = Authority::new();
    let (one, other) = (authority.client().files(), authority.client().files());
    let mixed = Tls::new()
        .client_certificate(one.path("certificate.pem"), other.path("key.pem"))
        .expect("both can be read");
    assert!(matches!(
        mixed.config().expect_err("they do not belong together").fault(),
        TlsFault::Configuration
    ));
}

/// Of two options that ask for different judges none is dropped without a word: it would be the careful one.
#[tokio::test]
async fn options_that_contradict_each_other_are_an_error_in_either_order() {
    type Edit = Box<dyn Fn(Tls) -> Tls>;
    let authority = Authority::new();
    let (pem, files) = (authority.pem(), authority.client().files());
    let list = Files::of(&[("list.pem", &authority.revocation_list())]);
    let pin: Edit = Box::new(|tls| tls.pin_sha256([0; 32]));
    let any: Edit = Box::new(Tls::dangerously_without_verification);
    let only: Edit = Box::new(Tls::only_these_cas);
    let ca: Edit = Box::new(move |tls| tls.ca_pem(pem.as_bytes()).expect("a certificate"));
    let crl: Edit = Box::new(move |tls| tls.crl_file(list.path("list.pem")).expect("a list"));
    let identity: Edit = Box::new(move |tls| {
        tls.client_certificate(files.path("certificate.pem"), files.path("key.pem"))
            .expect("both can be read")
    });
    for (one, other) in
        [(&any, &pin), (&any, &only), (&any, &ca), (&any, &crl), (&pin, &only), (&pin, &ca), (&pin, &crl)]
    {
        for tls in [one(other(Tls::new())), other(one(Tls::new()))] {
            let error = tls.config().expect_err("they contradict each other");
            assert!(matches!(error.fault(), TlsFault::Configuration), "{error}");
        }
    }
    for tls in [any(identity(Tls::new())), pin(identity(Tls::new())), pin(Tls::new().only_tls13())] {
        tls.config().expect("who we are, and the version, are another matter");
    }
    let error = any(pin(Tls::new())).config().expect_err("the pin would not be heeded");
    assert!(error.to_string().contains("to take any certificate contradicts pins"), "{error}");
}

#[tokio::test]
async fn each_step_is_told_with_its_time() {
    let authority = Authority::new();
    let url = echo(good(&authority)).await;
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let listening = Arc::clone(&told);
    let observe = move |_, milestone: &Milestone| listening.lock().expect("no panic").push(milestone.clone());
    connect(&url).tls(trusting(&authority)).observe(observe).await.expect("open");
    let told = told.lock().expect("no panic");
    let lines: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert!(
        matches!(
            told[..],
            [
                Milestone::Dialling { .. },
                Milestone::Connected { .. },
                Milestone::Securing { .. },
                Milestone::Secured(_),
                Milestone::Asking { .. },
                Milestone::Answered { .. },
                Milestone::Open { .. }
            ]
        ),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_runs_out_of_time_in_the_handshake_of_tls() {
    let (ours, _theirs) = tokio::io::duplex(4096);
    // The trust store is read on another thread, which paused time does not wait for.
    let tls = Tls::new();
    tls.config().expect("the machine has a trust store");
    let error = connect("wss://in.memory/").tls(tls).through(ours).await.expect_err("silence");
    assert!(matches!(error, Error::Timeout(aiowebsocket::TimeLimit::Open(OpenStep::Tls))), "{error:?}");
    let (ours, _theirs) = tokio::io::duplex(4096);
    let authority = Authority::new();
    let error = accept(ours).tls(good(&authority)).await.expect_err("silence");
    assert!(matches!(error, Error::Timeout(aiowebsocket::TimeLimit::Open(OpenStep::Tls))), "{error:?}");
}

/// A stream whose reads and writes are cut at random, down to one byte.
struct Cut<S> {
    stream: S,
    rng: Rng,
    waits: bool,
}

impl<S> Cut<S> {
    fn few(&mut self, most: usize) -> usize {
        match self.rng.below(4) {
            0 => 1,
            1 => 1 + self.rng.below(20),
            _ => 1 + self.rng.below(40_000),
        }
        .min(most)
    }

    /// Pending now and then, so that the other side gets its turn in between.
    fn rest(&mut self, cx: &Context<'_>) -> bool {
        self.waits = !self.waits && self.rng.below(3) == 0;
        if self.waits {
            cx.waker().wake_by_ref();
        }
        self.waits
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cut<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.rest(cx) {
            return Poll::Pending;
        }
        let few = self.few(buffer.remaining());
        let mut part = buffer.take(few);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let n = part.filled().len();
        // A cut of a buffer shares its initialised part.
        buffer.initialize_unfilled_to(n);
        buffer.advance(n);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cut<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.rest(cx) {
            return Poll::Pending;
        }
        let few = self.few(bytes.len());
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..few])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// However the bytes fall, and whoever writes in between: the tickets of TLS 1.3 come in pieces while messages are sealed.
#[tokio::test]
async fn bytes_may_be_cut_anywhere() {
    let authority = Authority::new();
    let mut rng = Rng::new();
    for version in [&TLS12, &TLS13] {
        let config = authority.server(Wrong::Nothing).server_config(&[version], None);
        for _ in 0..20 {
            let (ours, theirs) = tokio::io::duplex(1 + rng.below(3_000));
            let (ours, theirs) = (
                Cut { stream: ours, rng: Rng::with_seed(rng.next()), waits: false },
                Cut { stream: theirs, rng: Rng::with_seed(rng.next()), waits: false },
            );
            let config = Arc::clone(&config);
            let served = tokio::spawn(async move {
                let mut ws = accept(theirs).tls(config).await?;
                while let Some(message) = ws.recv().await? {
                    ws.send(message).await?;
                }
                ws.close(CloseCode::NORMAL, "").await
            });
            let connecting = connect("wss://localhost/").tls(trusting(&authority)).through(ours);
            let mut ws = connecting.await.expect("open");
            for size in [0, 1, 200, 70_000, 3, 16_384, 100] {
                comes_back(&mut ws, size, &mut rng).await;
            }
            ws.close(CloseCode::NORMAL, "").await.expect("closed");
            served.await.expect("no panic").expect("closed");
        }
    }
}

/// What changes bytes on their way is noticed, and neither end takes a changed one.
#[tokio::test]
async fn a_changed_byte_ends_the_connection() {
    let authority = Authority::new();
    let (ours, between_ours) = tokio::io::duplex(1 << 16);
    let (between_theirs, theirs) = tokio::io::duplex(1 << 16);
    let spoil = Arc::new(AtomicBool::new(false));
    let (mut from_server, mut to_server) = tokio::io::split(between_theirs);
    let (mut from_client, mut to_client) = tokio::io::split(between_ours);
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let spoiling = Arc::clone(&spoil);
    tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            if spoiling.load(Ordering::Relaxed) {
                buffer[n / 2] ^= 1;
            }
            if to_client.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    });
    let config = good(&authority);
    let served = tokio::spawn(async move {
        let mut ws = accept(theirs).tls(config).await?;
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok::<_, Error>(())
    });
    let mut ws = connect("wss://localhost/").tls(trusting(&authority)).through(ours).await.expect("open");
    comes_back(&mut ws, 100, &mut Rng::new()).await;
    spoil.store(true, Ordering::Relaxed);
    ws.send(vec![0; 100]).await.expect("sent");
    let error = ws.recv().await.expect_err("it was changed");
    assert!(matches!(&error, Error::Tls(tls) if tls.fault() == &TlsFault::Broken), "{error:?}");
    let later = ws.send("more").await.expect_err("over");
    assert!(matches!(later, Error::Tls(_)), "{later:?}");
    // The server is told by an alert.
    let told = served.await.expect("no panic").expect_err("told");
    assert!(matches!(&told, Error::Tls(tls) if matches!(tls.fault(), TlsFault::Refused { .. })), "{told:?}");
}

/// A violation is answered with a Close frame over TLS too, and limits hold there.
#[tokio::test]
async fn limits_hold_over_tls() {
    let authority = Authority::new();
    let url = echo(good(&authority)).await;
    let mut ws =
        connect(&url).tls(trusting(&authority)).max_message(1_000).no_compression().await.expect("open");
    ws.send(vec![0; 5_000]).await.expect("sent");
    assert!(matches!(ws.recv().await, Err(Error::TooBig(_))));
    let (ours, _theirs) = tokio::io::duplex(1 << 16);
    drop(ours);
    let mut config = Config::default();
    config.max_queue = 1;
    let mut ws = connect(&url).tls(trusting(&authority)).config(config).await.expect("open");
    for _ in 0..100 {
        ws.feed(vec![7; 1_000]).await.expect("room comes");
    }
    ws.flush().await.expect("written");
    for _ in 0..100 {
        assert!(ws.recv().await.expect("received").is_some());
    }
}

/// A process-wide default is another crate's business: one that can do nothing changes nothing here.
#[tokio::test]
async fn nothing_is_taken_from_the_process_or_written_for_it() {
    let mut useless = rustls::crypto::ring::default_provider();
    useless.cipher_suites.clear();
    // Nobody else in this program sets one.
    useless.install_default().expect("the library sets none");
    let authority = Authority::new();
    let url = echo(good(&authority)).await;
    let tls = trusting(&authority);
    connect(&url).tls(tls.clone()).await.expect("open");

    let config = tls.config().expect("a configuration");
    assert!(Arc::ptr_eq(&config, &tls.clone().config().expect("the same one")), "made once");
    assert!(!config.key_log.will_log("CLIENT_RANDOM"), "SSLKEYLOGFILE is not heeded");
    assert!(!config.enable_early_data);
}
