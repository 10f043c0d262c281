//! Whose word is believed about a collector's certificate: the web's roots, or those of a file.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::error::InvalidSettings;

/// The file's text, once it is known to hold certificates.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, InvalidSettings> {
    let invalid = |why: &dyn std::fmt::Display| {
        InvalidSettings(format!("the authorities in `{}` cannot be used: {why}", file.display()))
    };
    let pem = std::fs::read(file).map_err(|error| invalid(&error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(invalid(&"it holds no certificate")),
        Ok(_) => Ok(pem),
        Err(error) => Err(invalid(&error)),
    }
}

/// By these alone.
pub(crate) fn config(pem: &[u8]) -> Result<ClientConfig, InvalidSettings> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| InvalidSettings(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
