//! `aiows`: looks at WebSockets from the command line.
//!
//! Without arguments it is the demo: an echo server of its own on a free port, and ten rounds of conversation with it.
//! `connect` talks to any server, `serve` is one, `ping` measures round trips.

mod arguments;
mod broadcast;
mod clock;
mod connect;
mod demo;
mod escape;
mod exit;
mod input;
mod json;
mod output;
mod ping;
mod place;
mod proxy;
mod reconnect;
mod say;
mod serve;
mod signal;
mod statistics;
mod target;
mod terminal;
mod tls;

use std::process::ExitCode;

use crate::arguments::Command;
use crate::exit::{Exit, Failure, Outcome};
use crate::say::complain;

fn main() -> ExitCode {
    let exit = match run(arguments::read().command) {
        Ok(exit) => exit,
        Err(failure) => {
            if failure.message.is_some() {
                complain(&failure.to_string());
            }
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn run(command: Option<Command>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("the program cannot begin: {error}")))?;
    let outcome = runtime.block_on(async {
        match command {
            None => demo::run(None).await,
            Some(Command::Demo { url }) => demo::run(url).await,
            Some(Command::Connect(options)) => connect::run(&options).await,
            Some(Command::Serve(options)) => serve::run(&options).await,
            Some(Command::Ping(options)) => ping::run(&options).await,
            Some(Command::Completions { shell }) => arguments::print_completions(shell),
        }
    });
    // A name that is still being resolved keeps nobody waiting.
    runtime.shutdown_background();
    outcome
}
