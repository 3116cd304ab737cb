//! `wss://`: who is trusted, who is not and what is said about it, on both sides.

use std::process::Command;
use std::sync::Arc;
use std::thread;

use aiowebsocket::tls::{fingerprint_sha256, server_config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use snapbox::str;

use crate::support::{Folder, LIMIT, Program, Server, check, once, plain, read_head, told, told_with};

/// An authority of the tests' own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Writes a certificate and its key: NAME.pem and NAME.key.
    fn issue(&self, folder: &Folder, name: &str, host: &str, edit: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        edit(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        folder.write(&format!("{name}.pem"), &certificate.pem());
        folder.write(&format!("{name}.key"), &key.serialize_pem());
    }
}

/// A folder with ca.pem, server.pem and server.key for 127.0.0.1, and other.pem, which is another authority's.
pub(crate) fn folder() -> (Folder, Authority) {
    let folder = Folder::new();
    let authority = Authority::new("authority of the tests");
    folder.write("ca.pem", &authority.0.pem());
    folder.write("other.pem", &Authority::new("another authority").0.pem());
    authority.issue(&folder, "server", "127.0.0.1", |_| {});
    (folder, authority)
}

pub(crate) fn serve(folder: &Folder, name: &str) -> Server {
    folder.serve(&["--cert", &format!("{name}.pem"), "--key", &format!("{name}.key")])
}

#[test]
fn a_ca_of_ones_own_is_trusted_by_name() {
    let (folder, _) = folder();
    let server = serve(&folder, "server");
    check(
        folder.told(&["connect", "--cacert", "ca.pem", &server.url], "hello\n"),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr

"#]],
    );
    check(
        folder.told(&["connect", "-v", "--cacert", "ca.pem", &server.url], "hello\n"),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
* DURATION  TLS with 127.0.0.1
* DURATION  secure: TLSv1.3, CIPHER, http/1.1
* DURATION  asking for wss://127.0.0.1:PORT/
> GET / HTTP/1.1
> Host: 127.0.0.1:PORT
> Connection: Upgrade
> Upgrade: websocket
> User-Agent: aiowebsocket/VERSION
> Sec-WebSocket-Key: KEY
> Sec-WebSocket-Version: 13
> Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
* DURATION  the server answers 101
< HTTP/1.1 101 Switching Protocols
< upgrade: websocket
< connection: Upgrade
< sec-websocket-accept: KEY
< sec-websocket-extensions: permessage-deflate
* DURATION  open, permessage-deflate
* closed: 1000 (Normal Closure)

"#]],
    );
    check(
        folder.told(&["connect", &server.url], "hello\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the server's certificate was issued by somebody who is not trusted here: --cacert FILE trusts a CA of your own, --pin SHA256 one certificate

"#]],
    );
    check(
        folder.told(&["connect", "--cacert", "other.pem", &server.url], "hello\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the server's certificate was not issued by a CA of --cacert

"#]],
    );
    // One that signed itself is its own authority.
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    folder.write("self.pem", &params.self_signed(&key).expect("a certificate").pem());
    folder.write("self.key", &key.serialize_pem());
    let server = serve(&folder, "self");
    let said = folder.told(&["ping", "-c", "1", "--cacert", "self.pem", &server.url], "");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
}

/// The system's store is whichever these variables name.
#[cfg(target_os = "linux")]
#[test]
fn the_store_of_the_system() {
    let (folder, _) = folder();
    let server = serve(&folder, "server");
    let ca = folder.path("ca.pem");
    let store = [("SSL_CERT_FILE", ca.to_str().expect("text")), ("SSL_CERT_DIR", "/nowhere")];
    let said = told_with(&store, &["connect", &server.url], "hello\n");
    assert!(said.starts_with("exit code: 0\n----- stdout\nhello\n"), "{said}");
    // A CA of the command line takes its place.
    let other = folder.path("other.pem");
    let said = told_with(&store, &["connect", "--cacert", other.to_str().expect("text"), &server.url], "");
    assert!(said.starts_with("exit code: 1\n"), "{said}");
    let none = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/nowhere")];
    let said = told_with(&none, &["connect", &server.url], "");
    // A build that has Mozilla's certificates beside goes on with those, and they do not know the tests' authority.
    let what = if said.contains("issued by somebody") {
        "the server's certificate was issued by somebody who is not trusted here: --cacert FILE trusts a CA of your own"
    } else {
        "No CA certificates were loaded from the system; --cacert FILE does without those of the system"
    };
    assert!(said.starts_with("exit code: 1\n") && said.contains(what), "{said}");
}

#[test]
fn files_that_cannot_be_used() {
    let (folder, _) = folder();
    let connect =
        |options: &[&str]| folder.told(&[&["connect"], options, &["wss://127.0.0.1:9/"]].concat(), "");
    check(
        connect(&["--cacert", "missing.pem"]),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --cacert cannot be used: missing.pem: No such file or directory (os error 2)

"#]],
    );
    check(
        connect(&["--cacert", "server.key"]),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --cacert cannot be used: server.key: there is no certificate in it (PEM)

"#]],
    );
    check(
        connect(&["--cert", "server.pem"]),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --cert cannot be used: server.pem: there is no private key in it (PEM)

"#]],
    );
    check(
        connect(&["--cert", "ca.pem", "--key", "server.key"]),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --cert and --key cannot be used: the private key belongs to another certificate

"#]],
    );
    check(
        connect(&["--key", "server.key"]),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: the following required arguments were not provided:
  --cert <FILE>

Usage: aiows connect --cert <FILE> --key <FILE> <URL>

For more information, try '--help'.

"#]],
    );
    check(
        folder.told(&["serve", "0", "--cert", "missing.pem"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --cert cannot be used: missing.pem: No such file or directory (os error 2)

"#]],
    );
    check(
        folder.told(&["serve", "0", "--cert", "ca.pem", "--key", "server.key"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --cert and --key cannot be used: the private key belongs to another certificate

"#]],
    );
}

#[test]
fn any_certificate_with_a_loud_warning() {
    let server = Server::start(&["--tls"]);
    check(
        told(&["connect", "--insecure", &server.url], "hello\n"),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr
aiows: warning: --insecure takes any certificate: whoever sits in between can read and change everything

"#]],
    );
    check(
        told(&["connect", "--insecure", "--cacert", "ca.pem", &server.url], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: the argument '--insecure' cannot be used with '--cacert <FILE>'

Usage: aiows connect --insecure <URL>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn a_certificate_made_for_this_run_is_known_by_its_fingerprint() {
    let server = Server::start(&["--tls"]);
    let line = server.program.line();
    check(plain(line.as_bytes()), str!["with a certificate made for this run: --pin FINGERPRINT"]);
    let (_, pin) = line.rsplit_once(' ').expect("it is the last word");
    check(
        told(&["connect", "--pin", pin, &server.url], "hello\n"),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr

"#]],
    );
    // As openssl writes it, beside one that is not it, and by a name that the certificate has.
    let pairs: Vec<&str> =
        pin.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("ASCII")).collect();
    let url = server.url.replace("127.0.0.1", "localhost");
    let said = told(
        &["ping", "-c", "1", "--pin", &"00".repeat(32), "--pin", &pairs.join(":").to_uppercase(), &url],
        "",
    );
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    let wrong = told(&["connect", "--pin", &"00".repeat(32), &server.url], "hello\n");
    check(
        &wrong,
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the server's certificate is not the one that was pinned: its SHA-256 is FINGERPRINT; --pin names another

"#]],
    );
    // Each run makes its own.
    assert_ne!(Server::start(&["--tls"]).program.line(), line);
    check(
        told(&["connect", "--pin", "0123", &server.url], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: invalid value '0123' for '--pin <SHA256>': write the 64 hexadecimal digits of a SHA-256 fingerprint, with colons between or without

For more information, try '--help'.

"#]],
    );
}

/// The whole fingerprint is shown: it is what somebody would write behind `--pin`.
#[test]
fn a_certificate_that_was_not_pinned_is_shown() {
    let (folder, _) = folder();
    let server = serve(&folder, "server");
    let certificate = CertificateDer::from_pem_file(folder.path("server.pem")).expect("a certificate");
    let pin = fingerprint_sha256(&certificate).map(|byte| format!("{byte:02x}")).concat();
    let said = folder.start(&["connect", "--pin", &"00".repeat(32), &server.url]).end();
    let text = String::from_utf8(said.stderr).expect("text");
    assert!(text.contains(&format!("its SHA-256 is {pin}; --pin")), "{text}");
    let said = folder.told(&["connect", "--pin", &pin, &server.url], "hello\n");
    assert!(said.starts_with("exit code: 0\n----- stdout\nhello\n"), "{said}");
}

#[test]
fn what_is_wrong_with_a_certificate() {
    let (folder, authority) = folder();
    let connect = |name: &str| {
        let server = serve(&folder, name);
        folder.told(&["connect", "--cacert", "ca.pem", &server.url], "hello\n")
    };
    authority.issue(&folder, "expired", "127.0.0.1", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 2, 28);
    });
    check(
        connect("expired"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the server's certificate has expired (2002-02-28): whoever runs it must renew it

"#]],
    );
    authority.issue(&folder, "early", "127.0.0.1", |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    check(
        connect("early"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the server's certificate is not valid yet (4000-01-01), or the clock here is wrong

"#]],
    );
    authority.issue(&folder, "elsewhere", "elsewhere.example", |_| {});
    check(
        connect("elsewhere"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the server's certificate is not for 127.0.0.1, but for elsewhere.example: is the name in the address right?

"#]],
    );
}

#[test]
fn tls_where_there_is_none_and_none_where_there_is() {
    let plain = Server::start(&[]);
    check(
        told(&["connect", &plain.url.replace("ws://", "wss://")], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the peer does not speak TLS here: what it sent begins with "HTTP/1.1 400 Bad Request\r\nConnec", which is plain HTTP (use ws://)

"#]],
    );
    let greeting = once(|mut stream| {
        std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n").expect("it is open");
        _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
    });
    check(
        told(&["connect", &greeting.replace("ws://", "wss://")], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the peer does not speak TLS here: what it sent begins with "SSH-2.0-OpenSSH_9.2\r\n": write ws://?

"#]],
    );
    let secure = Server::start(&["--tls"]);
    check(
        told(&["connect", &secure.url.replace("wss://", "ws://")], ""),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server closed the connection without an answer to the upgrade request: does it speak TLS there (wss://)?

"#]],
    );
    let cut = once(|mut stream| _ = std::io::Read::read(&mut stream, &mut [0; 2]));
    let said = told(&["connect", &cut.replace("ws://", "wss://")], "");
    // A reset or an end, as the system likes it.
    assert!(said.starts_with("exit code: 1\n"), "{said}");
}

#[test]
fn a_certificate_of_ones_own() {
    let (folder, authority) = folder();
    authority.issue(&folder, "me", "me", |_| {});
    let url = asking_for_certificates(&folder, &authority);
    check(
        folder.told(&["connect", "--cacert", "ca.pem", &url], "hello\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the peer refused TLS with the alert CertificateRequired: does it want a certificate of yours (--cert and --key)?

"#]],
    );
    check(
        folder
            .told(&["connect", "--cacert", "ca.pem", "--cert", "me.pem", "--key", "me.key", &url], "hello\n"),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr

"#]],
    );
    // Both in one file.
    let [certificate, key] =
        ["me.pem", "me.key"].map(|name| std::fs::read_to_string(folder.path(name)).expect("a file"));
    folder.write("both.pem", &format!("{key}{certificate}"));
    let said = folder.told(&["connect", "--cacert", "ca.pem", "--cert", "both.pem", &url], "hello\n");
    assert!(said.starts_with("exit code: 0\n----- stdout\nhello\n"), "{said}");
}

/// An echo server that lets in whom the authority vouches for.
fn asking_for_certificates(folder: &Folder, authority: &Authority) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let certificate = CertificateDer::from_pem_file(folder.path("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.path("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    echo(Arc::new(config))
}

/// An echo server with this configuration, on a thread of its own.
fn echo(config: Arc<ServerConfig>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let url = format!("wss://{}/", listener.local_addr().expect("it is bound"));
    drop(thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                let accepting = aiowebsocket::accept(stream).tls(config.clone()).open_timeout(LIMIT);
                tokio::spawn(async move {
                    let mut ws = accepting.await?;
                    while let Some(message) = ws.recv().await? {
                        ws.send(message).await?;
                    }
                    ws.close(aiowebsocket::CloseCode::NORMAL, "").await
                });
            }
        });
    }));
    url
}

/// What another program says about the certificate that is made for one run.
#[cfg(unix)]
#[test]
fn openssl_reads_the_certificate_of_serve() {
    let Ok(version) = Command::new("openssl").arg("version").output() else {
        eprintln!("skipped: there is no openssl here");
        return;
    };
    assert!(version.status.success());
    let server = Server::start(&["--tls"]);
    let pin = server.program.line().rsplit_once(' ').expect("it is the last word").1.to_owned();
    let address = server.url.trim_start_matches("wss://").trim_end_matches('/');
    let script = "openssl s_client -connect \"$1\" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 -ext subjectAltName";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", address]);
    let said = String::from_utf8(Program::of(command).end().stdout).expect("text");
    let fingerprint = said
        .lines()
        .find_map(|line| line.to_lowercase().split_once("fingerprint=").map(|(_, hex)| hex.replace(':', "")));
    assert_eq!(fingerprint, Some(pin), "{said}");
    assert!(said.contains("DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"), "{said}");
}

/// What was meant to be secret is not sent in the clear because of a redirect.
#[test]
fn no_redirect_leads_out_of_tls() {
    let (folder, _) = folder();
    let config =
        server_config(folder.path("server.pem"), folder.path("server.key")).expect("they belong together");
    let url = once(move |stream| {
        let connection = rustls::ServerConnection::new(config).expect("a configuration");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        read_head(&mut stream);
        let answer =
            b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/?token=secret\r\nContent-Length: 0\r\n\r\n";
        std::io::Write::write_all(&mut stream, answer).expect("it waits");
    });
    check(
        folder.told(&["connect", "-v", "--cacert", "ca.pem", &url.replace("ws://", "wss://")], ""),
        str![[r#"
exit code: 3
----- stdout
----- stderr
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
* DURATION  TLS with 127.0.0.1
* DURATION  secure: TLSv1.3, CIPHER, http/1.1
* DURATION  asking for wss://127.0.0.1:PORT/
> GET / HTTP/1.1
> Host: 127.0.0.1:PORT
> Connection: Upgrade
> Upgrade: websocket
> User-Agent: aiowebsocket/VERSION
> Sec-WebSocket-Key: KEY
> Sec-WebSocket-Version: 13
> Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
* DURATION  the server answers 302
< HTTP/1.1 302 Found
< location: ws://127.0.0.1:9/?…
< content-length: 0
aiows: wss://127.0.0.1:PORT/: the server's redirect (302) cannot be followed: it leads from wss:// to ws://, which is not encrypted

"#]],
    );
}
