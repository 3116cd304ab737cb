//! Which proxy an address goes through, as environment variables say it.
//!
//! There is no specification, and programs differ. This is what curl and Python's urllib have in common; where they
//! differ, [`ProxyRules`] says what is done here.

use core::net::IpAddr;
use std::fmt;

use super::proxy::{Proxy, ProxyError};
use super::url::{Address, Host, Scheme, parse_host_and_port};

/// The proxies that environment variables name, and the hosts that need none.
///
/// For `ws://` the first of `ws_proxy`, `http_proxy` and `all_proxy` that is set counts, for `wss://` the first of
/// `wss_proxy`, `https_proxy` and `all_proxy`. Each is looked up in lower case, then in upper case. One that is set to
/// nothing means: no proxy. `HTTP_PROXY` is passed over where `REQUEST_METHOD` is set: in a CGI program the client of the
/// web server says what it holds, in a header line `Proxy`.
///
/// `no_proxy` is a list of hosts that are connected to directly, with commas or blanks between them:
/// * `*`: all.
/// * `example.com`, `.example.com`, `*.example.com`: that name and all below it, in any case.
/// * `192.0.2.1`, `::1`, `[::1]`: that address.
/// * `192.0.2.0/24`, `2001:db8::/32`: all addresses of that network.
/// * any of these but networks with a port, as in `example.com:8080` and `[::1]:8080`: on that port only.
///
/// Addresses and networks are compared with addresses that stand in the URL: nothing is resolved here. An entry that is
/// none of these is passed over, as everybody does.
///
/// Unlike with curl, `HTTP_PROXY` is read (as urllib does), and a port counts; unlike with Python's websockets, `all_proxy` and
/// networks count, and `ws://` does not go through the proxy of `https_proxy`.
#[derive(Clone, Debug)]
pub struct ProxyRules {
    ws: Choice,
    wss: Choice,
    except: Vec<Exception>,
}

/// What a variable says, with its name.
type Choice = Result<Option<Proxy>, ProxyRulesError>;

impl ProxyRules {
    /// The rules of an environment: `variable` gives the value of the variable of that name, as
    /// `|name| std::env::var(name).ok()` does. An address that cannot be read is an error only where it is needed.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let either_case = |name: &'static str| {
            let upper = name.to_ascii_uppercase();
            let is_forged = is_cgi && upper == "HTTP_PROXY";
            variable(name).map(|value| (name.to_owned(), value)).or_else(|| {
                if is_forged { None } else { variable(&upper).map(|value| (upper.clone(), value)) }
            })
        };
        let first_of = |names: [&'static str; 3]| match names.into_iter().find_map(either_case) {
            Some((name, value)) if !value.trim().is_empty() => match Proxy::parse(value.trim()) {
                Ok(proxy) => Ok(Some(proxy)),
                Err(error) => Err(ProxyRulesError { variable: name, error }),
            },
            _ => Ok(None),
        };
        let no_proxy = either_case("no_proxy").map(|(_, value)| value).unwrap_or_default();
        Self {
            ws: first_of(["ws_proxy", "http_proxy", "all_proxy"]),
            wss: first_of(["wss_proxy", "https_proxy", "all_proxy"]),
            except: no_proxy
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter_map(Exception::parse)
                .collect(),
        }
    }

    /// The proxy for this address, if it goes through one.
    ///
    /// # Errors
    ///
    /// [`ProxyRulesError`], when the variable that decides does not hold the address of a proxy.
    pub fn proxy_for(&self, address: &Address) -> Result<Option<Proxy>, ProxyRulesError> {
        if self.except.iter().any(|exception| exception.has(address.host(), address.port())) {
            return Ok(None);
        }
        match address.scheme() {
            Scheme::Ws => self.ws.clone(),
            Scheme::Wss => self.wss.clone(),
        }
    }
}

/// A variable does not hold the address of a proxy: a mistake in the environment. The value is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyRulesError {
    /// The variable's name.
    pub variable: String,
    /// What is wrong with its value.
    pub error: ProxyError,
}

impl fmt::Display for ProxyRulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {}: {}", self.variable, self.error)
    }
}

/// `Display` has said what is wrong with the value, and there is nothing behind that.
impl std::error::Error for ProxyRulesError {}

/// One entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    Host {
        host: Host,
        port: Option<u16>,
    },
    /// More bits than an address has are none of it.
    Network {
        address: IpAddr,
        bits: u8,
    },
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let address = parse_ip(address)?;
            // `parse` would take a sign.
            let bits = Some(bits).filter(|bits| bits.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
            return Some(Self::Network { address, bits });
        }
        if let Ok(address) = entry.parse() {
            return Some(Self::Host { host: canonical(Host::Ipv6(address)), port: None });
        }
        let entry = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry);
        let (host, port) = parse_host_and_port(entry.trim_start_matches('.')).ok()?;
        Some(Self::Host { host: canonical(host), port })
    }

    fn has(&self, host: &Host, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Host { port: Some(only), .. } if *only != port => false,
            Self::Host { host: ours, .. } => match (ours, canonical(host.clone())) {
                (Host::Name(ours), Host::Name(name)) => is_within(&name, ours),
                (ours, host) => *ours == host,
            },
            Self::Network { address, bits } => ip(&canonical(host.clone()))
                .is_some_and(|host| shared_bits(host, *address).is_some_and(|shared| shared >= *bits)),
        }
    }
}

/// One form for what is the same host: an IPv4 address that is mapped into IPv6 is that IPv4 address, and a name may
/// end in the dot of the root.
fn canonical(host: Host) -> Host {
    match host {
        Host::Ipv6(address) => address.to_ipv4_mapped().map_or(Host::Ipv6(address), Host::Ipv4),
        Host::Name(mut name) => {
            if name.ends_with('.') {
                name.pop();
            }
            Host::Name(name)
        }
        Host::Ipv4(address) => Host::Ipv4(address),
    }
}

fn ip(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        Host::Name(_) => None,
    }
}

fn parse_ip(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

/// How many bits two addresses have in common from the left; `None` for two families.
fn shared_bits(a: IpAddr, b: IpAddr) -> Option<u8> {
    let zeros = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return None,
    };
    u8::try_from(zeros).ok()
}

/// Whether a name is this one, or one below it.
fn is_within(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
