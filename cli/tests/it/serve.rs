//! `aiows serve`.

use std::time::Duration;

use aiowebsocket::{CloseCode, Error};
use snapbox::str;
use tokio::runtime::Builder;

use crate::support::{LIMIT, Program, Server, check, plain, run};

#[test]
fn a_message_reaches_all_others_and_not_its_sender() {
    let server = Server::start(&["--broadcast"]);
    let mut clients: Vec<_> =
        (0..3).map(|_| Program::start(&["connect", "--linger", "0.3", &server.url])).collect();
    // Each is there once it hears of the first; until then the first goes on.
    let (first, others) = clients.split_first_mut().expect("three");
    std::thread::sleep(Duration::from_millis(300));
    first.say("to all");
    for other in others.iter() {
        assert_eq!(other.line(), "to all");
    }
    others[0].say("from the second");
    assert_eq!(first.line(), "from the second");
    assert_eq!(others[1].line(), "from the second");
    let said: Vec<_> = clients.into_iter().map(|client| client.end().to_string()).collect();
    check(
        said.join("\n"),
        str![[r#"
exit code: 0
----- stdout
from the second
----- stderr

exit code: 0
----- stdout
to all
----- stderr

exit code: 0
----- stdout
to all
from the second
----- stderr

"#]],
    );
}

#[test]
fn a_slow_client_is_given_up_and_memory_stays_bounded() {
    /// More than the kernel and the server keep for one client.
    const MESSAGES: usize = 64;
    let server = Server::start(&["--broadcast", "-v"]);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    // Compressed, all of them would fit into the kernel's buffers.
    let open = || {
        let connect = aiowebsocket::connect(&server.url).no_compression();
        runtime.block_on(async { connect.await.expect("open") })
    };
    let (mut slow, mut quick, mut speaker) = (open(), open(), open());
    let talk = runtime.spawn(async move {
        let message = vec![7_u8; 1 << 20];
        for _ in 0..MESSAGES {
            speaker.send(&message).await.expect("the server reads");
            let received = quick.recv().await.expect("open").expect("a message");
            assert_eq!(received.as_bytes().len(), message.len());
        }
        // The others go on.
        speaker.send("still here").await.expect("open");
        assert_eq!(quick.recv().await.expect("open").expect("a message").as_text(), Some("still here"));
    });
    // It reads again while there is time to hear why it is thrown out.
    let told = r#"1013 (Try Again Later): "this client reads too slowly""#;
    server.program.error_line(|line| line.ends_with(told));
    let ended = runtime.block_on(timed(async {
        loop {
            match slow.recv().await {
                Ok(Some(_)) => {}
                ended => return ended,
            }
        }
    }));
    match ended {
        Err(Error::Closed { code, reason }) => {
            assert_eq!((code, &*reason), (CloseCode::TRY_AGAIN_LATER, "this client reads too slowly"));
        }
        other => panic!("{other:?}"),
    }
    runtime.block_on(timed(talk)).expect("no panic");
    #[cfg(target_os = "linux")]
    assert!(server.program.peak_memory() < 48 << 20, "64 MiB went through");
}

async fn timed<T>(future: impl Future<Output = T>) -> T {
    // 64 MiB through a build that is not optimised.
    tokio::time::timeout(3 * LIMIT, future).await.expect("in time")
}

#[cfg(unix)]
#[test]
fn who_comes_and_goes() {
    let server = Server::start(&["-v"]);
    assert_eq!(run(&["connect", &format!("{}path?query", server.url)], b"hello\n").code, Some(0));
    assert_eq!(run(&["connect", "-s", "unknown", &server.url], b"").code, Some(0));
    let port = server.url.trim_start_matches("ws://").trim_end_matches('/').to_owned();
    let mut stream = std::net::TcpStream::connect(port).expect("it listens");
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).expect("it answers");
    check(
        plain(&answer).replace('\r', ""),
        str![[r#"
HTTP/1.1 426 Upgrade Required
Connection: Upgrade, close
Content-Type: text/plain; charset=utf-8
Upgrade: websocket
Sec-WebSocket-Version: 13
Content-Length: 53

the request does not ask for an upgrade to websocket

"#]],
    );
    server.program.signal(nix::sys::signal::Signal::SIGTERM);
    check(
        server.program.wait().to_string(),
        str![[r#"
exit code: 0
----- stdout
listening on ws://127.0.0.1:PORT/
----- stderr
127.0.0.1:PORT opened /path?query, permessage-deflate
127.0.0.1:PORT closed: 1000 (Normal Closure)
127.0.0.1:PORT opened /, permessage-deflate
127.0.0.1:PORT closed: 1000 (Normal Closure)
127.0.0.1:PORT was refused: the request does not ask for an upgrade to websocket

"#]],
    );
}
