//! Dialogues with proxies: the cases of spec/opening_connect.toml and spec/opening_socks.toml.

use std::time::{Duration, Instant};

use aiowebsocket::opening::{
    Address, HeadLimits, Host, Opening, Progress, Proxy, ProxyFault, RequestHead, Tunnel, TunnelProgress,
    TunnelTarget,
};
use serde::Deserialize;

use super::cases::{Input, Random, cases, cuts, damaged, every_way, feed};
use super::{NONCE, start_of_time, variant};

#[derive(Deserialize)]
struct ConnectCase {
    #[serde(flatten)]
    input: Input,
    proxy: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    target: Option<String>,
    request: Option<Vec<String>>,
    status: Option<u16>,
    body: Option<String>,
    complete: Option<bool>,
    has: Option<(String, String)>,
    retryable: Option<bool>,
}

/// Where a target stands, written as in a CONNECT request.
fn target(authority: &str) -> TunnelTarget {
    let target = TunnelTarget::from(&Address::parse(&format!("ws://{authority}/")).unwrap());
    assert!(matches!(target.host(), Host::Name(_)) || target.to_string() == authority);
    target
}

fn flat(progress: Result<TunnelProgress, ProxyFault>) -> Option<Result<Vec<u8>, ProxyFault>> {
    match progress {
        Ok(TunnelProgress::More) => None,
        Ok(TunnelProgress::Open { leftover }) => Some(Ok(leftover)),
        Err(fault) => Some(Err(fault)),
    }
}

fn write_all(tunnel: &mut Tunnel) -> Vec<u8> {
    let written = tunnel.output().to_vec();
    tunnel.written(written.len());
    assert_eq!(tunnel.output(), b"");
    written
}

/// An outcome is final.
fn check_over(tunnel: &mut Tunnel, now: Instant) {
    assert_eq!(variant(&tunnel.receive(b"x", now).unwrap_err()), "Finished");
    assert_eq!(variant(&tunnel.receive(b"", now).unwrap_err()), "Finished");
    assert_eq!(variant(&tunnel.receive_end(now).unwrap_err()), "Finished");
    assert_eq!(variant(&tunnel.handle_timeout(now).unwrap_err()), "Finished");
    assert_eq!(tunnel.next_timeout(), None);
}

#[test]
fn dialogues_with_http_proxies() {
    let cases: Vec<ConnectCase> = cases("opening_connect.toml");
    assert!(cases.len() > 35, "the cases are there");
    for case in &cases {
        every_way(&case.input, |bytes, pieces, trailing| run_connect(case, bytes, pieces, trailing));
    }
}

fn run_connect(case: &ConnectCase, bytes: &[u8], pieces: &[usize], trailing: Option<&[u8]>) {
    let mut proxy = Proxy::parse(case.proxy.as_deref().unwrap_or("http://proxy.example:3128")).unwrap();
    for (name, value) in &case.headers {
        proxy = proxy.header(name, value).unwrap();
    }
    let target = target(case.target.as_deref().unwrap_or("server.example.com:443"));
    let mut tunnel = Tunnel::new(&proxy, &target, case.input.limits()).unwrap();
    let request = String::from_utf8(write_all(&mut tunnel)).unwrap();
    if let Some(lines) = &case.request {
        let expected: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        assert_eq!(request, expected.replace("VERSION", env!("CARGO_PKG_VERSION")) + "\r\n");
    }
    let now = start_of_time();
    let (mut outcome, unread) = feed(bytes, pieces, |piece| flat(tunnel.receive(piece, now)));
    if outcome.is_none() && case.input.end {
        outcome = flat(tunnel.receive_end(now));
    }
    if outcome.is_none() && case.input.timeout {
        let deadline = tunnel.next_timeout().expect("the body of a refusal has a deadline");
        assert_eq!(deadline, now + Duration::from_secs(2));
        assert!(flat(tunnel.handle_timeout(deadline - Duration::from_millis(1))).is_none());
        outcome = flat(tunnel.handle_timeout(deadline));
    }
    match outcome {
        None => return assert_eq!(case.input.outcome, "More"),
        Some(Ok(leftover)) => {
            assert_eq!(case.input.outcome, "Open");
            assert_eq!([&leftover, unread].concat(), trailing.unwrap_or_default());
        }
        Some(Err(fault)) => check_connect_fault(case, &fault, pieces),
    }
    check_over(&mut tunnel, now);
}

