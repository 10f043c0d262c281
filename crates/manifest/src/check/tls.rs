//! `gateway.tls`, `admin.tls`: files that work together.

use std::path::PathBuf;

use gateway::tls::{Files, Tls, TlsError};

use super::Check;
use crate::raw::RawAdminTls;
use document::{problem::chain, source::Key};

/// None where a file is not named. Files that are named are tried: a host would not start with them.
/// `without_too`: clients without a certificate are let in where authorities are named.
pub(super) fn tls(check: &mut Check<'_>, key: &Key<'_>, raw: RawAdminTls, without_too: bool) -> Option<Files> {
    let mut file = |name: &str, written: Option<String>| {
        let key = key.child(name);
        let path = check.required(&key, written, &format!("{name}.pem"))?;
        check.file(&key, &path)
    };
    let (certificate, private) = (file("cert", raw.cert), file("key", raw.key));
    let client_ca = raw.client_ca.map(|path| file("client_ca", Some(path)));
    let client_ca = client_ca.map_or(Some(None), |path| path.map(Some));
    let files = Files { certificate: certificate?, key: private?, client_ca: client_ca?, without_too };
    try_out(check, key, &files);
    Some(files)
}

fn try_out(check: &mut Check<'_>, key: &Key<'_>, files: &Files) {
    if check.is_wrong_inside(key) {
        return;
    }
    if let Err(error) = Tls::read(files.clone()) {
        let blamed = match &error {
            TlsError::Key { .. } | TlsError::Mismatch { .. } => "key",
            TlsError::Certificate { path, .. } | TlsError::NoCertificate { path } | TlsError::ClientCa { path, .. } => {
                of(files, path)
            }
        };
        check.wrong(&key.child(blamed), chain(&error));
    }
}

/// The key that names a file of certificates.
fn of(files: &Files, path: &PathBuf) -> &'static str {
    if files.client_ca.as_ref() == Some(path) { "client_ca" } else { "cert" }
}
