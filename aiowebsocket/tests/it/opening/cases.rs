//! Runs the cases of spec/opening_response.toml and spec/opening_request.toml: whole, byte by byte, at random cuts,
//! and with trailing bytes.

use std::time::Duration;

use aiowebsocket::Deflate;
use aiowebsocket::opening::{
    AcceptError, AcceptProgress, Accepting, Address, ConnectError, Connecting, HandshakeError, HeadLimits,
    Next, OpenLimits, Opened, Opening, Progress, Request, RequestHead,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{NONCE, start_of_time, variant};

#[derive(Deserialize)]
struct File<Case> {
    case: Vec<Case>,
}

/// What both sides' cases share.
#[derive(Deserialize)]
pub(super) struct Input {
    pub(super) name: String,
    #[serde(default)]
    head: Vec<String>,
    #[serde(default)]
    bytes: String,
    #[serde(default)]
    pub(super) end: bool,
    #[serde(default)]
    pub(super) timeout: bool,
    max_bytes: Option<usize>,
    max_lines: Option<usize>,
    pub(super) outcome: String,
    pub(super) message: Option<String>,
}

impl Input {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text: String = self.head.iter().map(|line| format!("{line}\r\n")).collect();
        if !self.head.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&self.bytes);
        let byte = |c: char| u8::try_from(u32::from(c)).expect("each character of a case is one byte");
        text.chars().map(byte).collect()
    }

    pub(super) fn limits(&self) -> HeadLimits {
        let default = HeadLimits::default();
        HeadLimits {
            max_bytes: self.max_bytes.unwrap_or(default.max_bytes),
            max_lines: self.max_lines.unwrap_or(default.max_lines),
        }
    }

    /// Trailing bytes mean something where the stream or the time ends, or where more is awaited.
    fn takes_trailing(&self) -> bool {
        !self.end && !self.timeout && self.outcome != "More"
    }
}

#[derive(Deserialize)]
struct ResponseCase {
    #[serde(flatten)]
    input: Input,
    #[serde(default)]
    subprotocols: Vec<String>,
    #[serde(default)]
    extensions: Vec<String>,
    deflate: Option<Options>,
    subprotocol: Option<String>,
    #[serde(default)]
    agreed: Vec<String>,
    compression: Option<String>,
    status: Option<u16>,
    body: Option<String>,
    complete: Option<bool>,
    versions: Option<Vec<u8>>,
    location: Option<String>,
}

#[derive(Deserialize)]
struct RequestCase {
    #[serde(flatten)]
    input: Input,
    resource: Option<String>,
    #[serde(default)]
    subprotocols: Vec<String>,
    #[serde(default)]
    offered: Vec<String>,
    deflate: Option<Options>,
    compression: Option<String>,
    origin: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    answer_has: Vec<String>,
}

/// What an end asks of compression; what is absent is the default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    server_no_context_takeover: bool,
    #[serde(default)]
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
    #[serde(default)]
    fixed_client_window: bool,
}

impl Options {
    fn deflate(&self) -> Deflate {
        let mut deflate = Deflate::default();
        if self.server_no_context_takeover {
            deflate = deflate.server_no_context_takeover();
        }
        if self.client_no_context_takeover {
            deflate = deflate.client_no_context_takeover();
        }
        if let Some(bits) = self.server_max_window_bits {
            deflate = deflate.server_max_window_bits(bits);
        }
        if let Some(bits) = self.client_max_window_bits {
            deflate = deflate.client_max_window_bits(bits);
        }
        if self.fixed_client_window { deflate.fixed_client_window() } else { deflate }
    }
}

pub(super) fn cases<Case: DeserializeOwned>(file: &str) -> Vec<Case> {
    let path = format!("{}/../spec/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let file: File<Case> =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {}", error.message()));
    file.case
}

/// An xorshift generator: enough to cut and to damage, and the same on every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).expect("a small number");
        usize::try_from(self.0 % bound).expect("below a usize")
    }
}

/// Ways to cut bytes into pieces, each with its name.
pub(super) fn cuts(name: &str, length: usize) -> Vec<(String, Vec<usize>)> {
    let mut cuts = vec![("whole".to_owned(), vec![length]), ("byte by byte".to_owned(), vec![1; length])];
    for round in 0..8_u64 {
        // The seed depends on the case, so that cases do not all meet the same cuts; it never changes between runs.
        let seed = name.bytes().fold(round + 1, |seed, b| seed.wrapping_mul(31).wrapping_add(b.into())) | 1;
        let mut random = Random(seed);
        let mut pieces = Vec::new();
        let mut left = length;
        while left > 0 {
            // An empty piece now and then: it must change nothing.
            let piece = random.below(40).min(left);
            pieces.push(piece);
            left -= piece;
        }
        cuts.push((format!("random cuts, seed {seed}"), pieces));
    }
    cuts
}

