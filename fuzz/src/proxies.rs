//! Proxies: their addresses, the rules of an environment, and both dialogues.

use aiowebsocket::opening::{
    Address, HeadLimits, Proxy, ProxyFault, ProxyRules, Tunnel, TunnelProgress, TunnelTarget,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::input::{Cuts, Input};
use crate::start_of_time;

/// The first line is the address of a proxy, the second what `no_proxy` says, the third a host.
pub fn proxy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (proxy, no_proxy, host) = (line(), line(), line());
    let parsed = Proxy::parse(proxy);
    spares(no_proxy, host);
    let Ok(parsed) = parsed else { return };
    assert!(parsed.port() != 0);
    let host = parsed.dial_host();
    assert!(!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()), "{host}");

    // Written out and read again it is the same, without its secrets.
    let again = Proxy::parse(&parsed.to_string()).unwrap_or_else(|error| panic!("{parsed}: {error}"));
    assert_eq!((again.scheme(), again.host(), again.port()), (parsed.scheme(), parsed.host(), parsed.port()));
    // The host is read as that of a server is.
    let authority = proxy.split_once("://").map_or(proxy, |(_, rest)| rest);
    let bare = authority.rsplit_once('@').map_or(authority, |(_, bare)| bare);
    let address = Address::parse(&format!("ws://{bare}")).unwrap_or_else(|error| panic!("{proxy}: {error}"));
    assert_eq!(address.host(), parsed.host(), "{proxy}");

    let target = TunnelTarget::from(&Address::parse("ws://192.0.2.1:9/").expect("an address"));
    let tunnel =
        Tunnel::new(&parsed, &target, HeadLimits::default()).expect("an IP address suits every proxy");
    if !parsed.scheme().as_str().starts_with("http") {
        assert!(matches!(tunnel.output(), [5, 1, 0] | [5, 2, 0, 2]));
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; 8];
    let mut request = httparse::Request::new(&mut fields);
    let complete = request.parse(tunnel.output()).expect("a request");
    assert_eq!(complete, httparse::Status::Complete(tunnel.output().len()), "and nothing behind it");
    assert_eq!((request.method, request.path), (Some("CONNECT"), Some("192.0.2.1:9")));
    let authorization = request.headers.iter().find(|field| field.name == "Proxy-Authorization");
    // A user and a password are there or not in both readings, and the same.
    let address =
        Address::parse(&format!("ws://{authority}")).unwrap_or_else(|error| panic!("{proxy}: {error}"));
    let wanted = address.userinfo().map(|userinfo| format!("{}:{}", userinfo.user(), userinfo.password()));
    let basic = authorization.map(|field| field.value.strip_prefix(b"Basic ").expect("Basic"));
    let told = basic.map(|basic| STANDARD.decode(basic).expect("base64"));
    assert_eq!(told, wanted.map(String::into_bytes));
    assert_eq!(request.headers.len(), 2 + usize::from(basic.is_some()), "Host, User-Agent, and that");
}

/// A host that stands in `no_proxy` needs no proxy, whatever else stands there; and what stands there alone decides alone.
fn spares(no_proxy: &str, host: &str) {
    let Ok(address) = Address::parse(&format!("wss://{host}")) else { return };
    let is_direct = |no_proxy: &str| {
        let rules = ProxyRules::from_variables(|name| match name {
            "no_proxy" => Some(no_proxy.to_owned()),
            "all_proxy" => Some("proxy.example".to_owned()),
            _ => None,
        });
        rules.proxy_for(&address).expect("the proxy is right").is_none()
    };
    let own = address.dial_host();
    // In an address some names may hold what separates entries, or begin with what means less in an entry.
    if !own.contains(',') && !own.starts_with('.') && !own.starts_with("*.") {
        assert!(is_direct(&format!("{no_proxy},{own}")), "{own} is spared by its own name");
        assert!(is_direct(&format!("{own}\t{no_proxy}")), "{own} is spared by its own name");
    }
    let any = no_proxy.split(|c: char| c == ',' || c.is_whitespace()).any(is_direct);
    assert_eq!(is_direct(no_proxy), any, "{no_proxy:?} spares what one of its entries spares");
}

/// The first byte chooses the proxy, the limits and whether the stream ends, the second the cuts; the rest is what the
/// proxy says.
pub fn tunnel(data: &[u8]) {
    let mut choices = Input::new(data);
    let byte = choices.byte();
    let limits = match byte >> 2 & 1 {
        0 => HeadLimits::default(),
        _ => HeadLimits { max_bytes: 300, max_lines: 6 },
    };
    let ends = byte >> 3 & 1 == 1;
    let cuts = Cuts::new(choices.byte());
    let stream = choices.rest();
    match byte % 3 {
        0 => connect(limits, ends, cuts, stream),
        kind => socks(kind == 2, ends, stream),
    }
}

type Outcome = Option<Result<Vec<u8>, ProxyFault>>;

