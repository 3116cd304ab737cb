//! Where something went wrong, and in which words a person is told: what, where, and what to try.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aiowebsocket::opening::{
    Address, DialError, FieldError, HandshakeError, Host, ProxyFault, RedirectError, RedirectFault,
    Redirects, Refusal, RequestError, ResolveError,
};
use aiowebsocket::{CloseCode, Error, Milestone, OpenStep, Proxy, TimeLimit, TlsError, TlsFault};

use crate::clock::show;
use crate::exit::{Exit, Failure};
use crate::proxy::Proxies;

/// The server that was asked for, the way to it, and how far the connection came.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The address as it may be shown: without user, password and query.
    pub(crate) url: String,
    pub(crate) proxies: Proxies,
    address: Address,
    /// How long opening may take; for the message that it took longer.
    limit: Duration,
    /// A CA was named, in place of the system's.
    has_own_ca: bool,
    trail: Trail,
}

/// How far a connection that opens came: what errors need to know and do not say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Arc<Mutex<Steps>>);

#[derive(Debug, Default)]
struct Steps {
    /// Where redirects have led.
    redirected: Option<Address>,
    /// The name that was looked up last.
    looked_up: Option<String>,
    /// The proxy of this server has opened its tunnel.
    has_tunnel: bool,
}

impl Trail {
    pub(crate) fn note(&self, milestone: &Milestone) {
        let mut steps = self.steps();
        match milestone {
            Milestone::Resolving { host } => steps.looked_up = Some(host.clone()),
            Milestone::Tunnelled => steps.has_tunnel = true,
            Milestone::Redirected { to, .. } => {
                *steps = Steps { redirected: Some(to.clone()), ..Steps::default() };
            }
            _ => {}
        }
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The place of an address, and the way to it.
    pub(crate) fn of(url: &str, proxies: Proxies) -> Result<Self, Failure> {
        let address = Address::parse(url).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        Ok(Self {
            url: address.to_string(),
            proxies,
            address,
            limit: aiowebsocket::opening::OPEN_TIMEOUT,
            has_own_ca: false,
            trail: Trail::default(),
        })
    }

    /// How long opening may take.
    pub(crate) fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Whether a CA was named.
    pub(crate) fn with_own_ca(self, has_own_ca: bool) -> Self {
        Self { has_own_ca, ..self }
    }

    /// The next connection begins at the address again.
    pub(crate) fn begin_anew(&self) {
        *self.trail.steps() = Steps::default();
    }

    /// Whom the steps of opening are told to.
    pub(crate) fn trail(&self) -> Trail {
        self.trail.clone()
    }

    /// The library's error for a person.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        let (exit, what) = self.explain(error);
        let message = match (error, &self.trail.steps().redirected) {
            // Mistakes of the command line are no server's.
            (Error::Url(_) | Error::Request(_) | Error::ProxyRules(_), _) => what,
            (_, None) => format!("{}: {what}", self.url),
            (_, Some(to)) => format!("{}, redirected to {to}: {what}", self.url),
        };
        Failure::new(exit, message)
    }

    fn explain(&self, error: &Error) -> (Exit, String) {
        match error {
            Error::Url(error) => (Exit::Usage, error.to_string()),
            Error::Request(error) => (Exit::Usage, request(error)),
            Error::ProxyRules(error) => (Exit::Usage, format!("{error}; --no-proxy passes it over")),
            Error::Dns(error) => (Exit::Failed, self.resolving(error)),
            Error::Connect(error) => (Exit::Failed, self.connecting(error)),
            Error::Proxy(fault) => (Exit::Failed, self.tunnelling(fault)),
            Error::Tls(error) => (Exit::Failed, self.securing(error)),
            Error::Redirect(error) => (Exit::Refused, redirect(error)),
            Error::Handshake(error) => match &**error {
                HandshakeError::Refused(refusal) => (Exit::Refused, self.refused(refusal)),
                // What servers of TLS do when plain HTTP comes, those that do not say so.
                HandshakeError::UnexpectedEnd { received: 0 } if !self.server().is_secure() => {
                    (Exit::Refused, format!("{error}: does it speak TLS there (wss://)?"))
                }
                error => (Exit::Refused, error.to_string()),
            },
            Error::Timeout(TimeLimit::Open(step) | TimeLimit::Step(step)) => {
                (Exit::Failed, self.out_of_time(*step))
            }
            Error::Closed { code: CloseCode::ABNORMAL, .. } => {
                (Exit::Failed, "the server ended the connection without a Close frame (1006)".to_owned())
            }
            Error::Closed { code, reason } => {
                // Too early, but without complaint.
                let exit = if code.is_clean() { Exit::Failed } else { Exit::Closed };
                (exit, closed(*code, reason))
            }
            error => (Exit::Failed, error.to_string()),
        }
    }

