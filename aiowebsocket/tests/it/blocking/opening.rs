//! From an address to an open connection, and every way to fail.

use std::error::Error as _;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use aiowebsocket::blocking::connect;
use aiowebsocket::opening::{Accepting, HandshakeError, HeadLimits};
use aiowebsocket::{CloseCode, Error, OpenStep, Proxy, TimeLimit};

use super::{ECHO, PATIENCE, a_moment, accept, request, serves, text, timed};
use crate::support::nobody::Nobody;

/// A server that gives this answer to whatever is asked.
fn refusal(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
    serves(move |mut stream| {
        let head = request(&mut stream);
        stream.write_all(answer.as_bytes()).expect("connected");
        head
    })
}

#[test]
fn what_is_asked_for_is_what_the_options_say() {
    let (address, peer) = serves(|mut stream| {
        let mut accepting = Accepting::new(HeadLimits::default());
        let head = request(&mut stream);
        accepting.receive(head.as_bytes(), crate::support::start_of_time()).expect("a good request");
        accepting.accept(Some("json"), &[("X-Served-By", "a test")]).expect("an answer");
        stream.write_all(accepting.output()).expect("connected");
        head
    });
    let ws = connect(format!("ws://{address}/feed?since=1"))
        .header("Origin", "https://example.com")
        .secret_subprotocols(["json"])
        .subprotocols(["json", "cbor"])
        .bearer("token")
        .cookie("a", "b")
        .no_compression()
        .open()
        .expect("open");
    let head = peer.join().expect("no panic");
    assert!(head.starts_with("GET /feed?since=1 HTTP/1.1\r\n"), "{head}");
    for line in ["Origin: https://example.com", "Authorization: Bearer token", "Cookie: a=b"] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} is not in {head}");
    }
    assert_eq!(ws.request(), head.as_bytes());
    assert_eq!(ws.subprotocol(), Some("json"));
    let shown = format!("{ws:?}");
    assert!(!["json", "token", "b"].iter().any(|secret| shown.contains(&format!("\"{secret}\""))), "{shown}");
    assert_eq!(ws.response().headers["x-served-by"], "a test");
    assert_eq!(ws.peer_addr(), Some(address));
    assert_ne!(ws.local_addr(), None);
}

#[test]
fn mistakes_are_told_before_anything_is_dialled() {
    assert!(matches!(connect("http://localhost/").open(), Err(Error::Url(_))));
    let mistake = connect(&*ECHO).header("Upgrade", "other").open();
    assert!(matches!(mistake, Err(Error::Request(_))));
    assert!(matches!(connect(&*ECHO).reach_at("two words", 80).open(), Err(Error::Url(_))));
}

#[test]
fn a_name_is_looked_up_and_its_addresses_are_tried() {
    // One that nobody listens at comes first.
    let nobody = Nobody::new();
    let closed = nobody.address();
    let open: SocketAddr =
        ECHO.trim_start_matches("ws://").trim_end_matches('/').parse().expect("an address");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let ws = connect(format!("ws://feed.example:{}/", open.port()))
        .resolver({
            let asked = Arc::clone(&asked);
            move |host, port| {
                asked.lock().expect("no panic").push((host.to_owned(), port));
                Ok(vec![closed, open])
            }
        })
        .open()
        .expect("open");
    assert_eq!(*asked.lock().expect("no panic"), [("feed.example".to_owned(), open.port())]);
    assert_eq!(ws.peer_addr(), Some(open));
    ws.send("hello").expect("sent");
    assert_eq!(text(&ws), "hello");

    let nobody =
        connect("ws://feed.example/").resolver(|_, _| Err(io::Error::other("never heard of"))).open();
    let Err(error @ Error::Dns(_)) = nobody else { panic!("{nobody:?}") };
    assert_eq!(error.to_string(), "the host name \"feed.example\" could not be resolved: never heard of");
    assert!(error.source().is_none(), "the text above has it");
    let localhost = connect(format!("ws://localhost:{}/", open.port())).open();
    assert!(localhost.is_ok(), "by the system's resolver: {localhost:?}");
}

/// It runs on a thread of its own, and whoever waits for that is told at once.
#[test]
fn a_resolver_that_panics_is_an_error() {
    let opening = connect("ws://feed.example/").resolver(|_, _| panic!("a resolver of the user's"));
    let (took, opened) = timed(|| opening.open());
    assert!(
        matches!(&opened, Err(Error::Dns(error)) if error.to_string().ends_with(": the resolver panicked")),
        "{opened:?}"
    );
    assert!(took < PATIENCE, "{took:?}");
}

