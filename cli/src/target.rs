//! The server that a command talks to: its address, what it is asked with, and the way to it.

use std::path::Path;
use std::time::Duration;

use aiowebsocket::{Connect, Deflate, Milestone, OpenLimits};
use clap::Args;

use crate::clock::{seconds, show};
use crate::exit::{Exit, Failure};
use crate::place::Place;
use crate::proxy::ProxyOptions;
use crate::say::tell;
use crate::tls::TlsOptions;

/// How long a server may be silent after a ping of the keep-alive: the library's default.
const SILENT: Duration = Duration::from_secs(20);

#[derive(Args, Debug)]
pub(crate) struct Target {
    /// The server's address, such as ws://127.0.0.1:8765/feed or wss://user:password@example.com/
    url: String,

    /// Tells every step of opening and closing, with its time, on standard error
    ///
    /// Neither credentials nor cookies nor queries are shown.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(flatten, next_help_heading = "Request")]
    request: RequestOptions,

    #[command(flatten, next_help_heading = "Proxy")]
    proxy: ProxyOptions,

    #[command(flatten, next_help_heading = "TLS (with a wss:// server, and with an https:// proxy)")]
    tls: TlsOptions,

    #[command(flatten, next_help_heading = "Time")]
    time: TimeOptions,
}

#[derive(Args, Debug)]
struct RequestOptions {
    /// Adds a header line to the request; may be given several times
    ///
    /// "@FILE" adds each line of a file, as secrets: -v does not show them, and no redirect takes them to another scheme, host or
    /// port. Authorization and Cookie are secrets wherever they stand.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// Offers a subprotocol, the best first; may be given several times
    #[arg(short, long = "subprotocol", value_name = "NAME")]
    subprotocols: Vec<String>,

    /// Sends this Origin header, as a page of that site would
    #[arg(short, long, value_name = "ORIGIN")]
    origin: Option<String>,

    /// Sends this token as "Authorization: Bearer"; "@FILE" takes the first line of a file
    ///
    /// Other users of the machine can see what stands in a command line: @FILE keeps the token out of it, and so does
    /// @<(printenv TOKEN) in a shell that has it. A redirect to another scheme, host or port goes without it.
    #[arg(long, value_name = "TOKEN")]
    bearer: Option<String>,

    #[command(flatten)]
    compression: Compression,

    /// Follows at most so many redirects; 0 makes each a refusal. None leads from wss:// to ws://
    #[arg(long, value_name = "NUMBER", default_value = "5")]
    max_redirs: u8,
}

/// Compression, of a client and of a server.
#[derive(Args, Debug)]
pub(crate) struct Compression {
    /// Compresses messages (permessage-deflate) where the other end does, too: 1 is the fastest, 9 the smallest; 0 is not at all
    #[arg(long, value_name = "LEVEL", default_value = "1", value_parser = clap::value_parser!(u8).range(0..=9))]
    compress: u8,
}

impl Compression {
    /// What is offered or accepted, if anything.
    pub(crate) fn options(&self) -> Option<Deflate> {
        (self.compress > 0).then(|| Deflate::default().level(self.compress))
    }
}

#[derive(Args, Debug)]
struct TimeOptions {
    /// How long opening may take as a whole, from looking the name up to the last redirect; 0 for any time
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    connect_timeout: Duration,

    /// How long everything may take: the connection is closed then; 0 for any time
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    max_time: Option<Duration>,
}

impl Target {
    /// Where it is. Reads the environment and the options about proxies.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        let place = Place::of(&self.url, self.proxy.proxies()?)?;
        Ok(place.with_limit(self.open_limit().unwrap_or_default()).with_own_ca(self.tls.has_ca()))
    }

    /// The connection to be opened. `ping` is the time between pings of the keep-alive; zero is none.
    pub(crate) fn connect(&self, place: &Place, ping: Duration) -> Result<Connect, Failure> {
        let request = &self.request;
        let mut limits = OpenLimits::default();
        limits.whole = self.open_limit();
        let mut connect = aiowebsocket::connect(&self.url)
            .subprotocols(&request.subprotocols)
            .redirects(request.max_redirs)
            .open_limits(limits);
        if let Some(origin) = &request.origin {
            connect = connect.header("Origin", origin);
        }
        if let Some(token) = &request.bearer {
            connect = connect.bearer(first_line(token)?);
        }
        for line in header_lines(&request.headers)? {
            connect = match line.is_secret {
                true => connect.secret_header(line.name, line.value),
                false => connect.header(line.name, line.value),
            };
        }
        connect = match request.compression.options() {
            Some(options) => connect.compression(options),
            None => connect.no_compression(),
        };
        if let Some(tls) = self.tls.tls()? {
            connect = connect.tls(tls);
        }
        connect = if ping.is_zero() { connect.no_keepalive() } else { connect.keepalive(ping, SILENT) };
        let (trail, verbose) = (place.trail(), self.verbose);
        connect = connect.observe(move |at, milestone| {
            trail.note(milestone);
            if verbose {
                tell_step(at, milestone);
            }
        });
        Ok(place.proxies.apply(connect))
    }

    /// How long everything may take.
    pub(crate) fn max_time(&self) -> Option<Duration> {
        self.time.max_time.filter(|time| !time.is_zero())
    }

    fn open_limit(&self) -> Option<Duration> {
        let connect_timeout = Some(self.time.connect_timeout).filter(|time| !time.is_zero());
        connect_timeout.into_iter().chain(self.max_time()).min()
    }
}

/// A step of `-v`, with the time since the beginning; heads line by line.
fn tell_step(at: Duration, milestone: &Milestone) {
    tell(&format!("* {:>7}  {milestone}", show(at)));
    let (mark, head) = match milestone {
        Milestone::Asking { head, .. } => ('>', head),
        Milestone::Answered { head, .. } => ('<', head),
        _ => return,
    };
    for line in head.lines() {
        tell(&format!("{mark} {line}"));
    }
}

/// The token, or the first line of the file that it names.
fn first_line(token: &str) -> Result<String, Failure> {
    match token.strip_prefix('@') {
        None => Ok(token.to_owned()),
        Some(file) => {
            let text = read("--bearer", file)?;
            Ok(text.lines().next().unwrap_or_default().trim().to_owned())
        }
    }
}

struct Header {
    name: String,
    value: String,
    is_secret: bool,
}

/// The header lines of all `--header`, those of files included.
fn header_lines(given: &[String]) -> Result<Vec<Header>, Failure> {
    let mut lines = Vec::new();
    for line in given {
        match line.strip_prefix('@') {
            None => lines.push(header(line, false)?),
            Some(file) => {
                for line in read("--header", file)?.lines().filter(|line| !line.trim().is_empty()) {
                    lines.push(header(line, true)?);
                }
            }
        }
    }
    Ok(lines)
}

fn header(line: &str, is_secret: bool) -> Result<Header, Failure> {
    match line.split_once(':') {
        Some((name, value)) => {
            Ok(Header { name: name.to_owned(), value: value.trim().to_owned(), is_secret })
        }
        // The line is not repeated: it may be a secret.
        None => Err(Failure::new(
            Exit::Usage,
            "--header: write a name, a colon, and a value, as in 'Accept-Language: en'",
        )),
    }
}

fn read(option: &str, file: &str) -> Result<String, Failure> {
    std::fs::read_to_string(Path::new(file))
        .map_err(|error| Failure::new(Exit::Usage, format!("{option}: {file:?} cannot be read: {error}")))
}
