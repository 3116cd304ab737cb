//! Where the faces get their mask keys and nonces: one CSPRNG a thread, seeded by the operating system.
//!
//! RFC 6455 5.3 asks for keys from "a strong source of entropy", fresh for every frame. A system call a frame would cost
//! more than the frame; ChaCha makes a batch of keys at a time, and twelve rounds are what the standard generator of this
//! language's `rand` uses too.
#![expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::ManuallyDrop;

use chacha20::rand_core::SeedableRng;
use chacha20::rand_core::block::Generator;
use chacha20::variants::Legacy;
use chacha20::{ChaChaCore, R12};

/// Keys made at a time: what the generator makes in one go.
const BATCH: usize = 64;

/// Keys that make a nonce.
const NONCE: usize = 4;

/// Keys that were not given out yet, and the generator of more.
struct Pool {
    // Each for itself, so that giving one out borrows nothing: 5 instructions of every frame.
    keys: [Cell<[u8; 4]>; BATCH],
    next: Cell<usize>,
    // Without a destructor, of which the generator has no need, the thread's storage is not checked for one on every key.
    generator: RefCell<Option<ManuallyDrop<ChaCha>>>,
}

/// What `ChaCha12Rng` is made of, without the buffer that would be a second one here.
type ChaCha = ChaChaCore<R12, Legacy>;

thread_local! {
    static POOL: Pool = const {
        Pool { keys: [const { Cell::new([0; 4]) }; BATCH], next: Cell::new(BATCH), generator: RefCell::new(None) }
    };
}

/// A fresh mask key.
///
/// # Panics
/// Where the operating system has no randomness, although it had some for the [`nonce`] of the opening handshake.
#[inline(always)]
pub fn next_key() -> [u8; 4] {
    POOL.with(|pool| {
        if pool.next.get() >= BATCH {
            pool.refill();
        }
        let next = pool.next.get();
        pool.next.set(next + 1);
        pool.keys[next].get()
    })
}

/// Forgets the keys of this thread that were not given out, and the generator of more: the next key comes from a new seed.
///
/// For a child process right after `fork`, which would else mask with the keys of its parent. The child has the one thread that
/// forked, so calling this there is enough. No key asks for the process it is in: that would cost every message.
pub fn forget() {
    POOL.with(|pool| {
        for key in &pool.keys {
            key.take();
        }
        pool.next.set(BATCH);
        pool.generator.take();
    });
}

/// Sixteen random bytes for one opening handshake, from the same generator: a system call for each takes longer than to read
/// the response.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn nonce() -> io::Result<[u8; 16]> {
    POOL.with(|pool| {
        let mut generator = pool.generator.borrow_mut();
        if generator.is_none() {
            *generator = Some(ManuallyDrop::new(seeded()?));
        }
        drop(generator);
        let keys: [[u8; 4]; NONCE] = std::array::from_fn(|_| next_key());
        Ok(keys.as_flattened().try_into().expect("four keys are sixteen bytes"))
    })
}

/// A random number of 64 bits: for delays, which need few.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Random bytes of the operating system. Its error becomes one of the standard library without the texts of `getrandom`'s own, which would be
/// in every program.
fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other("the operating system gave no randomness"),
    })
}

impl Pool {
    #[cold]
    #[inline(never)]
    fn refill(&self) {
        let mut generator = self.generator.borrow_mut();
        let generator = generator.get_or_insert_with(|| {
            ManuallyDrop::new(seeded().expect("the system gave randomness when the connection was opened"))
        });
        let mut batch = [0; BATCH];
        generator.generate(&mut batch);
        for (key, made) in self.keys.iter().zip(batch) {
            key.set(made.to_le_bytes());
        }
        self.next.set(0);
    }
}

fn seeded() -> io::Result<ChaCha> {
    let mut seed = [0; 32];
    fill(&mut seed)?;
    Ok(ChaCha::from_seed(seed))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// No proof of randomness, but what a fixed seed, a stuck batch or a shared stream would break. Of 20,000 random
    /// words 0.05 pairs are equal on average.
    #[test]
    fn keys_do_not_repeat_within_or_across_threads() {
        let draw = || (0..10_000).map(|_| next_key()).collect::<Vec<_>>();
        let mut keys: HashSet<_> = draw().into_iter().collect();
        keys.extend(std::thread::spawn(draw).join().expect("no panic"));
        assert!(keys.len() > 19_990, "{}", keys.len());
        let ones: u32 = keys.iter().map(|key| u32::from_le_bytes(*key).count_ones()).sum();
        assert!((310_000..330_000).contains(&ones), "{ones} of 640,000 bits");
    }

    /// What `fork` makes: the same generator twice. The one that forgets goes on with keys of its own.
    #[test]
    fn a_copy_that_forgets_draws_other_keys() {
        let begin_same = || {
            POOL.with(|pool| {
                pool.next.set(BATCH);
                pool.generator.replace(Some(ManuallyDrop::new(ChaCha::from_seed([7; 32]))));
            });
        };
        let draw = |n| (0..n).map(|_| next_key()).collect::<Vec<_>>();
        begin_same();
        let parents = draw(200);
        begin_same();
        assert_eq!(draw(100), parents[..100], "a copy goes on with the keys of its parent");
        forget();
        let own = draw(100);
        assert!(own.iter().filter(|key| parents.contains(key)).count() < 2);
    }

    #[test]
    fn nonces_do_not_repeat() {
        let nonces: HashSet<_> = (0..1_000).map(|_| nonce().expect("randomness")).collect();
        assert_eq!(nonces.len(), 1_000);
    }
}
