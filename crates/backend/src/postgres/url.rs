//! An operator's URL: every parameter of it is obeyed or refused by name, none is swallowed.

use std::{path::PathBuf, time::Duration};

use tokio_postgres::{Config, config::ChannelBinding};

use super::tuning::{Target, Tuning};
use manifest::TlsMode;

/// Why a URL cannot be used. No part of the URL is in the text but names of parameters that are known: it
/// holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("the URL is not like `postgres://user:password@host:5432/database`")]
    Malformed,
    #[error("the URL names no host")]
    NoHost,
    #[error("`sslmode` of the URL must be disable, prefer, require, verify-ca or verify-full")]
    SslMode,
    #[error("`{name}` of the URL must be {must}")]
    Value { name: &'static str, must: &'static str },
    #[error("`{name}` of the URL is not supported; {instead}")]
    Unsupported { name: &'static str, instead: &'static str },
    #[error("the URL has a parameter that is not supported; docs/postgres.md lists those that are")]
    Unknown,
}

/// A checked URL.
pub(crate) struct Parsed {
    pub(crate) config: Config,
    pub(crate) tls: TlsMode,
    pub(crate) roots: Option<PathBuf>,
    pub(super) tuning: Tuning,
    /// Settings of its sessions.
    pub(super) options: Option<String>,
}

/// What other programs understand, and what to do here.
const OTHERS: &[(&str, &str)] = &[
    ("connection_limit", "use `connections_max` of the manifest"),
    ("fallback_application_name", "use `application_name`"),
    ("load_balance_hosts", "hosts are tried in their order"),
    ("passfile", "write the password into the URL, and the URL into a file"),
    ("pgbouncer", "remove it; a pooler in session mode needs no word"),
    ("pool_timeout", "use `wait` of the manifest"),
    ("prepared_statements", "remove it; statements are always prepared"),
    ("schema", "use `options=-c%20search_path%3DNAME`"),
    ("service", "write host, role and database into the URL"),
    ("sslcert", "a client's certificate cannot be used yet; use a password"),
    ("sslkey", "a client's certificate cannot be used yet; use a password"),
    ("sslnegotiation", "remove it; TLS is negotiated in the usual way"),
    ("socket_timeout", "use `statement_timeout` of the manifest"),
    ("statement_cache_size", "remove it; the host keeps 100 statements for each connection"),
];

/// Reads a URL. Its `sslmode` wins over the manifest's `tls`, except that nothing weakens
/// `require`; `require` and the two `verify` modes all check the certificate.
pub(crate) fn parse(url: &str, tls: TlsMode) -> Result<Parsed, UrlError> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut config: Config = address.parse().map_err(|_| UrlError::Malformed)?;
    let (mut mode, mut roots, mut options, mut tuning) = (tls, None, None, Tuning::default());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(UrlError::Unknown)?;
        let value = percent_decoded(value).ok_or(UrlError::Malformed)?;
        match name {
            "sslmode" => mode = stricter(tls, &value)?,
            "options" => options = Some(value),
            "sslrootcert" => roots = Some(PathBuf::from(value)),
            _ if tuning_of(&mut tuning, name, &value)? => {}
            _ => connection_of(&mut config, name, &value)?,
        }
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(UrlError::NoHost);
    }
    Ok(Parsed { config, tls: mode, roots, tuning, options })
}

/// Whom to log in as, and where.
fn connection_of(config: &mut Config, name: &str, value: &str) -> Result<(), UrlError> {
    match name {
        "user" => _ = config.user(value),
        "password" => _ = config.password(value),
        "dbname" => _ = config.dbname(value),
        "application_name" => _ = config.application_name(value),
        "host" => value.split(',').for_each(|host| _ = config.host(host)),
        "hostaddr" => {
            for address in value.split(',') {
                let must = UrlError::Value { name: "hostaddr", must: "an IP address for each host" };
                config.hostaddr(address.parse().map_err(|_| must)?);
            }
        }
        "port" => {
            for port in value.split(',') {
                let must = UrlError::Value { name: "port", must: "a number for each host" };
                config.port(port.parse().map_err(|_| must)?);
            }
        }
        "channel_binding" => {
            config.channel_binding(match value {
                "disable" => ChannelBinding::Disable,
                "prefer" => ChannelBinding::Prefer,
                "require" => ChannelBinding::Require,
                _ => return Err(UrlError::Value { name: "channel_binding", must: "disable, prefer or require" }),
            });
        }
        _ => {
            let known = OTHERS.iter().find(|(known, _)| *known == name);
            return Err(known.map_or(UrlError::Unknown, |&(name, instead)| UrlError::Unsupported { name, instead }));
        }
    }
    Ok(())
}

