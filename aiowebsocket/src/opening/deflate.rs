//! permessage-deflate in the opening handshake (RFC 7692 5.1 and 7.1): the client's offer, the server's choice, and whether
//! its answer is one to the offer.

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use super::error::ParameterFault;
use super::extension::{Extension, parse_extensions};
use crate::deflate::{Agreed, Deflate, LARGEST_WINDOW};

/// The registered name.
pub(super) const NAME: &str = "permessage-deflate";

/// The parameters of one offer or answer, each at most once, with values in their range.
#[derive(Debug, Default)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// With an offer's form without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Params {
    /// Reads parameters, which a peer may have written in any order.
    fn read(extension: &Extension, is_offer: bool) -> Result<Self, (&str, ParameterFault)> {
        let mut params = Self::default();
        for (name, value) in &extension.params {
            let value = value.as_deref();
            let fault = match name.as_str() {
                "server_no_context_takeover" => flag(&mut params.server_no_context_takeover, value),
                "client_no_context_takeover" => flag(&mut params.client_no_context_takeover, value),
                "server_max_window_bits" => once(&mut params.server_max_window_bits, window_bits(value)),
                // 7.1.2.2: in an offer the value may be missing, in an answer it may not.
                "client_max_window_bits" if is_offer && value.is_none() => {
                    once(&mut params.client_max_window_bits, Some(None))
                }
                "client_max_window_bits" => {
                    once(&mut params.client_max_window_bits, window_bits(value).map(Some))
                }
                _ => Err(ParameterFault::Unknown),
            };
            fault.map_err(|fault| (name.as_str(), fault))?;
        }
        Ok(params)
    }
}

/// A parameter without a value.
fn flag(slot: &mut bool, value: Option<&str>) -> Result<(), ParameterFault> {
    if value.is_some() {
        return Err(ParameterFault::Value);
    }
    if std::mem::replace(slot, true) { Err(ParameterFault::Repeated) } else { Ok(()) }
}

/// A parameter with a value; `None` for one that it must not have.
fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), ParameterFault> {
    let value = value.ok_or(ParameterFault::Value)?;
    if slot.replace(value).is_some() { Err(ParameterFault::Repeated) } else { Ok(()) }
}

/// 7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: Option<&str>) -> Option<u8> {
    match value?.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

impl Deflate {
    /// The offer, as it stands in Sec-WebSocket-Extensions.
    pub(super) fn offer(&self) -> String {
        // Room for the default.
        let mut offer = String::with_capacity(64);
        offer += NAME;
        if self.server_no_context_takeover {
            offer += "; server_no_context_takeover";
        }
        if self.client_no_context_takeover {
            offer += "; client_no_context_takeover";
        }
        if self.server_max_window_bits < LARGEST_WINDOW {
            offer += &format!("; server_max_window_bits={}", self.server_max_window_bits);
        }
        match self.client_max_window_bits {
            None => {}
            Some(LARGEST_WINDOW) => offer += "; client_max_window_bits",
            Some(bits) => offer += &format!("; client_max_window_bits={bits}"),
        }
        offer
    }

    /// Judges the answer to [`offer`](Self::offer) (RFC 7692 7.1): the parameter that is wrong, and how.
    pub(super) fn judge<'a>(&self, answer: &'a Extension) -> Result<Agreed, (&'a str, ParameterFault)> {
        let params = Params::read(answer, false)?;
        let missing = |name| Err((name, ParameterFault::Missing));
        // 7.1.1.1: a server accepts this demand by repeating it.
        if self.server_no_context_takeover && !params.server_no_context_takeover {
            return missing("server_no_context_takeover");
        }
        // 7.1.2.1: a server accepts it "with the same or smaller value as the offer", and may say so unasked.
        match params.server_max_window_bits {
            None if self.server_max_window_bits < LARGEST_WINDOW => return missing("server_max_window_bits"),
            Some(bits) if bits > self.server_max_window_bits => {
                return Err(("server_max_window_bits", ParameterFault::Larger));
            }
            _ => {}
        }
        // 7.1.2.2: only an answer to an offer that has it may have it, with a value "equal to or smaller than" the offer's.
        let client_max_window_bits = params.client_max_window_bits.flatten();
        match (client_max_window_bits, self.client_max_window_bits) {
            (Some(_), None) => return Err(("client_max_window_bits", ParameterFault::NotOffered)),
            (Some(answered), Some(offered)) if answered > offered => {
                return Err(("client_max_window_bits", ParameterFault::Larger));
            }
            _ => {}
        }
        Ok(Agreed {
            options: *self,
            server_no_context_takeover: params.server_no_context_takeover,
            client_no_context_takeover: params.client_no_context_takeover,
            server_max_window_bits: params.server_max_window_bits,
            client_max_window_bits,
        })
    }

    /// The server's answer to the first of a client's offers that it can honour (RFC 7692 5.1, 7.1); `None` declines them all, and
    /// the connection goes on without compression.
    pub(super) fn choose(&self, offers: &[Extension]) -> Option<Agreed> {
        offers.iter().filter(|offer| offer.name == NAME).find_map(|offer| self.accept(offer))
    }

    /// The answer to one offer.
    fn accept(&self, offer: &Extension) -> Option<Agreed> {
        let params = Params::read(offer, true).ok()?;
        let server_max_window_bits = match params.server_max_window_bits {
            Some(bits) => Some(bits.min(self.server_max_window_bits)),
            None => Some(self.server_max_window_bits).filter(|&bits| bits < LARGEST_WINDOW),
        };
        // 7.1.2.2: an answer must not have it where the offer has not. The client's own promise is repeated, so that both know.
        let client_max_window_bits = params.client_max_window_bits.and_then(|offered| {
            let most = offered.unwrap_or(LARGEST_WINDOW);
            let ours = self.client_max_window_bits.unwrap_or(LARGEST_WINDOW);
            Some(most.min(ours)).filter(|&bits| bits < LARGEST_WINDOW)
        });
        Some(Agreed {
            options: *self,
            // 7.1.1.1: accepted by repeating it.
            server_no_context_takeover: self.server_no_context_takeover || params.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || params.client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        })
    }

    /// What a server with these options answers to a client's request, for a server that does the opening handshake itself: the
    /// value of Sec-WebSocket-Extensions is the answer's `Display`. `None` where nothing is to be answered; the
    /// connection has no compression then.
    pub fn answer(&self, request: &HeaderMap) -> Option<Agreed> {
        let lines = request.get_all(SEC_WEBSOCKET_EXTENSIONS);
        let offers = lines.iter().map(|line| parse_extensions(line.as_bytes()).unwrap_or_default());
        self.choose(&offers.flatten().collect::<Vec<_>>())
    }
}
