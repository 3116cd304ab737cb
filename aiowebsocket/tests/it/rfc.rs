//! docs/rfc*.md lead from each rule of the specifications to what shows it; here it is checked that this exists.
//!
//! In the last column of a table, a word that begins with `rfc`, `limits` or `environment` and has a hyphen names a case of spec/, one that
//! begins with a hyphen ends such a name, and one with an underscore is a test function, names of files aside.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below `folder` that end in `extension`.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn files_of(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root().join(folder), extension, &mut found);
    found.sort();
    found
}

/// The names of the cases, each with its file.
fn cases() -> Vec<(String, PathBuf)> {
    let mut cases = Vec::new();
    for path in files_of("spec", "toml") {
        for line in read(&path).lines() {
            if let Some(name) = line.strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"')) {
                cases.push((name.to_owned(), path.clone()));
            }
        }
    }
    cases
}

fn functions() -> HashSet<String> {
    let mut functions = HashSet::new();
    for path in [files_of("aiowebsocket/src", "rs"), files_of("aiowebsocket/tests", "rs")].concat() {
        for line in read(&path).lines() {
            if let Some((_, rest)) = line.split_once("fn ") {
                let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                functions.insert(name.unwrap_or_default().to_owned());
            }
        }
    }
    functions
}

/// The rows of the tables in a document: the rule, and the cell that names what shows it.
fn rows(text: &str) -> Vec<(&str, &str)> {
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [section, rule, case] = cells[..] else { panic!("three cells: {line}") };
        if section != "section" {
            rows.push((rule, case));
        }
    }
    rows
}

#[derive(Debug, PartialEq)]
enum Named<'a> {
    Case(&'a str),
    CaseEnd(&'a str),
    Function(&'a str),
}

/// Whether a word can be the name of a case: it begins with its section, or with what has none.
fn is_case(word: &str) -> bool {
    ["rfc", "limits", "environment"].iter().any(|first| word.starts_with(first)) && word.contains('-')
}

fn named(cell: &str) -> Vec<Named<'_>> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let words = cell.split(|c| !in_name(c)).map(|word| word.trim_end_matches(['.', '-']));
    words
        .filter_map(|word| match word {
            _ if word.ends_with(".rs") || word.ends_with(".toml") => None,
            _ if is_case(word) => Some(Named::Case(word)),
            _ if word.starts_with('-') => Some(Named::CaseEnd(word)),
            _ if word.contains('_') => Some(Named::Function(word)),
            _ => None,
        })
        .collect()
}

#[test]
fn every_case_that_the_documents_name_exists() {
    let (cases, functions) = (cases(), functions());
    assert!(cases.len() > 300 && functions.len() > 100, "the cases and tests are found");
    let mut missing = Vec::new();
    let mut checked = 0;
    for path in files_of("docs", "md") {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if !name.starts_with("rfc") {
            continue;
        }
        for (rule, cell) in rows(&read(&path)) {
            let found = named(cell);
            if name == "rfc.md" && found.is_empty() && !cell.starts_with("not for us: ") {
                missing.push(format!("{name}: nothing shows {rule:?}"));
            }
            for word in found {
                checked += 1;
                let exists = match &word {
                    Named::Case(word) => cases.iter().any(|(case, _)| case == word),
                    Named::CaseEnd(word) => cases.iter().any(|(case, _)| case.ends_with(word)),
                    Named::Function(word) => functions.contains(*word),
                };
                if !exists {
                    missing.push(format!("{name}: {word:?} of {rule:?} is nowhere"));
                }
            }
        }
    }
    assert!(checked > 100, "the tables are found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_case_has_its_own_name() {
    let mut seen = HashSet::new();
    for (name, path) in cases() {
        assert!(is_case(&name), "{name} begins with its section");
        let file = path.file_stem().expect("a file").to_string_lossy().into_owned();
        // What both sides of the opening handshake must refuse has one name in the file of each side.
        let group = if file.starts_with("opening") { file.clone() } else { String::new() };
        assert!(seen.insert((group, name.clone())), "{name} is there twice, at last in {file}.toml");
    }
}

/// The check itself sees what is missing.
#[test]
fn words_in_a_cell() {
    let cell = "R rfc6455-4.1-a, -b; c_d (http.rs), as 4.1 resp. 5 and `spec/opening_url.toml`.";
    let expected = [Named::Case("rfc6455-4.1-a"), Named::CaseEnd("-b"), Named::Function("c_d")];
    assert_eq!(named(cell), expected);
}
