//! Limits of `aiows` itself: how long opening may take in all where `-v` tells its steps, and how many clients a server has.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use aiowebsocket::{WebSocket, connect};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use snapbox::str;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::support::{LIMIT, Program, Server, check};

/// What a server takes at the same time.
const CLIENTS: usize = 900;

/// Under the limit on open files that a program has where nobody has raised it.
#[test]
fn one_client_too_many_waits_until_another_leaves() {
    // The clients are files of this process.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(4096), most).expect("within the hard limit");
    let program = Program::shell("ulimit -n 1024 && exec \"$0\" serve 0 -v");
    let server = Server::of(program);
    let runtime = runtime();
    runtime.block_on(async {
        let open = || async { connect(&server.url).no_keepalive().await.expect("the server accepts") };
        let mut clients: Vec<WebSocket> = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(timeout(LIMIT, open()).await.expect("there is a place"));
        }
        let mut late = std::pin::pin!(open());
        let waited = timeout(Duration::from_millis(500), &mut late).await;
        assert!(waited.is_err(), "more than {CLIENTS} at the same time");
        // The others are served meanwhile.
        let first = clients.first_mut().expect("900");
        first.send("still here").await.expect("open");
        assert_eq!(first.recv().await.expect("open").expect("an echo").as_text(), Some("still here"));
        drop(clients.pop());
        timeout(LIMIT, &mut late).await.expect("a place is free now");
    });
}

#[test]
fn a_server_that_does_not_answer_is_not_dialled_for_long() {
    let runtime = runtime();
    let (address, _listener, _waiting) = runtime.block_on(full_listener());
    let began = Instant::now();
    let url = format!("ws://{address}/");
    let said = Program::start(&["connect", "-v", "--connect-timeout", "2", &url]).wait();
    assert!(began.elapsed() >= Duration::from_secs(2), "that is the limit");
    check(
        said.to_string(),
        str![[r#"
exit code: 1
----- stdout
----- stderr
* DURATION  connecting to 127.0.0.1:PORT
aiows: ws://127.0.0.1:PORT/: not open within DURATION: 127.0.0.1:PORT does not answer: are name and port right, is a firewall in between?

"#]],
    );
}

/// Time that went into dialling is not given a second time.
#[test]
fn dialling_and_the_handshake_share_one_limit() {
    let runtime = runtime();
    let (address, listener, waiting) = runtime.block_on(full_listener());
    let began = Instant::now();
    let program = Program::start(&["connect", "-v", &format!("ws://{address}/")]);
    thread::sleep(Duration::from_secs(3));
    // Now there is room for it; it is never answered.
    let _accepted = runtime.block_on(async {
        let mut accepted = Vec::new();
        for _ in 0..=waiting.len() {
            accepted
                .push(timeout(LIMIT, listener.accept()).await.expect("it dials on").expect("a connection"));
        }
        accepted
    });
    program.error_line(|line| line.contains("connected to "));
    assert_eq!(program.wait().code, Some(1));
    let took = began.elapsed();
    assert!((9.0..13.0).contains(&took.as_secs_f32()), "the limit is 10 s in all, it took {took:?}");
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A listener that takes in nobody else: what connects waits for the listener, which has no room left.
async fn full_listener() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        waiting.push(stream.expect("it listens"));
        assert!(waiting.len() < 100, "it is never full");
    }
    (address, listener, waiting)
}
