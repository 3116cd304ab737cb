//! A tunnel through a SOCKS5 proxy (RFC 1928), with user and password (RFC 1929) if it wants them.

use std::ops::ControlFlow;

use super::super::proxy::{Credentials, Proxy};
use super::super::url::Host;
use super::error::{ProxyFault, SocksReply};
use super::{Step, TunnelTarget};

/// The version of the protocol (RFC 1928 3).
const VERSION: u8 = 5;
/// The version of the negotiation about user and password (RFC 1929 2).
const AUTHENTICATION_VERSION: u8 = 1;

/// Methods of authentication (RFC 1928 3).
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xFF;

/// The command that opens a connection to a server (RFC 1928 4).
const CONNECT: u8 = 1;

/// Types of addresses (RFC 1928 5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The longest name that its byte of length can announce (RFC 1928 5).
const LONGEST_NAME: usize = 255;

/// ```text
/// Method ──0──────────────────────────► Reply ──0──► the tunnel is open
///    └─────2──► Authentication ──0──────►▲
/// ```
///
/// Every answer is read byte by byte, so that it is judged at its first wrong one and nothing behind the last is
/// touched: that belongs to the tunnel.
pub(super) struct Socks {
    expected: Expected,
    received: usize,
    credentials: Option<Credentials>,
    request: Vec<u8>,
}

/// The byte that comes next.
#[derive(Clone, Copy)]
enum Expected {
    /// VER of the answer to our methods.
    MethodVersion,
    /// METHOD.
    Method,
    /// VER of the answer to user and password.
    AuthenticationVersion,
    /// STATUS.
    Status,
    /// VER of the reply.
    ReplyVersion,
    /// REP.
    Reply,
    /// RSV.
    Reserved,
    /// ATYP.
    AddressType,
    /// The length of a name in BND.ADDR.
    NameLength,
    /// So many bytes of BND.ADDR and BND.PORT. They say from where the proxy connects, which is its own affair.
    Bound(usize),
}

/// What a byte leads to.
enum Next {
    Expect(Expected),
    /// We speak before the proxy does again.
    Say(Vec<u8>, Expected),
    Open,
}

impl Socks {
    /// The dialogue, and the bytes that begin it.
    pub(super) fn new(proxy: &Proxy, target: &TunnelTarget) -> Result<(Self, Vec<u8>), ProxyFault> {
        if let (Host::Name(name), false) = (target.host(), proxy.resolves_names()) {
            return Err(ProxyFault::UnresolvedName { name: name.clone() });
        }
        let credentials = proxy.credentials().cloned();
        let mut methods = vec![NO_AUTHENTICATION];
        // The password is not sent unless the proxy chooses so.
        methods.extend(credentials.iter().map(|_| USER_AND_PASSWORD));
        let mut greeting = vec![VERSION];
        put_counted(&mut greeting, &methods);
        let request = request(target)?;
        Ok((Self { expected: Expected::MethodVersion, received: 0, credentials, request }, greeting))
    }

    /// `is_asked`: all that was to be said has been written. What is to be said next is put into `output`.
    pub(super) fn receive(mut self, bytes: &[u8], is_asked: &mut bool, output: &mut Vec<u8>) -> Step<Self> {
        for (i, &byte) in bytes.iter().enumerate() {
            if !*is_asked {
                return Err(ProxyFault::AnsweredEarly);
            }
            match self.next(byte, &bytes[i..])? {
                Next::Expect(expected) => self.expected = expected,
                Next::Say(message, expected) => {
                    output.extend_from_slice(&message);
                    *is_asked = false;
                    self.expected = expected;
                }
                Next::Open => return Ok(ControlFlow::Break(bytes[i + 1..].to_vec())),
            }
            self.received += 1;
        }
        Ok(ControlFlow::Continue(self))
    }

    pub(super) fn end(self) -> ProxyFault {
        ProxyFault::UnexpectedEnd { received: self.received }
    }

