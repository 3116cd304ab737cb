//! What the tree promises about itself.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below `folder` with this ending, by path from the root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        if folder.ends_with("node_modules") {
            continue;
        }
        for entry in
            fs::read_dir(&folder).expect("a folder of the tree").map(|entry| entry.expect("an entry").path())
        {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|found| found == ending) {
                let path = entry.strip_prefix(root()).expect("below the root");
                found.push(path.to_str().expect("plain names").to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_walk_finds_the_tree() {
    assert!(files("aiowebsocket/src", "rs").len() > 30);
}

/// The names of a public enum's variants, without what they hold.
fn variants(file: &str, name: &str) -> Vec<String> {
    let text = read(file);
    let (_, body) = text.split_once(&format!("pub enum {name} {{\n")).expect("the enum is there");
    let (body, _) = body.split_once("\n}").expect("it ends");
    let names = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = names.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names.map(|line| line.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
}

/// The pages count and list what can be wrong with TLS.
#[test]
fn the_faults_of_tls_are_all_told() {
    let faults = variants("aiowebsocket/src/layer.rs", "TlsFault");
    assert!(faults.len() > 10 && faults.contains(&"WrongHost".to_owned()), "{faults:?}");
    let page = read("docs/opening.md");
    for fault in &faults {
        assert!(page.contains(&format!("`{fault}`")), "docs/opening.md does not list {fault}");
    }
    // Three are named there.
    let count = ["twelve", "thirteen", "fourteen", "fifteen"][faults.len() - 15];
    let told = format!("expired, wrong host, unknown issuer and {count} others apart");
    assert!(read("README.md").contains(&told), "README.md does not say: {told}");
}

#[test]
fn the_machines_know_no_socket_clock_task_or_randomness() {
    let forbidden = [
        "tokio",
        "std::net",
        "Instant::now",
        "SystemTime::now",
        "getrandom",
        "rand::",
        "thread::sleep",
        "crate::client",
        "crate::blocking",
        "crate::face",
        "crate::keys",
    ];
    for file in
        files("aiowebsocket/src/protocol", "rs").into_iter().chain(files("aiowebsocket/src/opening", "rs"))
    {
        for (number, line) in read(&file).lines().enumerate() {
            // Prose may name what the code must not; a feature's name is not its library.
            if line.trim_start().starts_with("#[cfg(") {
                continue;
            }
            let code = line.split("//").next().unwrap_or_default();
            for word in forbidden {
                assert!(!code.contains(word), "{file}:{}: {word} has no place in a machine", number + 1);
            }
        }
    }
}

#[test]
fn protocol_and_opening_do_not_know_each_other() {
    for (folder, other) in [("protocol", "crate::opening"), ("opening", "crate::protocol")] {
        for file in files(&format!("aiowebsocket/src/{folder}"), "rs") {
            assert!(!read(&file).contains(other), "{file} names {other}");
        }
    }
}

#[test]
fn what_the_faces_share_knows_none_of_them() {
    let faces = ["client", "blocking"];
    for folder in ["face", "client", "blocking"] {
        let files = files(&format!("aiowebsocket/src/{folder}"), "rs");
        assert!(files.len() > 4, "{folder} is there");
        for file in files {
            for (number, line) in read(&file).lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for other in faces.iter().filter(|other| **other != folder) {
                    let named = code.contains(&format!("crate::{other}"));
                    // The two places in which the options of all are put together.
                    let is_known = file.ends_with("face/connect.rs")
                        && (code.ends_with("::Ways,") || code.ends_with("::Dial {}"));
                    assert!(!named || is_known, "{file}:{}: {other}", number + 1);
                }
            }
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_and_stands_on_the_map() {
    let map = read("ARCHITECTURE.md");
    for file in files("aiowebsocket/src", "rs")
        .into_iter()
        .chain(files("cli/src", "rs"))
        .chain(files("python/src", "rs"))
    {
        if file.ends_with("src/lib.rs") {
            continue;
        }
        assert!(read(&file).starts_with("//!"), "{file} does not begin with what it is");
        let name = file.rsplit('/').next().expect("a name");
        assert!(map.contains(name), "{file} is not in ARCHITECTURE.md");
    }
}

#[test]
fn every_file_on_the_map_exists() {
    let map = read("ARCHITECTURE.md");
    let mut folder = String::new();
    for line in map.lines().filter(|line| line.starts_with("| `")) {
        let first = line.split('|').nth(1).expect("a cell");
        for name in first.split('`').skip(1).step_by(2) {
            if let Some(stem) = name.strip_suffix('/') {
                folder = format!("aiowebsocket/{stem}");
            } else {
                assert!(root().join(&folder).join(name).exists(), "{folder}/{name} is on the map only");
            }
        }
    }
    assert_eq!(folder, "aiowebsocket/src/blocking", "the tables of the map were read");
}

#[test]
fn the_version_is_in_the_changelog() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("CHANGELOG.md").contains(&format!("## {version}")), "{version} is not in CHANGELOG.md");
}

/// What is packed is what lies in the package's own folder, and both licences want their text with every copy.
#[test]
fn every_package_has_the_licences() {
    for package in ["aiowebsocket", "cli", "python"] {
        for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
            assert_eq!(read(format!("{package}/{name}")), read(name), "{package}");
        }
    }
    let project: toml::Table = read("python/pyproject.toml").parse().expect("TOML");
    let files = project["project"]["license-files"].as_array().expect("a list");
    assert_eq!(files.len(), 2, "the wheel has both");
}

#[test]
fn the_figures_of_the_readme_are_those_of_the_record() {
    let record: toml::Table = read("aiowebsocket/benches/icount.toml").parse().expect("a record");
    let readme = read("README.md").replace(',', "");
    let figure = |name: &str| record["instructions"][name].as_integer().expect("a number").to_string();
    for (row, names) in [
        ("16 B binary, lent / owned", ["lent-16-binary", "owned-16-binary"]),
        ("128 B text of several scripts, lent / owned", ["lent-128-text", "owned-128-text"]),
        ("1 KiB text of several scripts, lent / owned", ["lent-1024-mixed", "owned-1024-mixed"]),
        ("16 B / 1 KiB binary, 64 messages a write", ["feed-16-binary", "feed-1024-binary"]),
    ] {
        let row = row.replace(',', "");
        let line = readme.lines().find(|line| line.contains(&row)).unwrap_or_else(|| panic!("no row {row}"));
        let figures = format!("| {} / {} |", figure(names[0]), figure(names[1]));
        assert!(line.ends_with(&figures), "the record says {figures}: {line}");
    }
    let json = format!("1 KiB ASCII JSON lent | {} |", figure("lent-1024-json"));
    assert!(readme.contains(&json), "the record says {json}");
}

#[test]
fn no_page_speaks_of_somebody_elses_machine() {
    // Written in pieces, so that this file may be read too.
    let forbidden = [
        ["/root", "/"],
        ["/work", "/"],
        ["../sha", "red"],
        ["static.crates", ".io"],
        ["index.crates", ".io"],
        ["files.python", "hosted"],
        ["registry.npm", "js"],
    ];
    assert!(!files("docs", "md").is_empty(), "the walk finds what there is");
    for folder in ["aiowebsocket", "cli", "python", "docs", "spec", "peers", "conformance", "fuzz/src", ".ci"]
    {
        for ending in ["rs", "toml", "md", "py", "mjs", "json", "html"] {
            for file in files(folder, ending) {
                let text = read(&file);
                for word in forbidden.map(|pieces| pieces.concat()) {
                    assert!(!text.contains(&word), "{file} names {word}");
                }
            }
        }
    }
}
