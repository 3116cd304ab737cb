//! Ctrl-C and SIGTERM.

use std::io::{PipeReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use aiowebsocket::{CloseCode, accept};
use nix::sys::signal::Signal::{SIGINT, SIGTERM};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use snapbox::str;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{Folder, LIMIT, Program, Said, Server, check, end_of, opening_and_reading};

#[test]
fn connect_says_goodbye() {
    for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
        let (seen, said) = seen_by_the_server(&["connect"], |program| {
            assert_eq!(program.line(), "welcome");
            program.signal(signal);
        });
        assert_eq!((seen, said.code), (Some(CloseCode::GOING_AWAY), Some(code)));
        assert_eq!((said.stdout.as_slice(), said.stderr.as_slice()), (&b"welcome\n"[..], &b""[..]));
    }
}

#[test]
fn the_end_of_the_input_says_goodbye() {
    let (seen, said) = seen_by_the_server(&["connect", "-l", "0"], |program| {
        assert_eq!(program.line(), "welcome");
        drop(program.stdin.take());
    });
    assert_eq!((seen, said.code), (Some(CloseCode::NORMAL), Some(0)));
}

#[test]
fn ping_says_goodbye_and_sums_up() {
    let (seen, said) = seen_by_the_server(&["ping", "-i", "30"], |program| {
        program.line();
        assert!(program.line().starts_with("1: "));
        program.signal(SIGINT);
    });
    assert_eq!((seen, said.code), (Some(CloseCode::NORMAL), Some(0)));
    assert!(String::from_utf8_lossy(&said.stdout).contains("\n1 ping, 1 answered\nmin "));
}

#[test]
fn a_server_that_does_not_listen_is_not_waited_for_twice() {
    let url = opening_and_reading();
    let program = Program::start(&["connect", "-v", &url]);
    program.error_line(|line| line.contains("  open"));
    let began = std::time::Instant::now();
    program.signal(SIGINT);
    thread::sleep(Duration::from_millis(100));
    program.signal(SIGINT);
    assert_eq!(program.wait().code, Some(130));
    assert!(began.elapsed().as_secs() < 2, "the second Ctrl-C ended it");
}

#[test]
fn a_server_that_does_not_listen_is_not_waited_for_long() {
    let program = Program::start(&["connect", "-v", &opening_and_reading()]);
    program.error_line(|line| line.contains("  open"));
    let began = std::time::Instant::now();
    program.signal(SIGTERM);
    assert_eq!(program.wait().code, Some(143));
    assert!(began.elapsed().as_secs() < 8, "the library would wait 10 s");
}

