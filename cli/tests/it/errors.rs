//! Everything that goes wrong: one line that says what, where, and what to try; and a code.

use std::io::Write as _;

use snapbox::str;

use crate::support::{
    Program, Server, answering, check, frame, next_frame, nobody, opening_and_sending, run, talking, told,
};

#[test]
fn addresses() {
    check(
        told(&["connect", "localhost:8765"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the address has no scheme: begin it with "ws://" or "wss://"

"#]],
    );
    check(
        told(&["connect", "http://localhost/"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: "http" is not a WebSocket scheme: use ws://

"#]],
    );
    check(
        told(&["connect", "ws://user:secret@exa mple/?token=secret"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the address has the blank U+0020 at byte 20: remove it, or percent-encode it in the path or query

"#]],
    );
    check(
        told(&["connect"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: the following required arguments were not provided:
  <URL>

Usage: aiows connect <URL>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn options() {
    let url = "ws://127.0.0.1:9/";
    check(
        told(&["connect", url, "-H", "no colon"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --header: write a name, a colon, and a value, as in 'Accept-Language: en'

"#]],
    );
    check(
        told(&["connect", url, "-H", "bad name: value"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the header name "bad name" is not a token: use letters, digits and !#$%&'*+-.^_`|~

"#]],
    );
    check(
        told(&["connect", url, "-H", "Name: two\nlines"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the value of the header Name has the control character 0x0a at byte 3: remove it

"#]],
    );
    check(
        told(&["connect", url, "-H", "Sec-WebSocket-Protocol: chat"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the header Sec-WebSocket-Protocol cannot be set: use --subprotocol

"#]],
    );
    check(
        told(&["connect", url, "-s", "two words"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the subprotocol "two words" is not a token: use letters, digits and !#$%&'*+-.^_`|~

"#]],
    );
    check(
        told(&["connect", url, "--ping", "soon"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: invalid value 'soon' for '--ping <SECONDS>': write a number of seconds, such as 20 or 0.5

For more information, try '--help'.

"#]],
    );
    check(
        told(&["connect", url, "--linger", "-1"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: unexpected argument '-1' found

  tip: to pass '-1' as a value, use '-- -1'

Usage: aiows connect [OPTIONS] <URL>

For more information, try '--help'.

"#]],
    );
    check(
        told(&["connect", url, "--linger", "long"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: invalid value 'long' for '--linger <SECONDS>': write a number of seconds, such as 20 or 0.5, or "forever"

For more information, try '--help'.

"#]],
    );
    check(
        told(&["connect", url, "--json", "--binary"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: the argument '--json' cannot be used with '--binary'

Usage: aiows connect --json <URL>

For more information, try '--help'.

"#]],
    );
    check(
        told(&["ping", url, "-c", "0"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: invalid value '0' for '--count <NUMBER>': 0 is not in 1..18446744073709551615

For more information, try '--help'.

"#]],
    );
    check(
        told(&["serve", "nowhere"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: "nowhere" is no address to listen on: write it as 127.0.0.1:PORT or 8765

"#]],
    );
    // Why depends on the system; what was typed is shown without harm.
    let said = told(&["serve", "\x1b[31m.invalid:1"], "");
    assert!(said.contains("aiows: \\u{1b}[31m.invalid:1 cannot be listened on: "), "{said}");
    check(
        told(&["serve", "0", "-s", "two words"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the subprotocol "two words" is not a token: use letters, digits and !#$%&'*+-.^_`|~

"#]],
    );
    check(
        told(&["dance"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: unrecognized subcommand 'dance'

Usage: aiows [COMMAND]

For more information, try '--help'.

"#]],
    );
}

/// What follows `--reconnect` and a blank is the address.
#[test]
fn seconds_in_the_place_of_the_address() {
    check(
        told(&["connect", "--reconnect", "5", "ws://127.0.0.1:1/"], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: unexpected argument 'ws://127.0.0.1:1/' found

  tip: seconds stand behind a sign of equality: --reconnect=5

Usage: aiows connect [OPTIONS] <URL>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn a_mistake_shows_no_secret() {
    for (arguments, shown) in [
        (&["wss://user:secret@example.com/?token=secret"][..], "'wss://example.com/?…'"),
        (&["connect", "ws://a/", "wss://user:secret@example.com/?token=secret"], "'wss://example.com/?…'"),
        (&["connect", "ws://a/", "http://user:secret@proxy/"], "'http://…'"),
    ] {
        let said = run(arguments, b"");
        let told = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.code, Some(2), "{told}");
        assert!(told.contains(shown) && !told.contains("secret"), "{told}");
    }
}

#[test]
fn nobody_there() {
    let (_held, address) = nobody();
    let url = format!("ws://{address}/");
    check(
        told(&["connect", &url], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: nothing listens at 127.0.0.1:PORT (connection refused): does the server run, is the port right?

"#]],
    );
    check(
        told(&["connect", "-v", &url], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  127.0.0.1:PORT: Connection refused (os error 111)
aiows: ws://127.0.0.1:PORT/: nothing listens at 127.0.0.1:PORT (connection refused): does the server run, is the port right?

"#]],
    );
    check(
        told(&["ping", &url], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: nothing listens at 127.0.0.1:PORT (connection refused): does the server run, is the port right?

"#]],
    );
    // `.invalid` never resolves (RFC 6761); with what words depends on the system.
    let said = run(&["connect", "ws://nobody.invalid/"], b"");
    let text = String::from_utf8(said.stderr).expect("text");
    assert_eq!(said.code, Some(1));
    assert!(
        text.starts_with("aiows: ws://nobody.invalid/: the name \"nobody.invalid\" could not be resolved: "),
        "{text}"
    );
    assert!(text.ends_with("; check its spelling and the network\n"), "{text}");
}

#[test]
fn refusals() {
    let refusal = |head: &str, body: &str| {
        answering(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    };
    let connect = |url: String| told(&["connect", &url], "");
    check(
        connect(refusal("403 Forbidden", "This feed needs a \x1b[31mtoken.\nAsk for one.\n")),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 403 Forbidden; does it want --bearer, --header or --origin?

"#]],
    );
    check(
        connect(refusal("403 Forbidden", "\n  This feed needs a token.\nAsk for one.\n")),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 403 Forbidden: "This feed needs a token."; does it want --bearer, --header or --origin?

"#]],
    );
    let long = connect(refusal("403 Forbidden", &"é".repeat(500)));
    assert!(long.contains(&format!("403 Forbidden: \"{}…\";", "é".repeat(160))), "{long}");
    check(
        connect(refusal("404 Not Found", "<html><body>lost</body></html>")),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 404 Not Found; is the path right?

"#]],
    );
    check(
        connect(refusal("300 Multiple Choices\r\nLocation: ws://elsewhere/", "")),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 300 Multiple Choices

"#]],
    );
    check(
        connect(refusal("503 Service Unavailable", "")),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 503 Service Unavailable; try again later

"#]],
    );
    check(
        connect(answering("SSH-2.0-OpenSSH_9.2\r\n")),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server does not speak HTTP here: its answer begins with "SSH-2.0-OpenSSH_9.2\r\n"

"#]],
    );
    check(
        connect(answering("")),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server closed the connection without an answer to the upgrade request: does it speak TLS there (wss://)?

"#]],
    );
    let harmful = refusal("403 Forbidden\r\nX-Note: \u{202e}txt", "");
    let said = told(&["connect", "-v", &harmful], "");
    assert!(said.contains("< x-note: \\u{202e}txt\n"), "{said}");
    let url = refusal("401 Unauthorized\r\nSet-Cookie: secret", "Who are you?");
    check(
        told(&["connect", "-v", &url, "-H", "authorization: Bearer secret"], ""),
        str![[r#"
exit code: 3
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
> authorization: (13 bytes, not shown)
> Sec-WebSocket-Key: KEY
> Sec-WebSocket-Version: 13
> Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
* DURATION  the server answers 401
< HTTP/1.1 401 Unauthorized
< set-cookie: (6 bytes, not shown)
< content-length: 12
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 401 Unauthorized: "Who are you?"; say who you are by --bearer TOKEN, or by USER:PASSWORD@ in the address

"#]],
    );
}

#[test]
fn endings() {
    let connect = |frames: Vec<u8>| told(&["connect", &opening_and_sending(frames)], "");
    let close = |code: u16, reason: &str| frame(8, &[&code.to_be_bytes(), reason.as_bytes()].concat());
    check(
        connect(close(1000, "")),
        str![[r#"
exit code: 0
----- stdout
----- stderr

"#]],
    );
    check(
        connect([frame(1, b"before"), close(4001, "the session \x1b[31mis over")].concat()),
        str![[r#"
exit code: 4
----- stdout
before
----- stderr
aiows: ws://127.0.0.1:PORT/: the server closed the connection with 4001: "the session \u{1b}[31mis over"

"#]],
    );
    check(
        connect(close(1011, "")),
        str![[r#"
exit code: 4
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server closed the connection with 1011 (Internal Error)

"#]],
    );
    check(
        connect(frame(1, b"cut off")),
        str![[r#"
exit code: 1
----- stdout
cut off
----- stderr
aiows: ws://127.0.0.1:PORT/: the server ended the connection without a Close frame (1006)

"#]],
    );
    check(
        connect(frame(1, b"\xff")),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the peer sent a text message that is not UTF-8 (1007)

"#]],
    );
    check(
        connect(frame(3, b"")),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the peer used the reserved opcode 0x3 (1002)

"#]],
    );
}

#[test]
fn input_that_is_no_text() {
    let server = Server::start(&[]);
    let said = run(&["connect", &server.url], b"fine\n\xff\xfe\n");
    check(
        said.to_string(),
        str![[r#"
exit code: 1
----- stdout
fine
----- stderr
aiows: line 2 of standard input is not UTF-8: use --binary

"#]],
    );
}

/// One that says something all the time is never quiet.
#[test]
fn input_that_is_no_text_beside_a_feed() {
    let url = talking(|stream| while stream.write_all(&frame(1, b"tick")).is_ok() {});
    let mut program = Program::start(&["connect", &url]);
    let input = program.stdin.as_mut().expect("a pipe");
    input.write_all(b"\xff\n").expect("it is read");
    program.error_line(|line| line == "aiows: line 1 of standard input is not UTF-8: use --binary");
}

/// What the server does then is no reason to be silent about it.
#[test]
fn input_that_is_no_text_and_a_server_that_closes() {
    let url = talking(|stream| {
        next_frame(stream);
        // The line behind it is read meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(300));
        stream.write_all(&frame(8, &1000_u16.to_be_bytes())).expect("the client reads");
        next_frame(stream);
    });
    check(
        run(&["connect", &url], b"fine\n\xff\n").to_string(),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: line 2 of standard input is not UTF-8: use --binary

"#]],
    );
}

#[test]
fn a_line_that_no_message_holds() {
    let server = Server::start(&[]);
    let said = run(&["connect", &server.url], &vec![b'x'; (64 << 20) + 2]);
    check(
        said.to_string(),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: line 1 of standard input is longer than 64 MiB: use --binary

"#]],
    );
}

#[test]
fn a_port_that_is_taken() {
    let server = Server::start(&[]);
    let address = server.url.trim_start_matches("ws://").trim_end_matches('/');
    check(
        told(&["serve", address], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: 127.0.0.1:PORT is in use by another program: choose another port, or 0 for a free one

"#]],
    );
}
