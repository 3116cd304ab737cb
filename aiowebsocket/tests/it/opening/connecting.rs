//! The CONNECTING state as a machine: which step follows which, what is dialled and asked, what ends it and how it says so. No
//! socket, a fake clock, and a layer of TLS that only turns bytes over.

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::time::{Duration, Instant};

use aiowebsocket::layer::{Layer, Sealed, TlsError, TlsFault, TlsInfo, Unsealed};
use aiowebsocket::opening::{
    Accepting, Address, Attempt, ConnectError, Connecting, HandshakeError, HeadLimits, Host, Milestone, Next,
    OpenLimits, OpenStep, Opened, Proxy, ProxyChoice, ProxyRules, RedirectFault, Redirects, RequestHead,
};

use crate::support::start_of_time;

/// The machine, and the time.
struct Face {
    machine: Connecting,
    now: Instant,
    start: Instant,
    nonces: u8,
}

/// The same machine's options.
#[derive(Default)]
struct Options {
    proxies: ProxyChoice,
    redirects: Redirects,
    limits: OpenLimits,
}

impl Face {
    fn new(url: &str, options: Options) -> Self {
        Self::asking(url, options, |_| {})
    }

    fn asking(url: &str, options: Options, edit: impl FnOnce(&mut RequestHead)) -> Self {
        let address = Address::parse(url).expect("an address");
        let mut request = RequestHead::new(&address);
        edit(&mut request);
        let now = start_of_time();
        let Options { proxies, redirects, limits } = options;
        let mut machine = Connecting::new(address, request, proxies, redirects, limits, now);
        machine.watch();
        Self { machine, now, start: now, nonces: 0 }
    }

    fn next(&mut self) -> Result<Next, ConnectError> {
        let mut nonces = || {
            self.nonces += 1;
            Ok([self.nonces; 16])
        };
        self.machine.next(self.now, &mut nonces)
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.machine.handle_timeout(self.now);
    }

    /// The machine asks for this name, which has these addresses.
    fn resolve(&mut self, name: &str, addresses: &[&str]) {
        match self.next() {
            Ok(Next::Resolve { host, port }) => {
                assert_eq!(host, name);
                let found = addresses.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), port));
                self.machine.resolved(Ok(found.collect()), self.now);
            }
            other => panic!("{other:?}"),
        }
    }

    /// The machine dials this address.
    fn dial(&mut self, address: &str) -> Attempt {
        match self.next() {
            Ok(Next::Dial(attempt)) => {
                assert_eq!(attempt.address.to_string(), address);
                attempt
            }
            other => panic!("{other:?}"),
        }
    }

    fn connect(&mut self, address: &str) {
        let attempt = self.dial(address);
        assert!(self.machine.connected(attempt, self.now));
    }

    fn waits(&mut self) {
        let next = self.next();
        assert!(matches!(next, Ok(Next::Wait)), "{next:?}");
    }

    /// The machine asks for TLS with this host.
    fn secure(&mut self, host: &str) {
        match self.next() {
            Ok(Next::Secure { host: name, .. }) => {
                let expected = Address::parse(&format!("wss://{host}/")).expect("a host");
                assert_eq!(&name, expected.host());
                self.machine.secured(Ok(Box::new(Turned::new())), self.now);
            }
            other => panic!("{other:?}"),
        }
    }

    /// What is written now, as it goes over the socket.
    fn says(&mut self) -> Vec<u8> {
        let next = self.next();
        assert!(matches!(next, Ok(Next::Exchange)), "{next:?}");
        let output = self.machine.output().to_vec();
        self.machine.written(output.len());
        output
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.machine.receive(bytes, self.now);
    }

    fn fails(&mut self) -> ConnectError {
        self.next().expect_err("it failed")
    }

    fn opens(&mut self) -> (Opened, Option<Box<dyn Layer>>) {
        match self.next() {
            Ok(Next::Open { opened, layer }) => (*opened, layer),
            other => panic!("{other:?}"),
        }
    }

    fn milestones(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.machine.milestone()).map(|(_, milestone)| milestone.to_string()).collect()
    }

    fn elapsed(&self) -> u128 {
        (self.now - self.start).as_millis()
    }
}

/// The answer that opens what this request asks for.
fn answer(request: &[u8]) -> Vec<u8> {
    let mut accepting = Accepting::new(HeadLimits::default());
    accepting.receive(request, start_of_time()).expect("a good request");
    accepting.accept(None, &[]).expect("a plain answer");
    accepting.output().to_vec()
}

/// A layer that shakes hands with "hi" and "yo", and turns every bit of a record, whose first two bytes are its length.
#[derive(Debug)]
struct Turned {
    sealed: Vec<u8>,
    space: Vec<u8>,
    control: Vec<u8>,
    is_open: bool,
    alpn: Option<&'static str>,
}

impl Turned {
    fn new() -> Self {
        Self { sealed: Vec::new(), space: vec![0; 1000], control: b"hi".to_vec(), is_open: false, alpn: None }
    }
}

/// Nothing follows in this layer, whatever TCP does.
const END: &[u8; 2] = &[0xff; 2];

fn turned(plain: &[u8]) -> Vec<u8> {
    let mut record = u16::try_from(plain.len()).expect("short").to_be_bytes().to_vec();
    record.extend(plain.iter().map(|byte| !byte));
    record
}

