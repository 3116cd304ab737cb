//! The secrets of a request: how they are put into it, and to whom they may go when a redirect leads elsewhere.

use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::is_token;
use super::request::{Line, PROTOCOL, RequestError, RequestHead};
use super::url::Address;

const AUTHORIZATION: &str = "Authorization";
const COOKIE: &str = "Cookie";

impl RequestHead {
    /// Sets Authorization to this bearer token (RFC 6750 2.1), in the place of what it was.
    ///
    /// # Errors
    ///
    /// [`RequestError::Credential`] for an empty token, or one with anything but visible ASCII characters.
    pub fn bearer(&mut self, token: &str) -> Result<&mut Self, RequestError> {
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let needed = "use visible ASCII characters, at least one, and no blanks";
            return Err(RequestError::Credential { what: "bearer token", needed });
        }
        self.header(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// Sets Authorization to this user and password (RFC 7617), in UTF-8, in the place of what it was. An address with
    /// a user and a password does the same.
    ///
    /// # Errors
    ///
    /// [`RequestError::Credential`] for a colon in the user, and for control characters in either.
    pub fn basic(&mut self, user: &str, password: &str) -> Result<&mut Self, RequestError> {
        if !fits_basic(user, password) {
            let needed = "use no control characters, and no colon in the user";
            return Err(RequestError::Credential { what: "user or password", needed });
        }
        self.header(AUTHORIZATION, basic_value(user, password))
    }

    /// Adds a cookie to the one Cookie line (RFC 6265 5.4), behind those that are there. Whether two may have the same
    /// name is the server's to say.
    ///
    /// # Errors
    ///
    /// [`RequestError::Credential`] for what RFC 6265 4.1.1 does not allow: the name is a token, and the value has no
    /// blanks, quotes, commas, semicolons, backslashes, control characters, or characters beyond ASCII.
    pub fn cookie(&mut self, name: &str, value: &str) -> Result<&mut Self, RequestError> {
        if !is_token(name.as_bytes()) {
            let needed = "use letters, digits and !#$%&'*+-.^_`|~";
            return Err(RequestError::Credential { what: "cookie's name", needed });
        }
        // Quotes may stand around the whole.
        let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        if !inner.bytes().all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b)) {
            let needed = "use visible ASCII characters other than \" , ; and \\, percent-encode the others";
            return Err(RequestError::Credential { what: "cookie's value", needed });
        }
        let pair = format!("{name}={value}");
        match self.find_mut(COOKIE) {
            Some(line) if line.value.is_empty() => line.value = pair.into_bytes().into(),
            Some(line) => line.value.to_mut().extend_from_slice(format!("; {pair}").as_bytes()),
            None => return self.header(COOKIE, pair),
        }
        Ok(self)
    }

    /// As [`header`](Self::header), for a line whose value is a secret, such as `X-Api-Key`: no redirect takes it to
    /// another scheme, host or port. Authorization and Cookie need no such mark.
    ///
    /// # Errors
    ///
    /// As [`header`](Self::header).
    pub fn secret_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<&mut Self, RequestError> {
        self.header(name, value)?;
        for line in self.lines.iter_mut().filter(|line| line.name.eq_ignore_ascii_case(name)) {
            line.is_secret = true;
        }
        Ok(self)
    }

    /// Marks these subprotocols as secret: some servers take a token in their place, because a browser can set no
    /// header. Nothing shows them, and no redirect takes them to another scheme, host or port. Those that
    /// [`subprotocols`](Self::subprotocols) does not offer are offered behind the others. Either may be called first.
    ///
    /// # Errors
    ///
    /// [`RequestError::Credential`]: each must be a token, as every subprotocol.
    pub fn secret_subprotocols<I>(&mut self, subprotocols: I) -> Result<&mut Self, RequestError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let mut secrets: Vec<String> = Vec::new();
        for name in subprotocols.into_iter().map(Into::into) {
            if !is_token(name.as_bytes()) {
                let needed = "use letters, digits and !#$%&'*+-.^_`|~";
                return Err(RequestError::Credential { what: "secret subprotocol", needed });
            }
            if !secrets.contains(&name) {
                secrets.push(name);
            }
        }
        self.secret_subprotocols = secrets;
        Ok(self)
    }

    /// The request to be sent to `to`, where a redirect leads to whoever asked at `from` with this one: the new
    /// resource, and Host.
    ///
    /// Where scheme, host or port change, what was meant for the old server alone is left out: Authorization, Cookie,
    /// [`secret_header`](Self::secret_header)s, [`secret_subprotocols`](Self::secret_subprotocols), and a Host that was
    /// set. Proxy-Authorization is left out always: it was for a proxy. A user and password that the redirect brings
    /// become the new Authorization.
    #[must_use]
    pub fn redirected(&self, from: &Address, to: &Address) -> Self {
        let mut request = self.clone();
        request.resource = to.shared_resource();
        request.drop_lines("Proxy-Authorization");
        let is_elsewhere = !from.is_same_origin(to);
        if is_elsewhere {
            request.forget_secrets();
            if let Some(host) = request.find_mut("Host") {
                host.value = to.authority_for_host_header().into_bytes().into();
            }
        }
        // At the same server the same user is nothing new: a relative reference takes it over from its base, and the
        // caller may have set other credentials.
        if let Some(userinfo) = to.userinfo()
            && (is_elsewhere || to.userinfo() != from.userinfo())
        {
            let line = Line::new(AUTHORIZATION, basic_value(userinfo.user(), userinfo.password()));
            request.put(line);
        }
        request
    }

    fn forget_secrets(&mut self) {
        self.drop_lines(AUTHORIZATION);
        self.drop_lines(COOKIE);
        self.lines.retain(|line| !line.is_secret);
        let secrets = mem::take(&mut self.secret_subprotocols);
        if self.subprotocols.iter().any(|name| secrets.contains(name)) {
            self.subprotocols.retain(|name| !secrets.contains(name));
            // Its own spelling of the list has the secrets in it.
            self.drop_lines(PROTOCOL);
        }
    }
}

/// Whether RFC 7617 2 can carry this user and password: without control characters, and without a colon in the user.
pub(super) fn fits_basic(user: &str, password: &str) -> bool {
    !user.contains(':') && !user.chars().chain(password.chars()).any(char::is_control)
}

/// The value of Authorization for RFC 7617 2. Both parts were checked when they were taken.
pub(super) fn basic_value(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