#[test]
fn a_reader_that_stands_still_does_not_keep_it() {
    // More than a pipe holds, and nobody reads it.
    let server = Server::start(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_aiows"))
        .args(["connect", &server.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let line = [vec![b'x'; 1 << 20], vec![b'\n']].concat();
    for _ in 0..4 {
        Write::write_all(&mut stdin, &line).expect("it is read");
    }
    // A byte of a line that no pipe holds: the rest waits.
    child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("an answer");
    let id = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    kill(id, SIGTERM).expect("it runs");
    assert_eq!(end_of(&mut child).code(), Some(143));
}

#[test]
fn serve_closes_everybody_and_ends() {
    for signal in [SIGINT, SIGTERM] {
        let server = Server::start(&[]);
        let mut clients: Vec<_> = (0..2).map(|_| Program::start(&["connect", "-v", &server.url])).collect();
        for client in &mut clients {
            client.say("hello");
            assert_eq!(client.line(), "hello");
        }
        // One that never says a word does not delay it.
        let _silent =
            std::net::TcpStream::connect(server.url.trim_start_matches("ws://").trim_end_matches('/'));
        let began = std::time::Instant::now();
        server.program.signal(signal);
        check(
            server.program.wait().to_string(),
            str![[r#"
exit code: 0
----- stdout
listening on ws://127.0.0.1:PORT/
----- stderr

"#]],
        );
        assert!(began.elapsed().as_secs() < 3, "nobody was waited for in vain");
        for client in clients {
            let said = client.wait();
            assert_eq!(said.code, Some(0));
            assert!(String::from_utf8_lossy(&said.stderr).ends_with("* closed: 1001 (Going Away)\n"));
        }
    }
}

#[test]
fn serve_waits_for_nobody_after_a_second_signal() {
    let server = Server::start(&["-v"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // It reads nothing any more, and so never answers a Close frame.
    let silent = runtime.block_on(async { aiowebsocket::connect(&server.url).await.expect("open") });
    let began = std::time::Instant::now();
    server.program.signal(SIGTERM);
    server.program.error_line(|line| line.contains("is closed with 1001"));
    server.program.signal(SIGINT);
    assert_eq!(server.program.wait().code, Some(130));
    assert!(began.elapsed().as_secs() < 2, "the second signal ended it");
    drop(silent);
}

/// A pipe that is full, and stays so while its reader is kept.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut filling = writer.try_clone().expect("a file");
    // It ends with the reader.
    drop(thread::spawn(move || filling.write_all(&[b'x'; 1 << 20])));
    thread::sleep(Duration::from_millis(200));
    (reader, writer.into())
}

/// What writes to a pipe that nobody reads hears nothing any more, and still ends.
#[test]
fn a_pipe_that_nobody_reads_does_not_keep_it() {
    let server = Server::start(&[]);
    let address = server.url.trim_start_matches("ws://").trim_end_matches('/');
    let ends = |child: &mut std::process::Child| {
        thread::sleep(Duration::from_millis(500));
        let id = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        kill(id, SIGTERM).expect("it runs");
        assert_eq!(end_of(child).code(), Some(143));
    };
    let aiows = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aiows"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let (_reader, full) = full_pipe();
    let mut ping = aiows(&["ping", &server.url]).stdout(full).spawn().expect("the program starts");
    ends(&mut ping);
    let (_reader, full) = full_pipe();
    let mut connect =
        aiows(&["connect", "-v", &server.url]).stderr(full).spawn().expect("the program starts");
    ends(&mut connect);
    // The server that is full of its own log.
    let (_reader, full) = full_pipe();
    drop(server.program);
    let mut serve = aiows(&["serve", "-v", address]).stderr(full).spawn().expect("the program starts");
    thread::sleep(Duration::from_millis(500));
    drop(std::net::TcpStream::connect(address).expect("it listens"));
    ends(&mut serve);
}

/// Nobody writes the file that it reads first, and a signal ends it by itself.
#[test]
fn serve_ends_before_it_listens() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiows"));
    let mut program = Program::of({
        command.args(["serve", "0", "--cert"]).arg(&pipe);
        command
    });
    thread::sleep(Duration::from_millis(500));
    let began = std::time::Instant::now();
    program.signal(SIGTERM);
    assert_eq!(end_of(&mut program.child).code(), None, "by the signal");
    assert!(began.elapsed().as_secs() < 2, "at once");
}

/// Runs `aiows` against a server in this process, does something to it once it is connected, and tells the close code that
/// the server saw.
fn seen_by_the_server(arguments: &[&str], act: impl FnOnce(&mut Program)) -> (Option<CloseCode>, Said) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    let mut program = Program::start(&[arguments, &[url.as_str()]].concat());
    let accepted = async {
        let (stream, _) = listener.accept().await.expect("it comes");
        let mut ws = accept(stream).await.expect("a request");
        // What `connect` prints tells that it is open there too.
        ws.send("welcome").await.expect("it reads");
        ws
    };
    let mut ws = runtime.block_on(async { timeout(LIMIT, accepted).await }).expect("in time");
    let server = runtime.spawn(async move {
        _ = ws.recv().await;
        ws.close_code()
    });
    act(&mut program);
    let said = program.wait();
    let seen = runtime.block_on(async { timeout(LIMIT, server).await }).expect("in time").expect("no panic");
    (seen, said)
}