fn turned_back(mut records: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let [high, low, rest @ ..] = records {
        let (record, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        plain.extend(record.iter().map(|byte| !byte));
        records = rest;
    }
    plain
}

impl Layer for Turned {
    fn space(&mut self) -> &mut [u8] {
        &mut self.space
    }

    fn received(&mut self, n: usize) {
        self.sealed.extend_from_slice(&self.space[..n]);
    }

    fn open(&mut self, plain: &mut [u8]) -> Result<Unsealed, TlsError> {
        if !self.is_open {
            if self.sealed.len() >= 2 {
                if self.sealed.drain(..2).as_slice() != b"yo" {
                    return Err(TlsError::new(TlsFault::Broken));
                }
                self.is_open = true;
            }
            return Ok(Unsealed::default());
        }
        let Some(header) = self.sealed.first_chunk::<2>() else { return Ok(Unsealed::default()) };
        if header == END {
            return Ok(Unsealed { plain: 0, is_end: true });
        }
        let length = usize::from(u16::from_be_bytes(*header));
        if self.sealed.len() < 2 + length {
            return Ok(Unsealed::default());
        }
        let record = turned_back(&self.sealed[..2 + length]);
        self.sealed.drain(..2 + length);
        plain[..length].copy_from_slice(&record);
        Ok(Unsealed { plain: length, is_end: false })
    }

    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<Sealed, TlsError> {
        assert!(self.is_open, "nothing is sealed before the handshake is complete");
        let record = turned(plain);
        sealed[..record.len()].copy_from_slice(&record);
        Ok(Sealed { taken: plain.len(), written: record.len() })
    }

    fn control(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.control)
    }

    fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    fn close(&mut self) {
        self.control.extend_from_slice(b"bye");
    }

    fn park(&mut self) {}

    fn is_open(&self) -> bool {
        self.is_open
    }

    fn agreed(&self) -> Option<TlsInfo> {
        let alpn = self.alpn.map(str::to_owned);
        self.is_open.then(|| TlsInfo::new("turned".into(), "none".into(), alpn, false))
    }
}

#[test]
fn a_name_is_looked_up_dialled_and_asked() {
    let mut face = Face::new("ws://example.com/feed?token=secret", Options::default());
    face.resolve("example.com", &["192.0.2.1"]);
    face.connect("192.0.2.1:80");
    let request = face.says();
    assert!(request.starts_with(b"GET /feed?token=secret HTTP/1.1\r\nHost: example.com\r\n"));
    face.hears(&[answer(&request), b"\x81\x02hi".to_vec()].concat());
    let (opened, layer) = face.opens();
    assert_eq!(opened.leftover, b"\x81\x02hi");
    assert!(layer.is_none());
    assert_eq!(
        face.milestones(),
        [
            "looking up example.com",
            "it has one address",
            "connecting to 192.0.2.1:80",
            "connected to 192.0.2.1:80",
            "asking for ws://example.com/feed?…",
            "the server answers 101",
            "open"
        ]
    );
}

#[test]
fn a_literal_address_is_dialled_at_once() {
    let mut face = Face::new("ws://[2001:db8::1]:8080/", Options::default());
    face.connect("[2001:db8::1]:8080");
    assert!(face.says().windows(25).any(|line| line == b"Host: [2001:db8::1]:8080\r"));
}

#[test]
fn attempts_overlap_and_the_first_that_answers_is_taken() {
    let mut face = Face::new("ws://example.com/", Options::default());
    face.resolve("example.com", &["2001:db8::1", "192.0.2.1", "2001:db8::2"]);
    let six = face.dial("[2001:db8::1]:80");
    face.waits();
    face.wait(250);
    let four = face.dial("192.0.2.1:80");
    face.waits();
    assert!(face.machine.is_wanted(six.id) && face.machine.is_wanted(four.id));
    assert!(face.machine.connected(four, face.now));
    assert!(!face.machine.is_wanted(six.id), "it is dropped");
    assert!(!face.machine.connected(six, face.now), "it came too late");
    assert!(!face.says().is_empty());
}

#[test]
fn each_address_is_named_where_none_answers() {
    let mut face = Face::new("ws://example.com/", Options::default());
    face.resolve("example.com", &["192.0.2.1", "192.0.2.2"]);
    let one = face.dial("192.0.2.1:80");
    face.machine.failed(one, io::ErrorKind::ConnectionRefused.into(), face.now);
    let two = face.dial("192.0.2.2:80");
    face.machine.failed(two, io::ErrorKind::HostUnreachable.into(), face.now);
    assert_eq!(
        face.fails().to_string(),
        "no connection could be made: 192.0.2.1:80: connection refused; 192.0.2.2:80: host unreachable"
    );
    assert!(matches!(face.fails(), ConnectError::Handshake(HandshakeError::Finished)), "it is final");
}

#[test]
fn a_name_without_an_address_is_no_connection() {
    let mut face = Face::new("ws://nowhere.example/", Options::default());
    face.resolve("nowhere.example", &[]);
    assert_eq!(
        face.fails().to_string(),
        "the host name \"nowhere.example\" could not be resolved: it has no address"
    );
}