/// Feeds the pieces until there is an outcome; also what was not fed any more.
pub(super) fn feed<'a, Outcome>(
    bytes: &'a [u8],
    pieces: &[usize],
    mut receive: impl FnMut(&[u8]) -> Option<Outcome>,
) -> (Option<Outcome>, &'a [u8]) {
    let mut rest = bytes;
    for &piece in pieces {
        let (now, later) = rest.split_at(piece);
        rest = later;
        if let Some(outcome) = receive(now) {
            return (Some(outcome), rest);
        }
    }
    (None, rest)
}

/// Every case in every way: `run(bytes, pieces, trailing)` panics when a case fails, and the case and the way are
/// named before it.
pub(super) fn every_way(input: &Input, run: impl Fn(&[u8], &[usize], Option<&[u8]>)) {
    let trailing: &[u8] = b"\x82\x00HTTP/1.1 101\r\n\r\n\x00\xff";
    let trailings = [Some(trailing), None];
    for trailing in &trailings[usize::from(!input.takes_trailing())..] {
        let mut bytes = input.bytes();
        bytes.extend_from_slice(trailing.unwrap_or_default());
        for (way, pieces) in cuts(&input.name, bytes.len()) {
            let at = format!("{}, {way}, trailing bytes: {}", input.name, trailing.is_some());
            let outcome =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&bytes, &pieces, *trailing)));
            assert!(outcome.is_ok(), "{at}");
        }
    }
}

#[test]
fn responses() {
    let cases: Vec<ResponseCase> = cases("opening_response.toml");
    assert!(cases.len() > 80, "the cases are there");
    for case in &cases {
        every_way(&case.input, |bytes, pieces, trailing| run_response(case, bytes, pieces, trailing));
    }
}

/// Header lines that nobody looks at are judged as those that are kept.
#[test]
fn responses_without_their_header_lines() {
    let cases: Vec<ResponseCase> = cases("opening_response.toml");
    let mut opened = 0;
    for case in &cases {
        let [kept, skipped] = [false, true].map(|skips| outcome(case, skips));
        match (kept, skipped) {
            (Ok(Next::Open { opened: kept, .. }), Ok(Next::Open { opened: mut skipped, .. })) => {
                assert!(!kept.response.headers.is_empty());
                assert!(skipped.response.headers.is_empty());
                skipped.response.headers.clone_from(&kept.response.headers);
                assert_eq!(format!("{kept:?}"), format!("{skipped:?}"), "{}", case.input.name);
                opened += 1;
            }
            (kept, skipped) => assert_eq!(format!("{kept:?}"), format!("{skipped:?}"), "{}", case.input.name),
        }
    }
    assert!(opened > 10, "{opened} opened");
}

/// What a connection over a stream that is there comes to.
fn outcome(case: &ResponseCase, skips: bool) -> Result<Next, ConnectError> {
    let address = Address::parse("ws://server.example.com/chat").unwrap();
    let mut request = RequestHead::new(&address);
    request.subprotocols(case.subprotocols.clone()).unwrap();
    request.extensions(case.extensions.clone()).unwrap();
    request.compression(case.deflate.as_ref().map(Options::deflate)).unwrap();
    let now = start_of_time();
    let mut machine = Connecting::over(address, request, false, OpenLimits::default(), now);
    if skips {
        machine.skip_headers();
    }
    let mut nonces = || Ok(NONCE);
    assert!(matches!(machine.next(now, &mut nonces), Ok(Next::Exchange)));
    machine.written(machine.output().len());
    machine.receive(&case.input.bytes(), now);
    if case.input.end {
        machine.receive_end(now);
    }
    machine.next(now, &mut nonces)
}