fn check_connect_fault(case: &ConnectCase, fault: &ProxyFault, pieces: &[usize]) {
    assert_eq!(variant(fault), case.input.outcome);
    assert_eq!(Some(fault.is_retryable()), case.retryable);
    if let Some(message) = &case.input.message {
        // NotHttp shows what had come, and that depends on the cuts.
        let is_alike = pieces == [case.input.bytes().len()] || case.input.outcome != "NotHttp";
        assert!(!is_alike || fault.to_string() == *message, "{fault}");
    }
    if let ProxyFault::Refused(refusal) = fault {
        assert_eq!(Some(refusal.status.as_u16()), case.status);
        assert_eq!(Some(String::from_utf8_lossy(&refusal.body).into_owned()), case.body);
        assert_eq!(Some(refusal.is_complete), case.complete);
        if let Some((name, value)) = &case.has {
            assert_eq!(refusal.headers[name], *value);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SocksCase {
    name: String,
    proxy: Option<String>,
    target: Option<String>,
    target_repeat: Option<usize>,
    dialogue: Vec<String>,
    #[serde(default)]
    end: bool,
    outcome: String,
    message: Option<String>,
    retryable: Option<bool>,
}

/// Who says something in a dialogue.
enum Said {
    Us(Vec<u8>),
    Proxy(Vec<u8>),
}

impl SocksCase {
    /// `LONG` in names: letters, so that the whole name has this length.
    fn long(&self, text: &str) -> String {
        let rest = "LONG.example".len() - "LONG".len();
        text.replace("LONG", &"a".repeat(self.target_repeat.unwrap_or(rest) - rest))
    }

    fn said(&self) -> Vec<Said> {
        self.dialogue
            .iter()
            .map(|line| match line.split_at(2) {
                ("> ", bytes) => Said::Us(self.bytes(bytes)),
                ("< ", bytes) => Said::Proxy(self.bytes(bytes)),
                _ => panic!("{}: nobody says {line}", self.name),
            })
            .collect()
    }

    /// Hexadecimal, and text in quotes.
    fn bytes(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (i, part) in text.split('\'').enumerate() {
            if i % 2 == 1 {
                bytes.extend_from_slice(self.long(part).as_bytes());
                continue;
            }
            let digits: Vec<u32> =
                part.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16).expect("a digit")).collect();
            assert!(digits.len().is_multiple_of(2), "{}: half a byte in {text}", self.name);
            bytes.extend(digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()));
        }
        bytes
    }

    fn tunnel(&self) -> Result<Tunnel, ProxyFault> {
        let proxy = Proxy::parse(self.proxy.as_deref().unwrap_or("socks5h://proxy.example")).unwrap();
        let target = target(&self.long(self.target.as_deref().unwrap_or("server.example.com:443")));
        Tunnel::new(&proxy, &target, HeadLimits::default())
    }
}

#[test]
fn dialogues_with_socks_proxies() {
    let cases: Vec<SocksCase> = cases("opening_socks.toml");
    assert!(cases.len() > 35, "the cases are there");
    let trailing: &[u8] = b"\x82\x00\x05\x00\x00\xff";
    for case in &cases {
        for way in 0..10 {
            run_socks(case, way, b"");
            if !case.end && case.outcome != "More" {
                run_socks(case, way, trailing);
            }
        }
    }
}