    /// The only switch over what a byte means. `rest` begins with it, for messages.
    fn next(&mut self, byte: u8, rest: &[u8]) -> Result<Next, ProxyFault> {
        Ok(Next::Expect(match self.expected {
            Expected::MethodVersion if byte == VERSION => Expected::Method,
            Expected::MethodVersion => return Err(ProxyFault::not_socks(rest)),
            Expected::Method => return self.method(byte),
            Expected::AuthenticationVersion if byte == AUTHENTICATION_VERSION => Expected::Status,
            Expected::AuthenticationVersion => return Err(malformed("version of the authentication", byte)),
            // RFC 1929 2: anything but 0 is a failure.
            Expected::Status if byte == 0 => return Ok(self.say_request()),
            Expected::Status => return Err(ProxyFault::CredentialsRefused { status: byte }),
            Expected::ReplyVersion if byte == VERSION => Expected::Reply,
            Expected::ReplyVersion => return Err(malformed("version of the reply", byte)),
            // What follows a refusal tells nothing, and may not come at all.
            Expected::Reply if byte != 0 => return Err(ProxyFault::SocksRefused { reply: SocksReply(byte) }),
            Expected::Reply => Expected::Reserved,
            // RFC 1928 6: it must be 0.
            Expected::Reserved if byte == 0 => Expected::AddressType,
            Expected::Reserved => return Err(malformed("reserved byte", byte)),
            Expected::AddressType => match byte {
                IPV4 => Expected::Bound(4 + 2),
                IPV6 => Expected::Bound(16 + 2),
                NAME => Expected::NameLength,
                _ => return Err(malformed("type of the address", byte)),
            },
            Expected::NameLength => Expected::Bound(usize::from(byte) + 2),
            Expected::Bound(1) => return Ok(Next::Open),
            Expected::Bound(left) => Expected::Bound(left - 1),
        }))
    }

    fn method(&mut self, method: u8) -> Result<Next, ProxyFault> {
        match (method, self.credentials.take()) {
            (NO_AUTHENTICATION, _) => Ok(self.say_request()),
            (USER_AND_PASSWORD, Some(credentials)) => {
                Ok(Next::Say(authentication(&credentials), Expected::AuthenticationVersion))
            }
            (NONE_ACCEPTABLE, credentials) => {
                Err(ProxyFault::NoAcceptableMethod { has_credentials: credentials.is_some() })
            }
            (method, _) => Err(ProxyFault::MethodNotOffered { method }),
        }
    }

    fn say_request(&mut self) -> Next {
        Next::Say(std::mem::take(&mut self.request), Expected::ReplyVersion)
    }
}

fn malformed(part: &'static str, value: u8) -> ProxyFault {
    ProxyFault::MalformedReply { part, value }
}

/// The request of RFC 1928 4.
fn request(target: &TunnelTarget) -> Result<Vec<u8>, ProxyFault> {
    let mut request = vec![VERSION, CONNECT, 0];
    match target.host() {
        Host::Ipv4(address) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Host::Ipv6(address) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Host::Name(name) if name.len() > LONGEST_NAME => {
            return Err(ProxyFault::NameTooLong { length: name.len() });
        }
        Host::Name(name) => {
            request.push(NAME);
            put_counted(&mut request, name.as_bytes());
        }
    }
    request.extend_from_slice(&target.port().to_be_bytes());
    Ok(request)
}

/// User and password (RFC 1929 2).
fn authentication(credentials: &Credentials) -> Vec<u8> {
    let mut message = vec![AUTHENTICATION_VERSION];
    put_counted(&mut message, credentials.user.as_bytes());
    put_counted(&mut message, credentials.password.as_bytes());
    message
}

/// Bytes with a byte in front that says how many.
fn put_counted(message: &mut Vec<u8>, bytes: &[u8]) {
    let count = u8::try_from(bytes.len()).expect("what a byte cannot count was refused when it was set");
    message.push(count);
    message.extend_from_slice(bytes);
}
