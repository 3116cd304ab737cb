//! Our client through the proxies that people run, to a server in the clear and to one within TLS.

use std::future::IntoFuture as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aiowebsocket::opening::{ProxyFault, Refusal, SocksReply};
use aiowebsocket::{CloseCode, Error, OpenStep, Proxy, ProxyRules, TimeLimit, WebSocket, connect};
use rustls::DEFAULT_VERSIONS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::daemons::Daemon;
use super::fronts::{converses, echo_server, trusting};
use super::{aiows, done, is_there, within};
use crate::support::certificates::{Authority, Files, Wrong};
use crate::support::nobody::Nobody;

/// A proxy that runs, and what it leads to.
struct Place {
    authority: Authority,
    daemon: Daemon,
    /// A server in the clear, and one within TLS: nginx where it is installed, else one of ours.
    plain: String,
    secure: String,
    _front: Option<Daemon>,
}

impl Place {
    async fn new(peer: &'static str) -> Self {
        let authority = Authority::new();
        let server = echo_server(None).await;
        let (front, secure) = if is_there("nginx") {
            let front = Daemon::start("nginx", &authority, server).await;
            let port = front.tls_port;
            (Some(front), port)
        } else {
            let config = authority.server(Wrong::Nothing).server_config(DEFAULT_VERSIONS, None);
            (None, echo_server(Some(Arc::clone(&config))).await)
        };
        let daemon = Daemon::start(peer, &authority, 0).await;
        let plain = format!("ws://localhost:{server}/");
        Self { authority, daemon, plain, secure: format!("wss://localhost:{secure}/"), _front: front }
    }

    /// An address of the proxy.
    fn proxy(&self, scheme: &str, credentials: &str) -> Proxy {
        let port = if scheme == "https" { self.daemon.tls_port } else { self.daemon.port };
        Proxy::parse(&format!("{scheme}://{credentials}127.0.0.1:{port}")).expect("an address")
    }

    async fn open(&self, url: &str, proxy: Proxy) -> Result<WebSocket<TcpStream>, Error> {
        let what = format!("{url} through {proxy}");
        within(&what, connect(url).proxy(proxy).tls(trusting(&self.authority)).into_future()).await
    }

    /// Both servers are reached through it, and a conversation passes.
    async fn leads_everywhere(&self, scheme: &str, credentials: &str) {
        for url in [&self.plain, &self.secure] {
            let proxy = self.proxy(scheme, credentials);
            let mut ws = done(url, self.open(url, proxy)).await;
            // What is agreed on with the proxy says nothing about the server.
            assert!(ws.tls().is_some() == (url == &self.secure) || scheme == "https", "{:?}", ws.tls());
            converses(&mut ws).await;
        }
    }

    /// What it says when it opens no tunnel to this address.
    async fn fault(&self, url: &str, proxy: Proxy) -> ProxyFault {
        match self.open(url, proxy).await {
            Err(Error::Proxy(fault)) => *fault,
            other => panic!("no tunnel to {url}: {other:?}"),
        }
    }

    async fn refusal(&self, url: &str, proxy: Proxy) -> (Refusal, ProxyFault) {
        match self.fault(url, proxy).await {
            ProxyFault::Refused(refusal) => (*refusal.clone(), ProxyFault::Refused(refusal)),
            fault => panic!("no refusal: {fault}"),
        }
    }

    /// It dies with connections open through it; then nobody is there.
    async fn dies(mut self, scheme: &str, credentials: &str) {
        let mut open = Vec::new();
        for url in [&self.plain, &self.secure] {
            open.push(done(url, self.open(url, self.proxy(scheme, credentials))).await);
        }
        self.daemon.kill().await;
        for mut ws in open {
            match within("recv", ws.recv()).await {
                Err(Error::Closed { code: CloseCode::ABNORMAL, .. } | Error::Io(_) | Error::Tls(_)) => {}
                other => panic!("the proxy died: {other:?}"),
            }
            assert_eq!(ws.close_code(), Some(CloseCode::ABNORMAL));
        }
        match self.open(&self.plain, self.proxy(scheme, credentials)).await {
            Err(error @ Error::Connect(_)) => assert!(error.is_retryable(), "{error}"),
            other => panic!("nobody is there: {other:?}"),
        }
    }
}

