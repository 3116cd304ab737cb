//! Heads as people may see them: what `-v` and logs show is pasted into bug reports.

use std::borrow::Cow;
use std::fmt;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};

use super::request::RequestHead;

/// Lines whose values are not shown, whoever set them.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// A request: its secrets and its query are left out.
pub(super) fn request(request: &RequestHead, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let mut shown = String::new();
    if let Some(first) = lines.next() {
        let (method, target) = first.split_once(' ').unwrap_or((first, ""));
        let (target, version) = target.rsplit_once(' ').unwrap_or((target, ""));
        let (path, query) = match target.split_once('?') {
            Some((path, _)) => (path, "?…"),
            None => (target, ""),
        };
        shown.push_str(&format!("{method} {path}{query} {version}\n"));
    }
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        // Subprotocols are shown but for those that are secret.
        if name.eq_ignore_ascii_case("Sec-WebSocket-Protocol") {
            shown.push_str(&format!("{name}: {}\n", request.shown_subprotocols().join(", ")));
        } else {
            put(&mut shown, name, value, request.is_secret(name));
        }
    }
    shown
}

/// A response: cookies, user, password and query of a Location, and what is marked as a secret, are left out.
pub(super) fn response(status: StatusCode, headers: &HeaderMap) -> String {
    let mut shown =
        format!("HTTP/1.1 {} {}\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in headers {
        let is_secret = value.is_sensitive();
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = if name == LOCATION { reference(&value) } else { value };
        put(&mut shown, name.as_str(), &value, is_secret);
    }
    shown
}

/// A reference without its userinfo and its query.
fn reference(reference: &str) -> Cow<'_, str> {
    let (path, query) = match reference.find(['?', '#']) {
        Some(at) => (&reference[..at], "?…"),
        None => (reference, ""),
    };
    // Whatever stands before an @ in the first segment may be a password, also where it is no authority.
    let begin = path.find("//").map_or(0, |at| at + 2);
    let end = path[begin..].find('/').map_or(path.len(), |at| begin + at);
    match path[begin..end].rfind('@') {
        Some(at) => Cow::Owned(format!("{}…{}{query}", &path[..begin], &path[begin + at..])),
        None => Cow::Owned(format!("{path}{query}")),
    }
}

fn put(shown: &mut String, name: &str, value: &str, is_secret: bool) {
    let is_secret = is_secret || SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(name));
    match is_secret {
        true => shown.push_str(&format!("{name}: ({} bytes, not shown)\n", value.len())),
        false => shown.push_str(&format!("{name}: {value}\n")),
    }
}

/// The names of header lines and none of their values, for `Debug`: any of them may be a secret, also one whose name nobody knows.
pub(super) struct Names<'a>(pub(super) &'a HeaderMap);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name.as_str())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn a_location_is_shown_without_user_and_query() {
        for (location, shown) in [
            ("/feed", "/feed"),
            ("/feed?token=secret", "/feed?…"),
            ("/a@b", "/a@b"),
            ("wss://user:secret@host/feed?token=secret#secret", "wss://…@host/feed?…"),
            ("//secret@host", "//…@host"),
            ("wss://a:secret@b:secret@host#secret", "wss://…@host?…"),
            ("user:secret@host/feed", "…@host/feed"),
            ("", ""),
        ] {
            assert_eq!(reference(location), shown);
        }
    }
}
