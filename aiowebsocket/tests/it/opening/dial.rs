//! In which order and when addresses are dialled: the cases of spec/opening_dial.toml, and what data says badly.

use core::net::SocketAddr;
use std::io::{Error, ErrorKind};
use std::time::{Duration, Instant};

use aiowebsocket::opening::{Attempt, DialError, Dialling};
use serde::Deserialize;

use super::start_of_time;

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    addresses: Vec<SocketAddr>,
    attempt_timeout: Option<u64>,
    #[serde(default)]
    happens: Vec<String>,
    trace: Vec<String>,
    kind: Option<String>,
    message: Option<String>,
}

/// A face that dials nothing: attempts, and what happens to them at a given time.
struct Face {
    dialling: Dialling,
    under_way: Vec<Attempt>,
    trace: Vec<String>,
    error: Option<DialError>,
}

impl Face {
    /// Does what the contract asks for after everything that happened. False: it is over.
    fn go_on(&mut self, now: u64) -> bool {
        let mut is_going_on = true;
        loop {
            // Who is not wanted is dropped before another is started in its place, and at the end.
            let (wanted, unwanted): (Vec<_>, Vec<_>) =
                self.under_way.drain(..).partition(|attempt| self.dialling.is_wanted(attempt.id));
            self.under_way = wanted;
            self.trace.extend(unwanted.iter().map(|attempt| format!("{now} drop {}", attempt.address)));
            if !is_going_on {
                return false;
            }
            match self.dialling.next(at(now)) {
                Ok(None) => return true,
                Ok(Some(attempt)) => {
                    self.trace.push(format!("{now} start {}", attempt.address));
                    self.under_way.push(attempt);
                }
                Err(error) => {
                    self.trace.push(format!("{now} failed"));
                    self.error = Some(error);
                    is_going_on = false;
                }
            }
        }
    }

    /// Time passes up to here. False: it is over.
    fn wait(&mut self, until: u64) -> bool {
        let mut deadlines = 0;
        while let Some(deadline) = self.dialling.next_timeout().filter(|deadline| *deadline <= at(until)) {
            deadlines += 1;
            assert!(deadlines < 100, "time stands still at {deadline:?}");
            let now = u64::try_from((deadline - at(0)).as_millis()).expect("a short case");
            // A moment too early nothing is done.
            self.dialling.handle_timeout(deadline - Duration::from_nanos(1));
            assert_eq!(self.dialling.next_timeout(), Some(deadline));
            assert!(matches!(self.dialling.next(deadline - Duration::from_nanos(1)), Ok(None)));
            self.dialling.handle_timeout(deadline);
            if !self.go_on(now) {
                return false;
            }
        }
        true
    }

    /// "192.0.2.1:80 refused". False: it is over.
    fn happens(&mut self, what: &str, now: u64) -> bool {
        let (address, what) = what.split_once(' ').expect("an address and what happens");
        let is_it = |attempt: &Attempt| attempt.address == address.parse().expect("an address");
        let Some(place) = self.under_way.iter().position(is_it) else { return true };
        let attempt = self.under_way.remove(place);
        let kind = match what {
            "refused" => ErrorKind::ConnectionRefused,
            "unreachable" => ErrorKind::NetworkUnreachable,
            "silent" => ErrorKind::TimedOut,
            _ => {
                assert_eq!(what, "connected");
                assert!(self.dialling.connected(attempt.id));
                self.trace.push(format!("{now} connected {address}"));
                assert!(self.go_on(now), "nothing fails any more");
                return false;
            }
        };
        self.dialling.failed(attempt.id, kind.into());
        self.go_on(now)
    }
}

fn at(ms: u64) -> Instant {
    start_of_time() + Duration::from_millis(ms)
}

fn run(case: &Case) -> Face {
    let dialling = Dialling::new(&case.addresses, case.attempt_timeout.map(Duration::from_millis));
    let mut face = Face { dialling, under_way: Vec::new(), trace: Vec::new(), error: None };
    let mut is_going_on = face.go_on(0);
    let mut now = 0;
    for line in &case.happens {
        let (time, what) = line.strip_prefix("at ").and_then(|line| line.split_once(": ")).expect("a time");
        now = time.parse().expect("milliseconds");
        is_going_on = is_going_on && face.wait(now) && face.happens(what, now);
    }
    if is_going_on && face.wait(100_000) {
        face.trace.push(format!("{now} more"));
    }
    face
}

