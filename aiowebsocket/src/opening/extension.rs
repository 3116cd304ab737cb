//! The value of Sec-WebSocket-Extensions (RFC 6455 9.1), read by both sides.

use std::fmt;

use super::http::is_token_byte;

/// One extension as offered or agreed: its name and its parameters, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// The registered name, such as `permessage-deflate`.
    pub name: String,
    /// The parameters; a value that came quoted is without its quotes here. Names may repeat: whether they may is
    /// the extension's own rule.
    pub params: Vec<(String, Option<String>)>,
}

impl fmt::Display for Extension {
    /// As it stands on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.params {
            match value {
                Some(value) => write!(f, "; {name}={value}")?,
                None => write!(f, "; {name}")?,
            }
        }
        Ok(())
    }
}

/// The value does not follow the grammar of RFC 6455 9.1, which fails the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedExtensions;

/// Reads one line. At least one extension must stand on it (`1#extension`).
pub(super) fn parse_extensions(line: &[u8]) -> Result<Vec<Extension>, MalformedExtensions> {
    let mut cursor = Cursor { rest: line };
    let mut extensions = Vec::new();
    loop {
        cursor.skip_blanks();
        if cursor.rest.is_empty() {
            break;
        }
        // Empty members are allowed to a list's sender of old (RFC 9110 5.6.1.2).
        if cursor.take(b',') {
            continue;
        }
        extensions.push(cursor.extension()?);
        if !cursor.rest.is_empty() && !cursor.take(b',') {
            return Err(MalformedExtensions);
        }
    }
    if extensions.is_empty() { Err(MalformedExtensions) } else { Ok(extensions) }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn extension(&mut self) -> Result<Extension, MalformedExtensions> {
        let name = self.token()?;
        let mut params = Vec::new();
        self.skip_blanks();
        while self.take(b';') {
            self.skip_blanks();
            let param = self.token()?;
            self.skip_blanks();
            let value = if self.take(b'=') {
                self.skip_blanks();
                Some(if self.take(b'"') { self.quoted()? } else { self.token()? })
            } else {
                None
            };
            params.push((param, value));
            self.skip_blanks();
        }
        Ok(Extension { name, params })
    }

    #[inline(never)]
    fn token(&mut self) -> Result<String, MalformedExtensions> {
        let length = self.rest.iter().position(|&b| !is_token_byte(b)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        text(token)
    }

    /// What stands between quotes must be a token once the escapes are taken away (RFC 6455 9.1).
    fn quoted(&mut self) -> Result<String, MalformedExtensions> {
        let mut value = Vec::new();
        loop {
            let (&byte, rest) = self.rest.split_first().ok_or(MalformedExtensions)?;
            self.rest = rest;
            let byte = match byte {
                b'"' => return text(&value),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first().ok_or(MalformedExtensions)?;
                    self.rest = rest;
                    escaped
                }
                plain => plain,
            };
            if !is_token_byte(byte) {
                return Err(MalformedExtensions);
            }
            value.push(byte);
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    #[inline(never)]
    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

/// Token bytes are ASCII, so only emptiness can be wrong.
fn text(token: &[u8]) -> Result<String, MalformedExtensions> {
    if token.is_empty() {
        return Err(MalformedExtensions);
    }
    String::from_utf8(token.to_vec()).map_err(|_| MalformedExtensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Option<String> {
        let extensions = parse_extensions(line.as_bytes()).ok()?;
        Some(extensions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn rfc6455_9_1_grammar() {
        let good = [
            ("foo", "foo"),
            ("foo, bar; baz=2", "foo, bar; baz=2"),
            (" , foo ;\ta = \"b\\c\" ; d , ", "foo; a=bc; d"),
            ("a;b,a;b", "a; b, a; b"),
            ("mux; max-channels=4; flow-control, deflate", "mux; max-channels=4; flow-control, deflate"),
        ];
        for (line, expected) in good {
            assert_eq!(shown(line).as_deref(), Some(expected), "{line}");
        }
        let bad = [
            "",
            " , ",
            ";a",
            "a;",
            "a;=b",
            "a;b=",
            "a;b=\"",
            "a;b=\"\"",
            "a;b=\"c",
            "a;b=\"c d\"",
            "a;b=\"c,d\"",
            "a b",
            "a;b=\"c\"d",
            "a/b",
            "a;b=\"c\\",
            "a=b",
            "é",
        ];
        for line in bad {
            assert_eq!(shown(line), None, "{line}");
        }
    }
}
