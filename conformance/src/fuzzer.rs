//! The suite's process.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::{here, local};

/// How long nothing may happen: the longest case gives itself eight minutes.
const SILENCE: Duration = Duration::from_secs(600);

/// How one case ended.
#[derive(Clone, Debug, Deserialize)]
pub struct Outcome {
    /// Its number, such as 6.4.1.
    pub case: String,
    /// The suite's verdict: OK, FAILED, NON-STRICT, INFORMATIONAL, UNIMPLEMENTED.
    pub behavior: String,
    /// Its verdict on how the connection was closed.
    pub close: String,
    /// The close code that it received from us.
    pub code: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// The suite's explanation.
    pub why: String,
    /// The extensions that the client offered.
    pub offered: String,
    /// Those that the server agreed to.
    pub agreed: String,
}

/// `fuzzer.py` while it runs; it ends with this.
pub(crate) struct Fuzzer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// It ends when this does, also where we are killed.
    _stdin: Option<ChildStdin>,
}

#[derive(Deserialize)]
struct Listening {
    port: u16,
}

impl Fuzzer {
    pub(crate) fn start(arguments: &[&str], cases: &[String]) -> io::Result<Self> {
        let mut command = Command::new(local().join("venv/bin/python"));
        command.arg(here().join("fuzzer.py")).args(arguments).args(cases);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().expect("it is piped");
        Ok(Self { _stdin: child.stdin.take(), child, lines: BufReader::new(stdout).lines() })
    }

    /// The port of a suite that listens.
    pub(crate) async fn port(&mut self) -> io::Result<u16> {
        let line = self.line().await?.ok_or_else(|| io::Error::other("the suite ended at once"))?;
        Ok(serde_json::from_str::<Listening>(&line)?.port)
    }

    /// The next case that is finished; `None` when all are, and the suite has ended well.
    pub(crate) async fn outcome(&mut self) -> io::Result<Option<Outcome>> {
        if let Some(line) = self.line().await? {
            return Ok(Some(serde_json::from_str(&line)?));
        }
        let status = self.child.wait().await?;
        if status.success() {
            Ok(None)
        } else {
            Err(io::Error::other(format!("the suite ended with {status}")))
        }
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        timeout(SILENCE, self.lines.next_line()).await?
    }
}
