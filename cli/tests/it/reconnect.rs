//! `aiows connect --reconnect`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use snapbox::str;

use crate::support::{LIMIT, Program, Server, check, frame, next_frame, open, refusing, run, told};

/// A server that talks as the test says, with one connection after the other.
fn talking_to_each(talk: impl Fn(usize, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    drop(thread::spawn(move || {
        for number in 0.. {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.set_read_timeout(Some(LIMIT)).expect("a limit");
            open(&mut stream);
            talk(number, &mut stream);
        }
    }));
    url
}

/// Says what arrived, and answers it.
fn echo_one(stream: &mut TcpStream, heard: &mpsc::Sender<String>) -> u8 {
    let (opcode, payload) = next_frame(stream);
    stream.write_all(&frame(opcode, &payload)).expect("the client reads");
    _ = heard.send(String::from_utf8_lossy(&payload).into_owned());
    opcode
}

fn hear(heard: &Receiver<String>) -> String {
    heard.recv_timeout(LIMIT).expect("it is sent in time")
}

#[test]
fn each_line_is_sent_once_and_greetings_to_every_connection() {
    let (sender, heard) = mpsc::channel();
    let url = talking_to_each(move |number, stream| {
        echo_one(stream, &sender);
        echo_one(stream, &sender);
        if number == 1 {
            while echo_one(stream, &sender) != 8 {}
            // The client ends it.
            _ = stream.read(&mut [0]);
        }
    });
    let mut program =
        Program::start(&["connect", "--reconnect=0.2", "--send", "subscribe", "--linger", "0.3", &url]);
    program.say("one");
    assert_eq!([hear(&heard), hear(&heard)], ["subscribe", "one"]);
    assert_eq!([program.line(), program.line()], ["subscribe", "one"]);
    program.error_line(|line| line.contains("; again in "));
    program.say("two");
    program.say("three");
    assert_eq!([hear(&heard), hear(&heard), hear(&heard)], ["subscribe", "two", "three"]);
    check(
        program.end().to_string(),
        str![[r#"
exit code: 0
----- stdout
subscribe
one
subscribe
two
three
----- stderr
aiows: ws://127.0.0.1:PORT/: the server ended the connection without a Close frame (1006); again in DURATION
aiows: ws://127.0.0.1:PORT/: connected

"#]],
    );
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    // A port that was free a moment ago.
    let address =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let program = Program::start(&[
        "connect",
        "--reconnect=0.2",
        "--linger",
        "0.2",
        "--send",
        "hello",
        &format!("ws://{address}/"),
    ]);
    program.error_line(|line| line.contains("nothing listens at") && line.contains("; again in "));
    let server = Server::of(Program::start(&["serve", &address.to_string()]));
    assert_eq!(program.line(), "hello");
    let said = program.end();
    assert_eq!(said.code, Some(0), "{said}");
    drop(server);
}

#[test]
fn what_would_fail_again_ends_it() {
    let (url, _heads) = refusing("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    check(
        told(&["connect", "--reconnect", &url], ""),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 403 Forbidden; does it want --bearer, --header or --origin?

"#]],
    );
    let secure = Server::start(&["--tls"]);
    check(
        told(&["connect", "--reconnect", &secure.url], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: the server's certificate was issued by somebody who is not trusted here: --cacert FILE trusts a CA of your own, --pin SHA256 one certificate

"#]],
    );
    let complaining = talking_to_each(|_, stream| {
        let reason = [&1008_u16.to_be_bytes()[..], b"not you"].concat();
        stream.write_all(&frame(8, &reason)).expect("the client reads");
        _ = stream.read_to_end(&mut Vec::new());
    });
    check(
        Program::start(&["connect", "--reconnect", &complaining]).wait().to_string(),
        str![[r#"
exit code: 4
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server closed the connection with 1008 (Policy Violation): "not you"

"#]],
    );
}

/// Nothing is connected to only to hear that nothing comes any more.
#[test]
fn a_connection_that_had_everything_is_the_last() {
    let ending = |payload: Vec<u8>| {
        talking_to_each(move |_, stream| {
            next_frame(stream);
            if payload.is_empty() {
                return;
            }
            stream.write_all(&frame(8, &payload)).expect("the client reads");
            _ = stream.read_to_end(&mut Vec::new());
        })
    };
    check(
        told(
            &["connect", "--reconnect", "--linger", "5", &ending(1000_u16.to_be_bytes().to_vec())],
            "hello\n",
        ),
        str![[r#"
exit code: 0
----- stdout
----- stderr

"#]],
    );
    check(
        told(&["connect", "--reconnect", "--linger", "5", &ending(Vec::new())], "hello\n"),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server ended the connection without a Close frame (1006)

"#]],
    );
}

/// As without the option: what the server complained of is not lost in our own goodbye.
#[test]
fn what_the_server_says_to_our_goodbye_counts() {
    let url = talking_to_each(|_, stream| {
        while next_frame(stream).0 != 8 {}
        stream.write_all(&frame(8, b"\x0f\xa1too early")).expect("the client reads");
    });
    check(
        told(&["connect", "--reconnect", "-l", "0", &url], ""),
        str![[r#"
exit code: 4
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server closed the connection with 4001: "too early"

"#]],
    );
}

/// A server that drops its client again and again, while lines come in as fast as it takes them.
#[test]
fn lines_come_in_order_and_none_twice() {
    const LINES: usize = 3_000;
    let (sender, heard) = mpsc::channel();
    let url = talking_to_each(move |number, stream| {
        for _ in 0..50 * (number + 1) {
            let (opcode, payload) = next_frame(stream);
            if opcode == 8 {
                stream.write_all(&frame(8, &payload)).expect("the client reads");
                _ = stream.read(&mut [0]);
                return;
            }
            _ = sender.send(String::from_utf8(payload).expect("text"));
        }
    });
    let lines: String = (0..LINES).map(|number| format!("{number}\n")).collect();
    let said =
        run(&["connect", "--reconnect=0.05", "--compress", "0", "--linger", "0.3", &url], lines.as_bytes());
    let heard: Vec<usize> = heard.try_iter().map(|line| line.parse().expect("a number")).collect();
    assert!(heard.is_sorted_by(|a, b| a < b), "in order, and none twice: {heard:?}");
    // What was on its way when a connection was cut is lost, the last lines too; then the program says so.
    let is_whole = heard.last() == Some(&(LINES - 1));
    assert_eq!((heard.first(), said.code), (Some(&0), Some(if is_whole { 0 } else { 1 })), "{said}");
}

/// A message whose last byte never left has surely not arrived: it is sent to the next connection.
#[test]
fn what_a_connection_left_unsent_goes_to_the_next() {
    /// More than the kernel takes for a server that does not read.
    const LENGTH: usize = 32 << 20;
    let url = talking_to_each(|number, stream| {
        if number == 0 {
            thread::sleep(Duration::from_millis(300));
            return;
        }
        // A header of RFC 6455 5.2 with 64 bits of length, and the mask.
        let mut head = [0; 14];
        stream.read_exact(&mut head).expect("a frame");
        let length = u64::from_be_bytes(head[2..10].try_into().expect("eight bytes"));
        let read = std::io::copy(&mut stream.take(length), &mut std::io::sink()).expect("a payload");
        stream.write_all(&frame(1, read.to_string().as_bytes())).expect("the client reads");
        let (_, payload) = next_frame(stream);
        stream.write_all(&frame(1, &payload)).expect("the client reads");
        stream.write_all(&frame(8, &1000_u16.to_be_bytes())).expect("the client reads");
        _ = stream.read_to_end(&mut Vec::new());
    });
    let lines = format!("{}\nbehind it\n", "x".repeat(LENGTH));
    let options = ["connect", "--reconnect=0.1", "--compress", "0", "--linger", "5", &url];
    let said = run(&options, lines.as_bytes());
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{LENGTH}\nbehind it\n"), "{said}");
    assert_eq!(said.code, Some(0));
}

/// A server that answers stops reading while nobody reads its answers.
#[test]
fn much_is_sent_and_received_at_once() {
    let server = Server::start(&[]);
    let line = "x".repeat(100_000);
    let lines = format!("{line}\n").repeat(400);
    let said = run(&["connect", "--reconnect", "--compress", "0", &server.url], lines.as_bytes());
    assert_eq!(said.code, Some(0));
    assert!(said.stdout == lines.as_bytes(), "{} bytes of {}", said.stdout.len(), lines.len());
}

#[test]
fn time_and_signals_end_the_wait_between_two_attempts() {
    let none_there = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("ws://{}/", listener.local_addr().expect("it is bound"))
    };
    let began = Instant::now();
    let said = Program::start(&["connect", "--reconnect", "--max-time", "0.5", &none_there()]).wait();
    assert!(began.elapsed() < LIMIT / 2);
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.code == Some(1) && text.ends_with("aiows: the time of --max-time is over (500 ms)\n"),
        "{said}"
    );
    #[cfg(unix)]
    {
        let mut program = Program::start(&["connect", "--reconnect=60", &none_there()]);
        program.say("hello");
        program.error_line(|line| line.contains("; again in "));
        // The line is read meanwhile.
        thread::sleep(Duration::from_millis(200));
        program.signal(nix::sys::signal::Signal::SIGINT);
        let said = program.wait();
        assert_eq!(said.code, Some(130));
        assert!(String::from_utf8_lossy(&said.stderr).ends_with("aiows: 1 message was not sent\n"), "{said}");
    }
}

#[test]
fn a_lost_connection_leaves_nothing_to_the_next() {
    let (sender, heard) = mpsc::channel();
    let url = talking_to_each(move |number, stream| {
        if number == 0 {
            // Half of a message.
            stream.write_all(&[0x01, 3, b'a', b'b', b'c']).expect("the client reads");
            _ = stream.shutdown(Shutdown::Both);
            return;
        }
        while echo_one(stream, &sender) != 8 {}
    });
    let mut program = Program::start(&["connect", "--reconnect=0.1", "--linger", "0.2", &url]);
    program.error_line(|line| line.contains("; again in "));
    program.say("hello");
    assert_eq!(program.line(), "hello");
    assert_eq!(hear(&heard), "hello");
    let said = program.end();
    assert_eq!((said.code, &*said.stdout), (Some(0), &b"hello\n"[..]), "{said}");
}