#[tokio::test]
async fn tinyproxy() {
    if !is_there("tinyproxy") {
        return;
    }
    let place = Place::new("tinyproxy").await;
    place.leads_everywhere("http", "user:pass@").await;

    let (refusal, fault) = place.refusal(&place.secure, place.proxy("http", "")).await;
    assert_eq!(refusal.status, 407);
    assert_eq!(refusal.headers["proxy-authenticate"], "Basic realm=\"Tinyproxy\"");
    let body = String::from_utf8_lossy(&refusal.body).into_owned();
    assert!(body.contains("Proxy Authentication Required"), "{body}");
    assert_eq!(fault.to_string(), "the proxy refused the tunnel: 407 Proxy Authentication Required");
    assert!(!fault.is_retryable());

    // It answers wrong credentials as a server would.
    let (refusal, fault) = place.refusal(&place.plain, place.proxy("http", "user:wrong@")).await;
    assert_eq!(refusal.status, 401);
    assert!(!fault.is_retryable() && !format!("{fault} {fault:?}").contains("wrong"), "{fault:?}");

    let (refusal, fault) = place.refusal(&Nobody::new().url(), place.proxy("http", "user:pass@")).await;
    assert_eq!(refusal.status, 500);
    assert!(!refusal.body.is_empty() && fault.is_retryable());

    // SOCKS or TLS where HTTP is spoken: it waits for the end of our line.
    for (scheme, step) in [("socks5h", OpenStep::Proxy), ("https", OpenStep::Tls)] {
        let silent = connect(&place.plain).proxy(place.proxy(scheme, "")).tls(trusting(&place.authority));
        let silent = silent.open_timeout(Duration::from_secs(1));
        match within(scheme, silent.into_future()).await {
            Err(Error::Timeout(TimeLimit::Open(during))) if during == step => {}
            other => panic!("{scheme} to an HTTP proxy: {other:?}"),
        }
    }
    place.dies("http", "user:pass@").await;
}

#[tokio::test]
async fn squid() {
    if !is_there("squid") {
        return;
    }
    let place = Place::new("squid").await;
    for scheme in ["http", "https"] {
        place.leads_everywhere(scheme, "user:pass@").await;
        for credentials in ["", "user:wrong@"] {
            let (refusal, fault) = place.refusal(&place.secure, place.proxy(scheme, credentials)).await;
            assert_eq!(refusal.status, 407);
            assert_eq!(refusal.headers["proxy-authenticate"], "Basic realm=\"squid\"");
            assert!(!refusal.body.is_empty() && refusal.is_complete && !fault.is_retryable());
        }
        // Known, but not allowed: squid asks for another user, too.
        let (refusal, fault) = place.refusal(&place.plain, place.proxy(scheme, "other:pass@")).await;
        assert!(matches!(refusal.status.as_u16(), 403 | 407), "{fault}");
        assert!(!fault.is_retryable());
        let (refusal, fault) = place.refusal(&Nobody::new().url(), place.proxy(scheme, "user:pass@")).await;
        assert_eq!(refusal.status, 503);
        assert!(fault.is_retryable());
    }
    place.dies("https", "user:pass@").await;
}

#[tokio::test]
async fn proxy_py_over_tls() {
    if !is_there("proxy.py") {
        return;
    }
    let place = Place::new("proxy.py").await;
    place.leads_everywhere("https", "user:pass@").await;
    for credentials in ["", "user:wrong@"] {
        let (refusal, fault) = place.refusal(&place.plain, place.proxy("https", credentials)).await;
        assert_eq!(refusal.status, 407);
        assert!(!fault.is_retryable());
    }
    // Whom we do not know gets no password and no name of a server.
    let stranger = connect(&place.plain).proxy(place.proxy("https", "user:pass@"));
    match within("a stranger", stranger.tls(trusting(&Authority::new())).into_future()).await {
        Err(Error::Tls(_)) => {}
        other => panic!("a proxy that is not trusted: {other:?}"),
    }
    // In the clear where it speaks TLS.
    match place.open(&place.plain, place.proxy("http", "")).await {
        Err(Error::Proxy(_) | Error::Io(_)) => {}
        other => panic!("no TLS to a proxy with: {other:?}"),
    }
    place.dies("https", "user:pass@").await;
}

#[tokio::test]
async fn microsocks_with_user_and_password() {
    if !is_there("microsocks") {
        return;
    }
    let place = Place::new("microsocks").await;
    for scheme in ["socks5", "socks5h"] {
        place.leads_everywhere(scheme, "user:pass@").await;
        let fault = place.fault(&place.secure, place.proxy(scheme, "user:wrong@")).await;
        assert!(matches!(fault, ProxyFault::CredentialsRefused { .. }), "{fault}");
        assert!(!fault.is_retryable());
        let fault = place.fault(&place.plain, place.proxy(scheme, "")).await;
        assert!(matches!(fault, ProxyFault::NoAcceptableMethod { has_credentials: false }), "{fault}");
        assert!(!fault.is_retryable());
        let fault = place.fault(&Nobody::new().url(), place.proxy(scheme, "user:pass@")).await;
        assert!(
            matches!(fault, ProxyFault::SocksRefused { reply: SocksReply::CONNECTION_REFUSED }),
            "{fault}"
        );
        assert!(fault.is_retryable());
    }
    // A name that nobody can resolve: the proxy tried.
    let fault = place.fault("ws://nowhere.invalid/", place.proxy("socks5h", "user:pass@")).await;
    assert!(matches!(fault, ProxyFault::SocksRefused { .. }), "{fault}");
    // And here we did.
    match place.open("ws://nowhere.invalid/", place.proxy("socks5", "user:pass@")).await {
        Err(Error::Dns(_)) => {}
        other => panic!("a name without an address: {other:?}"),
    }
    // CONNECT where SOCKS is spoken.
    match place.open(&place.plain, place.proxy("http", "")).await {
        Err(Error::Proxy(fault)) => {
            assert!(
                matches!(*fault, ProxyFault::NotHttp { .. } | ProxyFault::UnexpectedEnd { .. }),
                "{fault}"
            );
        }
        Err(Error::Io(_)) => {}
        other => panic!("HTTP to a SOCKS proxy: {other:?}"),
    }
    place.dies("socks5h", "user:pass@").await;
}

