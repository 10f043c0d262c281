//! What the history of a service will say, before that is written.

use std::sync::Arc;

use bytes::Bytes;

use crate::component::{Digest, Entry};
use manifest::ServiceSettings;

/// What is written down of a service before it goes live.
pub(super) struct Note {
    pub(super) settings: Arc<ServiceSettings>,
    pub(super) build: Option<Bytes>,
    pub(super) file: Digest,
    pub(super) live: Digest,
    pub(super) entry: Option<Entry>,
}
