//! What compression costs and gains, by level, by memory level, and by what a compressor knows of earlier messages: the figures
//! behind the defaults of `Deflate`, and behind the 256 bytes that a connection keeps of what it sent (docs/design.md).
//!
//! `make bench-deflate`. Over zlib-rs alone, as `protocol/deflate.rs` uses it. Sizes are the same on every machine; times are the
//! shortest of nine rounds.
#![expect(clippy::print_stdout, reason = "a program for people")]
#![expect(clippy::disallowed_methods, reason = "a run is timed")]

use std::time::{Duration, Instant};

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

const MESSAGES: usize = 20_000;
const ROUNDS: usize = 9;
const TAIL: usize = 4;

/// What a compressor knows of the messages before.
#[derive(Clone, Copy)]
enum Context {
    /// All of the window.
    Kept,
    /// The last bytes, as a dictionary of one that begins anew.
    Last(usize),
    Nothing,
}

fn main() {
    // `cargo test --benches` asks for no figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let messages = messages();
    let plain: usize = messages.iter().map(Vec::len).sum();
    println!("{MESSAGES} JSON messages of {} bytes each, on average:\n", plain / MESSAGES);
    println!("| level | memory level | context | µs a message | % of its size | µs to inflate it |");
    println!("|---|---|---|---|---|---|");
    for (level, memory_level, context) in [
        (1, 5, Context::Kept),
        (1, 5, Context::Last(1024)),
        (1, 5, Context::Last(256)),
        (1, 5, Context::Last(128)),
        (1, 5, Context::Nothing),
        (1, 1, Context::Kept),
        (1, 8, Context::Kept),
        (1, 9, Context::Kept),
        (2, 5, Context::Kept),
        (3, 5, Context::Kept),
        (6, 5, Context::Kept),
        (6, 8, Context::Kept),
        (9, 8, Context::Kept),
    ] {
        let round = || compress(&messages, level, memory_level, context);
        let (mut took, compressed) = round();
        for _ in 1..ROUNDS {
            took = took.min(round().0);
        }
        let size: usize = compressed.iter().map(Vec::len).sum();
        let inflating = match context {
            Context::Kept => {
                let took = (0..ROUNDS).map(|_| inflate(&messages, &compressed)).min().expect("some rounds");
                format!("{:.2}", each(took))
            }
            // The same stream for its reader: what is begun anew refers to less.
            _ => String::new(),
        };
        let context = match context {
            Context::Kept => "kept".to_owned(),
            Context::Last(bytes) => format!("begun anew with {bytes} bytes"),
            Context::Nothing => "begun anew".to_owned(),
        };
        let percent = 100.0 * size as f64 / plain as f64;
        println!("| {level} | {memory_level} | {context} | {:.2} | {percent:.1} | {inflating} |", each(took));
    }
}

/// Microseconds for one of the messages.
fn each(all: Duration) -> f64 {
    all.as_secs_f64() * 1e6 / MESSAGES as f64
}

/// Trades of an exchange, as its feed tells them: the same names again and again, and numbers that differ.
fn messages() -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    };
    let (mut time, mut id, mut price) = (1_763_978_400_000_u64, 4_210_000_000_u64, 6_725_134_u64);
    let mut message = |_| {
        let symbol = ["BTCUSDT", "ETHUSDT", "SOLUSDT"][usize::try_from(random(3)).expect("small")];
        time += random(40);
        id += 1 + random(3);
        price = price + random(200) - 100;
        let (whole, cents, quantity) = (price / 100, price % 100, random(5_000_000));
        let (buyer, seller, maker) = (random(1 << 40), random(1 << 40), random(2) == 0);
        format!(
            r#"{{"e":"trade","E":{time},"s":"{symbol}","t":{id},"p":"{whole}.{cents:02}000000","q":"{}.{:05}000","b":{buyer},"a":{seller},"T":{},"m":{maker},"M":true}}"#,
            quantity / 100_000,
            quantity % 100_000,
            time - 1,
        )
        .into_bytes()
    };
    (0..MESSAGES).map(&mut message).collect()
}

/// The time for all of them, and what they became, without their tails.
fn compress(messages: &[Vec<u8>], level: i32, mem_level: i32, context: Context) -> (Duration, Vec<Vec<u8>>) {
    let config = DeflateConfig { level, mem_level, window_bits: -15, ..DeflateConfig::default() };
    let mut stream = Deflate::new_with_config(config);
    let mut compressed = Vec::with_capacity(messages.len());
    let mut memory = vec![0; 4096];
    let mut sent = Vec::new();
    let mut took = Duration::ZERO;
    for message in messages {
        let start = Instant::now();
        match context {
            Context::Kept => {}
            Context::Nothing => stream.reset(),
            Context::Last(bytes) => {
                stream.reset();
                if !sent.is_empty() {
                    stream.set_dictionary(&sent).expect("a stream that begins");
                }
                keep_end(&mut sent, message, bytes);
            }
        }
        let before = stream.total_out();
        stream.compress(message, &mut memory, DeflateFlush::SyncFlush).expect("room for all of it");
        let written = usize::try_from(stream.total_out() - before).expect("it is in memory");
        took += start.elapsed();
        compressed.push(memory[..written - TAIL].to_vec());
    }
    (took, compressed)
}

/// Appends what was sent, and keeps the last bytes.
fn keep_end(sent: &mut Vec<u8>, message: &[u8], bytes: usize) {
    sent.extend_from_slice(message);
    sent.drain(..sent.len().saturating_sub(bytes));
}

fn inflate(messages: &[Vec<u8>], compressed: &[Vec<u8>]) -> Duration {
    let mut stream = Inflate::new(false, 15);
    let mut memory = vec![0; 4096];
    let mut took = Duration::ZERO;
    for (message, compressed) in messages.iter().zip(compressed) {
        let input = [&compressed[..], &[0, 0, 0xff, 0xff]].concat();
        let start = Instant::now();
        stream.decompress(&input, &mut memory, InflateFlush::NoFlush).expect("what was compressed");
        took += start.elapsed();
        assert_eq!(memory[..message.len()], message[..], "it comes out as it was");
    }
    took
}
