//! Every target on its seeds and on the inputs that fuzzing found worth keeping.

use std::fs;
use std::path::{Path, PathBuf};

use aiowebsocket_fuzz::{Difference, TARGETS, seeds::seeds};

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    // A target whose seeds were enough has no folder.
    let entries = fs::read_dir(&folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.display().to_string(), fs::read(&file).expect("a file"))).collect()
}

fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target");
    let seeds = seeds(name).into_iter().enumerate().map(|(index, seed)| (format!("seed {index}"), seed));
    let inputs: Vec<_> = seeds.chain(corpus(name)).collect();
    assert!(inputs.len() > 20, "{} inputs", inputs.len());
    for (input, bytes) in inputs {
        let held = std::panic::catch_unwind(|| target(&bytes));
        assert!(held.is_ok(), "{name}: {input}: {}", bytes.escape_ascii());
    }
}

#[test]
fn parts() {
    run("parts");
}

#[test]
fn frames() {
    run("frames");
}

#[test]
fn request() {
    run("request");
}

#[test]
fn response() {
    run("response");
}

#[test]
fn address() {
    run("address");
}

#[test]
fn inflate() {
    run("inflate");
}

#[test]
fn deflate() {
    run("deflate");
}

#[test]
fn proxy() {
    run("proxy");
}

#[test]
fn tunnel() {
    run("tunnel");
}

#[test]
fn pair() {
    run("pair");
}

#[test]
fn tungstenite() {
    run("tungstenite");
}

#[test]
fn every_difference_is_explained() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/differences.md");
    let page = fs::read_to_string(page).expect("it is in the repository");
    for difference in Difference::ALL {
        assert!(page.contains(&format!("`{difference:?}`")), "{difference:?} is not in docs/differences.md");
    }
}

#[test]
fn make_fuzz_runs_every_target() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Makefile");
    let makefile = fs::read_to_string(path).expect("it is in the repository");
    let run = makefile.lines().find(|line| line.contains("fuzz/run $$target")).expect("make fuzz");
    for (target, _) in TARGETS {
        assert!(run.split([' ', ';']).any(|word| word == target), "{target} is not in make fuzz");
    }
}
