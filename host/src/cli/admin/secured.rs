//! A connection to an admin address that has a certificate: whose is believed, and which one is shown.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The files for `https://`.
#[derive(Debug, Clone, Args)]
pub(super) struct Files {
    /// Whose certificates are believed at an https:// admin address, a PEM file; else the web's.
    #[arg(long = "admin-ca", value_name = "FILE", env = "ARCHIPEL_ADMIN_CA")]
    ca: Option<PathBuf>,
    /// The certificate to show where the host asks for one, a PEM file.
    #[arg(long = "admin-cert", value_name = "FILE", env = "ARCHIPEL_ADMIN_CERT", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, a PEM file.
    #[arg(id = "key", long = "admin-key", value_name = "FILE", env = "ARCHIPEL_ADMIN_KEY", requires = "cert")]
    key: Option<PathBuf>,
}

impl Files {
    /// The handshake over `tcp` with the host that is called `name`.
    pub(super) async fn connect(&self, name: &str, tcp: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).with_context(|| format!("`{name}` is no host"))?;
        Ok(TlsConnector::from(Arc::new(self.config()?)).connect(name, tcp).await?)
    }

    fn config(&self) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(file) => drop(roots.add_parsable_certificates(certificates(file)?)),
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else { return Ok(builder.with_no_client_auth()) };
        let private = PrivateKeyDer::from_pem_file(key);
        let private = private.with_context(|| format!("cannot read a private key from `{}`", key.display()))?;
        let config = builder.with_client_auth_cert(certificates(cert)?, private);
        config.with_context(|| format!("`{}` and `{}` do not work together", cert.display(), key.display()))
    }
}

fn certificates(file: &PathBuf) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.with_context(|| format!("cannot read certificates from `{}`", file.display()))?;
    if read.is_empty() {
        bail!("`{}` holds no certificate", file.display());
    }
    Ok(read)
}
