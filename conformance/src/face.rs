//! What is tested: a client that sends every message back, or a server that does.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use aiowebsocket::{EchoServer, Error, blocking, connect};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fuzzer::{Fuzzer, Outcome};
use crate::here;

/// Cases that run at the same time. Most of them wait for a second or two; those that work are bounded by the suite's one thread, and the
/// time that they give a peer is far longer than four of them take.
const AT_ONCE: usize = 4;

/// A face of this library.
///
/// Another one gets a name here and an arm in [`run`](Self::run): a client is whatever connects to `ws://127.0.0.1:PORT/CASE` for each case and
/// sends every message back until the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The client on tokio.
    TokioClient,
    /// The server on tokio.
    TokioServer,
    /// The client that blocks.
    BlockingClient,
    /// The client of the Python package, on asyncio.
    PythonClient,
}

impl Face {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::TokioClient, Self::TokioServer, Self::BlockingClient, Self::PythonClient];

    /// Its name on the command line and among the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokioClient => "tokio-client",
            Self::TokioServer => "tokio-server",
            Self::BlockingClient => "blocking-client",
            Self::PythonClient => "python-client",
        }
    }

    /// What it is, for a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::TokioClient => "The client on tokio",
            Self::TokioServer => "The server on tokio",
            Self::BlockingClient => "The client that blocks",
            Self::PythonClient => "The client of the Python package",
        }
    }

    /// Runs these cases, and tells of each that is finished.
    ///
    /// # Errors
    /// The suite or the face could not be started, or broke.
    pub async fn run(self, cases: &[String], mut tell: impl FnMut(&Outcome)) -> io::Result<Vec<Outcome>> {
        let mut cases = cases.to_vec();
        // Sections that watch the clock do not run beside those that work; the sort keeps the suite's order otherwise.
        cases.sort_by_key(|case| matches!(crate::section(case), "9" | "12" | "13"));
        let (mut fuzzer, mut face) = match self {
            Self::TokioClient => {
                let mut fuzzer = Fuzzer::start(&["server"], &cases)?;
                let port = fuzzer.port().await?;
                (fuzzer, tokio::spawn(echo_each(port, cases)))
            }
            Self::TokioServer => {
                let server = EchoServer::bind("127.0.0.1:0").await?;
                let url = format!("ws://{}", server.local_addr()?);
                (Fuzzer::start(&["client", &url, &AT_ONCE.to_string()], &cases)?, tokio::spawn(server.run()))
            }
            Self::BlockingClient => {
                let mut fuzzer = Fuzzer::start(&["server"], &cases)?;
                let port = fuzzer.port().await?;
                (fuzzer, tokio::spawn(echo_each_on_threads(port, cases)))
            }
            Self::PythonClient => {
                let python = python().await?;
                let mut fuzzer = Fuzzer::start(&["server"], &cases)?;
                let port = fuzzer.port().await?;
                (fuzzer, tokio::spawn(echo_in_python(python, port, cases)))
            }
        };
        let mut outcomes = Vec::new();
        let mut is_running = true;
        loop {
            tokio::select! {
                outcome = fuzzer.outcome() => match outcome? {
                    Some(outcome) => {
                        tell(&outcome);
                        outcomes.push(outcome);
                    }
                    None => break,
                },
                // What a face that broke leaves out would be waited for.
                ended = &mut face, if is_running => {
                    ended.map_err(io::Error::other)??;
                    is_running = false;
                }
            }
        }
        face.abort();
        Ok(outcomes)
    }
}

/// Connects to the suite once for each case.
async fn echo_each(port: u16, cases: Vec<String>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut clients = JoinSet::new();
    for case in cases {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        clients.spawn(async move {
            // How a case ends is the suite's to judge.
            _ = echo(&format!("ws://127.0.0.1:{port}/{case}")).await;
            drop(place);
        });
        while clients.try_join_next().is_some() {}
    }
    while clients.join_next().await.is_some() {}
    Ok(())
}

/// Sends every message back until the connection ends.
async fn echo(url: &str) -> Result<(), Error> {
    let mut ws = connect(url).await?;
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// The same as [`echo_each`], on threads.
async fn echo_each_on_threads(port: u16, cases: Vec<String>) -> io::Result<()> {
    let cases = Mutex::new(cases.into_iter());
    let work = move || {
        thread::scope(|threads| {
            for _ in 0..AT_ONCE {
                threads.spawn(|| {
                    loop {
                        let case = cases.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(case) = case else { return };
                        _ = echo_blocking(&format!("ws://127.0.0.1:{port}/{case}"));
                    }
                });
            }
        });
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Sends every message back until the connection ends.
fn echo_blocking(url: &str) -> Result<(), Error> {
    let ws = blocking::connect(url).open()?;
    while let Some(message) = ws.recv()? {
        ws.send(message)?;
    }
    Ok(())
}

/// The oldest Python that the package is for, with the package as it is now: built as its tests want it, and where they build it. They build
/// for it last, so nothing is compiled again behind them.
async fn python() -> io::Result<PathBuf> {
    let root = here().join("..");
    let found = said(&mut Command::new(root.join("python/interpreters"))).await?;
    let oldest = found.lines().next().and_then(|line| line.split_once(' '));
    let (_version, oldest) =
        oldest.ok_or_else(|| io::Error::other(format!("python/interpreters says {found:?}")))?;
    let mut install = Command::new(root.join("python/install"));
    install.args([oldest, "extension-test"]).env("CARGO_TARGET_DIR", root.join("target/python"));
    let installed = said(&mut install).await?;
    // What it builds with may say something before the path, which is from where it is.
    let path = installed.lines().last().ok_or_else(|| io::Error::other("python/install says nothing"))?;
    Ok(root.join("python").join(path))
}

/// What a script says.
async fn said(script: &mut Command) -> io::Result<String> {
    let output = script.stdin(Stdio::null()).stderr(Stdio::inherit()).output().await?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(format!("{script:?} ended with {}", output.status)))
    }
}

/// The same as [`echo_each`], by `echo.py`.
async fn echo_in_python(python: PathBuf, port: u16, cases: Vec<String>) -> io::Result<()> {
    let mut command = Command::new(python);
    command.arg(here().join("echo.py")).args([port.to_string(), AT_ONCE.to_string()]).args(cases);
    let status = command.stdin(Stdio::null()).kill_on_drop(true).status().await?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("echo.py ended with {status}"))) }
}

impl FromStr for Face {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|face| face.name() == name);
        found
            .ok_or_else(|| format!("{name:?} is no face; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}
