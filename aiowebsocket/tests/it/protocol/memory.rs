//! What a peer can make us hold: no more than it sent, whatever it announces or repeats.

use std::time::Duration;

use aiowebsocket::protocol::{Config, Connection, Kind, Payload, Role, Step};

use crate::support::alloc::{held, peak_of};
use crate::support::face::{Face, Style};
use crate::support::rng::Rng;
use crate::support::{same_key, start_of_time};

/// What the pool of read buffers may take on a thread (buffer.rs), and a little more.
const POOLED: isize = 300 << 10;

fn client(config: Config) -> Face {
    Face::new(Connection::new(Role::Client, config, &[], start_of_time()), Style::Space, Rng::new())
}

/// A header and a few bytes behind it; a byte a read, so that nothing is hidden by what arrives with it.
fn peak_of_header(header: &[u8], config: Config) -> isize {
    let now = start_of_time();
    let ((), peak) = peak_of(|| {
        let mut face = client(config);
        face.feed(header, || 1, now);
        face.feed(b"few", || 1, now);
    });
    peak
}

#[test]
fn an_announced_length_takes_no_memory() {
    let mut unlimited = Config::default();
    (unlimited.max_message, unlimited.max_frame) = (u64::MAX, u64::MAX);
    for (header, config) in [
        // 63 MiB, within the default limit: whole, fragmented, continued.
        (&b"\x82\x7f\0\0\0\0\x03\xf0\0\0"[..], Config::default()),
        (b"\x02\x7f\0\0\0\0\x03\xf0\0\0", Config::default()),
        (b"\x02\x00\x80\x7f\0\0\0\0\x03\xf0\0\0", Config::default()),
        (b"\x81\x7f\0\0\0\0\x03\xf0\0\0", Config::default()),
        // 2^40 and 2^63 - 1, with no limit at all.
        (b"\x82\x7f\0\0\x01\0\0\0\0\0", unlimited.clone()),
        (b"\x02\x7f\0\0\x01\0\0\0\0\0", unlimited.clone()),
        (b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", unlimited.clone()),
        (b"\x02\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", unlimited),
    ] {
        let peak = peak_of_header(header, config);
        assert!(peak < 20 << 10, "{peak} bytes for {}", header.escape_ascii());
    }
}

/// A small message waits in the read buffer, which is then as large as it; that is at most 64 KiB.
#[test]
fn a_message_that_waits_in_the_read_buffer_is_small() {
    for length in [126_u16, 4096, 65_535] {
        let [high, low] = length.to_be_bytes();
        let peak = peak_of_header(&[0x82, 126, high, low], Config::default());
        assert!(peak < 80 << 10, "{peak} bytes for {length}");
    }
}

/// What is read of a large message before its header is known is copied, so behind one the reads begin small again.
#[test]
fn behind_a_large_message_little_is_read_with_the_next_header() {
    const LARGE: usize = 200_000;
    let now = start_of_time();
    let mut machine = Connection::new(Role::Client, Config::default(), &[], now);
    for full_reads in [0, 8] {
        // Full reads make the buffer large. A length of 16 divides every space.
        for _ in 0..full_reads {
            let space = machine.space();
            for frame in space.chunks_mut(16) {
                frame[..2].copy_from_slice(b"\x82\x0e");
            }
            let n = space.len();
            machine.received(n, now);
            while machine.step() != Step::Read {}
        }
        let space = machine.space();
        let first = space.len();
        space.fill(7);
        space[..10].copy_from_slice(b"\x82\x7f\0\0\0\0\0\x03\x0d\x40");
        machine.received(first, now);
        assert!(matches!(machine.step(), Step::Into { len: LARGE, .. }));
        let mut large = machine.pour().to_vec();
        assert_eq!(large.len(), first - 10);
        machine.placed(&mut vec![7; LARGE - large.len()], now);
        large.resize(LARGE, 7);
        assert!(matches!(machine.step(), Step::Message(_)));
        assert_eq!(machine.step(), Step::Read);
        // It begins at a cache line of them.
        let next = machine.space().len();
        assert!((4 << 10) - 64 < next && next <= 4 << 10, "{next} bytes after {full_reads} full reads");
    }
}

/// Fragments are held once, with room to grow, whatever their sizes.
#[test]
fn fragments_take_what_they_have() {
    let now = start_of_time();
    let fragment = [&b"\x00\x7e\x40\x00"[..], &[7; 0x4000]].concat();
    let ((), peak) = peak_of(|| {
        let mut face = client(Config::default());
        face.feed(b"\x02\x00", || usize::MAX, now);
        for _ in 0..256 {
            face.feed(&fragment, || 1000, now);
        }
    });
    // 4 MiB; while the vector grows the old and the new one exist together.
    assert!(peak < (12 << 20) + POOLED, "{peak} bytes");
}

#[test]
fn a_flood_of_empty_fragments_is_ended() {
    let now = start_of_time();
    let mut face = client(Config::default());
    let flood = b"\x00\x00".repeat(1000);
    let ((), peak) = peak_of(|| {
        face.feed(b"\x02\x00", || usize::MAX, now);
        for _ in 0..132 {
            face.feed(&flood, || usize::MAX, now);
        }
    });
    assert!(face.machine.outcome().is_some(), "131,072 are enough");
    assert!(peak < 20 << 10, "{peak} bytes");
}

/// Sixteen pongs wait, not a million: nothing is drained here, as where the peer does not read.
#[test]
fn a_flood_of_pings_is_held_sixteen_times() {
    let now = start_of_time();
    let mut face = client(Config::default());
    let mut flood = Vec::new();
    for n in 0_u32..1000 {
        flood.extend([0x89, 125]);
        flood.extend([n.to_be_bytes()[3]; 125]);
    }
    face.feed(&flood, || 5000, now);
    let before = held();
    let ((), peak) = peak_of(|| {
        for _ in 0..1000 {
            face.feed(&flood, || 5000, now);
        }
    });
    assert_eq!(face.machine.queued(), 0, "pongs are encoded when they are asked for");
    assert_eq!((peak, held()), (0, before));
    assert_eq!(face.drain().len(), 16 * (2 + 4 + 125));
}

#[test]
fn a_flood_of_bytes_after_the_end_is_not_held() {
    let now = start_of_time();
    for begin in [&b"\x88\x02\x03\xe8"[..], b"\x83\x00"] {
        let mut face = client(Config::default());
        let flood = vec![0x5a; 1 << 20];
        let ((), peak) = peak_of(|| {
            face.feed(begin, || usize::MAX, now);
            for _ in 0..16 {
                face.feed(&flood, || usize::MAX, now);
            }
        });
        assert!(peak < POOLED, "{peak} bytes");
        assert_eq!(face.machine.step(), Step::Read);
    }
}

/// What a failed or finished connection had collected of a message is of no use to anybody.
#[test]
fn fragments_of_a_message_that_will_never_end_are_freed() {
    let now = start_of_time();
    let fragment = [&b"\x02\x7f\0\0\0\0\0\x10\0\0"[..], &[7; 1 << 20]].concat();
    let ends: [fn(&mut Face); 4] = [
        |face| face.feed(b"\x83\x00", || 1, start_of_time()),
        |face| face.feed(b"\x88\x00", || 1, start_of_time()),
        |face| face.machine.received_end(),
        |face| face.machine.handle_timeout(start_of_time() + Duration::from_secs(3600), &mut same_key),
    ];
    for (index, end) in ends.iter().enumerate() {
        let before = held();
        let mut face = client(Config::default());
        face.feed(&fragment, || 10_000, now);
        assert!(held() - before > 1 << 20);
        face.machine.ping(now, &mut same_key).unwrap();
        end(&mut face);
        face.feed(&[], || 1, now);
        assert!(held() - before < POOLED, "{index}: {} bytes", held() - before);
    }
}

/// After `park`, a connection that waits holds the machine, the bytes of a frame that has begun, and nothing else.
#[test]
fn an_idle_connection_holds_no_buffer() {
    let now = start_of_time();
    let mut face = client(Config::default());
    let mut connections = Vec::new();
    face.feed(b"\x81\x01a", || 1, now);
    face.drain();
    face.machine.park();
    let before = held();
    for _ in 0..100 {
        let mut face = client(Config::default());
        face.feed(b"\x81\x01a\x82\x7e\x10\x00", || 10, now);
        face.feed(&[1; 0x1000], || 1000, now);
        face.machine.send(Kind::Text, Payload::Borrowed(b"hello"), &mut same_key).unwrap();
        face.drain();
        // The beginning of a frame is kept in memory of its own size.
        face.feed(b"\x81\x05Hel", || 10, now);
        face.machine.park();
        face.messages = Vec::new();
        connections.push(face);
    }
    let each = (held() - before) / 100;
    assert!(each < 2 * size_of::<Face>() as isize + 256, "{each} bytes");
}

/// A message that was lent from fragments is freed with the next step, though nobody took it.
#[test]
fn a_lent_message_is_freed() {
    let now = start_of_time();
    let mut machine = Connection::new(Role::Client, Config::default(), &[], now);
    let before = held();
    let mut feed = |bytes: &[u8]| {
        for chunk in bytes.chunks(1000) {
            machine.space()[..chunk.len()].copy_from_slice(chunk);
            machine.received(chunk.len(), now);
            if let Step::Message(incoming) = machine.step() {
                assert_eq!(machine.payload(incoming.place).len(), 0x10000);
                assert!(held() - before > 0x10000);
            }
        }
        assert_eq!(machine.step(), Step::Read);
        machine.park();
    };
    feed(&[&b"\x02\x7f\0\0\0\0\0\x01\0\0"[..], &[7; 0x10000], b"\x80\x00"].concat());
    assert!(held() - before < 20 << 10, "{}", held() - before);
}
