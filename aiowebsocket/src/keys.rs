//! Where the faces get their mask keys and nonces: one CSPRNG a thread, seeded by the operating system.
//!
//! RFC 6455 5.3 asks for keys from "a strong source of entropy", fresh for every frame. A system call a frame would cost
//! more than the frame; ChaCha makes a batch of keys at a time, and twelve rounds are what the standard generator of this
//! language's `rand` uses too.
#![expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// Keys made at a time: what the generator makes in one go.
const BATCH: usize = 64;

/// Keys that were not given out yet, and the generator of more.
struct Pool {
    keys: [[u8; 4]; BATCH],
    next: usize,
    // Without a destructor, of which the generator has no need, the thread's storage is not checked for one on every key.
    generator: Option<ManuallyDrop<ChaCha12Rng>>,
}

thread_local! {
    static POOL: RefCell<Pool> =
        const { RefCell::new(Pool { keys: [[0; 4]; BATCH], next: BATCH, generator: None }) };
}

/// A fresh mask key.
///
/// # Panics
/// Where the operating system has no randomness, although it had some for the [`nonce`] of the opening handshake.
#[inline(always)]
pub fn next_key() -> [u8; 4] {
    POOL.with_borrow_mut(|pool| {
        if pool.next >= BATCH {
            pool.refill();
        }
        let key = pool.keys[pool.next];
        pool.next += 1;
        key
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

impl Pool {
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        let generator = self.generator.get_or_insert_with(|| {
            ManuallyDrop::new(seeded().expect("the system gave randomness when the connection was opened"))
        });
        generator.fill_bytes(self.keys.as_flattened_mut());
        self.next = 0;
    }
}

fn seeded() -> std::io::Result<ChaCha12Rng> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(ChaCha12Rng::from_seed(seed))
}