#[test]
fn dialling() {
    let text = include_str!("../../../../spec/opening_dial.toml");
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{}", error.message()));
    assert!(file.case.len() > 10, "the cases are there");
    for case in &file.case {
        let face = run(case);
        assert_eq!(face.trace, case.trace, "{}", case.name);
        assert_eq!(face.error.as_ref().map(ToString::to_string), case.message, "{}", case.name);
        assert_eq!(face.error.map(|error| format!("{:?}", error.kind())), case.kind, "{}", case.name);
        assert_eq!(face.dialling.next_timeout(), None, "{}: there is nothing to wait for", case.name);
    }
}

fn addresses(count: u16) -> Vec<SocketAddr> {
    (1..=count).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect()
}

fn start(dialling: &mut Dialling, ms: u64) -> Attempt {
    dialling.next(at(ms)).expect("goes on").expect("an attempt")
}

/// Both families keep their places where there are more addresses than are tried.
#[test]
fn forty_addresses_are_tried_of_more() {
    let mut many = addresses(1000);
    many.push("[2001:db8::1]:80".parse().unwrap());
    let mut dialling = Dialling::new(&many, None);
    let mut tried = Vec::new();
    let error = loop {
        match dialling.next(at(0)) {
            Ok(attempt) => {
                let attempt = attempt.expect("at once after a failure");
                tried.push(attempt.address);
                dialling.failed(attempt.id, ErrorKind::ConnectionRefused.into());
            }
            Err(error) => break error,
        }
    };
    assert_eq!(tried.len(), 40);
    assert_eq!(tried[1], "[2001:db8::1]:80".parse().unwrap());
    assert_eq!(error.causes().iter().map(|(address, _)| *address).collect::<Vec<_>>(), tried);
    assert!(!error.to_string().contains('\n'));
    // It stays over.
    assert!(dialling.next(at(1)).is_err());
    assert_eq!(dialling.next_timeout(), None);
}

/// Two that connect in the same moment, and one that had its time: the machine says which one counts.
#[test]
fn the_first_that_connects_is_the_only_one() {
    let mut dialling = Dialling::new(&addresses(3), Some(Duration::from_millis(400)));
    let first = start(&mut dialling, 0);
    let second = start(&mut dialling, 250);
    dialling.handle_timeout(at(400));
    assert!(!dialling.is_wanted(first.id), "its time was up");
    assert!(!dialling.connected(first.id), "too late");
    let third = start(&mut dialling, 400);
    assert!(dialling.connected(second.id));
    assert!(!dialling.connected(third.id) && !dialling.is_wanted(third.id) && dialling.is_wanted(second.id));
    // What is heard of the others afterwards changes nothing.
    dialling.failed(third.id, ErrorKind::ConnectionReset.into());
    dialling.failed(second.id, ErrorKind::ConnectionReset.into());
    dialling.handle_timeout(at(5000));
    assert!(dialling.is_wanted(second.id));
    assert!(matches!(dialling.next(at(5000)), Ok(None)));
    assert_eq!(dialling.next_timeout(), None);
}

/// The caller's own time is up.
#[test]
fn who_gives_up_hears_what_was_tried() {
    let mut dialling = Dialling::new(&addresses(4), None);
    let first = start(&mut dialling, 0);
    dialling.failed(first.id, Error::new(ErrorKind::ConnectionRefused, "no"));
    start(&mut dialling, 10);
    start(&mut dialling, 260);
    let error = dialling.give_up();
    assert_eq!(error.to_string(), "192.0.2.1:1: no; 192.0.2.1:2, 192.0.2.1:3: no answer yet");
    assert!(std::error::Error::source(&error).is_none(), "the text above has it");
    // As the faces hand it on, with the whole behind it.
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(error.get_ref().is_some_and(|error| error.is::<DialError>()));
}

#[test]
fn the_most_telling_kind() {
    use ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, Other, PermissionDenied,
        TimedOut,
    };
    for (kinds, telling) in [
        ([NetworkUnreachable, ConnectionRefused], ConnectionRefused),
        ([TimedOut, ConnectionRefused], ConnectionRefused),
        ([AddrNotAvailable, TimedOut], TimedOut),
        ([TimedOut, PermissionDenied], PermissionDenied),
        ([HostUnreachable, Other], Other),
        ([NetworkUnreachable, HostUnreachable], NetworkUnreachable),
    ] {
        let mut dialling = Dialling::new(&addresses(2), None);
        for kind in kinds {
            let attempt = start(&mut dialling, 0);
            dialling.failed(attempt.id, kind.into());
        }
        assert_eq!(dialling.next(at(0)).expect_err("both failed").kind(), telling, "{kinds:?}");
    }
}
