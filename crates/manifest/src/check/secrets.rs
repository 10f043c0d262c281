//! `[secrets]`: where each secret comes from, and which service reads it.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderName, HeaderValue};

use super::{Check, database::text};
use crate::{
    Secret, SecretHeader, SecretSettings, SecretSource,
    raw::{Named, RawNamedSecret, RawSecretHeader, RawText, RawTextFrom},
};
use document::source::Key;
use grant::net::{Scheme, Target};

/// As large as a secret may be.
const SECRET_MAX_BYTES: usize = 64 << 10;

pub(crate) type SecretsByName = BTreeMap<Arc<str>, SecretSettings>;

pub(crate) fn secrets(check: &mut Check<'_>, key: &Key<'_>, raw: Named<RawNamedSecret>) -> SecretsByName {
    let one = |(name, raw): (String, RawNamedSecret)| {
        let key = key.child(&name);
        check.keep(&key, is_name(&name));
        Some((name.into(), secret(check, &key, raw)?))
    };
    raw.into_iter().filter_map(one).collect()
}

fn secret(check: &mut Check<'_>, key: &Key<'_>, raw: RawNamedSecret) -> Option<SecretSettings> {
    let header = raw.header.and_then(|raw| header(check, &key.child("header"), raw));
    let file = raw.file.clone();
    let from = RawText::From(RawTextFrom { env: raw.env, optional: None, file: raw.file });
    let value = text(check, key, from).ok().flatten()?;
    if value.len() > SECRET_MAX_BYTES {
        check.wrong(key, format_args!("has more than {SECRET_MAX_BYTES} bytes; a secret is shorter"));
    }
    if header.as_ref().is_some_and(|header| HeaderValue::try_from(header.text(&value)).is_err()) {
        check.wrong(key, "has characters that no header may have; is it the right one?");
    }
    let source = match file.and_then(|file| check.path(&key.child("file"), &file)) {
        Some(path) => SecretSource::File(path),
        None => SecretSource::Value(Secret::new(value)),
    };
    Some(SecretSettings { source, header })
}

fn header(check: &mut Check<'_>, key: &Key<'_>, raw: RawSecretHeader) -> Option<SecretHeader> {
    let to = check.required(&key.child("to"), raw.to, "api.example.com");
    let name = check.required(&key.child("name"), raw.name, "authorization");
    let to = to.and_then(|to| check.keep(&key.child("to"), Target::new(Scheme::Https, &to)));
    let name = name.and_then(|name| check.keep(&key.child("name"), is_header(&name)));
    let format = raw.format.unwrap_or_else(|| "{}".into());
    let format = check.keep(&key.child("format"), is_format(&format));
    let (before, after) = format?;
    Some(SecretHeader { to: to?, name: name?, before, after })
}

fn is_name(name: &str) -> Result<(), String> {
    let right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    match (1..=63).contains(&name.len()) && name.bytes().all(right) {
        true => Ok(()),
        false => Err(format!("`{name}` is no name of a secret; write up to 63 letters, digits, `_`, `-` and `.`")),
    }
}

/// Headers that carry a message are the host's own.
const NEVER: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
];

fn is_header(name: &str) -> Result<HeaderName, String> {
    let parsed = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no name of a header"))?;
    match NEVER.contains(&parsed.as_str()) {
        true => Err(format!("`{name}` is written by the host itself; choose another header")),
        false => Ok(parsed),
    }
}

fn is_format(format: &str) -> Result<(String, String), String> {
    match format.split_once("{}") {
        Some((before, after)) if !after.contains("{}") && HeaderValue::try_from(format!("{before}{after}")).is_ok() => {
            Ok((before.to_owned(), after.to_owned()))
        }
        _ => Err(format!("`{format}` must have one `{{}}`, where the secret goes, as in `Bearer {{}}`")),
    }
}
