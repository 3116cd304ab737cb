//! The bytes of the socket while a connection opens, through a layer of TLS or not.

#[cfg(feature = "proxies")]
use super::nested::{Nested, ToTheProxy};
use crate::layer::{Layer, TlsError, TlsInfo, record_room};

/// Plain bytes that are opened at a time: more than most heads have. Memory for a whole record, made and zeroed for each of three
/// reads, was 49,000 of the 77,000 instructions by which a secure connect took more than soketto's (`bench/run counts
/// instructions tls-connect 0`).
const OPENED: usize = 1 << 10;

/// What goes out, and the layer that everything goes through, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    layer: Option<Box<dyn Layer>>,
    out: Vec<u8>,
    written: usize,
    /// The other side said that nothing follows in the layer.
    ended: bool,
}

impl Wire {
    /// From here on everything goes through this layer, over the one that is there already, if any.
    pub(crate) fn secure(&mut self, layer: Box<dyn Layer>) {
        self.layer = Some(match self.layer.take() {
            None => layer,
            #[cfg(feature = "proxies")]
            Some(outer) => Box::new(Nested::new(outer, layer)),
            #[cfg(not(feature = "proxies"))]
            Some(_) => unreachable!("a connection is secured twice only through a proxy"),
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

    pub(super) fn alpn(&self) -> Option<String> {
        self.layer.as_ref()?.alpn()
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

    /// Takes bytes of the socket and hands the plain ones on, until it has no more or `to` wants no more. Before them goes what came out
    /// earlier and was `held`, and what the layer has behind that.
    pub(crate) fn receive<E: From<TlsError>>(
        &mut self,
        held: &[u8],
        mut bytes: &[u8],
        mut to: impl FnMut(&mut Self, &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut wanted = held.is_empty() || to(self, held)?;
        if self.layer.is_none() {
            return if bytes.is_empty() { Ok(()) } else { to(self, bytes).map(drop) };
        }
        loop {
            if let Some(layer) = &mut self.layer
                && !bytes.is_empty()
            {
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
        let mut plain = [0; OPENED];
        loop {
            let Some(layer) = &mut self.layer else { return Ok(true) };
            let was_open = layer.is_open();
            let opened = layer.open(&mut plain);
            let is_open = layer.is_open();
            self.say();
            let opened = opened?;
            self.ended |= opened.is_end;
            if opened.plain == 0 && was_open == is_open {
                return Ok(true);
            }
            // A handshake that was completed is worth a look too.
            if !to(self, &plain[..opened.plain])? {
                return Ok(false);
            }
        }
    }

    /// Whether the stream is at its end by a word of its layer. TCP may stay open: whoever said it may wait for ours.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
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
    #[cfg(feature = "proxies")]
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

pub(super) fn seal_all(layer: &mut dyn Layer, plain: &mut &[u8]) -> Result<Vec<u8>, TlsError> {
    let mut out = Vec::new();
    while !plain.is_empty() {
        if layer.has_control() {
            out.extend_from_slice(&layer.control());
        }
        let start = out.len();
        out.resize(start + record_room(plain.len()), 0);
        let sealed = layer.seal(plain, &mut out[start..])?;
        out.truncate(start + sealed.written);
        *plain = &plain[sealed.taken..];
    }
    Ok(out)
}
