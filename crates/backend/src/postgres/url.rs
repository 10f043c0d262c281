//! An operator's URL: what the driver understands of it, and the TLS words that it does not.

use std::path::PathBuf;

use tokio_postgres::Config;

use manifest::TlsMode;

/// Why a URL cannot be used. No part of the URL is in the text: it holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("the URL is not like `postgres://user:password@host:5432/database`")]
    Malformed,
    #[error("the URL names no host")]
    NoHost,
    #[error("`sslmode` of the URL must be disable, prefer, require, verify-ca or verify-full")]
    SslMode,
}

/// A checked URL.
pub(super) struct Parsed {
    pub(super) config: Config,
    pub(super) tls: TlsMode,
    pub(super) roots: Option<PathBuf>,
}

/// Reads a URL. Its `sslmode` wins over the manifest's `tls`, except that nothing weakens
/// `require`; `require` and the two `verify` modes all check the certificate.
pub(super) fn parse(url: &str, tls: TlsMode) -> Result<Parsed, UrlError> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut rest = Vec::new();
    let mut mode = tls;
    let mut roots = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", word)) => mode = stricter(tls, word)?,
            Some(("sslrootcert", path)) => {
                roots = Some(PathBuf::from(percent_decoded(path).ok_or(UrlError::Malformed)?))
            }
            _ => rest.push(pair),
        }
    }
    let text = match rest.is_empty() {
        true => address.to_owned(),
        false => format!("{address}?{}", rest.join("&")),
    };
    let config: Config = text.parse().map_err(|_| UrlError::Malformed)?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(UrlError::NoHost);
    }
    Ok(Parsed { config, tls: mode, roots })
}

fn stricter(manifest: TlsMode, word: &str) -> Result<TlsMode, UrlError> {
    let url = match word {
        "disable" => TlsMode::Disable,
        "allow" | "prefer" => TlsMode::Prefer,
        "require" | "verify-ca" | "verify-full" => TlsMode::Require,
        _ => return Err(UrlError::SslMode),
    };
    Ok(if manifest == TlsMode::Require { manifest } else { url })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).ok()?;
        bytes.extend(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_word_on_tls_wins_where_it_matters() {
        check("", TlsMode::Prefer, TlsMode::Prefer);
        check("?sslmode=disable", TlsMode::Prefer, TlsMode::Disable);
        check("?sslmode=verify-full", TlsMode::Disable, TlsMode::Require);
        check("?sslmode=disable", TlsMode::Require, TlsMode::Require);
    }

    #[test]
    fn roots_are_a_path_and_the_rest_is_the_drivers() {
        let parsed = parse("postgres://u:p@db/shop?sslrootcert=%2Fa%20b&application_name=x", TlsMode::Require).unwrap();
        assert_eq!(parsed.roots, Some(PathBuf::from("/a b")));
        assert_eq!(parsed.config.get_application_name(), Some("x"));
    }

    #[test]
    fn a_bad_url_is_refused_without_being_repeated() {
        for url in
            ["postgres://u:hunter2@db/shop?nonsense=1", "postgres:///shop", "postgres://u:hunter2@db?sslmode=maybe"]
        {
            let error = parse(url, TlsMode::Prefer).map(|_| ()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[track_caller]
    fn check(query: &str, manifest: TlsMode, expected: TlsMode) {
        assert_eq!(parse(&format!("postgres://u:p@db/shop{query}"), manifest).unwrap().tls, expected);
    }
}
