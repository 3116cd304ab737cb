//! `aiows ping`.

use std::io::{Read, Write};
use std::time::Instant;

use snapbox::str;

use crate::support::{
    Program, Server, answer_ping, check, frame, next_frame, opening_and_reading, opening_and_sending, run,
    talking, told,
};

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

#[test]
fn one_lost_ping_is_a_failure() {
    let url = talking(|stream| {
        answer_ping(stream);
        while next_frame(stream).0 != 8 {}
    });
    check(
        told(&["ping", "-c", "2", "-i", "0", "-W", "1", &url], "")
            .lines()
            .filter(|line| !line.starts_with("  < "))
            .collect::<Vec<_>>()
            .join("\n"),
        str![[r#"
exit code: 1
----- stdout
ping ws://127.0.0.1:PORT/
1: DURATION
2: no answer within DURATION

2 pings, 1 answered
min DURATION, median DURATION, p99 DURATION, max DURATION
----- stderr
"#]],
    );
}

#[test]
fn pings_are_as_far_apart_as_is_wanted() {
    let server = Server::start(&[]);
    let began = Instant::now();
    assert_eq!(run(&["ping", "-c", "3", "-i", "0.4", &server.url], b"").code, Some(0));
    assert!(began.elapsed().as_millis() >= 800, "{:?}", began.elapsed());
}

/// Between two pings the server is listened to.
#[test]
fn a_server_that_closes_between_two_pings() {
    let url = talking(|stream| {
        answer_ping(stream);
        let closing = [frame(1, b"let go of"), frame(8, b"\x0f\xa1enough")].concat();
        stream.write_all(&closing).expect("the client reads");
        while next_frame(stream).0 != 8 {}
    });
    // The next ping is later than any test waits.
    assert_eq!(run(&["ping", "-i", "1000", &url], b"").code, Some(4));
}

/// The library would wait 10 s for the answer to our Close frame.
#[test]
fn a_server_that_does_not_say_goodbye_is_not_waited_for_long() {
    let url = talking(|stream| {
        answer_ping(stream);
        while next_frame(stream).0 != 8 {}
        // Until the client has gone.
        _ = stream.read_to_end(&mut Vec::new());
    });
    let began = Instant::now();
    assert_eq!(run(&["ping", "-c", "1", &url], b"").code, Some(0));
    let took = began.elapsed().as_secs();
    assert!((2..8).contains(&took), "3 s are the limit, it took {took} s");
}

/// What comes before a pong is not in its way: more than the library keeps by default.
#[test]
fn a_pong_behind_many_messages() {
    let url = talking(|stream| {
        let (_, ping) = next_frame(stream);
        let messages = frame(2, &[7; 125]).repeat(20_000);
        stream.write_all(&[messages, frame(10, &ping)].concat()).expect("the client reads");
        while next_frame(stream).0 != 8 {}
    });
    assert_eq!(run(&["ping", "-c", "1", &url], b"").code, Some(0));
}

#[cfg(unix)]
#[test]
fn nothing_was_answered_when_it_was_ended() {
    let url = talking(|stream| {
        while next_frame(stream).0 != 8 {}
        stream.write_all(&frame(8, &1000_u16.to_be_bytes())).expect("the client reads");
    });
    let program = Program::start(&["ping", &url]);
    program.line();
    program.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(program.wait().code, Some(1));
}

/// All pings were answered before: that is what it ends with, whatever comes between.
#[test]
fn the_time_that_ends_during_the_goodbye_takes_no_figures_away() {
    let url = talking(|stream| {
        answer_ping(stream);
        while next_frame(stream).0 != 8 {}
        // Until the client has gone.
        _ = stream.read_to_end(&mut Vec::new());
    });
    let said = run(&["ping", "-c", "1", "--max-time", "1", &url], b"");
    let shown = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.code, Some(0), "{shown}");
    assert!(shown.contains("\n1 ping, 1 answered\nmin "), "{shown}");
}
