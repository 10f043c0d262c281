//! What runs, as one value that never changes: whatever changes makes another one.

use std::{path::PathBuf, sync::Arc};

use super::{document::Document, limits::Limits};
use crate::deploy::Services;
use backend::Backends;
use manifest::Manifest;

/// What runs at one moment.
#[derive(Clone)]
pub struct Current {
    pub manifest: Arc<Manifest>,
    pub applied: Arc<Applied>,
    pub services: Arc<Services>,
    /// What new builds reach; those that run keep what they have.
    pub backends: Arc<Backends>,
    pub(super) limits: Arc<Limits>,
    pub(super) document: Arc<Document>,
}

/// Where the manifest that runs came from, for `status`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Applied {
    pub file: PathBuf,
    /// Of the text that runs; the file may say something else by now.
    pub digest: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// The name of the token that applied it; `manifest` since a start.
    pub by: String,
    /// Keys of it that take effect with a restart only.
    pub restart: Vec<String>,
}
