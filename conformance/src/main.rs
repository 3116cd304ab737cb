//! `conformance [FACE]…`: all cases against these faces, or against all of them; writes results/FACE.md and ends with 1 where anything is not as
//! expected.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![expect(clippy::disallowed_methods, reason = "a run is timed")]

use std::process::ExitCode;
use std::time::Instant;

use conformance::{Expected, Face, cases, here, report};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The number of differences.
async fn run() -> Result<usize, String> {
    let faces = std::env::args().skip(1).map(|name| name.parse()).collect::<Result<Vec<Face>, _>>()?;
    let faces = if faces.is_empty() { Face::ALL.to_vec() } else { faces };
    let cases = cases()?;
    let expected = Expected::read()?;
    let results = here().join("results");
    // Now, not after a quarter of an hour of cases.
    std::fs::create_dir_all(&results).map_err(|error| format!("{}: {error}", results.display()))?;
    let mut count = 0;
    for face in faces {
        println!("{}: {} cases", face.name(), cases.len());
        let began = Instant::now();
        let tell = |outcome: &conformance::Outcome| {
            println!("{} {} {} {} ms", outcome.case, outcome.behavior, outcome.close, outcome.ms);
        };
        let outcomes = face.run(&cases, tell).await.map_err(|error| format!("{}: {error}", face.name()))?;
        let page = report(face, &expected, &outcomes, began.elapsed().as_secs());
        let path = results.join(face.name()).with_extension("md");
        std::fs::write(&path, &page).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{page}");
        for difference in expected.differences(&cases, &outcomes) {
            println!("DIFFERENCE {}: {difference}", face.name());
            count += 1;
        }
    }
    println!("{count} differences");
    Ok(count)
}
