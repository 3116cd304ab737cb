//! Layers over others, which a proxy brings: TLS with the proxy alone, and TLS with the server through that.

use super::wire::seal_all;
use crate::layer::{Layer, RECORD_ROOM, Sealed, TlsError, TlsInfo, Unsealed};

/// A layer that ends at the proxy.
#[derive(Debug)]
pub(super) struct ToTheProxy(pub(super) Box<dyn Layer>);

impl Layer for ToTheProxy {
    fn space(&mut self) -> &mut [u8] {
        self.0.space()
    }

    fn received(&mut self, n: usize) {
        self.0.received(n);
    }

    fn open(&mut self, plain: &mut [u8]) -> Result<Unsealed, TlsError> {
        self.0.open(plain)
    }

    fn may_open(&self) -> bool {
        self.0.may_open()
    }

    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<Sealed, TlsError> {
        self.0.seal(plain, sealed)
    }

    fn control(&mut self) -> Vec<u8> {
        self.0.control()
    }

    fn has_control(&self) -> bool {
        self.0.has_control()
    }

    fn close(&mut self) {
        self.0.close();
    }

    fn park(&mut self) {
        self.0.park();
    }

    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    fn agreed(&self) -> Option<TlsInfo> {
        None
    }
}

/// A layer over a layer: TLS to a server through TLS to its proxy.
#[derive(Debug)]
pub(super) struct Nested {
    outer: Box<dyn Layer>,
    inner: Box<dyn Layer>,
    /// What waits to be said, sealed.
    said: Vec<u8>,
}

/// Plain bytes of one record of the inner layer: few enough that the record is the content of one of the outer layer.
const INNER: usize = 15 << 10;

impl Nested {
    pub(super) fn new(outer: Box<dyn Layer>, inner: Box<dyn Layer>) -> Self {
        Self { outer, inner, said: Vec::new() }
    }

    /// Seals what the inner layer has to say.
    fn say(&mut self) -> Result<(), TlsError> {
        if self.inner.has_control() {
            let control = self.inner.control();
            let sealed = seal_all(&mut *self.outer, &mut control.as_slice());
            self.said.extend_from_slice(&self.outer.control());
            self.said.extend_from_slice(&sealed?);
        }
        Ok(())
    }
}

impl Layer for Nested {
    fn space(&mut self) -> &mut [u8] {
        self.outer.space()
    }

    fn received(&mut self, n: usize) {
        self.outer.received(n);
    }

    fn open(&mut self, plain: &mut [u8]) -> Result<Unsealed, TlsError> {
        loop {
            let opened = self.inner.open(plain);
            self.say()?;
            let opened = opened?;
            if opened.plain > 0 || opened.is_end {
                return Ok(opened);
            }
            let between = self.outer.open(self.inner.space())?;
            if between.plain == 0 {
                // The proxy ended its stream without a word of the server's: whoever reads judges that.
                return Ok(Unsealed { plain: 0, is_end: between.is_end });
            }
            self.inner.received(between.plain);
        }
    }

    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<Sealed, TlsError> {
        let mut between = vec![0; RECORD_ROOM];
        let inner = self.inner.seal(&plain[..plain.len().min(INNER)], &mut between)?;
        let outer = self.outer.seal(&between[..inner.written], sealed)?;
        debug_assert_eq!(outer.taken, inner.written, "an inner record fits into an outer one");
        Ok(Sealed { taken: inner.taken, written: outer.written })
    }

    fn control(&mut self) -> Vec<u8> {
        // A layer that cannot seal any more says so where it is opened or sealed next.
        _ = self.say();
        let mut control = std::mem::take(&mut self.said);
        control.extend_from_slice(&self.outer.control());
        control
    }

    fn has_control(&self) -> bool {
        !self.said.is_empty() || self.outer.has_control() || self.inner.has_control()
    }

    fn close(&mut self) {
        self.inner.close();
        _ = self.say();
        self.outer.close();
    }

    fn park(&mut self) {
        self.outer.park();
        self.inner.park();
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn agreed(&self) -> Option<TlsInfo> {
        self.inner.agreed()
    }

    fn alpn(&self) -> Option<String> {
        self.inner.alpn()
    }
}
