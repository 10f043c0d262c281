//! What a manifest says of whom services trust: other hosts, and services elsewhere.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use super::KeySettings;

/// `[trust.NAME]`: another host whose word is believed.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustSettings {
    /// Services of this manifest, at least one.
    pub services: BTreeSet<Arc<str>>,
    /// What its tokens are signed with; none: only its certificate is believed.
    pub keys: Option<KeySettings>,
}

/// How a service elsewhere knows that it is this host that calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Proof {
    /// Not at all: the network lets nobody else ask it.
    #[default]
    None,
    /// By the certificate in `tls`.
    Certificate,
    /// By a token with each request.
    Token,
}

/// How connections to a service elsewhere are encrypted, where that is `https`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Whose certificates are believed; none: the web's roots.
    pub ca: Option<PathBuf>,
    pub own: Option<OwnCertificate>,
    /// The name of DNS that its certificate must have; none: that of its address.
    pub name: Option<String>,
}

/// What is shown to it; read again when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}
