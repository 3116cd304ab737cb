//! Through a proxy: named, or out of the environment; and what is said where it does not let through.

use std::io::{ErrorKind, Read, Write, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use aiowebsocket::tls::server_config;
use snapbox::str;

use crate::support::{Folder, LIMIT, Server, check, nobody, plain, read_head, told, told_with};
use crate::tls;

/// A proxy on a thread of its own; what it was asked for.
struct Proxy {
    address: SocketAddr,
    asked: Receiver<String>,
}

impl Proxy {
    fn of(serve: impl Fn(TcpStream) -> Option<String> + Send + Clone + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (sender, asked) = mpsc::channel();
        drop(thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_read_timeout(Some(LIMIT)).expect("a limit");
                let (serve, sender) = (serve.clone(), sender.clone());
                // Nobody has to listen.
                drop(thread::spawn(move || serve(stream).map(|asked| sender.send(asked))));
            }
        }));
        Self { address, asked }
    }

    /// HTTP CONNECT, without a question.
    fn http() -> Self {
        Self::of(|mut stream| {
            let head = String::from_utf8(read_head(&mut stream)).expect("text");
            let target = head.split(' ').nth(1).expect("where to").to_owned();
            let server = TcpStream::connect(target).expect("the server listens");
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("it waits");
            drop(thread::spawn(move || join(stream, server)));
            Some(head)
        })
    }

    /// SOCKS5, for whoever knows the password.
    fn socks() -> Self {
        Self::of(|mut stream| {
            let [version, methods] = read(&mut stream);
            let mut offered = vec![0; usize::from(methods)];
            stream.read_exact(&mut offered).expect("methods");
            if version != 5 || !offered.contains(&2) {
                stream.write_all(&[5, 0xff]).expect("it waits");
                return None;
            }
            stream.write_all(&[5, 2]).expect("it waits");
            let [1] = read(&mut stream) else { panic!("RFC 1929") };
            let credentials = [text(&mut stream), text(&mut stream)];
            let is_known = credentials == ["user", "secret"];
            stream.write_all(&[1, u8::from(!is_known)]).expect("it waits");
            if !is_known {
                return None;
            }
            let [5, 1, 0, kind] = read(&mut stream) else { panic!("CONNECT of RFC 1928") };
            let host = match kind {
                1 => read::<4>(&mut stream).map(|byte| byte.to_string()).join("."),
                3 => text(&mut stream),
                kind => panic!("the kind of address {kind}"),
            };
            let port = u16::from_be_bytes(read(&mut stream));
            let mut found = (host.as_str(), port).to_socket_addrs().expect("it resolves");
            let address = found.find(SocketAddr::is_ipv4).expect("IPv4");
            let server = TcpStream::connect(address).expect("the server listens");
            stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 9]).expect("it waits");
            drop(thread::spawn(move || join(stream, server)));
            Some(format!("{} {host}", if kind == 3 { "name" } else { "address" }))
        })
    }

    /// One that gives every request this answer.
    fn refusing(answer: &'static str) -> Self {
        Self::of(move |mut stream| {
            let head = String::from_utf8(read_head(&mut stream)).expect("text");
            stream.write_all(answer.as_bytes()).expect("it waits");
            Some(head)
        })
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// What the next client asked for.
    fn asked(&self) -> String {
        self.asked.recv_timeout(LIMIT).expect("it is asked in time")
    }
}

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).expect("it says more");
    bytes
}

/// What has its length before it.
fn text(stream: &mut TcpStream) -> String {
    let [length] = read(stream);
    let mut text = vec![0; usize::from(length)];
    stream.read_exact(&mut text).expect("it says more");
    String::from_utf8(text).expect("text")
}

/// Bytes both ways until both ends have ended.
fn join(client: TcpStream, server: TcpStream) {
    let [mut from_client, mut to_client] = [client.try_clone().expect("a file"), client];
    let [mut from_server, mut to_server] = [server.try_clone().expect("a file"), server];
    let there = thread::spawn(move || {
        _ = copy(&mut from_client, &mut to_server);
        _ = to_server.shutdown(Shutdown::Write);
    });
    _ = copy(&mut from_server, &mut to_client);
    _ = to_client.shutdown(Shutdown::Write);
    there.join().expect("no panic");
}

