//! rustls' two interfaces beside each other, on what a burst of messages looks like from TLS: records of 1 KiB and of 16 KiB, in memory.
//!
//! `cargo bench -p aiowebsocket --bench tls` prints, for each, the reads that a socket would be asked for and the processor time of a
//! megabyte. The unbuffered one is driven by the layer of this library, reads of up to 128 KiB; the buffered one reads as rustls has it.
//! Then the client's processor time of a handshake, the first and a resumed one, with the cipher suites in the library's order and in rustls'.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and prints what it took"
)]

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aiowebsocket::Tls;
use aiowebsocket::layer::Layer;
use aiowebsocket::opening::Host;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// Bytes of a run.
const BYTES: usize = 64 << 20;

const RUNS: usize = 7;

/// Handshakes of each kind.
const HANDSHAKES: usize = 400;

/// A server, and its certificate.
fn server_config() -> (Arc<ServerConfig>, rcgen::Certificate) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("they belong together");
    (Arc::new(config), certificate)
}

/// A client with the cipher suites as rustls orders them.
fn rustls_order(certificate: &rcgen::Certificate) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    versions.expect("ring has them").with_root_certificates(roots).with_no_client_auth().into()
}

/// A client with the library's own configuration.
fn our_order(certificate: &rcgen::Certificate) -> Tls {
    Tls::new().ca_pem(certificate.pem().as_bytes()).expect("a certificate").only_these_cas()
}

/// A server's records of this size, as many as make up a run.
fn records(server: &mut ServerConnection, size: usize) -> Vec<u8> {
    let plain = vec![b'x'; size];
    let mut sealed = Vec::new();
    server.set_buffer_limit(None);
    for _ in 0..BYTES / size {
        server.writer().write_all(&plain).expect("no limit");
        while server.wants_write() {
            server.write_tls(&mut sealed).expect("memory");
        }
    }
    sealed
}

/// Reads, and the time of the run.
type Took = (usize, Duration);

/// The two ends of a connection behind the handshake, and the time that the client's took.
fn opened(
    config: &Arc<ServerConfig>,
    tls: &Tls,
    plain: &mut [u8],
) -> (Box<dyn Layer>, ServerConnection, Duration) {
    let mut server = ServerConnection::new(Arc::clone(config)).expect("a server");
    let mut took = Duration::ZERO;
    let mut start = Instant::now();
    let mut layer = tls.layer(&Host::Name("localhost".to_owned())).expect("a layer");
    while !layer.is_open() || server.is_handshaking() {
        let out = layer.control();
        took += start.elapsed();
        server.read_tls(&mut out.as_slice()).expect("memory");
        server.process_new_packets().expect("TLS");
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).expect("memory");
        }
        start = Instant::now();
        give(&mut *layer, &answer);
        layer.open(plain).expect("TLS");
    }
    (layer, server, took + start.elapsed())
}

fn unbuffered(config: &Arc<ServerConfig>, tls: &Tls, size: usize) -> Took {
    let mut plain = vec![0; 128 << 10];
    let (mut layer, mut server, _) = opened(config, tls, &mut plain);
    let sealed = records(&mut server, size);
    let (mut rest, mut got, mut reads) = (sealed.as_slice(), 0, 0);
    let start = Instant::now();
    while got < BYTES {
        rest = &rest[give(&mut *layer, rest)..];
        reads += 1;
        loop {
            let opened = layer.open(&mut plain).expect("TLS").plain;
            if opened == 0 {
                break;
            }
            got += opened;
        }
        layer.park();
    }
    (reads, start.elapsed())
}

fn give(layer: &mut dyn Layer, bytes: &[u8]) -> usize {
    let space = layer.space();
    let n = space.len().min(bytes.len());
    space[..n].copy_from_slice(&bytes[..n]);
    layer.received(n);
    n
}

fn buffered(config: &Arc<ServerConfig>, tls: &Tls, size: usize) -> Took {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(tls.config().expect("a configuration"), name).expect("a client");
    let mut server = ServerConnection::new(Arc::clone(config)).expect("a server");
    while client.is_handshaking() || server.is_handshaking() {
        let mut out = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut out).expect("memory");
        }
        let mut out = out.as_slice();
        while !out.is_empty() {
            server.read_tls(&mut out).expect("memory");
            server.process_new_packets().expect("TLS");
        }
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).expect("memory");
        }
        let mut answer = answer.as_slice();
        while !answer.is_empty() {
            client.read_tls(&mut answer).expect("memory");
            client.process_new_packets().expect("TLS");
        }
    }
    let sealed = records(&mut server, size);
    let mut plain = vec![0; 128 << 10];
    let (mut rest, mut got, mut reads) = (sealed.as_slice(), 0, 0);
    let start = Instant::now();
    while got < BYTES {
        client.read_tls(&mut rest).expect("memory");
        reads += 1;
        client.process_new_packets().expect("TLS");
        while let Ok(n @ 1..) = client.reader().read(&mut plain) {
            got += n;
        }
    }
    (reads, start.elapsed())
}

fn main() {
    let (config, certificate) = server_config();
    let tls = our_order(&certificate);
    println!("{:>8} {:>12} {:>14} {:>14}", "record", "interface", "reads a MiB", "us a MiB");
    for size in [1 << 10, 16 << 10] {
        for (name, run) in [("unbuffered", unbuffered as fn(&_, &_, _) -> Took), ("buffered", buffered)] {
            // The least of several: what else runs on the machine only adds.
            let (reads, took) =
                (0..RUNS).map(|_| run(&config, &tls, size)).min_by_key(|(_, took)| *took).expect("some runs");
            let mib = BYTES >> 20;
            println!("{size:>8} {name:>12} {:>14} {:>14}", reads / mib, took.as_micros() as usize / mib);
        }
    }
    handshakes(&config, &certificate);
}

/// The middle of many handshakes: of those that resume no session, and of those that do.
fn handshakes(config: &Arc<ServerConfig>, certificate: &rcgen::Certificate) {
    println!("{:>8} {:>14} {:>14}  agreed", "suites", "first us", "resumed us");
    for (name, make) in [("ours", our_order as fn(&_) -> Tls), ("rustls'", rustls_order)] {
        let middle = |tls: &dyn Fn() -> Tls| {
            let mut took: Vec<_> =
                (0..=HANDSHAKES).map(|_| opened(config, &tls(), &mut [0; 4096]).2).collect();
            took.sort_unstable();
            took[HANDSHAKES / 2].as_micros()
        };
        let shared = make(certificate);
        let (first, resumed) = (middle(&|| make(certificate)), middle(&|| shared.clone()));
        let (layer, ..) = opened(config, &shared, &mut [0; 4096]);
        println!("{name:>8} {first:>14} {resumed:>14}  {}", layer.agreed().expect("it is open"));
    }
}
