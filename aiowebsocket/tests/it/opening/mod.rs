//! The opening handshake: cases as data (spec/opening_*.toml) and what data says badly.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod accept;
mod address;
mod backoff;
mod cases;
mod connecting;
mod credentials;
mod dial;
mod proxy;
mod redirect;
mod refusal;
mod request;
mod tunnel;

/// The nonce of RFC 6455 1.3: its key is `dGhlIHNhbXBsZSBub25jZQ==`.
const NONCE: [u8; 16] = *b"the sample nonce";

/// What fake time begins with.
fn start_of_time() -> std::time::Instant {
    use std::sync::OnceLock;
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other origin; the tests only add to it")]
    *START.get_or_init(std::time::Instant::now)
}

/// The name of an enum's variant.
fn variant(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}
