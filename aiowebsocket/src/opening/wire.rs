//! The bytes of the socket while a connection opens, through a layer of TLS or not.

use crate::layer::{Layer, RECORD_ROOM, Sealed, TlsError, TlsInfo, Unsealed};

/// Plain bytes that are opened at a time: the most that a record holds.
const OPENED: usize = 16 << 10;

/// What goes out, and the layer that everything goes through, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    layer: Option<Box<dyn Layer>>,
    out: Vec<u8>,
    written: usize,
}

impl Wire {
    /// From here on everything goes through this layer, over the one that is there already, if any.
    pub(crate) fn secure(&mut self, layer: Box<dyn Layer>) {
        self.layer = Some(match self.layer.take() {
            None => layer,
            Some(outer) => Box::new(Nested { outer, inner: layer, said: Vec::new() }),
        });
        self.say();
    }

    /// Whether there is a layer.
    pub(super) fn is_sealed(&self) -> bool {
        self.layer.is_some()
    }

    /// Whether the handshake of the layer is complete.
    pub(crate) fn is_open(&self) -> bool {
        self.layer.as_ref().is_none_or(|layer| layer.is_open())
    }

    pub(super) fn agreed(&self) -> Option<TlsInfo> {
        self.layer.as_ref()?.agreed()
    }

    /// Bytes that wait to be written to the socket.
    pub(crate) fn output(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// So many of them were.
    pub(crate) fn written(&mut self, n: usize) {
        assert!(n <= self.output().len(), "more bytes written than there were");
        self.written += n;
        if self.written == self.out.len() {
            (self.out, self.written) = (Vec::new(), 0);
        }
    }

    /// Queues plain bytes.
    pub(crate) fn send(&mut self, mut plain: &[u8]) -> Result<(), TlsError> {
        let Some(layer) = &mut self.layer else {
            self.out.extend_from_slice(plain);
            return Ok(());
        };
        let sealed = seal_all(&mut **layer, &mut plain);
        self.say();
        self.out.extend_from_slice(&sealed?);
        Ok(())
    }

    /// Takes bytes of the socket and hands the plain ones on, until it has no more or `to` wants no more.
    pub(crate) fn receive<E: From<TlsError>>(
        &mut self,
        mut bytes: &[u8],
        mut to: impl FnMut(&mut Self, &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        if self.layer.is_none() {
            return to(self, bytes).map(drop);
        }
        let mut wanted = true;
        loop {
            if let Some(layer) = &mut self.layer {
                let n = put(&mut **layer, bytes);
                bytes = &bytes[n..];
            }
            if wanted {
                wanted = self.open_all(&mut to)?;
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Opens what there is. False once nothing is wanted any more; what comes then stays in the layer.
    fn open_all<E: From<TlsError>>(
        &mut self,
        to: &mut impl FnMut(&mut Self, &[u8]) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut plain = vec![0; OPENED];
        loop {
            let Some(layer) = &mut self.layer else { return Ok(true) };
            let was_open = layer.is_open();
            let opened = layer.open(&mut plain);
            let is_open = layer.is_open();
            self.say();
            let opened = opened?;
            if opened.plain == 0 && was_open == is_open {
                return Ok(true);
            }
            // A handshake that was completed is worth a look too.
            if !to(self, &plain[..opened.plain])? {
                return Ok(false);
            }
        }
    }

    /// Leaves bytes of the socket to the layer, unopened. False where there is none.
    pub(super) fn keep(&mut self, mut bytes: &[u8]) -> bool {
        let Some(layer) = &mut self.layer else { return false };
        while !bytes.is_empty() {
            bytes = &bytes[put(&mut **layer, bytes)..];
        }
        true
    }

    /// Queues what the layer has to say.
    fn say(&mut self) {
        if let Some(layer) = &mut self.layer
            && layer.has_control()
        {
            self.out.extend_from_slice(&layer.control());
        }
    }

    /// The end of this connection is going to be said by the layer.
    pub(crate) fn close(&mut self) {
        if let Some(layer) = &mut self.layer {
            layer.close();
        }
        self.say();
    }

    /// The layer, for the open connection.
    pub(crate) fn take_layer(&mut self) -> Option<Box<dyn Layer>> {
        self.layer.take()
    }

    /// The same, where it ends at the proxy: what was agreed on there says nothing of the server.
    pub(super) fn take_outer_layer(&mut self) -> Option<Box<dyn Layer>> {
        Some(Box::new(ToTheProxy(self.layer.take()?)))
    }
}

/// Gives a layer as many bytes of the socket as it has room for now.
pub(super) fn put(layer: &mut dyn Layer, bytes: &[u8]) -> usize {
    let space = layer.space();
    let n = space.len().min(bytes.len());
    space[..n].copy_from_slice(&bytes[..n]);
    layer.received(n);
    n
}

fn seal_all(layer: &mut dyn Layer, plain: &mut &[u8]) -> Result<Vec<u8>, TlsError> {
    let mut out = Vec::new();
    while !plain.is_empty() {
        if layer.has_control() {
            out.extend_from_slice(&layer.control());
        }
        let start = out.len();
        out.resize(start + RECORD_ROOM, 0);
        let sealed = layer.seal(plain, &mut out[start..])?;
        out.truncate(start + sealed.written);
        *plain = &plain[sealed.taken..];
    }
    Ok(out)
}

/// A layer that ends at the proxy.
#[derive(Debug)]
struct ToTheProxy(Box<dyn Layer>);

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
struct Nested {
    outer: Box<dyn Layer>,
    inner: Box<dyn Layer>,
    /// What waits to be said, sealed.
    said: Vec<u8>,
}

/// Plain bytes of one record of the inner layer: few enough that the record is the content of one of the outer layer.
const INNER: usize = 15 << 10;

impl Nested {
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
}
