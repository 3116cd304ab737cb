//! What `--help` says.

use snapbox::str;

use crate::support::{check, run, told};

#[test]
fn the_program() {
    check(
        told(&["--help"], ""),
        str![[r#"
exit code: 0
----- stdout
Looks at WebSockets from the command line. Without a command: the demo

Usage: aiows [COMMAND]

Commands:
  demo         Ten rounds of conversation with an echo server, the program's own where no address is
               given
  connect      Sends what standard input says, prints what the server says
  serve        Listens, and sends every message back, or to all other clients
  ping         Measures round trips, and sums them up
  completions  Prints completions for a shell
  help         Print this message or the help of the given subcommand(s)

Options:
  -h, --help     Print help
  -V, --version  Print version

Examples:
  aiows                                          the demo
  aiows serve                                    an echo server on port 8765
  aiows connect ws://127.0.0.1:PORT/             talk to it
  aiows ping -c 10 ws://127.0.0.1:PORT/          how fast it answers

Exit codes:
    0  done; a connection was closed cleanly (1000, 1001, or no code)
    1  no connection could be made, or it broke; a ping was not answered; --max-time is over
    2  wrong usage: an option, a file that it names, the address, a header
    3  the server refused the upgrade, or did not answer as a WebSocket server does
    4  the server closed the connection with any other code
  130  Ctrl-C (SIGINT); 143: SIGTERM; the connection was closed with 1001 first
----- stderr

"#]],
    );
    check(
        told(&["--version"], ""),
        str![[r#"
exit code: 0
----- stdout
aiows VERSION
----- stderr

"#]],
    );
}

#[test]
fn the_readme_tells_the_same_codes() {
    let help = told(&["--help"], "");
    let codes =
        &help[help.find("Exit codes:").expect("its end")..help.find("----- stderr").expect("the other")];
    assert!(
        codes.lines().count() > 6 && include_str!("../../README.md").contains(codes.trim_end()),
        "{codes}"
    );
}

#[test]
fn connect() {
    check(
        told(&["connect", "--help"], ""),
        str![[r#"
exit code: 0
----- stdout
Sends what standard input says, prints what the server says

Usage: aiows connect [OPTIONS] <URL>

Arguments:
  <URL>
          The server's address, such as ws://127.0.0.1:PORT/feed or wss://user:password@example.com/

Options:
  -b, --binary
          Sends and writes bytes instead of lines
          
          Standard input is sent as binary messages, each what one read gave, up to 64 KiB; at a
          terminal, each line. Payloads that arrive are written as they are with nothing between; a
          terminal shows their size and first bytes.

  -j, --json
          Lays out messages that are JSON on several lines

      --ping <SECONDS>
          Time between pings that notice a dead server; 0 for none
          
          [default: 20]

  -l, --linger <SECONDS>
          When standard input has ended: closes once nothing has arrived for this long; "forever"
          waits for the server
          
          [default: 1]

      --send <MESSAGE>
          Sends this message first, before standard input; may be given several times
          
          With --reconnect, whenever a connection opens: what subscribes to a feed.

      --reconnect[=<SECONDS>]
          Connects again when the connection is lost, after a random time that grows up to this many
          seconds [default: 60]
          
          And tries again where the first connection fails. What standard input says is sent once:
          to the connection that is there, or to the next. An error that would come again ends it: a
          refusal (4xx but for 408, 425 and 429), a certificate that is not trusted, a complaint of
          the server about what was sent, a server that breaks the protocol or sends a message over
          64 MiB. Retry-After and the close codes 1012 and 1013 are heeded.

  -v, --verbose
          Tells every step of opening and closing, with its time, on standard error
          
          Neither credentials nor cookies nor queries are shown.

  -h, --help
          Print help (see a summary with '-h')

Request:
  -H, --header <NAME: VALUE>
          Adds a header line to the request; may be given several times
          
          "@FILE" adds each line of a file, as secrets: -v does not show them, and no redirect takes
          them to another scheme, host or port. Authorization and Cookie are secrets wherever they
          stand.

  -s, --subprotocol <NAME>
          Offers a subprotocol, the best first; may be given several times

  -o, --origin <ORIGIN>
          Sends this Origin header, as a page of that site would

      --bearer <TOKEN>
          Sends this token as "Authorization: Bearer"; "@FILE" takes the first line of a file
          
          Other users of the machine can see what stands in a command line: @FILE keeps the token
          out of it, and so does @<(printenv TOKEN) in a shell that has it. A redirect to another
          scheme, host or port goes without it.

      --compress <LEVEL>
          Compresses messages (permessage-deflate) where the other end does, too: 1 is the fastest,
          9 the smallest; 0 is not at all
          
          [default: 1]

      --max-redirs <NUMBER>
          Follows at most so many redirects; 0 makes each a refusal. None leads from wss:// to ws://
          
          [default: 5]

Proxy:
  -x, --proxy <URL>
          Goes through this proxy: http://, https://, socks5:// or socks5h://, with user:password@
          if it wants them
          
          socks5:// looks the server's name up here, socks5h:// at the proxy. Without a scheme it is
          http://. What the environment says does not count then.

      --no-proxy
          Goes through no proxy, whatever the environment says
          
          Without this and --proxy, the variables http_proxy (for ws://), https_proxy (for wss://),
          all_proxy and no_proxy count.

TLS (with a wss:// server, and with an https:// proxy):
      --cacert <FILE>
          Trusts the certificates of this PEM file in place of the system's: a private CA, or one
          that signed itself

      --cert <FILE>
          Shows the server this certificate: a PEM file, its own first, then those that vouch for it

      --key <FILE>
          The private key of --cert: a PEM file [default: in the file of --cert]

      --pin <SHA256>
          Trusts the certificate with this SHA-256 fingerprint alone; may be given several times
          
          Neither its name, nor its dates, nor who issued it count then. "openssl x509 -noout
          -fingerprint -sha256 -in FILE" shows the fingerprint of a file; aiows serve --tls that of
          the certificate that it makes.

  -k, --insecure
          Takes ANY certificate: whoever sits in between can read and change everything

Time:
      --connect-timeout <SECONDS>
          How long opening may take as a whole, from looking the name up to the last redirect; 0 for
          any time
          
          [default: 10]

  -m, --max-time <SECONDS>
          How long everything may take: the connection is closed then; 0 for any time

Examples:
  aiows connect ws://127.0.0.1:PORT/
      At a terminal: a line you type is a message. Ctrl-D closes, and so does Ctrl-C.
  echo hello | aiows connect ws://127.0.0.1:PORT/
      In a pipe: one message a line. Closes a second after the last answer.
  echo '{"subscribe":"trades"}' | aiows connect --json --linger forever ws://127.0.0.1:PORT/feed
      Follows a feed until the server closes it.
  aiows connect --binary ws://127.0.0.1:PORT/ <in.bin >out.bin
      Bytes, untouched in both directions.
  aiows connect -v -s chat -o https://example.com ws://127.0.0.1:PORT/
      Shows what is said while the connection opens, and how long each step takes.
  aiows connect --bearer @token.txt wss://example.com/feed
      Over TLS, with a token that stands in no command line.
  aiows connect --cacert ca.pem --cert me.pem --key me.key wss://feed.internal/
      A server of a private CA, which wants a certificate of ours.
  aiows connect --proxy socks5h://127.0.0.1:PORT wss://example.com/feed
      Through a proxy, whatever the environment says.

In a pipe, standard output has the messages and nothing else; without --binary, binary messages are
left out. Lines are sent without their line end; each text message is written with one. At a
terminal, control characters in messages are shown as \u{…}.

Exit codes:
    0  done; a connection was closed cleanly (1000, 1001, or no code)
    1  no connection could be made, or it broke; a ping was not answered; --max-time is over
    2  wrong usage: an option, a file that it names, the address, a header
    3  the server refused the upgrade, or did not answer as a WebSocket server does
    4  the server closed the connection with any other code
  130  Ctrl-C (SIGINT); 143: SIGTERM; the connection was closed with 1001 first
----- stderr

"#]],
    );
}

#[test]
fn serve() {
    check(
        told(&["serve", "--help"], ""),
        str![[r#"
exit code: 0
----- stdout
Listens, and sends every message back, or to all other clients

Usage: aiows serve [OPTIONS] [ADDR]

Arguments:
  [ADDR]
          Where to listen: ADDRESS:PORT, or a port of 127.0.0.1; port 0 lets the system choose
          
          [default: 127.0.0.1:PORT]

Options:
  -b, --broadcast
          Sends each message to all other clients instead of back
          
          A client that reads so slowly that 4 MiB or 4096 messages wait for it is closed with 1013.

  -s, --subprotocol <NAME>
          Speaks a subprotocol, the best first; may be given several times

      --compress <LEVEL>
          Compresses messages (permessage-deflate) where the other end does, too: 1 is the fastest,
          9 the smallest; 0 is not at all
          
          [default: 1]

  -v, --verbose
          Tells on standard error who comes and goes

  -h, --help
          Print help (see a summary with '-h')

TLS:
      --tls
          Speaks TLS (wss://), with a certificate made for this run unless --cert names one
          
          The certificate is for localhost, this machine's loopback addresses and the address that
          is listened on; the second line of standard output has its fingerprint, for aiows connect
          --pin.

      --cert <FILE>
          Speaks TLS with this certificate: a PEM file, its own first, then those that vouch for it

      --key <FILE>
          The private key of --cert: a PEM file [default: in the file of --cert]

Examples:
  aiows serve                        echo on ws://127.0.0.1:PORT/
  aiows serve 0                      on a free port, which the first line tells
  aiows serve --tls                  over TLS, with a certificate made for this run
  aiows serve --cert server.pem --key server.key 0.0.0.0:8443
                                     with one of yours, open to the network
  aiows serve --broadcast 0.0.0.0:9000
                                     a chat room, open to the network

The first line of standard output is "listening on ws://…/", or wss:// with TLS. Every path and
every Origin is served. Ctrl-C and SIGTERM are its proper end: nobody is accepted any more, every
connection is closed with 1001 within 3 seconds, and the exit code is 0.
----- stderr

"#]],
    );
}

#[test]
fn ping() {
    check(
        told(&["ping", "--help"], ""),
        str![[r#"
exit code: 0
----- stdout
Measures round trips, and sums them up

Usage: aiows ping [OPTIONS] <URL>

Arguments:
  <URL>
          The server's address, such as ws://127.0.0.1:PORT/feed or wss://user:password@example.com/

Options:
  -c, --count <NUMBER>
          Ends after this many pings [default: at Ctrl-C]

  -i, --interval <SECONDS>
          Time from one ping to the next
          
          [default: 1]

  -W, --timeout <SECONDS>
          How long an answer may take
          
          [default: 10]

  -v, --verbose
          Tells every step of opening and closing, with its time, on standard error
          
          Neither credentials nor cookies nor queries are shown.

  -h, --help
          Print help (see a summary with '-h')

Request:
  -H, --header <NAME: VALUE>
          Adds a header line to the request; may be given several times
          
          "@FILE" adds each line of a file, as secrets: -v does not show them, and no redirect takes
          them to another scheme, host or port. Authorization and Cookie are secrets wherever they
          stand.

  -s, --subprotocol <NAME>
          Offers a subprotocol, the best first; may be given several times

  -o, --origin <ORIGIN>
          Sends this Origin header, as a page of that site would

      --bearer <TOKEN>
          Sends this token as "Authorization: Bearer"; "@FILE" takes the first line of a file
          
          Other users of the machine can see what stands in a command line: @FILE keeps the token
          out of it, and so does @<(printenv TOKEN) in a shell that has it. A redirect to another
          scheme, host or port goes without it.

      --compress <LEVEL>
          Compresses messages (permessage-deflate) where the other end does, too: 1 is the fastest,
          9 the smallest; 0 is not at all
          
          [default: 1]

      --max-redirs <NUMBER>
          Follows at most so many redirects; 0 makes each a refusal. None leads from wss:// to ws://
          
          [default: 5]

Proxy:
  -x, --proxy <URL>
          Goes through this proxy: http://, https://, socks5:// or socks5h://, with user:password@
          if it wants them
          
          socks5:// looks the server's name up here, socks5h:// at the proxy. Without a scheme it is
          http://. What the environment says does not count then.

      --no-proxy
          Goes through no proxy, whatever the environment says
          
          Without this and --proxy, the variables http_proxy (for ws://), https_proxy (for wss://),
          all_proxy and no_proxy count.

TLS (with a wss:// server, and with an https:// proxy):
      --cacert <FILE>
          Trusts the certificates of this PEM file in place of the system's: a private CA, or one
          that signed itself

      --cert <FILE>
          Shows the server this certificate: a PEM file, its own first, then those that vouch for it

      --key <FILE>
          The private key of --cert: a PEM file [default: in the file of --cert]

      --pin <SHA256>
          Trusts the certificate with this SHA-256 fingerprint alone; may be given several times
          
          Neither its name, nor its dates, nor who issued it count then. "openssl x509 -noout
          -fingerprint -sha256 -in FILE" shows the fingerprint of a file; aiows serve --tls that of
          the certificate that it makes.

  -k, --insecure
          Takes ANY certificate: whoever sits in between can read and change everything

Time:
      --connect-timeout <SECONDS>
          How long opening may take as a whole, from looking the name up to the last redirect; 0 for
          any time
          
          [default: 10]

  -m, --max-time <SECONDS>
          How long everything may take: the connection is closed then; 0 for any time

Examples:
  aiows ping ws://127.0.0.1:PORT/                one a second, until Ctrl-C
  aiows ping -c 1000 -i 0 ws://127.0.0.1:PORT/   a thousand, one right after the other

Time is from our Ping frame to the server's Pong, in µs, ms or s. The exit code is 0 if every ping
was answered.
----- stderr

"#]],
    );
}

#[test]
fn completions() {
    check(
        told(&["completions", "--help"], ""),
        str![[r#"
exit code: 0
----- stdout
Prints completions for a shell

Usage: aiows completions <SHELL>

Arguments:
  <SHELL>  The shell [possible values: bash, elvish, fish, powershell, zsh]

Options:
  -h, --help  Print help

Examples:
  aiows completions bash > ~/.local/share/bash-completion/completions/aiows
  aiows completions zsh > ~/.zfunc/_aiows
  aiows completions fish > ~/.config/fish/completions/aiows.fish
----- stderr

"#]],
    );
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(&["completions", shell], b"");
        assert_eq!(said.code, Some(0), "{shell}");
        let script = String::from_utf8(said.stdout).expect("text");
        for word in ["connect", "serve", "ping", "subprotocol", "linger"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
}

/// As bash asks when a person presses Tab.
#[cfg(unix)]
#[test]
fn bash_completes() {
    let complete = |words: &str| {
        let script = format!(
            r#"source <("$0" completions bash)
            COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _aiows aiows "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
            echo "${{COMPREPLY[@]}}""#
        );
        let mut bash = std::process::Command::new("bash");
        let said = bash.args(["-c", &script, env!("CARGO_BIN_EXE_aiows")]).output().expect("bash is there");
        String::from_utf8(said.stdout).expect("text").trim_end().to_owned()
    };
    assert_eq!(complete("aiows se"), "serve");
    assert_eq!(complete("aiows connect --li"), "--linger");
    assert_eq!(complete("aiows completions f"), "fish");
}