fn run_response(case: &ResponseCase, bytes: &[u8], pieces: &[usize], trailing: Option<&[u8]>) {
    let mut request = RequestHead::new(&Address::parse("ws://server.example.com/chat").unwrap());
    request.subprotocols(case.subprotocols.clone()).unwrap();
    request.extensions(case.extensions.clone()).unwrap();
    request.compression(case.deflate.as_ref().map(Options::deflate)).unwrap();
    let mut opening = Opening::new(request, NONCE, case.input.limits()).unwrap();
    let now = start_of_time();
    let flat = |progress| match progress {
        Ok(Progress::More) => None,
        Ok(Progress::Open(opened)) => Some(Ok(opened)),
        Err(error) => Some(Err(error)),
    };
    let (mut outcome, unread) = feed(bytes, pieces, |piece| flat(opening.receive(piece, now)));
    if outcome.is_none() && case.input.end {
        outcome = flat(opening.receive_end(now));
    }
    if outcome.is_none() && case.input.timeout {
        let deadline = opening.next_timeout().unwrap_or(now);
        outcome = flat(opening.handle_timeout(deadline));
    }
    match outcome {
        None => assert_eq!(case.input.outcome, "More"),
        Some(Ok(opened)) => check_opened(case, &opened, unread, trailing),
        Some(Err(error)) => check_error(case, &error, pieces),
    }
    // An outcome is final.
    if case.input.outcome != "More" {
        assert_eq!(variant(&opening.receive(b"x", now).unwrap_err()), "Finished");
        assert_eq!(opening.next_timeout(), None);
    }
}

fn check_opened(case: &ResponseCase, opened: &Opened, unread: &[u8], trailing: Option<&[u8]>) {
    assert_eq!(case.input.outcome, "Open");
    assert_eq!([&opened.leftover, unread].concat(), trailing.unwrap_or_default());
    assert_eq!(opened.subprotocol, case.subprotocol);
    let agreed: Vec<String> = opened.extensions.iter().map(ToString::to_string).collect();
    assert_eq!(agreed, case.agreed);
    assert_eq!(opened.compression.map(|agreed| agreed.to_string()), case.compression);
    assert_eq!(opened.response.status, 101);
}

fn check_error(case: &ResponseCase, error: &HandshakeError, pieces: &[usize]) {
    assert_eq!(variant(error), case.input.outcome);
    if let Some(message) = &case.input.message {
        // NotHttp shows what had come, and that depends on the cuts.
        let is_alike = pieces == [case.input.bytes().len()] || case.input.outcome != "NotHttp";
        assert!(!is_alike || error.to_string() == *message, "{error}");
    }
    if let HandshakeError::Refused(refusal) = error {
        assert_eq!(Some(refusal.status.as_u16()), case.status);
        assert_eq!(Some(String::from_utf8_lossy(&refusal.body).into_owned()), case.body);
        assert_eq!(Some(refusal.is_complete), case.complete);
        assert_eq!(refusal.supported_versions(), case.versions.clone().unwrap_or_default());
        assert_eq!(refusal.location(), case.location.as_deref());
    }
}

#[test]
fn requests() {
    let cases: Vec<RequestCase> = cases("opening_request.toml");
    assert!(cases.len() > 50, "the cases are there");
    for case in &cases {
        every_way(&case.input, |bytes, pieces, trailing| run_request(case, bytes, pieces, trailing));
    }
}

fn run_request(case: &RequestCase, bytes: &[u8], pieces: &[usize], trailing: Option<&[u8]>) {
    let mut accepting = Accepting::new(case.input.limits());
    let now = start_of_time();
    let flat = |progress| match progress {
        Ok(AcceptProgress::More) => None,
        Ok(AcceptProgress::Request(request)) => Some(Ok(request)),
        Err(error) => Some(Err(error)),
    };
    let (mut outcome, unread) = feed(bytes, pieces, |piece| flat(accepting.receive(piece, now)));
    if outcome.is_none() && case.input.end {
        outcome = flat(accepting.receive_end());
    }
    if outcome.is_none() && case.input.timeout {
        assert!(flat(accepting.handle_timeout(now + Duration::from_millis(9_999))).is_none());
        outcome = flat(accepting.handle_timeout(now + Duration::from_secs(10)));
    }
    match outcome {
        None => assert_eq!(case.input.outcome, "More"),
        Some(Ok(request)) => check_request(case, &mut accepting, &request, unread, trailing),
        Some(Err(error)) => check_answer(case, &mut accepting, &error),
    }
}