/// The system's resolver cannot be interrupted, and the time limit holds all the same.
#[test]
fn a_name_that_takes_too_long_is_given_up() {
    let (done, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let opening =
        connect("ws://slow.example/").open_timeout(Duration::from_millis(80)).resolver(move |_, _| {
            _ = wait.lock().expect("no panic").recv();
            Ok(Vec::new())
        });
    let (took, opened) = timed(|| opening.open());
    assert!(
        matches!(opened, Err(Error::Timeout(TimeLimit::Open(OpenStep::Resolve)))),
        "{:?}",
        opened.map(|_| ())
    );
    assert!(took < PATIENCE, "{took:?}");
    drop(done);
}

/// RFC 8305: an address that says nothing holds the next one up for 250 ms, not for minutes.
#[test]
fn a_silent_address_does_not_hold_up_the_next() {
    // A listener whose queue is full answers no more.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    silent.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    silent.listen(0).expect("listening");
    let address = silent.local_addr().expect("bound").as_socket().expect("of TCP");
    let _fills: Vec<_> =
        (0..4).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(20))).collect();
    let open: SocketAddr =
        ECHO.trim_start_matches("ws://").trim_end_matches('/').parse().expect("an address");
    let (took, opened) =
        timed(|| connect("ws://two.example/").resolver(move |_, _| Ok(vec![address, open])).open());
    assert_eq!(opened.expect("open").peer_addr(), Some(open));
    assert!(took >= Duration::from_millis(250), "{took:?}");
    assert!(took < PATIENCE, "{took:?}");
}

#[test]
fn nobody_listens_and_nobody_answers() {
    let nobody = Nobody::new();
    let refused = connect(nobody.url()).open();
    assert!(
        matches!(&refused, Err(Error::Connect(error)) if error.kind() == io::ErrorKind::ConnectionRefused),
        "{refused:?}"
    );
    let (address, peer) = serves(|mut stream| stream.read_to_end(&mut Vec::new()).ok());
    let (took, silent) =
        timed(|| connect(format!("ws://{address}/")).open_timeout(Duration::from_millis(80)).open());
    assert!(matches!(silent, Err(Error::Timeout(TimeLimit::Open(OpenStep::Upgrade)))), "{silent:?}");
    assert!(took < PATIENCE, "{took:?}");
    peer.join().expect("no panic");
}

/// A socket that is bound to the port that it dials is connected to itself, and is no server.
#[test]
fn a_socket_that_is_connected_to_itself_is_refused() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let refused = connect(format!("ws://{free}/")).local_address(free).open();
    assert!(
        matches!(&refused, Err(Error::Connect(error)) if error.kind() == io::ErrorKind::ConnectionRefused),
        "{refused:?}"
    );
}

#[test]
fn a_refusal_keeps_what_the_server_said() {
    let (address, peer) =
        refusal("HTTP/1.1 403 Forbidden\r\nX-Why: not you\r\nContent-Length: 4\r\n\r\nsorry");
    let refused = connect(format!("ws://{address}/")).open();
    let Err(Error::Handshake(error)) = refused else { panic!("{refused:?}") };
    let HandshakeError::Refused(refusal) = *error else { panic!("{error:?}") };
    assert_eq!((refusal.status.as_u16(), &*refusal.body), (403, b"sorr".as_slice()));
    assert_eq!(refusal.headers["x-why"], "not you");
    peer.join().expect("no panic");
}

/// The server closed without having read our request, which resets the connection behind what it said.
#[test]
fn a_refusal_is_one_where_the_connection_breaks_behind_it() {
    let (address, peer) = serves(|mut stream| {
        stream.peek(&mut [0]).expect("a request");
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\nno").expect("connected");
    });
    let refused = connect(format!("ws://{address}/")).open();
    let Err(Error::Handshake(error)) = refused else { panic!("{refused:?}") };
    let HandshakeError::Refused(refusal) = *error else { panic!("{error:?}") };
    assert_eq!((refusal.status.as_u16(), refusal.is_complete), (403, false));
    peer.join().expect("no panic");
}

