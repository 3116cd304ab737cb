//! What the command line asks for, and what `--help` says about it.

use std::io::{Write, stdout};

use aiowebsocket::opening::Address;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::clock::delay;
use crate::connect::ConnectOptions;
use crate::exit::{CODES, Exit, Outcome};
use crate::ping::PingOptions;
use crate::serve::ServeOptions;

const EXAMPLES: &str = "\
Examples:
  aiows                                          the demo
  aiows serve                                    an echo server on port 8765
  aiows connect ws://127.0.0.1:8765/             talk to it
  aiows ping -c 10 ws://127.0.0.1:8765/          how fast it answers

";

const CONNECT_EXAMPLES: &str = "\
Examples:
  aiows connect ws://127.0.0.1:8765/
      At a terminal: a line you type is a message. Ctrl-D closes, and so does Ctrl-C.
  echo hello | aiows connect ws://127.0.0.1:8765/
      In a pipe: one message a line. Closes a second after the last answer.
  echo '{\"subscribe\":\"trades\"}' | aiows connect --json --linger forever ws://127.0.0.1:8765/feed
      Follows a feed until the server closes it.
  aiows connect --binary ws://127.0.0.1:8765/ <in.bin >out.bin
      Bytes, untouched in both directions.
  aiows connect -v -s chat -o https://example.com ws://127.0.0.1:8765/
      Shows what is said while the connection opens, and how long each step takes.
  aiows connect --bearer @token.txt wss://example.com/feed
      Over TLS, with a token that stands in no command line.
  aiows connect --cacert ca.pem --cert me.pem --key me.key wss://feed.internal/
      A server of a private CA, which wants a certificate of ours.
  aiows connect --proxy socks5h://127.0.0.1:1080 wss://example.com/feed
      Through a proxy, whatever the environment says.

In a pipe, standard output has the messages and nothing else; without --binary, binary messages are left out. \
Lines are sent without their line end; each text message is written with one. At a terminal, control characters \
in messages are shown as \\u{…}.

";

const SERVE_EXAMPLES: &str = "\
Examples:
  aiows serve                        echo on ws://127.0.0.1:8765/
  aiows serve 0                      on a free port, which the first line tells
  aiows serve --tls                  over TLS, with a certificate made for this run
  aiows serve --cert server.pem --key server.key 0.0.0.0:8443
                                     with one of yours, open to the network
  aiows serve --broadcast 0.0.0.0:9000
                                     a chat room, open to the network

The first line of standard output is \"listening on ws://…/\", or wss:// with TLS. Every path and every Origin is served. Ctrl-C and \
SIGTERM are its proper end: nobody is accepted any more, every connection is closed with 1001 within 3 seconds, and \
the exit code is 0.
";

const PING_EXAMPLES: &str = "\
Examples:
  aiows ping ws://127.0.0.1:8765/                one a second, until Ctrl-C
  aiows ping -c 1000 -i 0 ws://127.0.0.1:8765/   a thousand, one right after the other

Time is from our Ping frame to the server's Pong, in µs, ms or s. The exit code is 0 if every ping was answered.
";

/// Looks at WebSockets from the command line. Without a command: the demo.
#[derive(Parser)]
#[command(name = "aiows", version, max_term_width = 110, after_help = [EXAMPLES, CODES].concat())]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ten rounds of conversation with an echo server, the program's own where no address is given
    Demo {
        /// The server's address, such as ws://127.0.0.1:8765/
        url: Option<String>,
    },
    /// Sends what standard input says, prints what the server says
    #[command(after_help = [CONNECT_EXAMPLES, CODES].concat())]
    Connect(ConnectOptions),
    /// Listens, and sends every message back, or to all other clients
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeOptions),
    /// Measures round trips, and sums them up
    #[command(after_help = PING_EXAMPLES)]
    Ping(PingOptions),
    /// Prints completions for a shell
    #[command(
        after_help = "Examples:\n  aiows completions bash > ~/.local/share/bash-completion/completions/aiows\n  aiows completions zsh > ~/.zfunc/_aiows\n  aiows completions fish > ~/.config/fish/completions/aiows.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Reads the command line; ends the program where that asks for help, or has a mistake.
pub(crate) fn read() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|error| without_secrets(with_advice(error)).exit())
}

/// A mistake is told with what is wrong, which may be an address: it is shown as everywhere else.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        let Some(ContextValue::String(wrong)) = error.get(kind) else { continue };
        let shown = match (Address::parse(wrong), wrong.split_once("://")) {
            (Ok(address), _) => address.to_string(),
            (Err(_), Some((scheme, _))) => format!("{scheme}://…"),
            (Err(_), None) => continue,
        };
        error.insert(kind, ContextValue::String(shown));
    }
    error
}

/// Seconds behind `--reconnect` and a blank are taken for the address, and the address for one too many.
fn with_advice(mut error: clap::Error) -> clap::Error {
    let arguments: Vec<_> = std::env::args_os().collect();
    let seconds = arguments.windows(2).find_map(|pair| match pair {
        [option, value] if option == "--reconnect" => value.to_str().filter(|value| delay(value).is_ok()),
        _ => None,
    });
    if let (clap::error::ErrorKind::UnknownArgument, Some(seconds)) = (error.kind(), seconds) {
        let advice =
            StyledStr::from(format!("seconds stand behind a sign of equality: --reconnect={seconds}"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice]));
    }
    error
}

/// Writes the completions of this command line.
pub(crate) fn print_completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "aiows", &mut script);
    let mut out = stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Success)
}