fn check_request(
    case: &RequestCase,
    accepting: &mut Accepting,
    request: &Request,
    unread: &[u8],
    trailing: Option<&[u8]>,
) {
    assert_eq!(case.input.outcome, "Request");
    assert_eq!(Some(&request.resource), case.resource.as_ref());
    assert_eq!(request.subprotocols, case.subprotocols);
    assert_eq!(request.extensions.iter().map(ToString::to_string).collect::<Vec<_>>(), case.offered);
    assert_eq!(request.origin(), case.origin.as_deref());
    assert_eq!(accepting.output(), b"", "the application has not answered");
    // Bytes that come while the application decides are kept behind those that came with the request.
    assert!(matches!(accepting.receive(unread, start_of_time()), Ok(AcceptProgress::More)));
    accepting.compression(case.deflate.as_ref().map(Options::deflate)).unwrap();
    accepting.accept(None, &[]).unwrap();
    let answer = String::from_utf8(accepting.output().to_vec()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "));
    let extensions = answer.lines().filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    assert_eq!(extensions.collect::<Vec<_>>(), case.compression.iter().collect::<Vec<_>>());
    assert_eq!(accepting.agreed().map(|agreed| agreed.to_string()), case.compression);
    assert_eq!(accepting.take_leftover(), trailing.unwrap_or_default());
}

fn check_answer(case: &RequestCase, accepting: &mut Accepting, error: &AcceptError) {
    assert_eq!(variant(error), case.input.outcome);
    assert_eq!(error.status().map(|status| status.as_u16()), case.status);
    if let Some(message) = &case.input.message {
        assert_eq!(error.to_string(), *message);
    }
    let answer = String::from_utf8(accepting.output().to_vec()).unwrap();
    match case.status {
        None => assert_eq!(answer, ""),
        Some(status) => {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, format!("{error}\n"));
            let length = format!("Content-Length: {}", body.len());
            let wanted = case.answer_has.iter().chain([&length]);
            for line in wanted {
                assert!(head.lines().any(|has| has == line), "{line} in {answer}");
            }
            assert!(head.lines().any(|has| has.starts_with("Connection: ") && has.ends_with("close")));
        }
    }
    assert_eq!(accepting.take_leftover(), b"");
    accepting.written(answer.len());
    assert_eq!(accepting.output(), b"");
    assert_eq!(variant(&accepting.receive(b"x", start_of_time()).unwrap_err()), "Finished");
}

/// Whatever comes: no panic, and the cuts do not matter. The bytes are those of the cases, damaged.
#[test]
fn damaged_bytes_end_alike_however_they_are_cut() {
    let responses: Vec<ResponseCase> = cases("opening_response.toml");
    let requests: Vec<RequestCase> = cases("opening_request.toml");
    let inputs: Vec<&Input> =
        responses.iter().map(|case| &case.input).chain(requests.iter().map(|case| &case.input)).collect();
    for seed in 1..=10_000 {
        let mut random = Random(seed * 0x9E37_79B9);
        let input = inputs[random.below(inputs.len())];
        let bytes = damaged(input.bytes(), &mut random);
        let length = bytes.len();
        let pieces = [vec![length], vec![1; length], vec![length / 2, length - length / 2]];
        let [whole, single, halves] = pieces.map(|pieces| outcomes(input, &bytes, &pieces));
        assert!(whole == single && whole == halves, "seed {seed}: {whole:?}, {single:?}, {halves:?}");
    }
}

/// A few bytes replaced, put in, taken out, or doubled.
pub(super) fn damaged(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    const LIKELY: &[u8] = b"\r\n\n \t:,;=\"\\/?#%\0\x7f\xff09aZ";
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let byte = LIKELY[random.below(LIKELY.len())];
        match random.below(4) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.extend_from_within(at..),
        }
        // Doubling must not go on forever.
        bytes.truncate(4096);
    }
    bytes
}

/// What comes of these bytes at either side, with everything that must not depend on the cuts.
fn outcomes(input: &Input, bytes: &[u8], pieces: &[usize]) -> [String; 2] {
    let now = start_of_time();
    let request = RequestHead::new(&Address::parse("ws://h/").unwrap());
    let mut opening = Opening::new(request, NONCE, input.limits()).unwrap();
    let (response, unread) = feed(bytes, pieces, |piece| match opening.receive(piece, now) {
        Ok(Progress::More) => None,
        Ok(Progress::Open(opened)) => Some(Ok(opened)),
        // What NotHttp shows depends on the cuts, so only its name counts.
        Err(HandshakeError::NotHttp { .. }) => Some(Err("NotHttp".to_owned())),
        Err(error) => Some(Err(format!("{error:?}"))),
    });
    let response = match response {
        None => format!("{:?}", opening.receive_end(now)),
        Some(Ok(opened)) => format!("{:?} {:?}", opened.response, [&opened.leftover, unread].concat()),
        Some(Err(error)) => error,
    };
    let mut accepting = Accepting::new(input.limits());
    let (request, unread) = feed(bytes, pieces, |piece| match accepting.receive(piece, now) {
        Ok(AcceptProgress::More) => None,
        Ok(AcceptProgress::Request(request)) => Some(Ok(request)),
        Err(error) => Some(Err(error)),
    });
    let request = match request {
        None => format!("{:?}", accepting.receive_end()),
        Some(Ok(request)) => format!("{request:?} {:?}", [&accepting.take_leftover(), unread].concat()),
        Some(Err(error)) => format!("{error:?} {:?}", accepting.output()),
    };
    [response, request]
}
