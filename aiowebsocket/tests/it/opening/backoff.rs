//! When to connect again: the cases of spec/opening_backoff.toml, and which failures are final.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aiowebsocket::opening::{
    Address, Backoff, Failure, GaveUp, HandshakeError, HeadLimits, Opening, RequestHead, Retries,
};
use serde::Deserialize;

use super::{NONCE, start_of_time};

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    policy: HashMap<String, u32>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    at: u64,
    #[serde(default)]
    opened: bool,
    failed: Option<String>,
    #[serde(default = "half")]
    random: u64,
    delay: Option<u64>,
    gave_up: Option<String>,
    attempt: Option<u32>,
}

fn half() -> u64 {
    500
}

fn millis(n: impl Into<u64>) -> Duration {
    Duration::from_millis(n.into())
}

fn policy(options: &HashMap<String, u32>) -> Backoff {
    options.iter().fold(Backoff::default(), |backoff, (name, &value)| match name.as_str() {
        "first_delay" => backoff.first_delay(millis(value)),
        "base_delay" => backoff.base_delay(millis(value)),
        "max_delay" => backoff.max_delay(millis(value)),
        "max_server_delay" => backoff.max_server_delay(millis(value)),
        "stable_after" => backoff.stable_after(millis(value)),
        "max_retries" => backoff.max_retries(value),
        "max_time" => backoff.max_time(millis(value)),
        _ => panic!("there is no option {name}"),
    })
}

/// What a server's answer comes to.
fn answered(head: &str) -> HandshakeError {
    let request = RequestHead::new(&Address::parse("ws://h/").unwrap());
    let mut opening = Opening::new(request, NONCE, HeadLimits::default()).unwrap();
    match opening.receive(head.as_bytes(), start_of_time()) {
        Err(error) => error,
        Ok(_) => opening.receive_end(start_of_time()).unwrap_err(),
    }
}

