//! Proxies: the cases of spec/opening_proxy.toml and spec/opening_environment.toml, and that nothing shows what must
//! stay secret.

use std::collections::BTreeMap;

use aiowebsocket::opening::{
    Address, FieldError, HeadLimits, Host, Proxy, ProxyError, ProxyRules, Tunnel, TunnelTarget,
};
use serde::Deserialize;

use super::cases::cases;
use super::{start_of_time, variant};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressCase {
    name: String,
    proxy: String,
    /// What `REPEAT` in the address stands for: so many letters.
    #[serde(default)]
    repeat: usize,
    scheme: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    secure: Option<bool>,
    resolves: Option<bool>,
    shown: Option<String>,
    authorization: Option<String>,
    socks: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

#[test]
fn addresses_of_proxies() {
    let cases: Vec<AddressCase> = cases("opening_proxy.toml");
    assert!(cases.len() > 35, "the cases are there");
    for case in cases {
        match Proxy::parse(&case.proxy.replace("REPEAT", &"a".repeat(case.repeat))) {
            Ok(proxy) => check_parts(&case, &proxy),
            Err(error) => {
                assert_eq!(Some(variant(&error)), case.error, "{}: {error}", case.name);
                if let Some(message) = case.message {
                    assert_eq!(error.to_string(), message, "{}", case.name);
                }
            }
        }
    }
}

fn check_parts(case: &AddressCase, proxy: &Proxy) {
    let name = &case.name;
    assert_eq!(case.error, None, "{name}: {proxy}");
    let part = |expected: &Option<String>, found: &str| {
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{name}");
        }
    };
    part(&case.scheme, proxy.scheme().as_str());
    part(&case.host, &proxy.dial_host());
    part(&case.shown, &proxy.to_string());
    assert_eq!(case.port.unwrap_or(proxy.port()), proxy.port(), "{name}");
    assert_eq!(case.secure.unwrap_or(proxy.is_secure()), proxy.is_secure(), "{name}");
    assert_eq!(case.resolves.unwrap_or(proxy.resolves_names()), proxy.resolves_names(), "{name}");
    if proxy.scheme().as_str().starts_with("http") {
        assert_eq!(authorization(proxy), case.authorization, "{name}");
    }
    if let Some(socks) = &case.socks {
        let spoken: Vec<String> = authentication(proxy).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&spoken.join(" "), socks, "{name}");
    }
}

/// The value of the Proxy-Authorization that this proxy is sent.
fn authorization(proxy: &Proxy) -> Option<String> {
    let tunnel = tunnel(proxy);
    let request = str::from_utf8(tunnel.output()).unwrap();
    let mut lines = request.lines().filter_map(|line| line.strip_prefix("Proxy-Authorization: "));
    let value = lines.next().map(str::to_owned);
    assert_eq!(lines.next(), None, "it stands once");
    value
}

/// What a SOCKS proxy is told once it asks for user and password.
fn authentication(proxy: &Proxy) -> Vec<u8> {
    let mut tunnel = tunnel(proxy);
    tunnel.written(tunnel.output().len());
    tunnel.receive(&[5, 2], start_of_time()).unwrap();
    tunnel.output().to_vec()
}

