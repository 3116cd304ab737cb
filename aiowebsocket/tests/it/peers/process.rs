//! Programs that a test starts: their lines come in, they end with the test, and a failure shows what they complained of.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::{local, scripts};

/// How long a program may take to start or to say its next line.
const LINE: Duration = Duration::from_secs(30);

/// A program that runs. Its stdin stays open as long as this lives: our programs end when that ends, so none outlives a
/// test that was killed. Dropping it kills it, and everything that it started.
pub(super) struct Process {
    name: String,
    child: Child,
    lines: UnboundedReceiver<String>,
    last: Option<String>,
    complaints: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a script of peers/ with what runs scripts of its kind.
    pub(super) fn script(script: &str, args: &[&str]) -> Self {
        let (_, kind) = script.rsplit_once('.').expect("a script has an ending");
        let mut command = match kind {
            "py" => Command::new(local().join("venv/bin/python")),
            "mjs" => Command::new("node"),
            "ts" => Command::new(local().join("node_modules/.bin/bun")),
            _ => unreachable!("nothing runs .{kind}"),
        };
        command.arg(scripts().join(script)).args(args);
        // Nothing is written into the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Self::start(&format!("{script} {}", args.join(" ")), command)
    }

    pub(super) fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: it is killed as a whole.
        command.process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (sender, lines) = unbounded_channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let complaints = Arc::new(Mutex::new(String::new()));
        let (mut stderr, heap) = (child.stderr.take().expect("piped"), Arc::clone(&complaints));
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut chunk) {
                heap.lock().expect("nobody panics here").push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
        });
        Self { name: name.trim().to_owned(), child, lines, last: None, complaints }
    }

    /// The next line of its stdout; `None` when there are no more.
    pub(super) async fn line(&mut self) -> Option<String> {
        match timeout(LINE, self.lines.recv()).await {
            Ok(line) => {
                self.last.clone_from(&line);
                line
            }
            Err(_) => panic!("{}: no line within {LINE:?} after {:?}", self.name, self.last),
        }
    }

    /// The port that a server of ours says first.
    pub(super) async fn port(&mut self) -> u16 {
        let line = self.line().await;
        match line.as_deref().map(str::parse) {
            Some(Ok(port)) => port,
            _ => panic!("{}: a port is its first line, not {line:?}", self.name),
        }
    }

    /// Whether it is over.
    #[cfg(feature = "tls")]
    pub(super) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Kills it at once: the kernel ends its connections, nobody says goodbye.
    pub(super) fn kill(&mut self) {
        let group = format!("-{}", self.child.id());
        // Not waited for yet, so its number cannot be another's by now.
        _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "kept with the test's own output, and shown with it")]
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let complaints = self.complaints.lock().expect("nobody panics there");
            eprintln!("stderr of {}:\n{complaints}", self.name);
        }
    }
}
