//! `aiows ping`.

use snapbox::str;

use crate::support::{Server, check, frame, opening_and_reading, opening_and_sending, run, told};

#[test]
fn round_trips_and_their_sum() {
    let server = Server::start(&[]);
    let said = told(&["ping", "-c", "3", "-i", "0.01", &server.url], "");
    // How many rows the histogram has depends on the times.
    let (said, histogram): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| !line.starts_with("  < "));
    check(
        said.join("\n"),
        str![[r#"
exit code: 0
----- stdout
ping ws://127.0.0.1:PORT/
1: DURATION
2: DURATION
3: DURATION

3 pings, 3 answered
min DURATION, median DURATION, p99 DURATION, max DURATION
----- stderr
"#]],
    );
    let counted: usize = histogram
        .iter()
        .map(|row| row.rsplit(' ').next().expect("a count").parse::<usize>().expect("a number"))
        .sum();
    assert_eq!(counted, 3, "{histogram:?}");
}

#[test]
fn a_server_that_does_not_answer() {
    let url = opening_and_reading();
    let said = told(&["ping", "-c", "2", "-i", "0.01", "-W", "0.05", &url], "");
    check(
        said,
        str![[r#"
exit code: 1
----- stdout
ping ws://127.0.0.1:PORT/
1: no answer within DURATION
2: no answer within DURATION

2 pings, 0 answered

----- stderr

"#]],
    );
}

#[test]
fn a_server_that_closes() {
    let url = opening_and_sending(frame(8, &1001_u16.to_be_bytes()));
    assert_eq!(run(&["ping", &url], b"").code, Some(1));
    let url = opening_and_sending(frame(8, b"\x0f\xa1enough"));
    check(
        told(&["ping", &url], ""),
        str![[r#"
exit code: 4
----- stdout
ping ws://127.0.0.1:PORT/

1 ping, 0 answered

----- stderr
aiows: ws://127.0.0.1:PORT/: the server closed the connection with 4001: "enough"

"#]],
    );
}