/// How long to wait for it, and which of several hosts will do. False: it is another parameter.
fn tuning_of(tuning: &mut Tuning, name: &str, value: &str) -> Result<bool, UrlError> {
    let number = |name, must, most: u32| match value.parse::<u32>() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(UrlError::Value { name, must }),
    };
    let seconds = |name| number(name, "1 to 300 seconds", 300).map(|seconds| Duration::from_secs(seconds.into()));
    match name {
        "connect_timeout" => tuning.connect_timeout = seconds("connect_timeout")?,
        "tcp_user_timeout" => {
            let millis = number("tcp_user_timeout", "1 to 300000 milliseconds", 300_000)?;
            tuning.user_timeout = Duration::from_millis(millis.into());
        }
        "keepalives" => {
            tuning.keepalives = match value {
                "1" => true,
                "0" => false,
                _ => return Err(UrlError::Value { name: "keepalives", must: "0 or 1" }),
            }
        }
        "keepalives_idle" => tuning.keepalives_idle = seconds("keepalives_idle")?,
        "keepalives_interval" => tuning.keepalives_interval = seconds("keepalives_interval")?,
        "keepalives_count" => tuning.keepalives_count = number("keepalives_count", "1 to 100", 100)?,
        "target_session_attrs" => {
            tuning.target = match value {
                "any" => Target::Any,
                "read-write" | "primary" => Target::Primary,
                "read-only" | "standby" => Target::Standby,
                _ => {
                    let must = "any, read-write, primary, read-only or standby";
                    return Err(UrlError::Value { name: "target_session_attrs", must });
                }
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
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
        for url in [
            "postgres://u:hunter2@db/shop?nonsense=1",
            "postgres://u:pass?hunter2=hunter2@db/shop",
            "postgres:///shop",
            "postgres://u:hunter2@db?sslmode=maybe",
        ] {
            let error = parse(url, TlsMode::Prefer).map(|_| ()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_parameter_is_obeyed_or_refused_by_its_name() {
        let obeyed = "postgres://u@a,b/shop?connect_timeout=7&keepalives_idle=9&keepalives_count=2&tcp_user_timeout=1500\
                      &target_session_attrs=primary&options=-c%20search_path%3Dx&application_name=y";
        let parsed = parse(obeyed, TlsMode::Prefer).unwrap();
        let tuning = &parsed.tuning;
        assert_eq!((tuning.connect_timeout, tuning.keepalives_idle), (Duration::from_secs(7), Duration::from_secs(9)));
        assert_eq!((tuning.keepalives_count, tuning.user_timeout), (2, Duration::from_millis(1500)));
        assert_eq!((tuning.target, parsed.config.get_hosts().len()), (Target::Primary, 2));
        assert_eq!(parsed.options.as_deref(), Some("-c search_path=x"));
        for (query, words) in [
            ("schema=x", "`schema` of the URL is not supported; use `options="),
            ("pgbouncer=true", "`pgbouncer` of the URL is not supported; remove it"),
            ("connect_timeout=0", "`connect_timeout` of the URL must be 1 to 300 seconds"),
            ("target_session_attrs=prefer-standby", "`target_session_attrs` of the URL must be any, "),
            ("keepalives=yes", "`keepalives` of the URL must be 0 or 1"),
        ] {
            let error = parse(&format!("postgres://u@db/shop?{query}"), TlsMode::Prefer).map(|_| ()).unwrap_err();
            assert!(error.to_string().starts_with(words), "{error}");
        }
    }

    #[track_caller]
    fn check(query: &str, manifest: TlsMode, expected: TlsMode) {
        assert_eq!(parse(&format!("postgres://u:p@db/shop{query}"), manifest).unwrap().tls, expected);
    }
}
