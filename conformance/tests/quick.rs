//! The part of the suite that a test run has time for, against each face. `make conformance` runs all of it.

use std::io::{self, Write};

use conformance::{Expected, Face, cases, is_quick};

async fn run(face: Face) {
    let all = match cases() {
        Ok(cases) => cases,
        Err(why) => {
            let line = format!("\nSKIPPED: autobahn: {why}\n");
            assert!(std::env::var("AIOWEBSOCKET_PEERS").as_deref() != Ok("require"), "{line}");
            // Written straight: what is printed with a macro is kept back from a test that passes.
            _ = io::stderr().write_all(line.as_bytes());
            return;
        }
    };
    assert_eq!(all.len(), 517, "the suite is whole");
    let cases: Vec<String> = all.into_iter().filter(|case| is_quick(case)).collect();
    assert_eq!(
        cases.len(),
        247 + 8 * 2 + 12 + 2,
        "all but sections 9, 12, 13; two of each group of 9; one of each of 12 and 13, two of their first"
    );
    let outcomes = face.run(&cases, |_| {}).await.expect("the suite runs");
    let differences = Expected::read().expect("expected.toml").differences(&cases, &outcomes);
    assert!(differences.is_empty(), "{}:\n{}", face.name(), differences.join("\n"));
}

#[tokio::test]
async fn the_client_on_tokio() {
    run(Face::TokioClient).await;
}

#[tokio::test]
async fn the_server_on_tokio() {
    run(Face::TokioServer).await;
}

#[tokio::test]
async fn the_client_of_the_python_package() {
    run(Face::PythonClient).await;
}