/// Feeds the stream in cuts, all that is to be said being written before each of them.
fn talk(proxy: &Proxy, limits: HeadLimits, ends: bool, mut cuts: Cuts, stream: &[u8]) -> (Outcome, Vec<u8>) {
    let target = TunnelTarget::from(&Address::parse("ws://server.example:9/").expect("an address"));
    let mut tunnel = Tunnel::new(proxy, &target, limits).expect("a short name");
    let now = start_of_time();
    let flat = |progress| match progress {
        Ok(TunnelProgress::More) => None,
        Ok(TunnelProgress::Open { leftover }) => Some(Ok(leftover)),
        Err(fault) => Some(Err(fault)),
    };
    let (mut rest, mut said, mut outcome) = (stream, Vec::new(), None);
    while outcome.is_none() {
        said.extend_from_slice(tunnel.output());
        tunnel.written(tunnel.output().len());
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at(cuts.cut().min(rest.len()));
        rest = later;
        outcome = flat(tunnel.receive(piece, now));
    }
    if outcome.is_none() && ends {
        outcome = flat(tunnel.receive_end(now));
    }
    if outcome.is_some() {
        assert_eq!(tunnel.next_timeout(), None, "nothing is due after an outcome");
        assert!(matches!(tunnel.receive(b"x", now), Err(ProxyFault::Finished)), "an outcome is final");
    }
    // What was not read any more lies behind what was.
    if let Some(Ok(leftover)) = &mut outcome {
        leftover.extend_from_slice(rest);
    }
    (outcome, said)
}

/// An HTTP proxy: whole against cut, and an open tunnel against another parser.
fn connect(limits: HeadLimits, ends: bool, cuts: Cuts, stream: &[u8]) {
    let proxy = Proxy::parse("http://u:p@proxy.example").expect("an address");
    let told = |outcome: &Outcome| match outcome {
        // How much it shows depends on the cuts.
        Some(Err(ProxyFault::NotHttp { .. })) => "NotHttp".to_owned(),
        other => format!("{other:?}"),
    };
    let (whole, _) = talk(&proxy, limits, ends, Cuts::Whole, stream);
    let (cut, _) = talk(&proxy, limits, ends, cuts, stream);
    assert_eq!(told(&whole), told(&cut), "cuts change nothing");
    let Some(Ok(leftover)) = whole else { return };
    let mut head = &stream[..stream.len() - leftover.len()];
    loop {
        let mut lines = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut lines);
        let Ok(httparse::Status::Complete(size)) = response.parse(head) else {
            panic!("no response opened it")
        };
        head = &head[size..];
        match response.code.expect("a status") {
            200..=299 => break,
            status => assert!((100..200).contains(&status) && status != 101, "{status} opened a tunnel"),
        }
    }
    assert!(head.is_empty(), "the tunnel begins right behind the head");
}

/// A SOCKS proxy, byte by byte, against the messages of RFC 1928 and RFC 1929 read as a whole.
fn socks(credentials: bool, ends: bool, stream: &[u8]) {
    let address = if credentials { "socks5h://u:pw@proxy.example" } else { "socks5h://proxy.example" };
    let proxy = Proxy::parse(address).expect("an address");
    let (outcome, said) = talk(&proxy, HeadLimits::default(), ends, Cuts::new(1), stream);
    let (wanted, rest) = answers(credentials, stream);
    let found = match &outcome {
        None => "more",
        Some(Ok(leftover)) => {
            assert_eq!(leftover, rest);
            "open"
        }
        Some(Err(ProxyFault::UnexpectedEnd { .. })) => "end",
        Some(Err(
            ProxyFault::NotSocks { .. }
            | ProxyFault::MethodNotOffered { .. }
            | ProxyFault::MalformedReply { .. },
        )) => "malformed",
        Some(Err(
            ProxyFault::NoAcceptableMethod { .. }
            | ProxyFault::CredentialsRefused { .. }
            | ProxyFault::SocksRefused { .. },
        )) => "refused",
        Some(Err(fault)) => panic!("{fault:?}"),
    };
    let wanted = if wanted == "more" && ends { "end" } else { wanted };
    assert_eq!(found, wanted, "{stream:?}");
    if found == "open" {
        let greeting: &[u8] = if credentials { &[5, 2, 0, 2] } else { &[5, 1, 0] };
        let password: &[u8] = if stream[1] == 2 { b"\x01\x01u\x02pw" } else { b"" };
        assert_eq!(said, [greeting, password, b"\x05\x01\x00\x03\x0eserver.example\x00\x09"].concat());
    }
}

/// What a stream of answers comes to, and what follows them.
fn answers(credentials: bool, stream: &[u8]) -> (&'static str, &[u8]) {
    let rest = match stream {
        [] | [5] => return ("more", &[]),
        [5, 0, rest @ ..] => rest,
        [5, 0xFF, ..] => return ("refused", &[]),
        [5, 2, rest @ ..] if credentials => match rest {
            [] | [1] => return ("more", &[]),
            [1, 0, rest @ ..] => rest,
            [1, ..] => return ("refused", &[]),
            _ => return ("malformed", &[]),
        },
        _ => return ("malformed", &[]),
    };
    let bound = match rest {
        [] | [5] | [5, 0] | [5, 0, 0] | [5, 0, 0, 3] => return ("more", &[]),
        [5, reply, ..] if *reply != 0 => return ("refused", &[]),
        [5, 0, 0, 1, ..] => 4,
        [5, 0, 0, 4, ..] => 16,
        [5, 0, 0, 3, length, ..] => 1 + usize::from(*length),
        _ => return ("malformed", &[]),
    };
    match rest.get(4 + bound + 2..) {
        Some(rest) => ("open", rest),
        None => ("more", &[]),
    }
}
