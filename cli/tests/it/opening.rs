//! On the way to an open connection: who we are, redirects, and time.

use std::io::Read;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use snapbox::str;

use crate::support::{
    Folder, LIMIT, Program, Server, answering, answering_all, check, next_frame, nobody, once, plain,
    refusing, run, talking, told,
};

/// A server that refuses everybody, and the heads that it got.
fn refusing_all() -> (String, mpsc::Receiver<String>) {
    refusing("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
}

fn redirecting(location: &str) -> String {
    let location = location.to_owned();
    answering_all(move |_| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"))
}

#[test]
fn who_we_are() {
    let (url, heads) = refusing_all();
    let folder = Folder::new();
    folder.write("token.txt", "secret.of.file \r\nsecond line\n");
    folder.write("lines.txt", "X-Api-Key: secret\n\nX-Second: secret too\r\n");
    let sends = |options: &[&str], url: &str, expected: &[&str]| {
        let said = folder.told(&[&["connect", "-v"], options, &[url]].concat(), "");
        assert!(said.starts_with("exit code: 3\n") && !said.contains("secret"), "{said}");
        let head = heads.recv_timeout(LIMIT).expect("it is asked");
        for line in expected {
            assert!(head.lines().any(|sent| sent == *line), "{line} in {head}");
        }
        said
    };
    sends(&["--bearer", "secret.token"], &url, &["Authorization: Bearer secret.token"]);
    sends(&["--bearer", "@token.txt"], &url, &["Authorization: Bearer secret.of.file"]);
    let with_user = url.replace("ws://", "ws://user:secret@") + "?token=secret";
    sends(&[], &with_user, &["Authorization: Basic dXNlcjpzZWNyZXQ=", "GET /?token=secret HTTP/1.1"]);
    let said = sends(&["-H", "@lines.txt"], &url, &["X-Api-Key: secret", "X-Second: secret too"]);
    assert!(said.contains("> X-Api-Key: (6 bytes, not shown)\n"), "{said}");

    check(
        folder.told(&["connect", "--bearer", "@missing", &url], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --bearer: "missing" cannot be read: No such file or directory (os error 2)

"#]],
    );
    check(
        folder.told(&["connect", "--bearer", "two secrets", &url], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: the bearer token cannot be sent: use visible ASCII characters, at least one, and no blanks

"#]],
    );
    check(
        folder.told(&["connect", "-H", "@token.txt", &url], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
aiows: --header: write a name, a colon, and a value, as in 'Accept-Language: en'

"#]],
    );
}

#[cfg(unix)]
#[test]
fn a_token_of_the_environment_stands_in_no_command_line() {
    let (url, heads) = refusing_all();
    let mut command = std::process::Command::new("bash");
    let line = r#"exec "$0" connect --bearer @<(printenv TOKEN) "$1""#;
    command.args(["-c", line, env!("CARGO_BIN_EXE_aiows"), &url]).env("TOKEN", "secret");
    if std::process::Command::new("bash").arg("-c").arg("true").status().is_err() {
        eprintln!("skipped: there is no bash here");
        return;
    }
    assert_eq!(Program::of(command).end().code, Some(3));
    let head = heads.recv_timeout(LIMIT).expect("it is asked");
    assert!(head.contains("\r\nAuthorization: Bearer secret\r\n"), "{head}");
}

#[test]
fn a_server_that_wants_to_know_who_we_are() {
    let url = answering(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"feed\"\r\nContent-Length: 0\r\n\r\n",
    );
    check(
        told(&["connect", &url], ""),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 401 Unauthorized; it asks for "Basic realm=\"feed\""; say who you are by --bearer TOKEN, or by USER:PASSWORD@ in the address

"#]],
    );
}

#[test]
fn redirects_are_followed_without_secrets() {
    let server = Server::start(&[]);
    let first =
        redirecting(&format!("{}feed?token=secret", server.url.replace("ws://", "http://user:secret@")));
    check(
        told(&["connect", "-v", &first, "-H", "X-One: 1"], "hello\n"),
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
> X-One: 1
> Sec-WebSocket-Key: KEY
> Sec-WebSocket-Version: 13
> Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
* DURATION  the server answers 302
< HTTP/1.1 302 Found
< location: http://…@127.0.0.1:PORT/feed?…
< content-length: 0
* DURATION  302: redirected to ws://127.0.0.1:PORT/feed?…
* DURATION  connecting to 127.0.0.1:PORT
* DURATION  connected to 127.0.0.1:PORT
* DURATION  asking for ws://127.0.0.1:PORT/feed?…
> GET /feed?… HTTP/1.1
> Host: 127.0.0.1:PORT
> Connection: Upgrade
> Upgrade: websocket
> User-Agent: aiowebsocket/VERSION
> X-One: 1
> Authorization: (22 bytes, not shown)
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
    let (elsewhere, heads) = refusing_all();
    let folder = Folder::new();
    folder.write("lines.txt", "X-Api-Key: secret\n");
    let said = folder.told(
        &[
            "connect",
            "--bearer",
            "secret",
            "-H",
            "Cookie: secret",
            "-H",
            "@lines.txt",
            "-H",
            "X-One: 1",
            &redirecting(&elsewhere),
        ],
        "",
    );
    check(
        said,
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/, redirected to ws://127.0.0.1:PORT/: the server refused the upgrade: 400 Bad Request

"#]],
    );
    let head = heads.recv_timeout(LIMIT).expect("it is asked");
    assert!(head.contains("\r\nX-One: 1\r\n") && !head.contains("secret"), "{head}");
    // The demo follows as well.
    assert_eq!(run(&["demo", &redirecting(&server.url)], b"").code, Some(0));
}

#[test]
fn redirects_that_are_not_followed() {
    let round = redirecting("/round?token=secret");
    check(
        told(&["connect", "--max-redirs", "2", &round], ""),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/, redirected to ws://127.0.0.1:PORT/round?…: the server's redirect (302) cannot be followed: 2 have been followed already; --max-redirs follows more

"#]],
    );
    check(
        told(&["connect", "--max-redirs", "0", &round], ""),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server refused the upgrade: 302 Found; it leads to ws://127.0.0.1:PORT/round?…: --max-redirs 1 follows

"#]],
    );
    check(
        told(&["connect", &redirecting("ftp://user:secret@elsewhere/")], ""),
        str![[r#"
exit code: 3
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: the server's redirect (302) cannot be followed: in its Location, "ftp" is not a WebSocket scheme: use ws:// or wss://

"#]],
    );
    let (_held, address) = nobody();
    check(
        told(&["connect", &redirecting(&format!("ws://{address}/?token=secret"))], ""),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/, redirected to ws://127.0.0.1:PORT/?…: nothing listens at 127.0.0.1:PORT (connection refused): does the server run, is the port right?

"#]],
    );
    check(
        told(&["connect", "--max-redirs", "300", &round], ""),
        str![[r#"
exit code: 2
----- stdout
----- stderr
error: invalid value '300' for '--max-redirs <NUMBER>': 300 is not in 0..=255

For more information, try '--help'.

"#]],
    );
}

/// A server that takes connections in and says nothing; it reads until its client has gone.
fn silent() -> String {
    once(|mut stream| _ = stream.read_to_end(&mut Vec::new()))
}

#[test]
fn the_time_for_opening_names_the_step() {
    let told = |options: &[&str]| told(&[&["connect", "--connect-timeout", "0.5"], options].concat(), "");
    check(
        told(&[&silent()]),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://127.0.0.1:PORT/: not open within DURATION: the server has not answered the upgrade request: does it speak WebSocket there?

"#]],
    );
    check(
        told(&[&silent().replace("ws://", "wss://")]),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: wss://127.0.0.1:PORT/: not open within DURATION: the TLS handshake is not done: does it speak TLS there? If not, write ws://

"#]],
    );
    let proxy = silent().replace("ws://", "http://");
    check(
        told(&["--proxy", proxy.trim_end_matches('/'), "ws://feed.example.com/"]),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: ws://feed.example.com/: not open within DURATION: the proxy http://127.0.0.1:PORT has not opened its tunnel: can it reach the server?

"#]],
    );
    // None at all, up to when everything must be over.
    let said = run(&["connect", "--connect-timeout", "0", "--max-time", "1", &silent()], b"");
    assert!(String::from_utf8_lossy(&said.stderr).contains(": not open within 1.00 s: "), "{said}");
    let began = Instant::now();
    let said = run(&["connect", "--max-time", "0.5", &silent()], b"");
    assert!(began.elapsed() < LIMIT / 2, "it is the shorter one that counts");
    check(
        plain(&said.stderr),
        str![[r#"
aiows: ws://127.0.0.1:PORT/: not open within DURATION: the server has not answered the upgrade request: does it speak WebSocket there?

"#]],
    );
}

#[test]
fn the_time_for_everything() {
    let (sender, closed) = mpsc::channel();
    let url = talking(move |stream| {
        let (opcode, payload) = next_frame(stream);
        _ = sender.send((opcode, payload));
    });
    let began = Instant::now();
    check(
        Program::start(&["connect", "--linger", "forever", "--max-time", "1", &url]).wait().to_string(),
        str![[r#"
exit code: 1
----- stdout
----- stderr
aiows: the time of --max-time is over (DURATION)

"#]],
    );
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(closed.recv_timeout(LIMIT), Ok((8, 1001_u16.to_be_bytes().to_vec())), "a Close frame");

    // It ends before: the time has no part in that; and none is no limit.
    let server = Server::start(&[]);
    let said = told(&["connect", "--max-time", "0", "--linger", "0.1", &server.url], "hello\n");
    assert!(said.starts_with("exit code: 0\n----- stdout\nhello\n"), "{said}");
    let said = told(&["connect", "--max-time", "20", "--linger", "0.1", &server.url], "hello\n");
    assert!(said.starts_with("exit code: 0\n"), "{said}");

    // Pings that were answered are what was wanted.
    let said = told(&["ping", "--max-time", "0.5", "-i", "0.1", &server.url], "");
    assert!(said.starts_with("exit code: 0\n") && said.contains(" answered\n"), "{said}");
}