/// One case; each of the proxy's messages is cut in the way of this number, and `trailing` follows the last.
fn run_socks(case: &SocksCase, way: usize, trailing: &[u8]) {
    let now = start_of_time();
    let mut at = format!("{}, {} trailing bytes", case.name, trailing.len());
    let mut tunnel = match case.tunnel() {
        Ok(tunnel) => tunnel,
        Err(fault) => return check_socks_fault(case, &fault, true, &at),
    };
    let said = case.said();
    let last = said.len() - 1;
    let (mut outcome, mut unread) = (None, Vec::new());
    for (i, message) in said.into_iter().enumerate() {
        assert!(outcome.is_none(), "{at}: over before message {i}");
        match message {
            Said::Us(bytes) => assert_eq!(write_all(&mut tunnel), bytes, "{at}: message {i}"),
            Said::Proxy(mut bytes) => {
                bytes.extend_from_slice(if i == last { trailing } else { b"" });
                let (name, pieces) = cuts(&case.name, bytes.len()).swap_remove(way);
                at = format!("{}, {name}, {} trailing bytes", case.name, trailing.len());
                let rest;
                (outcome, rest) = feed(&bytes, &pieces, |piece| flat(tunnel.receive(piece, now)));
                unread = rest.to_vec();
            }
        }
    }
    assert_eq!(tunnel.next_timeout(), None, "{at}");
    assert!(outcome.is_some() || flat(tunnel.handle_timeout(now)).is_none(), "{at}: time says nothing");
    if outcome.is_none() && case.end {
        outcome = flat(tunnel.receive_end(now));
    }
    match outcome {
        None => return assert_eq!(case.outcome, "More", "{at}"),
        Some(Ok(leftover)) => {
            assert_eq!(case.outcome, "Open", "{at}");
            assert_eq!([leftover, unread].concat(), trailing, "{at}");
        }
        Some(Err(fault)) => check_socks_fault(case, &fault, way == 0 && trailing.is_empty(), &at),
    }
    check_over(&mut tunnel, now);
}

fn check_socks_fault(case: &SocksCase, fault: &ProxyFault, is_whole: bool, at: &str) {
    assert_eq!(variant(fault), case.outcome, "{at}");
    assert_eq!(Some(fault.is_retryable()), case.retryable, "{at}");
    // NotSocks shows what had come, and that depends on the cuts.
    if is_whole || case.outcome != "NotSocks" {
        assert_eq!(Some(fault.to_string()), case.message, "{at}");
    }
}