fn tunnel(proxy: &Proxy) -> Tunnel {
    let target = TunnelTarget::new(Host::Ipv4([192, 0, 2, 1].into()), 443);
    Tunnel::new(proxy, &target, HeadLimits::default()).unwrap()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentCase {
    name: String,
    set: BTreeMap<String, String>,
    url: Option<String>,
    proxy: Option<String>,
    error: Option<String>,
    message: Option<String>,
    #[serde(default)]
    direct: Vec<String>,
    #[serde(default)]
    through: Vec<String>,
}

#[test]
fn environments() {
    let cases: Vec<EnvironmentCase> = cases("opening_environment.toml");
    assert!(cases.len() > 40, "the cases are there");
    for case in cases {
        let name = &case.name;
        if let Some(url) = &case.url {
            let rules = ProxyRules::from_variables(|variable| case.set.get(variable).cloned());
            match rules.proxy_for(&Address::parse(url).unwrap()) {
                Ok(proxy) => {
                    assert_eq!(case.error, None, "{name}");
                    assert_eq!(proxy.map(|proxy| proxy.to_string()), case.proxy, "{name}");
                }
                Err(error) => {
                    assert_eq!(Some(&error.variable), case.error.as_ref(), "{name}");
                    assert_eq!(Some(error.to_string()), case.message, "{name}");
                    assert!(!format!("{error:?} {rules:?}").contains("secret"), "{error:?} {rules:?}");
                }
            }
        }
        let mut set = case.set.clone();
        set.insert("all_proxy".to_owned(), "http://proxy.example:3128".to_owned());
        let rules = ProxyRules::from_variables(|variable| set.get(variable).cloned());
        let is_direct = |host: &String| {
            let address = Address::parse(&format!("wss://{host}/")).unwrap();
            rules.proxy_for(&address).unwrap().is_none()
        };
        for host in &case.direct {
            assert!(is_direct(host), "{name}: {host} needs no proxy");
        }
        for host in &case.through {
            assert!(!is_direct(host), "{name}: {host} needs a proxy");
        }
    }
}

#[cfg(feature = "idn")]
#[test]
fn international_names_in_no_proxy() {
    let rules = ProxyRules::from_variables(|variable| match variable {
        "no_proxy" => Some("Bücher.example".to_owned()),
        "all_proxy" => Some("proxy.example".to_owned()),
        _ => None,
    });
    let address = Address::parse("wss://www.xn--bcher-kva.example/").unwrap();
    assert_eq!(rules.proxy_for(&address), Ok(None));
}

#[test]
fn secrets_of_proxies_are_not_shown() {
    let proxy = Proxy::parse("http://alice:hunter2@proxy.example:3128").unwrap();
    let proxy = proxy.header("X-Token", "hunter3").unwrap();
    assert_eq!(proxy.to_string(), "http://proxy.example:3128");
    assert_eq!(format!("{proxy:?}"), "Proxy(http://proxy.example:3128, X-Token: …)");
    let socks = Proxy::parse("socks5h://alice:hunter2@proxy.example").unwrap();
    assert_eq!(format!("{socks:?}"), "Proxy(socks5h://proxy.example:1080)");
    // A derived Debug would show the bytes of the request as numbers.
    assert_eq!(format!("{:?}", tunnel(&proxy)), "Tunnel { dialogue: \"CONNECT\", .. }");
    assert_eq!(format!("{:?}", tunnel(&socks)), "Tunnel { dialogue: \"SOCKS5\", .. }");
    let rules = ProxyRules::from_variables(|_| Some("http://alice:hunter2@h".to_owned()));
    assert!(!format!("{rules:?}").contains("hunter2"), "{rules:?}");
    for address in [
        "http://alice:hunter2@h:x",
        "http://alice:hunter2@h/path",
        "http://alice:hunter2%@h",
        "http://alice:hunter2@@h",
        "alice:hunter2://h",
        "ftp://alice:hunter2@h",
        "http://a%3Alice:hunter2@h",
    ] {
        let error = Proxy::parse(address).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!["lice", "hunter2"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}

#[test]
fn nothing_can_be_injected_into_a_connect_request() {
    let proxy = || Proxy::parse("http://proxy.example").unwrap();
    for (name, value) in [
        ("X", "a\r\nY: b"),
        ("X", "a\nb"),
        ("X", "a\0"),
        ("X\r\nY", "a"),
        ("X:", "a"),
        ("", "a"),
        ("X", " a"),
    ] {
        assert!(matches!(proxy().header(name, value), Err(ProxyError::Field(_))), "{name:?} {value:?}");
    }
    for name in ["host", "Content-Length", "transfer-encoding"] {
        let error = proxy().header(name, "x").unwrap_err();
        assert!(matches!(error, ProxyError::Field(FieldError::Reserved { .. })), "{name}");
    }
    for (user, password) in [("a\r\n", "b"), ("a", "b\0"), ("a:b", "c")] {
        assert_eq!(proxy().basic(user, password), Err(ProxyError::Credentials), "{user:?} {password:?}");
    }
    let socks = Proxy::parse("socks5://proxy.example").unwrap();
    assert_eq!(socks.clone().basic("a\n", "b"), Err(ProxyError::Credentials));
    let error = socks.header("X", "y").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the header \"X\" cannot be sent to a SOCKS proxy: only HTTP proxies take header lines"
    );
}

#[test]
fn credentials_of_a_call_take_the_place_of_the_address() {
    let proxy = Proxy::parse("http://one:1@proxy.example").unwrap().basic("two", "2").unwrap();
    assert_eq!(authorization(&proxy).as_deref(), Some("Basic dHdvOjI="));
}
