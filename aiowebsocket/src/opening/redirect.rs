//! Where a refusal sends us instead (RFC 9110 15.4, RFC 3986 5.2), and where nobody may send us.

use std::fmt;

use http::StatusCode;
use http::header::LOCATION;

use super::http::{Lines, lines_of};
use super::refusal::Refusal;
use super::url::{Address, Scheme, UrlError};

/// Redirects that are followed by default: what RFC 2068 10.3 recommended, and RFC 9110 15.4 still mentions. Real chains
/// have one (a trailing slash, a region), rarely two.
const DEFAULT_LIMIT: u8 = 5;

/// The redirects of one opening connection, followed up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirects {
    limit: u8,
    followed: u8,
}

impl Default for Redirects {
    /// Five are followed.
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Redirects {
    /// At most `limit` redirects are followed; with 0 each is a refusal like any other. Loops end by the limit, too.
    pub fn new(limit: u8) -> Self {
        Self { limit, followed: 0 }
    }

    /// None is followed.
    pub(super) fn none() -> Self {
        Self::new(0)
    }

    /// How many have been followed.
    pub fn followed(&self) -> u8 {
        self.followed
    }

    /// Where this refusal sends a client that asked at `from`: `None` where it does not, or where none are followed.
    ///
    /// 301, 302, 303, 307 and 308 do; a WebSocket opens with GET and without a body, so there is no difference between
    /// them. 300, 304, 305 and 306 are refusals.
    ///
    /// A Location may have the schemes `ws`, `wss`, `http` (which is `ws` here) and `https` (`wss`), or be relative to
    /// `from` (RFC 3986 5.2). Its fragment is dropped. What is asked there, and with which credentials, is
    /// [`RequestHead::redirected`](super::RequestHead::redirected)'s to say.
    ///
    /// # Errors
    ///
    /// [`RedirectError`], when it cannot be followed.
    pub fn follow(&mut self, refusal: &Refusal, from: &Address) -> Result<Option<Address>, RedirectError> {
        if self.limit == 0 || !matches!(refusal.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let fails = |fault| RedirectError { status: refusal.status, fault };
        if self.followed == self.limit {
            return Err(fails(RedirectFault::TooMany { limit: self.limit }));
        }
        let location = match lines_of(&refusal.headers, &LOCATION) {
            Lines::None => return Err(fails(RedirectFault::Missing)),
            Lines::Several => return Err(fails(RedirectFault::Repeated)),
            Lines::One(line) => str::from_utf8(line).map_err(|_| fails(RedirectFault::NotText))?,
        };
        let to = resolve(location, from).map_err(|error| fails(RedirectFault::Address(error)))?;
        if from.is_secure() && !to.is_secure() {
            return Err(fails(RedirectFault::Insecure));
        }
        self.followed += 1;
        Ok(Some(to))
    }
}

/// A redirect that is not followed. The server's fault, but for [`RedirectFault::TooMany`], which can be a limit set
/// too low.
///
/// Neither `Display` nor `Debug` shows the Location, which can have a user, a password and tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedirectError {
    /// The status of the redirect.
    pub status: StatusCode,
    /// Why it is not followed.
    pub fault: RedirectFault,
}

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectFault {
    /// There is no Location.
    Missing,
    /// There is more than one Location.
    Repeated,
    /// The Location is not UTF-8.
    NotText,
    /// The Location is no address that can be connected to.
    Address(UrlError),
    /// From `wss` to `ws`: what was meant to be secret would be sent in the clear.
    Insecure,
    /// More redirects than are followed.
    TooMany {
        /// How many are.
        limit: u8,
    },
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's redirect ({}) cannot be followed: ", self.status.as_u16())?;
        match &self.fault {
            RedirectFault::Missing => f.write_str("it has no Location"),
            RedirectFault::Repeated => f.write_str("it has several Location lines"),
            RedirectFault::NotText => f.write_str("its Location is not UTF-8"),
            RedirectFault::Address(error) => write!(f, "in its Location, {error}"),
            RedirectFault::Insecure => f.write_str("it leads from wss:// to ws://, which is not encrypted"),
            RedirectFault::TooMany { limit: 1 } => f.write_str("1 has been followed already"),
            RedirectFault::TooMany { limit } => write!(f, "{limit} have been followed already"),
        }
    }
}

/// `Display` has said what is wrong with the address, and there is nothing behind that.
impl std::error::Error for RedirectError {}

/// RFC 3986 5.2.2: the target of a reference. The base has a scheme, an authority and a path that begins with `/`.
fn resolve(reference: &str, base: &Address) -> Result<Address, UrlError> {
    // RFC 3986 5.2.2 would keep the fragment; for a WebSocket it means nothing (RFC 6455 3).
    let reference = reference.split('#').next().unwrap_or_default();
    if let Some((scheme, rest)) = split_scheme(reference) {
        return absolute(&scheme, rest);
    }
    if reference.starts_with("//") {
        return absolute(base.scheme().as_str(), reference);
    }
    let (path, query) = split_query(reference);
    let (base_path, base_query) = split_query(base.resource());
    let (path, query) = match path {
        "" => (base_path.to_owned(), query.or(base_query)),
        path if path.starts_with('/') => (without_dots(path), query),
        // RFC 3986 5.2.3: it stands in the place of the base's last segment.
        path => {
            let parents = base_path.rsplit_once('/').map_or("", |(parents, _)| parents);
            (without_dots(&format!("{parents}/{path}")), query)
        }
    };
    base.with_resource(&with_query(path, query))
}

/// RFC 3986 appendix B and 3.1: the scheme in lower case, and what follows its colon.
fn split_scheme(reference: &str) -> Option<(String, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// The address of a scheme and what follows its colon.
fn absolute(scheme: &str, rest: &str) -> Result<Address, UrlError> {
    // `http:path` is refused, as RFC 3986 5.2.2 has it of whoever is strict. And what has no `//` may be no scheme but a
    // user (`user:password@host`), which no error shows.
    let rest = rest.strip_prefix("//").ok_or(UrlError::EmptyHost)?;
    let scheme = match scheme {
        "ws" | "http" => Scheme::Ws,
        "wss" | "https" => Scheme::Wss,
        _ => return Err(UrlError::UnsupportedScheme { scheme: scheme.to_owned() }),
    };
    let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = split_query(resource);
    let resource = with_query(without_dots(path), query);
    Address::parse(&format!("{}://{authority}{resource}", scheme.as_str()))
}

fn split_query(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    }
}

fn with_query(path: String, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// RFC 3986 5.2.4, for a path that is empty or begins with `/`.
fn without_dots(path: &str) -> String {
    let Some(relative) = path.strip_prefix('/') else { return path.to_owned() };
    let mut kept = Vec::new();
    let mut segments = relative.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // What they stand for is a folder, and it keeps its slash.
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}
