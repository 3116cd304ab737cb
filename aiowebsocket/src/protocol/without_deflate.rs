//! The same without the feature `deflate`: nobody can have agreed on compression, so there is nothing that could compress.

use super::Role;
use super::error::PeerError;
use super::output::Payload;
use crate::deflate::Agreed;

#[derive(Debug)]
pub(super) enum PerMessageDeflate {}

impl PerMessageDeflate {
    pub(super) fn new(_: Role, agreed: &Agreed) -> Box<Self> {
        match *agreed {}
    }

    pub(super) fn agreed(&self) -> &Agreed {
        match *self {}
    }

    pub(super) fn inflate(
        &mut self,
        _: &[u8],
        _: u64,
        _: u64,
        _: impl FnMut(&[u8]) -> Result<(), PeerError>,
    ) -> Result<(), PeerError> {
        match *self {}
    }

    pub(super) fn inflate_part(
        &mut self,
        _: &[u8],
        _: impl FnMut(&[u8]) -> Result<(), PeerError>,
    ) -> Result<(usize, bool), PeerError> {
        match *self {}
    }

    pub(super) fn finish(&mut self) -> Result<(), PeerError> {
        match *self {}
    }

    pub(super) fn has_memory(&self) -> bool {
        match *self {}
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match *self {}
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        match *self {}
    }

    pub(super) fn clear(&mut self) {
        match *self {}
    }

    pub(super) fn end_input(&mut self) {
        match *self {}
    }

    pub(super) fn deflate(&mut self, _: &[u8]) -> Option<Deflated> {
        match *self {}
    }

    pub(super) fn deflate_part(&mut self, _: &[u8], _: bool, _: bool, _: bool) -> Option<Deflated> {
        match *self {}
    }
}

pub(super) enum Deflated {}

impl Deflated {
    pub(super) fn rsv(&self) -> u8 {
        match *self {}
    }

    pub(super) fn payload(&mut self) -> Payload<'_> {
        match *self {}
    }
}
