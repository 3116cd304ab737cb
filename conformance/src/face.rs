//! What is tested: a client that sends every message back, or a server that does.

use std::io;
use std::str::FromStr;
use std::sync::Arc;

use aiowebsocket::{EchoServer, Error, connect};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fuzzer::{Fuzzer, Outcome};

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
}

impl Face {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::TokioClient, Self::TokioServer];

    /// Its name on the command line and among the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokioClient => "tokio-client",
            Self::TokioServer => "tokio-server",
        }
    }

    /// What it is, for a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::TokioClient => "The client on tokio",
            Self::TokioServer => "The server on tokio",
        }
    }

    /// Runs these cases, and tells of each that is finished.
    ///
    /// # Errors
    /// The suite could not be started, or broke.
    pub async fn run(self, cases: &[String], mut tell: impl FnMut(&Outcome)) -> io::Result<Vec<Outcome>> {
        let mut cases = cases.to_vec();
        // Sections that watch the clock do not run beside those that work; the sort keeps the suite's order otherwise.
        cases.sort_by_key(|case| matches!(crate::section(case), "9" | "12" | "13"));
        let (mut fuzzer, face) = match self {
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
        };
        let mut outcomes = Vec::new();
        while let Some(outcome) = fuzzer.outcome().await? {
            tell(&outcome);
            outcomes.push(outcome);
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

impl FromStr for Face {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|face| face.name() == name);
        found
            .ok_or_else(|| format!("{name:?} is no face; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}
