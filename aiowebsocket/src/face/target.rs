//! What `connect` can be given: an address as text or parsed, or a whole request.

use super::error::Error;
#[cfg(feature = "deflate")]
use crate::Deflate;
use crate::opening::{Address, RequestHead};

/// Something that says where to connect and what to ask for: an address as `&str`, `String` or [`Address`], an address with a
/// [`RequestHead`] of your own, which is sent as it is, or, with the feature `http`, an `http::Request<()>`. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say where to connect",
    label = "neither an address nor a request",
    note = "an address is `&str`, `String`, `&String` or `aiowebsocket::opening::Address`; a pair `(Address, RequestHead)` has the request too",
    note = "`http::Request<()>` is taken with the feature `http` of `aiowebsocket`, and its body must be `()`"
)]
pub trait Target: sealed::Sealed {
    #[doc(hidden)]
    fn ask(self) -> Result<Asked, Error>;
}

/// An address and the request to be sent there.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Asked {
    pub(crate) address: Address,
    pub(crate) request: RequestHead,
}

impl From<Address> for Asked {
    fn from(address: Address) -> Self {
        #[cfg_attr(not(feature = "deflate"), expect(unused_mut, reason = "there is nothing to be offered"))]
        let mut request = RequestHead::new(&address);
        #[cfg(feature = "deflate")]
        request.compression(Some(Deflate::default())).expect("the defaults can be offered");
        Self { request, address }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for String {}
    impl Sealed for &String {}
    impl Sealed for crate::opening::Address {}
    impl Sealed for (crate::opening::Address, crate::opening::RequestHead) {}
    #[cfg(feature = "http")]
    impl Sealed for http::Request<()> {}
}

impl Target for &str {
    fn ask(self) -> Result<Asked, Error> {
        Ok(Address::parse(self)?.into())
    }
}

impl Target for String {
    fn ask(self) -> Result<Asked, Error> {
        self.as_str().ask()
    }
}

impl Target for &String {
    fn ask(self) -> Result<Asked, Error> {
        self.as_str().ask()
    }
}

impl Target for Address {
    fn ask(self) -> Result<Asked, Error> {
        Ok(self.into())
    }
}

impl Target for (Address, RequestHead) {
    fn ask(self) -> Result<Asked, Error> {
        let (address, request) = self;
        Ok(Asked { address, request })
    }
}

/// The address and the header fields of the request, in the order and lower case that `http` keeps. The fields of the handshake
/// itself (`Upgrade`, `Connection`, `Sec-WebSocket-Key`, `-Version`, `-Extensions`) are made afresh, whatever the request says;
/// `Sec-WebSocket-Protocol` offers subprotocols. Method, version and body do not matter.
#[cfg(feature = "http")]
impl Target for http::Request<()> {
    fn ask(self) -> Result<Asked, Error> {
        use http::header;

        let mut asked = self.uri().to_string().ask()?;
        let mut subprotocols = Vec::new();
        for (name, value) in self.headers() {
            match *name {
                header::UPGRADE
                | header::CONNECTION
                | header::SEC_WEBSOCKET_KEY
                | header::SEC_WEBSOCKET_VERSION
                | header::SEC_WEBSOCKET_EXTENSIONS => {}
                header::SEC_WEBSOCKET_PROTOCOL => {
                    let names = String::from_utf8_lossy(value.as_bytes());
                    subprotocols.extend(names.split(',').map(|name| name.trim().to_owned()));
                }
                _ => _ = asked.request.header(name.as_str(), value)?,
            }
        }
        if !subprotocols.is_empty() {
            asked.request.subprotocols(subprotocols)?;
        }
        Ok(asked)
    }
}
