//! `aiows`: looks at WebSockets from the command line.
//!
//! Without arguments it is the demo: an echo server of its own on a free port, and ten rounds of conversation with it.
//! `aiows connect URL` talks to any server.

mod connect;
mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the command line asks for.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Ten rounds of conversation with an echo server, the program's own where no address is given
    Demo {
        /// The server's address, such as ws://127.0.0.1:8765/
        url: Option<String>,
    },
    /// Send each line of standard input as a text message, print each message that arrives
    ///
    /// After the end of standard input, answers are awaited until nothing has arrived for a second; then the connection
    /// is closed properly. Binary messages are printed as their size.
    Connect {
        /// The server's address, such as ws://127.0.0.1:8765/feed
        url: String,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        None => demo::run(None).await,
        Some(Command::Demo { url }) => demo::run(url).await,
        Some(Command::Connect { url }) => connect::run(&url).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// What can go wrong here: the library's errors, and the terminal's.
type Failure = Box<dyn std::error::Error>;

#[expect(clippy::print_stderr, reason = "a command-line tool complains on standard error")]
fn complain(error: &dyn std::error::Error) {
    eprintln!("aiows: {error}");
}
