//! Programs that stand between a client and a server: each has a configuration and a port of its own, and does not say
//! when it listens.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::process::Process;
use super::{local, scripts, within};
use crate::support::certificates::{Authority, Files, Wrong};

/// How often one is started whose port was taken between our choice and its start.
const ATTEMPTS: usize = 5;

/// Such a program. It ends when this is dropped.
pub(super) struct Daemon {
    peer: &'static str,
    process: Process,
    /// Where it listens, in the clear and for TLS; where it has one port for both of our purposes they are the same.
    pub(super) port: u16,
    pub(super) tls_port: u16,
    /// Its configuration, and what it writes.
    _files: Files,
}

impl Daemon {
    /// Starts `peer`, whose certificates are of this authority, in front of a server on port `server` if it is one of
    /// those that stand there.
    pub(super) async fn start(peer: &'static str, authority: &Authority, server: u16) -> Self {
        for _ in 0..ATTEMPTS {
            if let Some(daemon) = Self::attempt(peer, authority, server).await {
                return daemon;
            }
        }
        panic!("{peer} does not start, {ATTEMPTS} times");
    }

    async fn attempt(peer: &'static str, authority: &Authority, server: u16) -> Option<Self> {
        let (port, tls_port) = (free_port().await, free_port().await);
        let issued = authority.server(Wrong::Nothing);
        let both = issued.certificate.clone() + &issued.key;
        let files = Files::of(&[
            ("certificate.pem", &issued.certificate),
            ("key.pem", &issued.key),
            ("both.pem", &both),
        ]);
        let fill = |template: &str| {
            let text =
                std::fs::read_to_string(scripts().join("daemons").join(template)).expect("it is there");
            let text = text
                .replace("@PORT@", &port.to_string())
                .replace("@TLS_PORT@", &tls_port.to_string())
                .replace("@SERVER@", &server.to_string())
                .replace("@FILES@", &files.path("").display().to_string())
                .replace("@ROOT@", &root(peer).display().to_string());
            std::fs::write(files.path(template), text).expect("a file");
            files.path(template)
        };
        let mut command = Command::new(scripts().join("daemons/run"));
        match peer {
            "tinyproxy" => command.arg(program(peer)).arg("-d").arg("-c").arg(fill("tinyproxy.conf")),
            // What squids share has names, which are of this one only.
            "squid" => {
                fill("passwords");
                command
                    .arg(program(peer))
                    .args(["-N", "-n", &service(port)])
                    .arg("-f")
                    .arg(fill("squid.conf"))
            }
            "microsocks" | "microsocks-open" => {
                command.arg(program("microsocks")).args(["-i", "127.0.0.1", "-p", &port.to_string()]);
                command.args(if peer == "microsocks" { &["-u", "user", "-P", "pass"][..] } else { &[] })
            }
            "nginx" => {
                command.arg(program(peer)).args(["-e", "stderr", "-p"]).arg(files.path(""));
                command.arg("-c").arg(fill("nginx.conf"))
            }
            "haproxy" => command.arg(program(peer)).arg("-db").arg("-f").arg(fill("haproxy.cfg")),
            "proxy.py" => {
                command.arg(local().join("venv/bin/python")).args(["-m", "proxy", "--hostname", "127.0.0.1"]);
                command.args(["--port", &tls_port.to_string(), "--basic-auth", "user:pass"]);
                command.args(["--num-workers", "1", "--num-acceptors", "1", "--log-level", "WARNING"]);
                command.arg("--data-dir").arg(files.path(""));
                command.arg("--cert-file").arg(files.path("certificate.pem"));
                command.arg("--key-file").arg(files.path("key.pem")).env("PYTHONDONTWRITEBYTECODE", "1")
            }
            _ => unreachable!("{peer} is no daemon"),
        };
        command.env("LD_LIBRARY_PATH", root(peer).join("libraries"));
        let mut process = Process::start(peer, command);
        let (port, tls_port) = match peer {
            "proxy.py" => (tls_port, tls_port),
            "tinyproxy" | "microsocks" | "microsocks-open" => (port, port),
            _ => (port, tls_port),
        };
        let mut listens = true;
        for port in [port, tls_port] {
            listens &= within(peer, comes_up(&mut process, port)).await;
        }
        listens.then_some(Self { peer, process, port, tls_port, _files: files })
    }

    /// Kills it at once: the kernel ends its connections, nobody says goodbye.
    pub(super) async fn kill(&mut self) {
        self.process.kill();
        // Processes that shared its port die one by one.
        for port in [self.port, self.tls_port] {
            within("its death", goes_down(port)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill();
        if self.peer == "squid" {
            // Killed, it leaves what it shares with nobody.
            for part in ["metadata", "queues", "readers"] {
                let name = format!("{}-cf__{part}.shm", service(self.port));
                _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
            }
        }
    }
}

/// Squid's name for itself: letters and digits.
fn service(port: u16) -> String {
    format!("aiowebsocket{port}")
}

/// Where the packages of a peer were unpacked.
fn root(peer: &str) -> PathBuf {
    local().join("debian").join(peer)
}

/// The program of a peer.
pub(super) fn program(peer: &str) -> PathBuf {
    let folder = if matches!(peer, "tinyproxy" | "microsocks") { "usr/bin" } else { "usr/sbin" };
    root(peer).join(folder).join(peer)
}

/// A port that nobody has. Somebody may take it before it is used.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Waits until somebody listens; false if the program ended before.
async fn comes_up(process: &mut Process, port: u16) -> bool {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if process.has_ended() {
            return false;
        }
        sleep(Duration::from_millis(20)).await;
    }
    true
}

/// Waits until nobody listens.
async fn goes_down(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        sleep(Duration::from_millis(20)).await;
    }
}