#[test]
fn redirects_are_followed() {
    let (address, peer) = serves(|mut stream| {
        request(&mut stream);
        let location = &*ECHO;
        let answer = format!("HTTP/1.1 307 Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).expect("connected");
    });
    let milestones = Arc::new(Mutex::new(Vec::new()));
    let ws = connect(format!("ws://{address}/"))
        .observe({
            let milestones = Arc::clone(&milestones);
            move |_, milestone| milestones.lock().expect("no panic").push(milestone.to_string())
        })
        .open()
        .expect("open");
    ws.send("there").expect("sent");
    assert_eq!(text(&ws), "there");
    peer.join().expect("no panic");
    let milestones = milestones.lock().expect("no panic");
    assert!(milestones.len() >= 6, "{milestones:?}");
    let (address, _peer) =
        refusal("HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(connect(format!("ws://{address}/")).redirects(0).open(), Err(Error::Handshake(_))));
}

/// Sends what either side says to the other one.
fn joined(client: TcpStream, server: TcpStream) {
    let (mut from, mut to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
    let there = thread::spawn(move || io::copy(&mut from, &mut to));
    let (mut from, mut to) = (server, client);
    _ = io::copy(&mut from, &mut to);
    _ = to.shutdown(std::net::Shutdown::Write);
    _ = there.join();
}

#[test]
fn a_proxy_opens_a_tunnel() {
    let (address, peer) = serves(|mut stream| {
        let head = request(&mut stream);
        let to = head.split(' ').nth(1).expect("a target").to_owned();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("connected");
        joined(stream, TcpStream::connect(to).expect("the server"));
        head
    });
    let proxy = Proxy::parse(&format!("http://user:secret@{address}")).expect("a proxy");
    let ws = connect(&*ECHO).proxy(proxy).open().expect("open");
    ws.send("through").expect("sent");
    assert_eq!(text(&ws), "through");
    assert_eq!(ws.peer_addr(), Some(address));
    ws.close(CloseCode::NORMAL, "").expect("closed");
    let head = peer.join().expect("no panic");
    assert!(head.starts_with("CONNECT 127.0.0.1:"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic"), "{head}");

    let (address, _peer) = refusal("HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::parse(&format!("http://{address}")).expect("a proxy");
    assert!(matches!(connect(&*ECHO).proxy(proxy).open(), Err(Error::Proxy(_))));
}

#[test]
fn a_socket_of_ones_own_and_one_that_is_bound() {
    let address = ECHO.trim_start_matches("ws://").trim_end_matches('/');
    let mine = TcpStream::connect(address).expect("the server listens");
    let local = mine.local_addr().expect("connected");
    let ws = connect("ws://nobody.example/").through(mine).open().expect("open");
    assert_eq!(ws.local_addr(), Some(local));
    ws.send("mine").expect("sent");
    assert_eq!(text(&ws), "mine");

    let set = Arc::new(AtomicU32::new(0));
    let ws = connect("ws://nobody.example/")
        .reach_at("127.0.0.1", address.rsplit(':').next().expect("a port").parse().expect("a number"))
        .local_address(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)))
        .socket_options({
            let set = Arc::clone(&set);
            move |socket| {
                set.fetch_add(1, Ordering::Relaxed);
                socket.set_recv_buffer_size(64 << 10)
            }
        })
        .open()
        .expect("open");
    assert_eq!(ws.local_addr().expect("of TCP").ip(), Ipv4Addr::new(127, 0, 0, 2));
    assert_eq!(set.load(Ordering::Relaxed), 1);
    assert!(socket2::SockRef::from(&ws).tcp_nodelay().expect("an option"));
}

/// A Unix socket is a stream socket too.
#[cfg(unix)]
#[test]
fn a_unix_socket_carries_a_connection() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let peer = thread::spawn(move || {
        let mut stream = TcpStream::from(OwnedFd::from(theirs));
        accept(&mut stream, &super::frame(1, b"local"));
        super::read_frame(&mut stream)
    });
    let ws =
        connect("ws://nobody.example/").through(TcpStream::from(OwnedFd::from(ours))).open().expect("open");
    assert_eq!(text(&ws), "local");
    ws.send("back").expect("sent");
    assert_eq!(peer.join().expect("no panic"), (1, b"back".to_vec()));
    assert_eq!(ws.peer_addr(), None);
}

/// What stops and goes on is interrupted in its waits; whoever asked to be told of that may end the call, and nothing is lost.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_a_call_where_the_program_says_so() {
    use std::process::Command;

    let asked = Arc::new(AtomicU32::new(0));
    let (address, peer) = serves(|mut stream| {
        accept(&mut stream, b"");
        stream
    });
    let ws = connect(format!("ws://{address}/"))
        .interrupt({
            let asked = Arc::clone(&asked);
            // Goes on the first time.
            move || match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Ok(()),
                _ => Err(io::Error::other("told to stop")),
            }
        })
        .open()
        .expect("open");
    let mut stream = peer.join().expect("no panic");
    thread::scope(|threads| {
        let receiving = threads.spawn(|| ws.recv());
        for told in 1..=2 {
            let begun = super::now();
            while asked.load(Ordering::Relaxed) < told && begun.elapsed() < PATIENCE {
                a_moment();
                let process = std::process::id();
                // One that is told to go on before it has stopped never stops.
                let signals = format!("kill -STOP {process}; sleep 0.02; kill -CONT {process}");
                assert!(Command::new("sh").args(["-c", &signals]).status().expect("a shell").success());
            }
        }
        let ended = receiving.join().expect("no panic");
        assert!(matches!(&ended, Err(Error::Io(error)) if error.to_string() == "told to stop"), "{ended:?}");
    });
    stream.write_all(&super::frame(1, b"not lost")).expect("connected");
    assert_eq!(text(&ws), "not lost");
}

#[cfg(feature = "tls")]
mod secure {
    use aiowebsocket::blocking::connect;
    use aiowebsocket::{CloseCode, Error, Tls, TlsFault, accept};
    use rustls::DEFAULT_VERSIONS;
    use tokio::net::TcpListener;

    use super::super::{RUNTIME, text};
    use crate::support::certificates::{Authority, Wrong};
    use crate::support::rng::Rng;

    /// An echo server with a certificate of this authority.
    fn echo(authority: &Authority, wrong: Wrong) -> String {
        let config = authority.server(wrong).server_config(DEFAULT_VERSIONS, None);
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        RUNTIME.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                let accepting = accept(stream).tls(config.clone());
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

    fn trusting(authority: &Authority) -> Tls {
        Tls::new().ca_pem(authority.pem().as_bytes()).expect("a certificate").only_these_cas()
    }

    #[test]
    fn messages_come_back_over_tls() {
        let authority = Authority::new();
        let ws = connect(echo(&authority, Wrong::Nothing)).tls(trusting(&authority)).open().expect("open");
        assert_eq!(ws.tls().expect("it is secure").version, "TLSv1.3");
        let mut rng = Rng::new();
        std::thread::scope(|threads| {
            let big = rng.bytes(5 << 20);
            let sent = big.clone();
            let sending = threads.spawn(|| ws.send(sent));
            assert!(ws.recv().expect("received").expect("open").as_bytes() == big);
            sending.join().expect("no panic").expect("sent");
        });
        ws.send("small").expect("sent");
        assert_eq!(text(&ws), "small");
        ws.ping().expect("a pong");
        ws.close(CloseCode::NORMAL, "").expect("closed");
    }

    #[test]
    fn a_wrong_certificate_is_refused() {
        let authority = Authority::new();
        let opened = connect(echo(&authority, Wrong::OtherHost)).tls(trusting(&authority)).open();
        let Err(Error::Tls(error)) = opened else { panic!("{opened:?}") };
        assert!(matches!(error.fault(), TlsFault::WrongHost { .. }), "{error:?}");
        let other = Authority::new();
        let opened = connect(echo(&authority, Wrong::Nothing)).tls(trusting(&other)).open();
        let Err(Error::Tls(error)) = opened else { panic!("{opened:?}") };
        assert!(matches!(error.fault(), TlsFault::UnknownIssuer), "{error:?}");
    }

    /// An engine of the program's own takes the place of the library's.
    #[test]
    fn a_layer_of_ones_own_is_taken() {
        let authority = Authority::new();
        let tls = trusting(&authority);
        let ws = connect(echo(&authority, Wrong::Nothing))
            .tls_layer(move |host, is_proxy| {
                assert!(!is_proxy);
                tls.layer(host)
            })
            .open()
            .expect("open");
        ws.send("sealed").expect("sent");
        assert_eq!(text(&ws), "sealed");
    }
}