#[tokio::test]
async fn microsocks_open_to_all() {
    if !is_there("microsocks") {
        return;
    }
    let place = Place::new("microsocks-open").await;
    place.leads_everywhere("socks5h", "").await;
    place.leads_everywhere("socks5", "user:unasked@").await;
    place.dies("socks5", "").await;
}

/// `aiows connect wss://…` reaches nginx through each kind of proxy, and its error shows what a proxy had to say.
#[tokio::test]
async fn aiows_through_each_kind_of_proxy() {
    if !is_there("aiows") {
        return;
    }
    for (peer, scheme, credentials) in [
        ("tinyproxy", "http", "user:pass"),
        ("squid", "http", "user:pass"),
        ("squid", "https", "user:pass"),
        ("proxy.py", "https", "user:pass"),
        ("microsocks", "socks5", "user:pass"),
        ("microsocks", "socks5h", "user:pass"),
    ] {
        if !is_there(peer) {
            continue;
        }
        let place = Place::new(peer).await;
        let files = Files::of(&[("ca.pem", &place.authority.pem())]);
        let port = if scheme == "https" { place.daemon.tls_port } else { place.daemon.port };
        let run = async |credentials: &str| {
            let mut command = Command::new(aiows());
            command.args(["connect", "--proxy", &format!("{scheme}://{credentials}@127.0.0.1:{port}")]);
            command.arg("--cacert").arg(files.path("ca.pem")).arg(&place.secure);
            said(command, "hello\n").await
        };
        let (out, complaint, code) = run(credentials).await;
        assert_eq!((out.as_str(), code), ("hello\n", Some(0)), "{peer}, {scheme}: {complaint}");

        let (out, complaint, code) = run("user:wrong").await;
        assert!(out.is_empty() && code != Some(0), "{peer}, {scheme}: {code:?}, {out}");
        let told = match peer {
            "tinyproxy" => "401 Unauthorized",
            "microsocks" => "does not take this user and password",
            _ => "407 Proxy Authentication Required",
        };
        assert!(complaint.contains(told) && !complaint.contains("wrong"), "{peer}, {scheme}: {complaint}");
    }
}

/// What a program that is fed this says, on both of its outputs, and its exit code.
async fn said(mut command: Command, input: &'static str) -> (String, String, Option<i32>) {
    let run = tokio::task::spawn_blocking(move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A program that fails at once does not read.
        _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let said = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(said.stdout), text(said.stderr), said.status.code())
    });
    within("aiows", run).await.expect("no panic")
}

/// The variables of an environment lead through a proxy, or past it.
#[tokio::test]
async fn rules_choose_the_proxy() {
    if !is_there("microsocks") {
        return;
    }
    let mut place = Place::new("microsocks-open").await;
    let proxy = place.proxy("socks5h", "").to_string();
    let rules = |no_proxy: &'static str| {
        let proxy = proxy.clone();
        ProxyRules::from_variables(move |name| match name {
            "all_proxy" => Some(proxy.clone()),
            "no_proxy" => Some(no_proxy.to_owned()),
            _ => None,
        })
    };
    let through = connect(&place.plain).proxy_rules(rules(""));
    let mut ws = done("through the proxy", through.into_future()).await;
    converses(&mut ws).await;
    place.daemon.kill().await;
    let past = connect(&place.plain).proxy_rules(rules("localhost"));
    let mut ws = done("past the proxy", past.into_future()).await;
    converses(&mut ws).await;
    match within("through it", connect(&place.plain).proxy_rules(rules("")).into_future()).await {
        Err(Error::Connect(_)) => {}
        other => panic!("it is dead: {other:?}"),
    }
}

/// A proxy that goes away in the middle of each of its answers.
#[tokio::test]
async fn a_proxy_that_dies_while_it_answers() {
    for (scheme, answer) in
        [("http", &b"HTTP/1.1 200 O"[..]), ("socks5h", &[5][..]), ("socks5h", &[5, 0][..])]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut heard = [0; 1024];
            _ = stream.read(&mut heard).await;
            stream.write_all(answer).await.expect("written");
            // What came meanwhile is read, so that this is an end and no reset.
            stream.shutdown().await.expect("an end");
            while let Ok(1..) = stream.read(&mut heard).await {}
        });
        let proxy = Proxy::parse(&format!("{scheme}://127.0.0.1:{port}")).expect("an address");
        match within("a dying proxy", connect("ws://server.example/").proxy(proxy).into_future()).await {
            Err(Error::Proxy(fault)) => {
                assert!(
                    matches!(*fault, ProxyFault::UnexpectedEnd { received } if received == answer.len()),
                    "{fault}"
                );
                assert!(fault.is_retryable());
            }
            other => panic!("half an answer: {other:?}"),
        }
    }
}
