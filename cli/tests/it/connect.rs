//! `aiows connect` in a pipe.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use snapbox::str;

use crate::support::{
    LIMIT, Program, Server, check, end_of, frame, next_frame, opening_and_sending, run, talking, told,
};

#[test]
fn lines_out_and_messages_in() {
    let server = Server::start(&[]);
    check(
        told(&["connect", &server.url], "hello\n\nwindows\r\n文字 👋\nno line end"),
        str![[r#"
exit code: 0
----- stdout
hello

windows
文字 👋
no line end
----- stderr

"#]],
    );
    // A snapshot knows no carriage returns.
    let said = run(&["connect", &server.url], b"windows\r\ninner\rone\r\r\n");
    assert_eq!(said.stdout, b"windows\ninner\rone\r\n");
    check(
        told(&["connect", &server.url, "--linger", "0"], ""),
        str![[r#"
exit code: 0
----- stdout
----- stderr

"#]],
    );
}

#[test]
fn what_is_to_be_sent_first_is() {
    let server = Server::start(&[]);
    check(
        told(&["connect", "--send", "first", "--send", "second", &server.url], "third\n"),
        str![[r#"
exit code: 0
----- stdout
first
second
third
----- stderr

"#]],
    );
}

#[test]
fn every_answer_of_many_is_printed() {
    let server = Server::start(&[]);
    let lines: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let said = run(&["connect", &server.url], lines.as_bytes());
    assert_eq!(said.code, Some(0));
    assert!(said.stdout == lines.as_bytes(), "{} bytes of {}", said.stdout.len(), lines.len());
}

#[test]
fn every_step_with_its_time() {
    let server = Server::start(&["-s", "chat"]);
    let said = told(
        &[
            "connect",
            "-v",
            &server.url,
            "-s",
            "json",
            "-s",
            "chat",
            "-o",
            "https://example.com",
            "-H",
            "X-One: 1",
            "-H",
            "Cookie: secret",
            "-H",
            "X-Empty:",
        ],
        "hello\n",
    );
    check(
        said,
        str![[r#"
exit code: 0
----- stdout
hello
----- stderr
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
* DURATION  asking for ws://127.0.0.1:PORT/
> GET / HTTP/1.1
> Host: 127.0.0.1:PORT
> Connection: Upgrade
> Upgrade: websocket
> User-Agent: aiowebsocket/VERSION
> Origin: https://example.com
> X-One: 1
> Cookie: (6 bytes, not shown)
> X-Empty: 
> Sec-WebSocket-Key: KEY
> Sec-WebSocket-Version: 13
> Sec-WebSocket-Protocol: json, chat
> Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
* DURATION  the server answers 101
< HTTP/1.1 101 Switching Protocols
< upgrade: websocket
< connection: Upgrade
< sec-websocket-accept: KEY
< sec-websocket-protocol: chat
< sec-websocket-extensions: permessage-deflate
* DURATION  open, subprotocol chat, permessage-deflate
* closed: 1000 (Normal Closure)

"#]],
    );
}

#[test]
fn without_compression() {
    for (server, client) in [(&["--compress", "0"][..], &[][..]), (&[], &["--compress", "0"])] {
        let server = Server::start(server);
        let told = told(&[&["connect", "-v"], client, &[&server.url]].concat(), "hello\n").to_string();
        assert!(told.contains("* DURATION  open\n"), "{told}");
        let is_offered = told.contains("> Sec-WebSocket-Extensions: permessage-deflate");
        assert_eq!(is_offered, client.is_empty(), "{told}");
    }
}

#[test]
fn json_is_laid_out_and_nothing_else_is() {
    let server = Server::start(&[]);
    let input = "{\"b\":1.50,\"a\":[1e400,{}, [ ]],\"b\":\"x\\\",{\"}\nno json\n[]\n";
    check(
        told(&["connect", "--json", &server.url], input),
        str![[r#"
exit code: 0
----- stdout
{
  "b": 1.50,
  "a": [
    1e400,
    {},
    []
  ],
  "b": "x\",{"
}
no json
[]
----- stderr

"#]],
    );
}

#[test]
fn bytes_come_back_as_they_were() {
    let server = Server::start(&[]);
    // Every byte, in several chunks.
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let said = run(&["connect", "--binary", &server.url], &bytes);
    assert_eq!(said.code, Some(0));
    assert!(said.stdout == bytes, "{} bytes of {}", said.stdout.len(), bytes.len());
}

#[test]
fn more_than_the_way_holds_goes_there_and_back() {
    // The kernel keeps a few MiB in each direction: who does not read while it writes stands still.
    let server = Server::start(&[]);
    let bytes = vec![7; 32 << 20];
    let said = run(&["connect", "--binary", &server.url], &bytes);
    assert_eq!(said.code, Some(0));
    assert!(said.stdout == bytes, "{} bytes of {}", said.stdout.len(), bytes.len());
}

#[test]
fn binary_messages_are_left_out_of_lines() {
    let url = opening_and_sending(
        [
            frame(2, b"\x00\x01"),
            frame(1, b"text\n\x1b[1m"),
            // Told once.
            frame(2, b"\x02"),
            frame(8, &1000_u16.to_be_bytes()),
        ]
        .concat(),
    );
    check(
        told(&["connect", &url], ""),
        str![[r#"
exit code: 0
----- stdout
text
[1m
----- stderr
aiows: a binary message of 2 bytes is not shown: use --binary

"#]],
    );
}

#[test]
fn text_is_written_as_it_is_among_bytes() {
    let url = opening_and_sending(
        [frame(2, b"\x00\x01"), frame(1, b"text"), frame(8, &1000_u16.to_be_bytes())].concat(),
    );
    assert_eq!(run(&["connect", "-b", &url], b"").stdout, b"\x00\x01text");
}

#[test]
fn the_server_ends_it_while_the_input_stays_open() {
    let url = opening_and_sending(frame(8, &1001_u16.to_be_bytes()));
    check(
        Program::start(&["connect", "-v", &url]).wait().to_string(),
        str![[r#"
exit code: 0
----- stdout
----- stderr
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
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
* DURATION  open
* closed: 1001 (Going Away)

"#]],
    );
}

#[test]
fn a_feed_is_followed_until_the_server_ends_it() {
    let server = Server::start(&["--broadcast"]);
    let mut follower = Program::start(&["connect", "--linger", "forever", &server.url]);
    drop(follower.stdin.take());
    let mut speaker = Program::start(&["connect", &server.url]);
    // Longer than the default would wait, also where starting took long.
    thread::sleep(Duration::from_millis(2500));
    speaker.say("late");
    assert_eq!(follower.line(), "late");
    drop(server);
    assert_eq!(follower.wait().code, Some(1), "a server that is killed says nothing");
}

#[test]
fn a_reader_who_has_enough_ends_it_quietly() {
    ends_without_a_reader(&[], "more\n");
}

/// Nothing is written any more that would find the pipe broken.
#[cfg(unix)]
#[test]
fn a_reader_who_has_enough_ends_it_where_nothing_arrives() {
    ends_without_a_reader(&[], "");
    ends_without_a_reader(&["--reconnect"], "");
}

/// Reads one line and goes; what is said then comes back.
fn ends_without_a_reader(options: &[&str], said: &str) {
    let server = Server::start(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_aiows"))
        .args(["connect", &server.url])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    writeln!(stdin, "first").expect("it is read");
    let mut line = String::new();
    stdout.read_line(&mut line).expect("an answer");
    assert_eq!(line, "first\n");
    drop(stdout);
    // The input stays open: the end comes from the output. It may take more than one line until the pipe is broken, for
    // a process that another test is just starting holds a copy of its other end.
    let began = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child of ours") {
            Some(status) => break status,
            None => assert!(began.elapsed() < LIMIT, "it ends"),
        }
        _ = stdin.write_all(said.as_bytes());
        thread::sleep(Duration::from_millis(5));
    };
    let mut complaint = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut complaint).expect("its end");
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written() {
    let server = Server::start(&[]);
    let full =
        std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device that is always full");
    let mut child = Command::new(env!("CARGO_BIN_EXE_aiows"))
        .args(["connect", &server.url])
        .stdin(Stdio::piped())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // One message, and the input stays open: nothing but the failure ends it.
    writeln!(child.stdin.as_mut().expect("a pipe"), "hello").expect("it is read");
    let status = end_of(&mut child);
    let mut complaint = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut complaint).expect("its end");
    assert_eq!(status.code(), Some(1));
    check(
        complaint,
        str![[r#"
aiows: standard output cannot be written: No space left on device (os error 28)

"#]],
    );
}

#[test]
fn keep_alive_is_as_often_as_it_is_wanted() {
    let (sender, heard) = std::sync::mpsc::channel();
    let url = talking(move |stream| {
        // The test may have heard enough.
        while sender.send(next_frame(stream).0).is_ok() {}
    });
    let _program = Program::start(&["connect", "--ping", "0.1", &url]);
    assert_eq!(heard.recv_timeout(LIMIT / 2).expect("long before 20 s"), 9);
}

#[test]
fn what_the_server_says_to_our_goodbye_counts() {
    let end = |answer: Vec<u8>| {
        let url = talking(move |stream| {
            while next_frame(stream).0 != 8 {}
            stream.write_all(&answer).expect("the client reads");
        });
        told(&["connect", "-l", "0", &url], "")
    };
    check(
        end(frame(8, b"\x0f\xa1too early")),
        str![[r#"
exit code: 4
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server closed the connection with 4001: "too early"

"#]],
    );
    check(
        end(Vec::new()),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server ended the connection without a Close frame (1006)

"#]],
    );
}
