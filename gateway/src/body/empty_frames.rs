//! Frames without a byte: some may be, many are an attack.

use bytes::Bytes;
use http_body::Frame;

use super::BodyError;

/// Empty data frames after which a body is given up: they cost the receiver memory and time and
/// carry nothing (GHSA-f8mm).
pub(super) const EMPTY_FRAMES_MAX: u32 = 1000;

/// Counts empty data frames of one body.
#[derive(Debug, Default)]
pub(super) struct EmptyFrames(u32);

impl EmptyFrames {
    /// Whether this frame carries nothing and is to be dropped.
    pub(super) fn swallow(&mut self, frame: &Frame<Bytes>) -> Result<bool, BodyError> {
        if !frame.data_ref().is_some_and(Bytes::is_empty) {
            return Ok(false);
        }
        self.0 += 1;
        if self.0 > EMPTY_FRAMES_MAX {
            return Err(BodyError::Cut(format!("more than {EMPTY_FRAMES_MAX} empty frames")));
        }
        Ok(true)
    }
}