fn refused(status: u16, lines: &str) -> HandshakeError {
    let error = answered(&format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n{lines}\r\n"));
    assert!(matches!(error, HandshakeError::Refused(_)), "{error}");
    error
}

/// Hands the failure that the case names to `with`.
fn failing<T>(what: &str, with: impl FnOnce(Failure<'_>) -> T) -> T {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("a number: {what}"));
    match what.split_once(' ') {
        None if what == "passing" => with(Failure::Passing),
        None if what == "lasting" => with(Failure::Lasting),
        Some(("closed", code)) => with(Failure::Closed(number(code))),
        Some(("refused", answer)) => {
            let mut parts = answer.split(" | ");
            let status = number(parts.next().expect("a status"));
            let lines: String = parts.map(|line| format!("{line}\r\n")).collect();
            with(Failure::Handshake(&refused(status, &lines)))
        }
        _ => panic!("{what} is no failure"),
    }
}

#[test]
fn backoff() {
    let text = include_str!("../../../../spec/opening_backoff.toml");
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{}", error.message()));
    assert!(file.case.len() > 15, "the cases are there");
    // Sun, 06 Nov 1994 08:49:37 GMT
    let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    for case in &file.case {
        let mut retries = Retries::new(policy(&case.policy));
        for (i, step) in case.steps.iter().enumerate() {
            let at = format!("{}, step {i}", case.name);
            let now = start_of_time() + millis(step.at);
            if step.opened {
                retries.opened(now);
            }
            if let Some(what) = &step.failed {
                let random = u64::try_from(u128::from(step.random) * u128::from(u64::MAX) / 1000).unwrap();
                let told =
                    failing(what, |failure| retries.failed(failure, now, clock + millis(step.at), random));
                // What is drawn is below the whole by a part that no clock knows.
                let rounded =
                    told.map(|delay| u64::try_from((delay + millis(1_u8) / 2).as_millis()).unwrap());
                assert_eq!(rounded.ok(), step.delay, "{at}");
                assert_eq!(told.err().map(|gave_up| gave_up.to_string()), step.gave_up, "{at}");
            }
            if let Some(attempt) = step.attempt {
                assert_eq!(retries.attempt(), attempt, "{at}");
            }
        }
    }
}

#[test]
fn which_failures_are_final() {
    let is_final = |what: &str| failing(what, |failure| failure.is_final());
    for what in
        ["passing", "closed 1000", "closed 1001", "closed 1005", "closed 1006", "closed 1011", "closed 1012"]
    {
        assert!(!is_final(what), "{what}");
    }
    for what in ["closed 1013", "closed 1014", "closed 3008", "closed 4000", "closed 4999", "closed 2999"] {
        assert!(!is_final(what), "{what}");
    }
    for code in [1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003] {
        assert!(is_final(&format!("closed {code}")), "{code}");
    }
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        assert!(!is_final(&format!("refused {status}")), "{status}");
    }
    for status in [200, 204, 301, 302, 304, 400, 401, 403, 404, 407, 410, 421, 426, 428, 431, 451, 600] {
        assert!(is_final(&format!("refused {status}")), "{status}");
    }
    assert!(is_final("lasting"));
    // A server that stops may do so in the middle of its answer; others do not speak HTTP, or not WebSocket.
    assert!(!Failure::Handshake(&answered("")).is_final());
    assert!(!Failure::Handshake(&answered("HTTP/1.1 101 Swi")).is_final());
    for head in [
        "SSH-2.0\r\n",
        "HTTP/1.1 101 x\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 x\r\n\r\n",
    ] {
        let error = answered(head);
        assert!(!matches!(error, HandshakeError::UnexpectedEnd { .. }), "{error}");
        assert!(Failure::Handshake(&error).is_final(), "{error}");
    }
}

/// Whatever is set, no arithmetic breaks, and no delay is longer than the policy allows.
#[test]
fn extreme_policies() {
    let most = Duration::MAX;
    let zero = Duration::ZERO;
    let clock = SystemTime::UNIX_EPOCH;
    for policy in [
        Backoff::default().first_delay(most).base_delay(most).max_delay(most).max_server_delay(most),
        Backoff::default().first_delay(zero).base_delay(zero).max_delay(zero).max_server_delay(zero),
        Backoff::default().stable_after(zero).max_time(most).max_retries(u32::MAX),
        Backoff::default().first_delay(most),
        Backoff::default().base_delay(most),
        Backoff::default().max_server_delay(most),
    ] {
        let mut retries = Retries::new(policy);
        for i in 0..100_u32 {
            for what in
                ["passing", "closed 1012", "closed 1013", "refused 503 | Retry-After: 99999999999999999999"]
            {
                let random = [0, u64::MAX, u64::MAX / 2][i as usize % 3];
                let delay = failing(what, |failure| retries.failed(failure, start_of_time(), clock, random));
                assert!(delay.is_ok_and(|delay| delay <= most), "{policy:?}");
            }
        }
        assert_eq!(retries.attempt(), 401);
    }
    let mut endless = Retries::new(Backoff::default().max_time(zero));
    let told = endless.failed(Failure::Passing, start_of_time(), clock, u64::MAX);
    assert_eq!(told, Err(GaveUp::Time { time: zero }));
}

/// Delays are spread, not bunched: RFC 6455 7.2.3 wants clients to come back one by one.
#[test]
fn delays_are_spread_evenly() {
    let mut tenths = [0_u32; 10];
    for i in 0..10_000_u64 {
        let mut retries = Retries::new(Backoff::default());
        // Evenly spread themselves: the fractional parts of multiples of the golden ratio.
        let random = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let delay =
            retries.failed(Failure::Passing, start_of_time(), SystemTime::UNIX_EPOCH, random).unwrap();
        assert!(delay < Duration::from_secs(5));
        tenths[usize::try_from(delay.as_millis() / 500).unwrap()] += 1;
    }
    assert!(tenths.iter().all(|&n| (990..=1010).contains(&n)), "{tenths:?}");
}