    /// Where redirects have led, or the address itself.
    fn server(&self) -> Address {
        self.trail.steps().redirected.clone().unwrap_or_else(|| self.address.clone())
    }

    /// The proxy on the way to the server.
    fn proxy(&self) -> Option<Proxy> {
        self.proxies.on_the_way_to(&self.server())
    }

    fn resolving(&self, error: &io::Error) -> String {
        let name = self.trail.steps().looked_up.clone().unwrap_or_else(|| self.server().dial_host());
        let whose = match self.proxy() {
            Some(proxy) if proxy.dial_host() == name => "the proxy's name",
            _ => "the name",
        };
        let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<ResolveError>());
        let cause = inside.map_or(error, ResolveError::cause);
        format!("{whose} {name:?} could not be resolved: {cause}; check its spelling and the network")
    }

    fn connecting(&self, error: &io::Error) -> String {
        let server = self.server();
        let (whom, there, advice) = match self.proxy() {
            Some(proxy) => {
                let there = format!("the proxy {proxy}");
                (format!(" to {there}"), there, "does it run? --no-proxy does without")
            }
            None => (String::new(), there(&server), "does the server run, is the port right?"),
        };
        match dial_error(error).map_or(error.kind(), DialError::kind) {
            io::ErrorKind::ConnectionRefused => {
                format!("nothing listens at {there} (connection refused): {advice}")
            }
            _ => format!("no connection{whom} could be made: {error}"),
        }
    }

    fn tunnelling(&self, fault: &ProxyFault) -> String {
        const CREDENTIALS: &str = "--proxy http://USER:PASSWORD@HOST:PORT";
        let proxy = self.proxy().map(|proxy| format!("through {proxy}: ")).unwrap_or_default();
        let mut text = format!("{proxy}{fault}");
        match fault {
            ProxyFault::Refused(refusal) => {
                if let Some(said) = first_words(&refusal.body) {
                    text += &format!(": {said:?}");
                }
                match (refusal.status.as_u16(), other_authentication(refusal)) {
                    // Some say 401, which is a server's.
                    (401 | 407, None) => {
                        text += &format!("; it wants a user and a password that it knows: {CREDENTIALS}");
                    }
                    (407, Some(schemes)) => {
                        text += &format!("; it asks for {schemes:?}, and only Basic can be done here");
                    }
                    (502..=504, _) => text += "; can it reach the server?",
                    _ => {}
                }
            }
            ProxyFault::NoAcceptableMethod { has_credentials: false } => {
                text += ": --proxy socks5h://USER:PASSWORD@HOST:PORT";
            }
            _ => {}
        }
        text
    }

    fn securing(&self, error: &TlsError) -> String {
        // The tunnel is opened within the TLS of an https:// proxy, and that of the server comes within the tunnel.
        let proxy = self.proxy().filter(|proxy| proxy.is_secure() && !self.trail.steps().has_tunnel);
        let whom = match &proxy {
            Some(proxy) => format!("TLS with the proxy {proxy}: "),
            None => String::new(),
        };
        let what = match error.fault() {
            TlsFault::Expired { .. } => format!("{error}: whoever runs it must renew it"),
            TlsFault::WrongHost { .. } => format!("{error}: is the name in the address right?"),
            TlsFault::UnknownIssuer if self.has_own_ca => {
                "the server's certificate was not issued by a CA of --cacert".to_owned()
            }
            TlsFault::UnknownIssuer => {
                "the server's certificate was issued by somebody who is not trusted here: \
                 --cacert FILE trusts a CA of your own, --pin SHA256 one certificate"
                    .to_owned()
            }
            TlsFault::NotPinned { .. } => format!("{error}; --pin names another"),
            TlsFault::NotTls { .. } if proxy.is_some() => {
                "it does not speak TLS: write http:// for the proxy?".to_owned()
            }
            // The library names the way out where it knows one.
            TlsFault::NotTls { start } if !start.starts_with(b"HTTP/") => format!("{error}: write ws://?"),
            TlsFault::Refused { alert } if alert.to_ascii_lowercase().contains("certificate") => {
                format!("{error}: does it want a certificate of yours (--cert and --key)?")
            }
            TlsFault::Configuration => {
                format!("{error}; --cacert FILE does without those of the system")
            }
            _ => error.to_string(),
        };
        match proxy {
            // The library speaks of servers.
            Some(_) => whom + &what.replace("the server's certificate", "its certificate"),
            None => what,
        }
    }

    /// A refusal: its status, what its body says, and what may help.
    fn refused(&self, refusal: &Refusal) -> String {
        let mut text = refusal.to_string();
        if let Some(said) = first_words(&refusal.body) {
            text += &format!(": {said:?}");
        }
        match refusal.status.as_u16() {
            401 => {
                let challenges = refusal.challenges().join(", ");
                if !challenges.is_empty() {
                    text += &format!("; it asks for {challenges:?}");
                }
                text += "; say who you are by --bearer TOKEN, or by USER:PASSWORD@ in the address";
            }
            403 => text += "; does it want --bearer, --header or --origin?",
            404 | 405 | 410 | 426 | 200..=299 => text += "; is the path right?",
            300..=399 => {
                if let Ok(Some(to)) = Redirects::new(1).follow(refusal, &self.server()) {
                    text += &format!("; it leads to {to}: --max-redirs 1 follows");
                }
            }
            429 | 500..=599 => text += "; try again later",
            _ => {}
        }
        text
    }

    fn out_of_time(&self, step: OpenStep) -> String {
        let server = self.server();
        let what = match (step, self.proxy()) {
            (OpenStep::Resolve, _) => {
                let name = self.trail.steps().looked_up.clone().unwrap_or_else(|| server.dial_host());
                format!("the name {name:?} is still being looked up: check the network")
            }
            (OpenStep::Connect, None) => {
                let there = there(&server);
                format!("{there} does not answer: are name and port right, is a firewall in between?")
            }
            (OpenStep::Connect, Some(proxy)) => {
                format!("the proxy {proxy} does not answer: does it run? --no-proxy does without")
            }
            (OpenStep::Proxy, Some(proxy)) => {
                format!("the proxy {proxy} has not opened its tunnel: can it reach the server?")
            }
            (OpenStep::Tls, Some(proxy)) if proxy.is_secure() && !self.trail.steps().has_tunnel => {
                format!("TLS with the proxy {proxy} is not done: does it speak TLS? If not, write http://")
            }
            (OpenStep::Tls, _) => {
                "the TLS handshake is not done: does it speak TLS there? If not, write ws://".to_owned()
            }
            (OpenStep::Upgrade, _) => {
                "the server has not answered the upgrade request: does it speak WebSocket there?".to_owned()
            }
            (step, _) => format!("{step} is not done"),
        };
        format!("not open within {}: {what}", show(self.limit))
    }
}

