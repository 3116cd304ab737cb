//! Where the faces get their mask keys and nonces: one CSPRNG a thread, seeded by the operating system.
//!
//! RFC 6455 5.3 asks for keys from "a strong source of entropy", fresh for every frame. A system call a frame would cost
//! more than the frame; ChaCha makes 64 keys at a time, and twelve rounds are what the standard generator of this
//! language's `rand` uses too.
#![expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};

thread_local! {
    // Without a destructor, of which the generator has no need, there is no check whether it ran.
    static POOL: RefCell<Option<ManuallyDrop<ChaCha12Rng>>> = const { RefCell::new(None) };
}

/// A fresh mask key.
///
/// # Panics
/// Where the operating system has no randomness, although it had some for the [`nonce`] of the opening handshake.
#[inline]
pub fn next_key() -> [u8; 4] {
    POOL.with(|pool| {
        let mut pool = pool.borrow_mut();
        let generator = pool.get_or_insert_with(|| {
            ManuallyDrop::new(seeded().expect("the system gave randomness when the connection was opened"))
        });
        generator.next_u32().to_le_bytes()
    })
}

/// Sixteen random bytes for one opening handshake.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn nonce() -> std::io::Result<[u8; 16]> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)?;
    Ok(nonce)
}

#[cold]
fn seeded() -> std::io::Result<ChaCha12Rng> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(ChaCha12Rng::from_seed(seed))
}