#[test]
fn tls_comes_before_the_request_and_stays() {
    let mut face = Face::new("wss://example.com/", Options::default());
    face.resolve("example.com", &["192.0.2.1"]);
    face.connect("192.0.2.1:443");
    face.secure("example.com");
    assert_eq!(face.says(), b"hi");
    face.hears(b"y");
    assert_eq!(face.says(), b"", "the handshake is half done");
    face.hears(b"o");
    let request = turned_back(&face.says());
    assert!(request.starts_with(b"GET / HTTP/1.1\r\nHost: example.com\r\n"));
    // The first frame in the record of the answer, and another record behind it.
    let records =
        [turned(&[answer(&request), b"\x82\x00".to_vec()].concat()), turned(b"\x81\x02hi")].concat();
    for byte in records {
        face.hears(&[byte]);
    }
    let (opened, layer) = face.opens();
    assert_eq!(opened.leftover, b"\x82\x00");
    let mut plain = [0; 1000];
    let rest = layer.expect("it is secure").open(&mut plain).expect("a record");
    assert_eq!(&plain[..rest.plain], b"\x81\x02hi", "what came behind waits in the layer");
}

/// A server, or what stands before it, that refuses whoever comes says so before it is asked, in one breath with what came before.
#[test]
fn what_is_said_before_the_request_is_judged_as_its_answer() {
    let busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    let is_refused = |error: &ConnectError| matches!(error, ConnectError::Handshake(HandshakeError::Refused(refusal)) if refusal.status == 503);

    // Behind the handshake of TLS.
    let mut face = Face::new("wss://192.0.2.1/", Options::default());
    face.connect("192.0.2.1:443");
    face.secure("192.0.2.1");
    face.says();
    face.hears(&[b"yo".to_vec(), turned(busy)].concat());
    let error = face.fails();
    assert!(is_refused(&error), "{error:?}");

    // Behind the answer of a proxy, in its record and in the next one.
    let opens = b"HTTP/1.1 200 OK\r\n\r\n";
    for records in [turned(&[&opens[..], busy].concat()), [turned(opens), turned(busy)].concat()] {
        let mut face = Face::new("ws://example.com/", through("https://192.0.2.9"));
        face.connect("192.0.2.9:443");
        face.secure("192.0.2.9");
        face.says();
        face.hears(b"yo");
        face.says();
        face.hears(&records);
        let error = face.fails();
        assert!(is_refused(&error), "{error:?}");
    }

    // The proxy itself.
    let mut face = Face::new("ws://example.com/", through("https://192.0.2.9"));
    face.connect("192.0.2.9:443");
    face.secure("192.0.2.9");
    face.says();
    face.hears(&[b"yo".to_vec(), turned(busy)].concat());
    let error = face.fails();
    assert!(matches!(&error, ConnectError::Proxy(_)), "{error:?}");
    assert!(error.to_string().contains("503"), "{error}");
}