/// Host and port.
fn there(address: &Address) -> String {
    match address.host() {
        Host::Ipv6(host) => format!("[{host}]:{}", address.port()),
        _ => format!("{}:{}", address.dial_host(), address.port()),
    }
}

fn dial_error(error: &io::Error) -> Option<&DialError> {
    error.get_ref()?.downcast_ref()
}

/// A server's closing, in words.
fn closed(code: CloseCode, reason: &str) -> String {
    match reason {
        "" => format!("the server closed the connection with {code}"),
        _ => format!("the server closed the connection with {code}: {reason:?}"),
    }
}

/// A mistake in a header or subprotocol, in the words of the command line.
fn request(error: &RequestError) -> String {
    match error {
        RequestError::Field(FieldError::Reserved { name, .. })
            if name.eq_ignore_ascii_case("Sec-WebSocket-Protocol") =>
        {
            format!("the header {name} cannot be set: use --subprotocol")
        }
        RequestError::Field(FieldError::Reserved { name, .. })
            if name.eq_ignore_ascii_case("Sec-WebSocket-Extensions") =>
        {
            format!("the header {name} cannot be set: --compress says what is offered")
        }
        error => error.to_string(),
    }
}

fn redirect(error: &RedirectError) -> String {
    match error.fault {
        RedirectFault::TooMany { .. } => format!("{error}; --max-redirs follows more"),
        _ => error.to_string(),
    }
}

/// The ways of authentication that a proxy asks for, where Basic is none of them.
fn other_authentication(refusal: &Refusal) -> Option<String> {
    let lines = refusal.headers.get_all("proxy-authenticate").iter();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect();
    let all = lines.join(", ");
    let has_basic = all
        .split(',')
        .any(|part| part.trim_start().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic")));
    (!all.is_empty() && !has_basic).then_some(all)
}

/// The first line of a body that is text, up to a length that a person reads.
fn first_words(body: &[u8]) -> Option<String> {
    const MOST: usize = 160;
    let start = &body[..body.len().min(4 * MOST)];
    let text = String::from_utf8_lossy(start);
    // A page is no explanation.
    let line =
        text.lines().map(str::trim).find(|line| !line.is_empty()).filter(|line| !line.starts_with('<'))?;
    let is_text = line.chars().all(|c| c == '\t' || (!c.is_control() && c != char::REPLACEMENT_CHARACTER));
    is_text.then(|| {
        if line.chars().count() > MOST {
            line.chars().take(MOST).chain(['…']).collect()
        } else {
            line.to_owned()
        }
    })
}
