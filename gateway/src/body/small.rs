//! Small request bodies are taken whole before their service is asked.
//!
//! A client that dribbles its body then holds a few bytes here and no instance there. Decides
//! which bodies are small; their limit, pace and deadline are decided elsewhere. A body without
//! a declared length is never waited for: its sender may want an answer before its end.

use bytes::Bytes;
use http_body_util::BodyExt;

use super::{Body, BodyError, Inner, full};

/// Bytes in a body that is waited for at most.
pub(crate) const SMALL_MAX_BYTES: u64 = 64 * 1024;

/// Whether a body that has still to come is small enough to be waited for.
pub(crate) fn is_small(body: &impl http_body::Body) -> bool {
    body.size_hint().exact().is_some_and(|size| size <= SMALL_MAX_BYTES)
}

impl Body {
    /// Whether it has still to come and is small enough to be waited for.
    pub(crate) fn is_small(&self) -> bool {
        matches!(self.inner, Inner::Stream(_)) && is_small(self)
    }

    /// Whether all of it is here, so that nobody who reads it has to wait for its sender.
    pub fn is_whole(&self) -> bool {
        matches!(self.inner, Inner::Empty | Inner::Full(_))
    }

    /// All of its bytes, if they are here; nothing is left of it then.
    pub fn take(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.inner, Inner::Empty) {
            Inner::Empty => Some(Bytes::new()),
            Inner::Full(bytes) => Some(bytes),
            stream @ Inner::Stream(_) => {
                self.inner = stream;
                None
            }
        }
    }

    /// The same bytes once more, if all of them are here.
    pub fn copy(&self) -> Option<Self> {
        match &self.inner {
            Inner::Empty => Some(super::empty()),
            Inner::Full(bytes) => Some(full(bytes.clone())),
            Inner::Stream(_) => None,
        }
    }

    /// The same body once all of it is here.
    pub(crate) async fn whole(self) -> Result<Self, BodyError> {
        let collected = self.collect().await?;
        match collected.trailers() {
            None => Ok(full(collected.to_bytes())),
            Some(_) => Ok(Self::new(collected.map_err(BodyError::from))),
        }
    }
}
