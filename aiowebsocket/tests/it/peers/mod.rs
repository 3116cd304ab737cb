//! Real peers: our client against servers that people run, our server against clients that they use.
//!
//! peers/ of the repository holds their versions, the script that installs them, and the small programs that are
//! started here, each on 127.0.0.1 with a port of its own. A peer that is not installed is skipped in one loud line; with
//! `AIOWEBSOCKET_PEERS=require` it fails the test.

mod clients;
mod compression;
#[cfg(feature = "tls")]
mod daemons;
#[cfg(feature = "tls")]
mod fronts;
mod pins;
mod process;
#[cfg(feature = "tls")]
mod proxies;
mod servers;

use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

/// How long one step of a conversation may take: 16 MiB through an interpreter on a busy machine.
const STEP: Duration = Duration::from_secs(30);

/// Sizes of messages, in bytes: both sides of each border of the frame header, and two that no read takes whole.
const SIZES: [usize; 8] = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20];

/// Codes and reasons to close with.
fn closings() -> [(u16, String); 4] {
    // 123 bytes, the most that a Close frame holds.
    let long = "é".repeat(61) + "x";
    [(1000, String::new()), (1001, "bye".into()), (3000, "because".into()), (4999, long)]
}

/// Text of this many bytes, with characters of one to four of them.
fn text(size: usize) -> String {
    "aé世🦀".repeat(size / 10) + &"x".repeat(size % 10)
}

/// Parts of a message that is sent in fragments: each is text by itself, one is empty.
const TEXT_PARTS: [&str; 4] = ["one, ", "", "zwölf, ", "🦀"];

fn binary(size: usize) -> Vec<u8> {
    let pattern: Vec<u8> = (0..251_u16).map(|n| u8::try_from(n * 7 % 251).expect("below 251")).collect();
    pattern.into_iter().cycle().take(size).collect()
}

/// What a step comes to, or a panic with its name when that takes too long.
async fn within<T>(what: &str, step: impl Future<Output = T>) -> T {
    match timeout(STEP, step).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not done within {STEP:?}"),
    }
}

/// What a step that must not fail comes to.
async fn done<T, E: Display>(what: &str, step: impl Future<Output = Result<T, E>>) -> T {
    within(what, step).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Where peers/ is, and what it installed.
fn scripts() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../peers"))
}

fn local() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.local/peers"))
}

/// Whether the peer can be spoken to. If not, says so where nobody can miss it.
fn is_there(peer: &str) -> bool {
    if is_installed(peer) {
        return true;
    }
    let why = std::fs::read_to_string(local().join("skipped").join(peer));
    let why = why.map_or_else(|_| "not installed: run peers/install".into(), |why| why.trim().to_owned());
    let line = format!("\nSKIPPED: {peer}: {why}\n");
    assert!(std::env::var("AIOWEBSOCKET_PEERS").as_deref() != Ok("require"), "{line}");
    // Written straight: what is printed with a macro is kept back from a test that passes.
    _ = io::stderr().write_all(line.as_bytes());
    false
}

fn is_installed(peer: &str) -> bool {
    match peer {
        "websockets" | "aiohttp" | "uvicorn" | "proxy.py" => {
            let package = peer.trim_end_matches(".py");
            std::fs::read_dir(local().join("venv/lib")).is_ok_and(|found| {
                found.flatten().any(|lib| lib.path().join("site-packages").join(package).is_dir())
            })
        }
        "ws" => local().join("node_modules/ws").is_dir() && on_path("node").is_some(),
        "bun" => local().join("node_modules/.bin/bun").exists(),
        "chromium" => chromium().exists(),
        "aiows" => aiows().is_file(),
        #[cfg(feature = "tls")]
        "tinyproxy" | "squid" | "microsocks" | "nginx" | "haproxy" => daemons::program(peer).is_file(),
        _ => unreachable!("{peer} is no peer"),
    }
}

/// The command-line tool, as the tests of the workspace build it: `cargo test -p aiowebsocket` alone does not.
fn aiows() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/../debug/aiows"))
}

fn chromium() -> PathBuf {
    local().join("chromium/chromium")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