#[test]
fn http_connect_for_both_schemes() {
    let (proxy, server) = (Proxy::http(), Server::start(&[]));
    check(
        told(&["connect", "-v", "--proxy", &proxy.url("http"), &server.url], "hello\n"),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
* DURATION  asking http://127.0.0.1:PORT for a tunnel to 127.0.0.1:PORT
* DURATION  the tunnel is there
* DURATION  asking for ws://127.0.0.1:PORT/
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
        plain(proxy.asked().as_bytes()).replace('\r', ""),
        str![[r#"
CONNECT 127.0.0.1:PORT HTTP/1.1
Host: 127.0.0.1:PORT
User-Agent: aiowebsocket/VERSION


"#]],
    );
    let secure = Server::start(&["--tls"]);
    check(
        told(&["connect", "-v", "-k", "-x", &proxy.address.to_string(), &secure.url], "hello\n"),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr
aiows: warning: --insecure takes any certificate: whoever sits in between can read and change everything
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
* DURATION  asking http://127.0.0.1:PORT for a tunnel to 127.0.0.1:PORT
* DURATION  the tunnel is there
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
    assert!(proxy.asked().starts_with("CONNECT 127.0.0.1:"));
}

#[test]
fn socks_with_names_resolved_here_and_there() {
    let (proxy, server) = (Proxy::socks(), Server::start(&[]));
    let url = server.url.replace("127.0.0.1", "localhost");
    let through = |scheme: &str, userinfo: &str| {
        let proxy = proxy.url(scheme).replace("://", &format!("://{userinfo}"));
        told(&["connect", "--proxy", &proxy, &url], "hello\n")
    };
    check(
        through("socks5h", "user:secret@"),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr

"#]],
    );
    assert_eq!(proxy.asked(), "name localhost");
    let said = through("socks5h", "user:wrong@");
    assert!(!said.contains("wrong@"), "{said}");
    check(
        said,
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://localhost:PORT/: through socks5h://127.0.0.1:PORT: the SOCKS proxy does not take this user and password (status 1)

"#]],
    );
    check(
        through("socks5h", ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://localhost:PORT/: through socks5h://127.0.0.1:PORT: the SOCKS proxy does not let us in without authentication: give it a user and a password: --proxy socks5h://USER:PASSWORD@HOST:PORT

"#]],
    );
    // Of the addresses of localhost the first is taken, which need not be the one that the server listens on.
    let at_its_address = told(
        &["connect", "--proxy", &proxy.url("socks5").replace("://", "://user:secret@"), &server.url],
        "hello\n",
    );
    assert!(at_its_address.starts_with("exit code: 0\n----- stdout\nhello\n"), "{at_its_address}");
    assert_eq!(proxy.asked(), "address 127.0.0.1");
}

#[test]
fn credentials_are_for_the_proxy_and_not_shown() {
    let (proxy, server) = (Proxy::http(), Server::start(&["-v"]));
    let url = proxy.url("http").replace("://", "://user:s%65cret@");
    let said = told(&["connect", "-v", "--proxy", &url, &server.url], "hello\n");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    assert!(!said.contains("secret") && !said.contains("s%65cret") && !said.contains("dXNlc"), "{said}");
    // user:secret
    let asked = proxy.asked();
    assert!(asked.contains("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{asked}");
}

#[test]
fn the_environment_counts_unless_it_is_told_not_to() {
    let (proxy, server, secure) = (Proxy::http(), Server::start(&[]), Server::start(&["--tls"]));
    let url = proxy.url("http");
    let none_at = "http://127.0.0.1:9";
    let comes_through = |variables: &[(&str, &str)], options: &[&str], is_through: bool| {
        let said = told_with(variables, &[&["connect", "-v"], options].concat(), "hello\n");
        assert!(said.starts_with("exit code: 0\n----- stdout\nhello\n"), "{variables:?}: {said}");
        assert_eq!(said.contains(" for a tunnel to "), is_through, "{variables:?}: {said}");
    };
    comes_through(&[("http_proxy", &url), ("https_proxy", none_at)], &[&server.url], true);
    comes_through(&[("https_proxy", &url), ("http_proxy", none_at)], &["-k", &secure.url], true);
    comes_through(&[("all_proxy", &url)], &[&server.url], true);
    comes_through(&[("all_proxy", none_at), ("no_proxy", "localhost,127.0.0.0/8")], &[&server.url], false);
    comes_through(&[("all_proxy", none_at)], &["--no-proxy", &server.url], false);
    comes_through(&[("http_proxy", none_at)], &["--proxy", &url, &server.url], true);
    // The other commands likewise; but the demo's own server is nobody else's.
    let ping = told_with(&[("http_proxy", &url)], &["ping", "-v", "-c", "1", &server.url], "");
    assert!(ping.starts_with("exit code: 0\n") && ping.contains(" for a tunnel to "), "{ping}");
    let demo = told_with(&[("http_proxy", none_at)], &["demo", &server.url], "");
    assert!(demo.contains(": nothing listens at the proxy http://127.0.0.1:9 "), "{demo}");
    let own = told_with(&[("http_proxy", none_at)], &[], "");
    assert!(own.starts_with("exit code: 0\n"), "{own}");
    check(
        told_with(&[("http_proxy", "ftp://user:secret@127.0.0.1")], &["connect", &server.url], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the environment variable http_proxy: "ftp" is no kind of proxy: use http://, https://, socks5:// or socks5h://; --no-proxy passes it over

"#]],
    );
}

#[test]
fn mistakes() {
    let connect = |options: &[&str]| told(&[&["connect"], options, &["ws://127.0.0.1:9/"]].concat(), "");
    check(
        connect(&["--proxy", "ftp://user:secret@127.0.0.1"]),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --proxy: "ftp" is no kind of proxy: use http://, https://, socks5:// or socks5h://

"#]],
    );
    check(
        connect(&["--proxy", "http://proxy.example.com/path"]),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --proxy: the proxy's address has a path, a query or a fragment: end it behind the port, as in http://proxy.example.com:3128

"#]],
    );
    check(
        connect(&["--proxy", "http://127.0.0.1:9", "--no-proxy"]),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: the argument '--proxy <URL>' cannot be used with '--no-proxy'

Usage: aiows connect --proxy <URL> <URL>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn refusals() {
    let connect = |answer: &'static str| {
        let proxy = Proxy::refusing(answer);
        told(&["connect", "--proxy", &proxy.url("http"), "ws://feed.example.com/"], "")
    };
    check(
        connect(
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 12\r\n\r\nWho are you?",
        ),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: through http://127.0.0.1:PORT: the proxy refused the tunnel: 407 Proxy Authentication Required: "Who are you?"; it wants a user and a password that it knows: --proxy http://USER:PASSWORD@HOST:PORT

"#]],
    );
    check(
        connect(
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
        ),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: through http://127.0.0.1:PORT: the proxy refused the tunnel: 407 Proxy Authentication Required; it asks for "Negotiate, NTLM", and only Basic can be done here

"#]],
    );
    check(
        connect("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: through http://127.0.0.1:PORT: the proxy refused the tunnel: 401 Unauthorized; it wants a user and a password that it knows: --proxy http://USER:PASSWORD@HOST:PORT

"#]],
    );
    check(
        connect("HTTP/1.1 403 Forbidden\r\nContent-Length: 25\r\n\r\nfeeds are \x1b[31mforbidden\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: through http://127.0.0.1:PORT: the proxy refused the tunnel: 403 Forbidden

"#]],
    );
    check(
        connect("HTTP/1.1 403 Forbidden\r\nContent-Length: 24\r\n\r\nFeeds are not for here.\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: through http://127.0.0.1:PORT: the proxy refused the tunnel: 403 Forbidden: "Feeds are not for here."

"#]],
    );
    check(
        connect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: through http://127.0.0.1:PORT: the proxy refused the tunnel: 502 Bad Gateway; can it reach the server?

"#]],
    );
    check(
        connect("SSH-2.0-OpenSSH_9.2\r\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: through http://127.0.0.1:PORT: the proxy does not speak HTTP here: its answer begins with "SSH-2.0-OpenSSH_9.2\r\n"

"#]],
    );
}

#[test]
fn no_proxy_there() {
    let (_held, address) = nobody();
    check(
        told(&["connect", "--proxy", &format!("http://{address}"), "ws://feed.example.com/"], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: nothing listens at the proxy http://127.0.0.1:PORT (connection refused): does it run? --no-proxy does without

"#]],
    );
    let said = told(&["connect", "--proxy", "http://nobody.invalid:3128", "ws://feed.example.com/"], "");
    assert!(
        said.contains(
            "aiows: ws://feed.example.com/: the proxy's name \"nobody.invalid\" could not be resolved: "
        ),
        "{said}"
    );
}

/// TLS with the proxy, and within it TLS with the server.
#[test]
fn tls_with_the_proxy() {
    let proxy = Proxy::http();
    let url = proxy.url("https");
    let options = ["connect", "--connect-timeout", "0.5", "--proxy", &url, "wss://feed.example.com/"];
    check(
        told(&options, ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://feed.example.com/: not open within DURATION: TLS with the proxy https://127.0.0.1:PORT is not done: does it speak TLS? If not, write http://

"#]],
    );
    let plain = Server::start(&[]);
    check(
        told(&["connect", "--proxy", &plain.url.replace("ws://", "https://"), "wss://feed.example.com/"], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://feed.example.com/: TLS with the proxy https://127.0.0.1:PORT: it does not speak TLS: write http:// for the proxy?

"#]],
    );
    let folder = Folder::new();
    let (echo, tls) = (Server::start(&["--tls"]), folder.serve(&["--tls"]));
    // A server of WebSockets that speaks TLS is no proxy, but it gets through TLS and answers CONNECT like a web server.
    let proxy = tls.url.replace("wss://", "https://");
    check(
        told(&["connect", "--proxy", &proxy, &echo.url], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: TLS with the proxy https://127.0.0.1:PORT: its certificate was issued by somebody who is not trusted here: --cacert FILE trusts a CA of your own, --pin SHA256 one certificate

"#]],
    );
    check(
        told(&["connect", "-v", "-k", "--proxy", &proxy, &echo.url], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: warning: --insecure takes any certificate: whoever sits in between can read and change everything
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
* DURATION  TLS with 127.0.0.1
* DURATION  secure: TLSv1.3, CIPHER, http/1.1
* DURATION  asking https://127.0.0.1:PORT for a tunnel to 127.0.0.1:PORT
aiows: wss://127.0.0.1:PORT/: through https://127.0.0.1:PORT: the proxy refused the tunnel: 405 Method Not Allowed: "the method is \"CONNECT\", and a WebSocket opens with GET"

"#]],
    );
}

/// HTTP CONNECT within TLS, with the certificate of the folder.
fn https(folder: &Folder) -> Proxy {
    let config =
        server_config(folder.path("server.pem"), folder.path("server.key")).expect("they belong together");
    Proxy::of(move |stream| {
        let connection = rustls::ServerConnection::new(config.clone()).expect("a configuration");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            // One that does not trust us goes away.
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        let server =
            TcpStream::connect(head.split(' ').nth(1).expect("where to")).expect("the server listens");
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("it waits");
        drop(thread::spawn(move || join_in_turns(stream, server)));
        Some(head)
    })
}

/// Bytes both ways until one end has ended, by whichever has some: the two ways of TLS are one state.
fn join_in_turns(mut client: impl Read + Write + Timed, mut server: TcpStream) {
    client.limit(Duration::from_millis(2));
    server.limit(Duration::from_millis(2));
    let mut bytes = vec![0; 1 << 14];
    loop {
        for is_from_client in [true, false] {
            let read = if is_from_client { client.read(&mut bytes) } else { server.read(&mut bytes) };
            match read {
                Ok(0) => return,
                Ok(n) if is_from_client => server.write_all(&bytes[..n]).expect("it reads"),
                Ok(n) => client.write_all(&bytes[..n]).expect("it reads"),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }
}

trait Timed {
    /// A read takes no longer than this.
    fn limit(&self, time: Duration);
}

impl Timed for TcpStream {
    fn limit(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("a limit");
    }
}

impl Timed for rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
    fn limit(&self, time: Duration) {
        self.sock.limit(time);
    }
}

#[test]
fn tls_with_the_server_within_tls_with_the_proxy() {
    let (folder, _) = tls::folder();
    let (proxy, server) = (https(&folder), tls::serve(&folder, "server"));
    check(
        folder.told(
            &["connect", "-v", "--cacert", "ca.pem", "--proxy", &proxy.url("https"), &server.url],
            "hello\n",
        ),
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
* DURATION  TLS with 127.0.0.1
* DURATION  secure: TLSv1.3, CIPHER, http/1.1
* DURATION  asking https://127.0.0.1:PORT for a tunnel to 127.0.0.1:PORT
* DURATION  the tunnel is there
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
    assert!(proxy.asked().starts_with("CONNECT 127.0.0.1:"));
    // Whose certificate it is that is wrong.
    let unknown = Server::start(&["--tls"]);
    check(
        folder.told(
            &["connect", "--cacert", "ca.pem", "--proxy", &proxy.url("https"), &unknown.url],
            "hello\n",
        ),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the server's certificate was not issued by a CA of --cacert

"#]],
    );
    check(
        folder.told(
            &["connect", "--cacert", "other.pem", "--proxy", &proxy.url("https"), &server.url],
            "hello\n",
        ),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: TLS with the proxy https://127.0.0.1:PORT: its certificate was not issued by a CA of --cacert

"#]],
    );
}