/// An answer is only one to what was sent: it may refuse early, but nothing opens before the request is out.
#[test]
fn nothing_opens_before_the_request_is_sent() {
    let now = start_of_time();
    let proxy = Proxy::parse("http://proxy.example").unwrap();
    let tunnel = || Tunnel::new(&proxy, &target("h:1"), HeadLimits::default()).unwrap();
    let mut early = tunnel();
    early.written(early.output().len() - 1);
    assert!(matches!(early.receive(b"HTTP/1.1 200 OK\r\n\r\n", now), Err(ProxyFault::AnsweredEarly)));
    let refused = tunnel().receive(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", now);
    assert!(matches!(refused, Err(ProxyFault::Refused(_))));
    // Half of a SOCKS message.
    let proxy = Proxy::parse("socks5h://u:p@proxy.example").unwrap();
    let mut early = Tunnel::new(&proxy, &target("h:1"), HeadLimits::default()).unwrap();
    write_all(&mut early);
    assert!(flat(early.receive(&[5, 2], now)).is_none());
    early.written(2);
    assert_eq!(early.output(), b"u\x01p");
    assert!(flat(early.receive(&[], now)).is_none(), "a read of nothing is nothing");
    assert!(matches!(early.receive(&[1], now), Err(ProxyFault::AnsweredEarly)));
}

#[test]
#[should_panic(expected = "more bytes written than there were")]
fn no_more_is_written_than_there_is() {
    let proxy = Proxy::parse("socks5h://proxy.example").unwrap();
    let mut tunnel = Tunnel::new(&proxy, &target("h:1"), HeadLimits::default()).unwrap();
    tunnel.written(4);
}

/// What is for the proxy stays with it: the upgrade request knows nothing of it.
#[test]
fn the_server_learns_nothing_about_the_proxy() {
    let now = start_of_time();
    let proxy = Proxy::parse("http://alice:hunter2@proxy.example").unwrap().header("X-Proxy", "y").unwrap();
    let address = Address::parse("ws://server.example/").unwrap();
    let mut tunnel = Tunnel::new(&proxy, &(&address).into(), HeadLimits::default()).unwrap();
    let asked = String::from_utf8(write_all(&mut tunnel)).unwrap();
    assert!(asked.contains("Proxy-Authorization: ") && asked.contains("X-Proxy: y"));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x00";
    let Some(Ok(leftover)) = flat(tunnel.receive(answer, now)) else { panic!("it opens") };
    let mut opening = Opening::new(RequestHead::new(&address), NONCE, HeadLimits::default()).unwrap();
    let request = String::from_utf8(opening.output().to_vec()).unwrap();
    assert!(!request.to_ascii_lowercase().contains("proxy"), "{request}");
    let Ok(Progress::Open(opened)) = opening.receive(&leftover, now) else { panic!("it opens") };
    assert_eq!(opened.leftover, b"\x81\x00");
}

/// Whatever comes: no panic, and the cuts do not matter. (A SOCKS proxy that goes on before we do has broken a rule, so
/// its answers are fed byte by byte in any case; what is cut there is what follows the last of them.)
#[test]
fn damaged_answers_end_alike_however_they_are_cut() {
    let connects: Vec<ConnectCase> = cases("opening_connect.toml");
    let socks: Vec<SocksCase> = cases("opening_socks.toml");
    let answer = |case: &SocksCase| {
        let said = case.said().into_iter();
        said.flat_map(|said| if let Said::Proxy(bytes) = said { bytes } else { Vec::new() })
            .collect::<Vec<u8>>()
    };
    let proxies = ["http://proxy.example", "socks5h://proxy.example", "socks5h://u:p@proxy.example"]
        .map(|proxy| Proxy::parse(proxy).unwrap());
    for seed in 1..=10_000 {
        let mut random = Random(seed * 0x9E37_79B9);
        let (proxy, bytes) = match random.below(3) {
            0 => (&proxies[0], connects[random.below(connects.len())].input.bytes()),
            kind => (&proxies[kind], answer(&socks[random.below(socks.len())])),
        };
        let bytes = damaged(bytes, &mut random);
        let length = bytes.len();
        let pieces = [vec![length], vec![1; length], vec![length / 2, length - length / 2]];
        let [whole, single, halves] = pieces.map(|pieces| outcome(proxy, &bytes, &pieces));
        assert!(whole == single && whole == halves, "seed {seed}: {whole}, {single}, {halves}");
    }
}

/// What comes of these bytes, with everything that must not depend on the cuts. What we say in a dialogue counts as
/// written at the byte of the answer that caused it, so that a stream of answers can be fed.
fn outcome(proxy: &Proxy, bytes: &[u8], pieces: &[usize]) -> String {
    let now = start_of_time();
    let mut tunnel = Tunnel::new(proxy, &target("server.example:443"), HeadLimits::default()).unwrap();
    let mut said = write_all(&mut tunnel);
    let is_socks = !proxy.scheme().as_str().starts_with("http");
    let (outcome, unread) = feed(bytes, pieces, |piece| {
        let step = if is_socks { 1 } else { piece.len().max(1) };
        let mut rest = piece;
        while !rest.is_empty() {
            let (now_read, later) = rest.split_at(step);
            rest = later;
            if let Some(outcome) = flat(tunnel.receive(now_read, now)) {
                return Some(outcome.map(|leftover| [&leftover, rest].concat()));
            }
            said.extend(write_all(&mut tunnel));
        }
        None
    });
    let outcome = match outcome {
        None => format!("{:?}", tunnel.receive_end(now)),
        Some(Ok(leftover)) => format!("open {:?}", [&leftover, unread].concat()),
        Some(Err(ProxyFault::NotHttp { .. })) => "NotHttp".to_owned(),
        Some(Err(fault)) => format!("{fault:?} {fault}"),
    };
    format!("{outcome} {said:?}")
}

#[test]
fn an_endless_answer_is_cut_short() {
    let now = start_of_time();
    let proxy = Proxy::parse("http://proxy.example").unwrap();
    let mut tunnel = Tunnel::new(&proxy, &target("h:1"), HeadLimits::default()).unwrap();
    write_all(&mut tunnel);
    assert!(flat(tunnel.receive(b"HTTP/1.1 200 OK\r\nA: ", now)).is_none());
    let mut received = 20;
    let fault = loop {
        match tunnel.receive(&[b'a'; 1000], now) {
            Ok(progress) => assert_eq!(progress, TunnelProgress::More),
            Err(fault) => break fault,
        }
        received += 1000;
    };
    assert!(matches!(fault, ProxyFault::HeadTooLarge { limit: 65_536 }), "{fault}");
    assert_eq!(received, 65_020);
}
