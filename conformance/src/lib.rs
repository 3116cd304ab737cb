//! Autobahn's test suite against the faces of this library: `make conformance` runs all of it, the tests a quick part. README.md tells how it is
//! installed and what the results mean.

mod expected;
mod face;
mod fuzzer;
mod report;

use std::path::{Path, PathBuf};

pub use expected::Expected;
pub use face::Face;
pub use fuzzer::Outcome;
pub use report::report;

/// This folder.
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `install` made.
fn local() -> PathBuf {
    here().join("../.local/conformance")
}

/// All cases, in the suite's order, or why they are not there.
///
/// # Errors
/// A line for people: the suite is not installed.
pub fn cases() -> Result<Vec<String>, String> {
    let skipped = std::fs::read_to_string(local().join("skipped"));
    if !local().join("stamp").exists() {
        let why = skipped.unwrap_or_else(|_| "not installed: run conformance/install".to_owned());
        return Err(why.trim().to_owned());
    }
    let cases = std::fs::read_to_string(local().join("cases")).map_err(|error| error.to_string())?;
    Ok(cases.lines().map(str::to_owned).collect())
}

/// The section of a case: 12 for 12.1.8.
pub fn section(case: &str) -> &str {
    case.split('.').next().unwrap_or(case)
}

/// Whether a test run has time for this case: everything but most of sections 9, 12 and 13. Of each group of 9 the first size and the sixth are taken
/// (messages of 64 KiB and 16 MiB, fragments of 64 bytes and 64 KiB), of each of 12 and 13 messages of 256 bytes, and of the first of both messages of
/// 8192 in fragments.
pub fn is_quick(case: &str) -> bool {
    let number = case.rsplit('.').next().unwrap_or(case);
    match section(case) {
        "9" => matches!(number, "1" | "6"),
        "12" | "13" => number == "3" || matches!(case, "12.1.11" | "13.1.11"),
        _ => true,
    }
}