/// Whoever says it may wait for ours before it ends TCP.
#[test]
fn the_end_of_tls_is_the_end_of_the_stream() {
    let asked = || {
        let mut face = Face::new("wss://192.0.2.1/", Options::default());
        face.connect("192.0.2.1:443");
        face.secure("192.0.2.1");
        face.says();
        face.hears(b"yo");
        face.says();
        face
    };
    // A body that goes on to the end.
    let mut face = asked();
    face.hears(&[turned(b"HTTP/1.1 403 Forbidden\r\n\r\nno"), END.to_vec()].concat());
    match face.fails() {
        ConnectError::Handshake(HandshakeError::Refused(refusal)) => {
            assert!(refusal.is_complete && refusal.body == b"no", "{refusal:?}");
        }
        other => panic!("{other:?}"),
    }
    // One that may have gone on.
    let mut face = asked();
    face.hears(&turned(b"HTTP/1.1 403 Forbidden\r\n\r\nno"));
    face.machine.receive_end(face.now);
    match face.fails() {
        ConnectError::Handshake(HandshakeError::Refused(refusal)) => {
            assert!(!refusal.is_complete && refusal.body == b"no", "{refusal:?}");
        }
        other => panic!("{other:?}"),
    }
    // An answer that does not come, or ends in its head.
    for (records, length) in [(Vec::new(), 0), (turned(b"HTTP/1.1 101"), 12)] {
        let mut face = asked();
        face.hears(&[records, END.to_vec()].concat());
        let error = face.fails();
        let ConnectError::Handshake(HandshakeError::UnexpectedEnd { received }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(received, length);
    }
    // A proxy's, before its answer and behind it.
    for (records, is_the_proxys) in [(Vec::new(), true), (turned(b"HTTP/1.1 200 OK\r\n\r\n"), false)] {
        let mut face = Face::new("ws://example.com/", through("https://192.0.2.9"));
        face.connect("192.0.2.9:443");
        face.secure("192.0.2.9");
        face.says();
        face.hears(b"yo");
        face.says();
        face.hears(&[records, END.to_vec()].concat());
        let error = face.fails();
        assert_eq!(matches!(error, ConnectError::Proxy(_)), is_the_proxys, "{error:?}");
        assert_eq!(matches!(error, ConnectError::Handshake(_)), !is_the_proxys, "{error:?}");
    }
}

#[test]
fn tls_that_cannot_be_had_or_fails_is_the_end() {
    let mut face = Face::new("wss://192.0.2.1/", Options::default());
    face.connect("192.0.2.1:443");
    assert!(matches!(face.next(), Ok(Next::Secure { host: Host::Ipv4(_), is_proxy: false })));
    face.machine.secured(Err(TlsError::new(TlsFault::Unsupported)), face.now);
    assert!(matches!(face.fails(), ConnectError::Tls(_)));

    let mut face = Face::new("wss://192.0.2.1/", Options::default());
    face.connect("192.0.2.1:443");
    face.secure("192.0.2.1");
    face.says();
    face.hears(b"no");
    assert!(matches!(face.fails(), ConnectError::Tls(error) if error.fault() == &TlsFault::Broken));

    let mut face = Face::new("wss://192.0.2.1/", Options::default());
    face.connect("192.0.2.1:443");
    face.secure("192.0.2.1");
    face.says();
    face.machine.receive_end(face.now);
    assert!(matches!(face.fails(), ConnectError::Tls(error) if error.fault() == &TlsFault::Truncated));
}

/// RFC 7301: what was agreed on is what is spoken. A server that is talked into HTTP/2 would read our request as something else.
#[test]
fn another_protocol_by_alpn_is_the_end() {
    for (alpn, is_fine) in
        [(None, true), (Some("http/1.1"), true), (Some("h2"), false), (Some("http/1.0"), false)]
    {
        let mut face = Face::new("wss://192.0.2.1/", Options::default());
        face.connect("192.0.2.1:443");
        assert!(matches!(face.next(), Ok(Next::Secure { .. })));
        face.machine.secured(Ok(Box::new(Turned { alpn, ..Turned::new() })), face.now);
        face.says();
        face.hears(b"yo");
        if is_fine {
            assert!(!face.says().is_empty());
        } else {
            let error = face.fails();
            assert!(
                matches!(&error, ConnectError::Tls(tls) if matches!(tls.fault(), TlsFault::Alpn { .. })),
                "{error:?}"
            );
            assert_eq!(face.machine.output(), b"bye", "nothing is asked");
        }
    }
}

fn through(proxy: &str) -> Options {
    let proxy = Proxy::parse(proxy).expect("a proxy");
    Options { proxies: ProxyChoice::Through(Box::new(proxy)), ..Options::default() }
}

#[test]
fn a_proxy_is_dialled_and_asked_for_a_tunnel() {
    let mut face = Face::new("ws://user:pw@example.com/", through("http://me:secret@proxy.example:3128"));
    face.resolve("proxy.example", &["192.0.2.9"]);
    face.connect("192.0.2.9:3128");
    let connect = String::from_utf8(face.says()).expect("text");
    assert!(connect.starts_with("CONNECT example.com:80 HTTP/1.1\r\n"), "{connect}");
    assert!(connect.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{connect}");
    assert!(
        !connect.contains("\r\nAuthorization:"),
        "the server's credentials are none of the proxy's: {connect}"
    );
    face.hears(b"HTTP/1.1 200 OK\r\n\r\n");
    let request = face.says();
    let text = String::from_utf8(request.clone()).expect("text");
    assert!(text.contains("\r\nAuthorization: Basic dXNlcjpwdw==\r\n"), "{text}");
    assert!(
        !text.contains("Proxy-Authorization"),
        "the proxy's credentials are none of the server's: {text}"
    );
    face.hears(&answer(&request));
    face.opens();
    let told = face.milestones().join("\n");
    assert!(!told.contains("secret") && !told.contains("bWU6") && !told.contains("dXNl"), "{told}");
}

#[test]
fn a_proxy_that_is_not_there_is_told_as_the_proxy() {
    let mut face = Face::new("ws://example.com/", through("http://192.0.2.9:3128"));
    let attempt = face.dial("192.0.2.9:3128");
    face.machine.failed(attempt, io::ErrorKind::ConnectionRefused.into(), face.now);
    assert_eq!(
        face.fails().to_string(),
        "no connection could be made: the proxy at 192.0.2.9:3128: connection refused"
    );
}

#[test]
fn a_refusal_of_the_proxy_is_told_as_its_own() {
    let mut face = Face::new("wss://example.com/", through("http://192.0.2.9:3128"));
    face.connect("192.0.2.9:3128");
    face.says();
    face.hears(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 9\r\n\r\nwho's it?");
    let error = face.fails();
    assert!(matches!(error, ConnectError::Proxy(_)), "{error:?}");
    assert!(error.to_string().contains("407"), "{error}");
}

#[test]
fn tls_goes_through_the_tunnel_and_over_tls_to_the_proxy() {
    let mut face = Face::new("wss://example.com/", through("https://proxy.example"));
    face.resolve("proxy.example", &["192.0.2.9"]);
    face.connect("192.0.2.9:443");
    face.secure("proxy.example");
    assert_eq!(face.says(), b"hi");
    face.hears(b"yo");
    assert!(turned_back(&face.says()).starts_with(b"CONNECT example.com:443 HTTP/1.1\r\n"));
    face.hears(&turned(b"HTTP/1.1 200 OK\r\n\r\n"));
    face.secure("example.com");
    assert_eq!(turned_back(&face.says()), b"hi", "the inner handshake, inside the outer layer");
    face.hears(&turned(b"yo"));
    let request = turned_back(&turned_back(&face.says()));
    assert!(request.starts_with(b"GET / HTTP/1.1\r\n"));
    face.hears(&turned(&turned(&answer(&request))));
    let (_, layer) = face.opens();
    let mut layer = layer.expect("it is secure");
    let space = layer.space();
    let inside = turned(&turned(b"\x81\x02hi"));
    space[..inside.len()].copy_from_slice(&inside);
    layer.received(inside.len());
    let mut plain = [0; 1000];
    let opened = layer.open(&mut plain).expect("a record");
    assert_eq!(&plain[..opened.plain], b"\x81\x02hi");
    let mut sealed = vec![0; aiowebsocket::layer::RECORD_ROOM];
    let n = layer.seal(b"frame", &mut sealed).expect("open").written;
    assert_eq!(turned_back(&turned_back(&sealed[..n])), b"frame");
}

/// Whoever asks whether the server is reached securely is not told of the proxy.
#[test]
fn tls_to_the_proxy_alone_is_none_to_the_server() {
    let mut face = Face::new("ws://example.com/", through("https://192.0.2.9"));
    face.connect("192.0.2.9:443");
    face.secure("192.0.2.9");
    face.says();
    face.hears(b"yo");
    face.says();
    face.hears(&turned(b"HTTP/1.1 200 OK\r\n\r\n"));
    let request = turned_back(&face.says());
    face.hears(&turned(&answer(&request)));
    let layer = face.opens().1.expect("everything goes through it");
    assert!(layer.is_open() && layer.agreed().is_none());
}

#[test]
fn socks5_resolves_here_and_socks5h_does_not() {
    let mut face = Face::new("ws://example.com/", through("socks5://proxy.example"));
    face.resolve("example.com", &["192.0.2.1", "192.0.2.2"]);
    face.resolve("proxy.example", &["192.0.2.9"]);
    face.connect("192.0.2.9:1080");
    face.says();
    face.hears(&[5, 0]);
    assert_eq!(face.says(), [5, 1, 0, 1, 192, 0, 2, 1, 0, 80], "by address");

    let mut face = Face::new("ws://example.com/", through("socks5h://192.0.2.9"));
    face.connect("192.0.2.9:1080");
    face.says();
    face.hears(&[5, 0]);
    assert_eq!(face.says(), [&[5, 1, 0, 3, 11][..], b"example.com", &[0, 80]].concat(), "by name");
    face.hears(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert!(face.says().starts_with(b"GET / HTTP/1.1\r\n"));
}

#[test]
fn rules_choose_the_proxy_for_each_address_anew() {
    let rules = ProxyRules::from_variables(|name| match name {
        "http_proxy" => Some("http://192.0.2.9:1".to_owned()),
        "no_proxy" => Some("direct.example".to_owned()),
        _ => None,
    });
    let options = Options { proxies: ProxyChoice::ByRules(Box::new(rules)), ..Options::default() };
    let mut face = Face::new("ws://example.com/", options);
    face.connect("192.0.2.9:1");
    face.says();
    face.hears(b"HTTP/1.1 200 OK\r\n\r\n");
    face.says();
    face.hears(b"HTTP/1.1 302 Found\r\nLocation: ws://direct.example/\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(face.next(), Ok(Next::Hangup)));
    face.resolve("direct.example", &["192.0.2.2"]);
    face.connect("192.0.2.2:80");
    assert!(face.says().starts_with(b"GET / HTTP/1.1\r\n"), "no proxy is asked");
}

#[test]
fn a_proxy_that_cannot_be_used_is_told_before_anything_is_dialled() {
    let rules = ProxyRules::from_variables(|name| (name == "http_proxy").then(|| "gopher://x".to_owned()));
    let options = Options { proxies: ProxyChoice::ByRules(Box::new(rules)), ..Options::default() };
    let error = Face::new("ws://example.com/", options).fails();
    assert!(matches!(error, ConnectError::ProxyRules(_)), "{error:?}");
}

/// Each redirect is a new request with a new key; what is secret stays with its server.
#[test]
fn a_redirect_is_followed_without_what_is_secret() {
    let mut face = Face::asking("ws://user:pw@example.com/old", Options::default(), |request| {
        request.header("Cookie", "id=1").expect("a header");
        request.header("X-Kept", "yes").expect("a header");
    });
    face.resolve("example.com", &["192.0.2.1"]);
    face.connect("192.0.2.1:80");
    let first = String::from_utf8(face.says()).expect("text");
    face.hears(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /new?x=1\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(face.next(), Ok(Next::Hangup)));
    face.resolve("example.com", &["192.0.2.1"]);
    face.connect("192.0.2.1:80");
    let second = String::from_utf8(face.says()).expect("text");
    assert!(second.starts_with("GET /new?x=1 HTTP/1.1\r\n"), "{second}");
    assert!(second.contains("\r\nAuthorization: Basic dXNlcjpwdw==\r\n"), "the same server: {second}");
    let key = |text: &str| text.lines().find(|line| line.starts_with("Sec-WebSocket-Key")).map(str::to_owned);
    assert_ne!(key(&first), key(&second), "RFC 6455 4.1: a key for each connection");

    face.hears(
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: wss://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(matches!(face.next(), Ok(Next::Hangup)));
    face.resolve("elsewhere.example", &["192.0.2.3"]);
    face.connect("192.0.2.3:443");
    face.secure("elsewhere.example");
    face.says();
    face.hears(b"yo");
    let third = String::from_utf8(turned_back(&face.says())).expect("text");
    assert!(
        third.contains("\r\nHost: elsewhere.example\r\n") && third.contains("\r\nX-Kept: yes\r\n"),
        "{third}"
    );
    assert!(!third.contains("Authorization") && !third.contains("Cookie"), "{third}");

    // And never back out of TLS.
    face.hears(&turned(
        b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
    ));
    let error = face.fails();
    assert!(
        matches!(&error, ConnectError::Redirect(error) if error.fault == RedirectFault::Insecure),
        "{error:?}"
    );
}

#[test]
fn redirects_are_counted_and_can_be_left_out() {
    let options = Options { redirects: Redirects::new(0), ..Options::default() };
    let mut face = Face::new("ws://192.0.2.1/", options);
    face.connect("192.0.2.1:80");
    face.says();
    face.hears(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(face.fails(), ConnectError::Handshake(HandshakeError::Refused(_))));

    let mut face = Face::new("ws://192.0.2.1/", Options::default());
    for _ in 0..6 {
        face.connect("192.0.2.1:80");
        face.says();
        face.hears(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
        if !matches!(face.next(), Ok(Next::Hangup)) {
            break;
        }
    }
    assert_eq!(face.nonces, 6, "five are followed");
}

#[test]
fn the_time_of_the_whole_names_the_step_it_ran_out_in() {
    type Steps = fn(&mut Face);
    let steps: [(OpenStep, Steps); 5] = [
        (OpenStep::Resolve, |face| drop(face.next())),
        (OpenStep::Connect, |face| {
            face.resolve("example.com", &["192.0.2.1"]);
            face.dial("192.0.2.1:443");
        }),
        (OpenStep::Proxy, |_| {}),
        (OpenStep::Tls, |face| {
            face.resolve("example.com", &["192.0.2.1"]);
            face.connect("192.0.2.1:443");
            face.secure("example.com");
        }),
        (OpenStep::Upgrade, |face| {
            face.resolve("example.com", &["192.0.2.1"]);
            face.connect("192.0.2.1:443");
            face.secure("example.com");
            face.hears(b"yo");
            face.says();
        }),
    ];
    for (expected, go) in steps {
        let mut face = Face::new("wss://example.com/", Options::default());
        if expected == OpenStep::Proxy {
            face = Face::new("wss://example.com/", through("http://192.0.2.9"));
            face.connect("192.0.2.9:80");
            face.says();
        }
        go(&mut face);
        while face.machine.step().is_some() && face.elapsed() < 60_000 {
            let until = face.machine.next_timeout().expect("there is a limit");
            face.wait(u64::try_from((until - face.now).as_millis()).expect("soon"));
            match face.next() {
                Ok(_) => {}
                Err(ConnectError::Timeout { step, whole }) => {
                    assert_eq!((step, whole, face.elapsed()), (expected, true, 10_000));
                    break;
                }
                Err(other) => panic!("{expected:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_step_has_its_own_limit_where_one_is_set() {
    let mut limits = OpenLimits::default();
    limits.resolve = Some(Duration::from_secs(2));
    limits.connect = Some(Duration::from_secs(1));
    limits.upgrade = Some(Duration::from_secs(3));
    limits.whole = None;
    let options = || Options { limits, ..Options::default() };
    let mut face = Face::new("ws://example.com/", options());
    drop(face.next());
    face.wait(1_999);
    face.waits();
    face.wait(1);
    assert!(matches!(face.fails(), ConnectError::Timeout { step: OpenStep::Resolve, whole: false }));

    let mut face = Face::new("ws://192.0.2.1/", options());
    face.dial("192.0.2.1:80");
    face.wait(1_000);
    assert!(face.fails().to_string().contains("192.0.2.1:80"), "the attempt failed");

    let mut face = Face::new("ws://192.0.2.1/", options());
    face.connect("192.0.2.1:80");
    face.says();
    face.wait(3_000);
    assert_eq!(face.fails().to_string(), "the opening handshake was not done within its time limit");

    // Nothing is limited that is not told to be.
    let mut limits = OpenLimits::default();
    limits.whole = None;
    let mut face = Face::new("ws://192.0.2.1/", Options { limits, ..Options::default() });
    face.connect("192.0.2.1:80");
    face.says();
    assert_eq!(face.machine.next_timeout(), None);
}

#[test]
fn another_host_may_be_dialled_than_the_address_names() {
    let mut face = Face::new("wss://example.com/", Options::default());
    face.machine.reach_at(Host::parse("192.0.2.77").expect("a host"), 8443);
    face.connect("192.0.2.77:8443");
    face.secure("example.com");
    face.says();
    face.hears(b"yo");
    assert!(turned_back(&face.says()).starts_with(b"GET / HTTP/1.1\r\nHost: example.com\r\n"));
    // A redirect on the same server goes there again, one to another does not.
    face.hears(&turned(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"));
    assert!(matches!(face.next(), Ok(Next::Hangup)));
    face.connect("192.0.2.77:8443");
    face.secure("example.com");
    face.says();
    face.hears(b"yo");
    face.says();
    face.hears(&turned(b"HTTP/1.1 302 Found\r\nLocation: wss://192.0.2.5/\r\nContent-Length: 0\r\n\r\n"));
    assert!(matches!(face.next(), Ok(Next::Hangup)));
    face.connect("192.0.2.5:443");
}

#[test]
fn a_stream_that_is_given_is_not_dialled() {
    let address = Address::parse("wss://example.com/").expect("an address");
    let over = |secure| {
        let now = start_of_time();
        let request = RequestHead::new(&address);
        let machine = Connecting::over(address.clone(), request, secure, OpenLimits::default(), now);
        Face { machine, now, start: now, nonces: 0 }
    };
    assert!(over(false).says().starts_with(b"GET / HTTP/1.1\r\n"), "TLS is somebody else's");
    let mut face = over(true);
    face.secure("example.com");
    assert_eq!(face.says(), b"hi");
    // A redirect would lead elsewhere.
    let mut face = over(false);
    face.says();
    face.hears(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(face.fails(), ConnectError::Handshake(HandshakeError::Refused(_))));
}

#[test]
fn heads_are_shown_without_what_is_secret() {
    let mut face = Face::asking("ws://user:pw@192.0.2.1/x?token=secret", Options::default(), |request| {
        request.header("Cookie", "id=secret").expect("a header");
        request.subprotocols(["json"]).expect("a token");
        request.secret_subprotocols(["bearer.secret"]).expect("a token");
        request.secret_header("X-Api-Key", "secret").expect("a header");
    });
    face.connect("192.0.2.1:80");
    face.says();
    face.hears(
        // Some servers send the whole offer back.
        b"HTTP/1.1 403 Forbidden\r\nSet-Cookie: id=secret\r\nSec-WebSocket-Protocol: json, bearer.secret\r\n\
          X-Shown: yes\r\nContent-Length: 0\r\n\r\n",
    );
    let told = format!("{:?}", face.fails());
    assert!(!told.contains("bearer.secret"), "{told}");
    let mut heads = String::new();
    while let Some((_, milestone)) = face.machine.milestone() {
        assert!(!format!("{milestone:?}").contains("secret"), "{milestone:?}");
        if let Milestone::Asking { head, .. } | Milestone::Answered { head, .. } = milestone {
            heads += &head;
        }
    }
    for shown in [
        "GET /x?… HTTP/1.1\n",
        "Authorization: (18 bytes, not shown)\n",
        "Cookie: (9 bytes, not shown)\n",
        "X-Api-Key: (6 bytes, not shown)\n",
        "Sec-WebSocket-Protocol: json, …\n",
        "HTTP/1.1 403 Forbidden\n",
        "set-cookie: (9 bytes, not shown)\n",
        "sec-websocket-protocol: (19 bytes, not shown)\n",
        "x-shown: yes\n",
    ] {
        assert!(heads.contains(shown), "{shown:?} in\n{heads}");
    }
}

/// What an open connection begins with is printed by programs that look for something else.
#[test]
fn a_secret_subprotocol_that_was_chosen_is_not_shown() {
    for (chosen, shown) in [("bearer.secret", "Some(\"…\")"), ("json", "Some(\"json\")")] {
        let mut face = Face::asking("ws://192.0.2.1/", Options::default(), |request| {
            request.subprotocols(["json"]).expect("a token");
            request.secret_subprotocols(["bearer.secret"]).expect("a token");
        });
        face.connect("192.0.2.1:80");
        let mut accepting = Accepting::new(HeadLimits::default());
        accepting.receive(&face.says(), start_of_time()).expect("a good request");
        accepting.accept(Some(chosen), &[]).expect("it was offered");
        face.hears(accepting.output());
        let (opened, _) = face.opens();
        assert_eq!(opened.subprotocol.as_deref(), Some(chosen));
        assert_eq!(opened.response.headers["sec-websocket-protocol"], chosen);
        let told = format!("{opened:?}");
        assert!(!told.contains("secret") && told.contains(shown), "{told}");
    }
}

/// Whatever comes, and however it is cut, the machine ends or waits; it never panics and never dials without being able to.
#[test]
fn noise_ends_in_an_error() {
    let mut rng = crate::support::rng::Rng::new();
    for round in 0..2_000 {
        let options = match round % 3 {
            0 => Options::default(),
            1 => through("http://192.0.2.9"),
            _ => through("socks5h://192.0.2.9"),
        };
        let mut face =
            Face::new(if round % 2 == 0 { "ws://192.0.2.1/" } else { "wss://192.0.2.1/" }, options);
        for _ in 0..50 {
            match face.next() {
                Ok(Next::Dial(attempt)) => {
                    assert!(matches!(attempt.address.ip(), IpAddr::V4(_)));
                    face.machine.connected(attempt, face.now);
                }
                Ok(Next::Secure { .. }) => face.machine.secured(Ok(Box::new(Turned::new())), face.now),
                Ok(Next::Exchange) => {
                    let n = face.machine.output().len();
                    face.machine.written(n);
                    let length = rng.length(40);
                    let noise = match rng.below(4) {
                        0 => b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
                        1 => b"yo".to_vec(),
                        2 => vec![5, 0],
                        _ => rng.bytes(length),
                    };
                    face.hears(&noise);
                }
                Ok(Next::Wait | Next::Flush | Next::Hangup) => {}
                Ok(other) => panic!("{other:?}"),
                Err(_) => break,
            }
        }
    }
}

/// What a connection comes to that is sent all this, in pieces of such lengths, whatever it says itself.
fn comes_to(
    url: &str,
    proxy: Option<&str>,
    mut bytes: &[u8],
    ends: bool,
    cut: &mut dyn FnMut() -> usize,
) -> String {
    let mut face = Face::new(url, proxy.map_or_else(Options::default, through));
    let mut has_ended = false;
    loop {
        match face.next() {
            Ok(Next::Dial(attempt)) => assert!(face.machine.connected(attempt, face.now)),
            Ok(Next::Secure { .. }) => face.machine.secured(Ok(Box::new(Turned::new())), face.now),
            Ok(Next::Exchange | Next::Flush) if !face.machine.output().is_empty() => {
                face.machine.written(face.machine.output().len());
            }
            Ok(Next::Exchange) if !bytes.is_empty() => {
                let (piece, rest) = bytes.split_at(cut().clamp(1, bytes.len()));
                face.machine.receive(piece, face.now);
                bytes = rest;
            }
            Ok(Next::Exchange) if ends => {
                assert!(!std::mem::replace(&mut has_ended, true), "an end is the end");
                face.machine.receive_end(face.now);
            }
            Ok(Next::Open { opened, layer }) => {
                let mut first = opened.leftover;
                let Some(mut layer) = layer else { return format!("{:?}", [&first[..], bytes].concat()) };
                loop {
                    let mut plain = [0; 1000];
                    let opened = layer.open(&mut plain).expect("a layer that cannot fail any more");
                    first.extend_from_slice(&plain[..opened.plain]);
                    if opened.is_end || (opened.plain == 0 && bytes.is_empty()) {
                        return format!("{first:?} {}", opened.is_end);
                    } else if opened.plain == 0 {
                        layer.space()[0] = bytes[0];
                        layer.received(1);
                        bytes = &bytes[1..];
                    }
                }
            }
            Ok(other) => return format!("{other:?} {}", face.machine.address()),
            // As much as was there by then is shown of what is no HTTP.
            Err(error) => return format!("{error:?}").split(" { start").next().expect("a text").to_owned(),
        }
    }
}

#[test]
fn what_it_comes_to_does_not_depend_on_how_the_bytes_are_cut() {
    let good = {
        let mut face = Face::new("ws://192.0.2.1/", Options::default());
        face.connect("192.0.2.1:80");
        answer(&face.says())
    };
    let answers: [&[u8]; 10] = [
        &good,
        b"HTTP/1.1 503 Busy\r\n\r\nnot now",
        b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nno!",
        b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n",
        b"HTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"\r\n\r\nHTTP/1.0 503 Busy\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"",
    ];
    let tunnel = b"HTTP/1.1 200 OK\r\n\r\n";
    let mut rng = crate::support::rng::Rng::new();
    for _ in 0..3_000 {
        let frame: &[u8] = if rng.one_in(2) { b"\x81\x02hi" } else { b"" };
        let mut plain = [answers[rng.below(answers.len())], frame].concat();
        if rng.one_in(5) && !plain.is_empty() {
            let at = rng.below(plain.len());
            plain[at] = rng.bytes(1)[0];
        }
        let end: &[u8] = if rng.one_in(3) { END } else { b"" };
        let secure = rng.one_in(2);
        let url = if secure { "wss://192.0.2.1/" } else { "ws://192.0.2.1/" };
        // What the server sends, and then the proxy around it.
        if secure {
            plain = [b"yo", &records(&plain, &mut rng)[..], end].concat();
        }
        let (proxy, bytes) = match rng.below(3) {
            0 => (None, plain),
            1 => (Some("http://192.0.2.9"), [&tunnel[..], &plain].concat()),
            _ => {
                let inner = records(&[&tunnel[..], &plain].concat(), &mut rng);
                (Some("https://192.0.2.9"), [b"yo", &inner[..], end].concat())
            }
        };
        let ends = rng.one_in(2);
        let whole = comes_to(url, proxy, &bytes, ends, &mut || usize::MAX);
        let singly = comes_to(url, proxy, &bytes, ends, &mut || 1);
        let anyhow = comes_to(url, proxy, &bytes, ends, &mut || 1 + rng.below(60));
        assert!(whole == singly && whole == anyhow, "{}\n{whole}\n{singly}\n{anyhow}", bytes.escape_ascii());
    }
}

/// Some records that have this in them.
fn records(mut plain: &[u8], rng: &mut crate::support::rng::Rng) -> Vec<u8> {
    let mut records = Vec::new();
    while !plain.is_empty() {
        let (record, rest) = plain.split_at((1 + rng.below(40)).min(plain.len()));
        records.extend(turned(record));
        plain = rest;
    }
    records
}
