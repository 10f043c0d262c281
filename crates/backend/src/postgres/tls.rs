//! How a connection to an operator's server is encrypted and whose certificate is believed.

use std::{path::PathBuf, sync::Arc};

use rustls::{ClientConfig, crypto::ring};

use crate::{
    roots::{Roots, RootsError},
    unjudged::Unjudged,
};
use manifest::TlsMode;

/// Why TLS cannot be set up; nothing was connected.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error("TLS cannot be set up")]
    Protocols(#[source] rustls::Error),
}

/// What the handshake uses; `None` when there shall be none.
pub(super) fn client_config(mode: TlsMode, roots: Option<PathBuf>) -> Result<Option<Arc<ClientConfig>>, TlsError> {
    const NAMED: &str = "sslrootcert";
    let config = match mode {
        TlsMode::Disable => return Ok(None),
        TlsMode::Require => {
            let roots = roots.map_or_else(|| Roots::web(None, NAMED), |file| Roots::only(&file, NAMED))?;
            roots.client_config().map_err(TlsError::Protocols)?
        }
        TlsMode::Prefer => {
            let provider = Arc::new(ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .map_err(TlsError::Protocols)?;
            // What `prefer` promises.
            let anyone = Arc::new(Unjudged(provider));
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        }
    };
    Ok(Some(Arc::new(config)))
}
