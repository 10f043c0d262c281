//! `[auth.NAME]`: whose tokens are accepted, and who is asked for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gateway::{
    auth::{Algorithm, PemKey, RolesClaim, SECRET_BYTES_MIN, jwks},
    tls::holds_certificates,
};

use super::{
    Check,
    database::secret_file,
    keystore::{StoreNames, key_store},
    limited,
};
use crate::{
    Access, AuthSettings, KeySettings, Secret, defaults,
    raw::{RawAlgorithm, RawAuth, RawKeys, RawSecret},
};
use document::name::check as name;
use document::quantity::{QuantityError, Time};
use document::source::Key;
use document::structure::nearest;
use grant::sign::TTLS;

/// How long a token may be valid, as a command says it: `1h`.
///
/// # Errors
/// What is wrong with it.
pub fn ttl(text: &str) -> Result<Duration, String> {
    let ttl: Time = text.parse().map_err(|error: QuantityError| error.to_string())?;
    match TTLS.contains(&ttl) {
        true => Ok(ttl.get()),
        false => Err(format!("{ttl} is too short or too long; it must be {} to {}", TTLS.start(), TTLS.end())),
    }
}

/// A file that holds keys, for a command.
pub fn key_document(path: &Path) -> io::Result<Vec<u8>> {
    limited(path, jwks::JWKS_BYTES_MAX as u64 + 1)
}

/// What may name an `[auth.NAME]`, and is checked against all of them.
pub(crate) struct Auths<'a> {
    pub(crate) settings: &'a BTreeMap<Arc<str>, AuthSettings>,
    /// Every name that is written, also where its table has mistakes.
    pub(crate) names: &'a BTreeSet<Arc<str>>,
}

/// As long as an issuer or an audience may be.
const NAME_BYTES_MAX: usize = 255;
/// More than any key needs.
const PEM_BYTES_MAX: u64 = 64 << 10;

pub(crate) fn auth(check: &mut Check<'_>, key: &Key<'_>, raw: RawAuth, stores: StoreNames<'_>) -> Option<AuthSettings> {
    check.keep(key, name(key.name()));
    let mut text = |name: &str, written, example: &str| {
        let key = key.child(name);
        let text = check.required(&key, written, example)?;
        check.keep(&key, claim(text))
    };
    let (issuer, audience) = (text("issuer", raw.issuer, "archipel"), text("audience", raw.audience, "shop"));
    let leeway = check.within(&key.child("leeway"), raw.leeway, defaults::LEEWAY, &defaults::LEEWAYS).get();
    let roles = raw.roles.map(|text| check.keep(&key.child("roles"), text.parse()));
    let roles = roles.map_or(Some(RolesClaim::default()), |parsed| parsed);
    let keys_key = key.child("keys");
    let keys = match raw.keys {
        Some(raw) => keys(check, &keys_key, raw, stores),
        None => {
            if !keys_key.is_written() {
                check.wrong(&keys_key, "is missing; add `keys = { generate = true }`");
            }
            None
        }
    };
    Some(AuthSettings { issuer: issuer?, audience: audience?, roles: roles?, leeway, keys: keys? })
}

fn claim(text: String) -> Result<String, &'static str> {
    match (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        true => Ok(text),
        false => Err("is empty, too long or has control characters; write what tokens say, such as `shop`"),
    }
}

fn keys(check: &mut Check<'_>, key: &Key<'_>, raw: RawKeys, stores: StoreNames<'_>) -> Option<KeySettings> {
    if raw.alg.is_some() && raw.pem.is_none() {
        check.wrong(&key.child("alg"), "is only for `pem`: other keys say themselves what they are for; remove it");
    }
    let is_address = raw.jwks.as_ref().is_some_and(|place| place.contains("://"));
    if raw.ca.is_some() && !is_address {
        check.wrong(&key.child("ca"), "is only for an address in `jwks`; remove it");
    }
    if raw.store.is_some() && raw.generate.is_none() {
        check.wrong(&key.child("store"), "is only for `generate`: other keys are where they come from; remove it");
    }
    match raw {
        RawKeys { generate: Some(true), jwks: None, pem: None, hs256: None, store, .. } => {
            let store_key = key.child("store");
            let store = store.map(|text| key_store(check, &store_key, &text, stores).ok_or(()));
            Some(KeySettings::Generated { store: store.transpose().ok()? })
        }
        RawKeys { generate: None, jwks: Some(place), pem: None, hs256: None, ca, .. } => jwks(check, key, &place, ca),
        RawKeys { generate: None, jwks: None, pem: Some(path), hs256: None, alg, .. } => pem(check, key, &path, alg),
        RawKeys { generate: None, jwks: None, pem: None, hs256: Some(raw), .. } => {
            secret(check, &key.child("hs256"), raw).map(KeySettings::Secret)
        }
        _ if check.is_wrong_inside(key) => None,
        _ => {
            let forms = "`{ generate = true }`, `{ jwks = \"path or https://…\" }`, `{ pem = \"path\", alg = \"EdDSA\" }` \
                         or `{ hs256 = { env = \"NAME\" } }`";
            check.wrong(key, format_args!("must say one thing where keys come from; write {forms}"));
            None
        }
    }
}

pub(super) fn jwks(check: &mut Check<'_>, keys: &Key<'_>, place: &str, ca: Option<String>) -> Option<KeySettings> {
    let key = &keys.child("jwks");
    if place.contains("://") {
        let ca = ca.map(|path| authority(check, &keys.child("ca"), &path));
        let ca = ca.map_or(Some(None), |path| path.map(Some));
        let uri = check.keep(key, address(place))?;
        return Some(KeySettings::Address { uri, ca: ca? });
    }
    let path = check.path(key, place)?;
    let read = limited(&path, jwks::JWKS_BYTES_MAX as u64 + 1);
    let problem = match read.map(|document| jwks::parse(&document, jwks::Secrets::Ignore)) {
        Ok(Ok(_)) => return Some(KeySettings::JwksFile(path)),
        Ok(Err(error)) => format!("`{place}` is no key set: {error}"),
        Err(error) => format!("cannot read `{}`: {error}; correct the path or its rights", path.display()),
    };
    check.wrong(key, problem);
    None
}

/// A file of certificates; it is read again at each fetch.
pub(super) fn authority(check: &mut Check<'_>, key: &Key<'_>, place: &str) -> Option<PathBuf> {
    let path = check.file(key, place)?;
    let is_empty = limited(&path, PEM_BYTES_MAX * 16).is_ok_and(|text| !holds_certificates(&text));
    if is_empty {
        check.wrong(key, format_args!("`{place}` holds no certificate; name a PEM file of an authority"));
    }
    (!is_empty).then_some(path)
}

/// Keys that come over the network must come from whom they say: TLS, or this machine.
fn address(text: &str) -> Result<http::Uri, String> {
    let wrong =
        || format!("`{text}` is no address of keys; write it like `https://id.example.com/.well-known/jwks.json`");
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
    let host = authority.host().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_here => Ok(uri),
        Some("http") => {
            Err(format!("`{text}` is not encrypted, so anybody on the way could change the keys; write `https://`"))
        }
        _ => Err(wrong()),
    }
}

fn pem(check: &mut Check<'_>, key: &Key<'_>, path: &str, alg: Option<RawAlgorithm>) -> Option<KeySettings> {
    let Some(alg) = alg else {
        if !key.child("alg").is_written() {
            check.wrong(key, "does not say what its key is for; add `alg = \"EdDSA\"`, `\"RS256\"` or `\"ES256\"`");
        }
        return None;
    };
    let algorithm = match alg {
        RawAlgorithm::EdDsa => Algorithm::EdDsa,
        RawAlgorithm::Rs256 => Algorithm::Rs256,
        RawAlgorithm::Es256 => Algorithm::Es256,
    };
    let file = check.path(&key.child("pem"), path)?;
    let read = limited(&file, PEM_BYTES_MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let problem = match read.map(|text| (PemKey::parse(&text, Some(algorithm)), text)) {
        Ok((Ok(PemKey::Private(_)), text)) => return Some(KeySettings::Private(Secret::new(text))),
        Ok((Ok(PemKey::Public(public)), _)) => return Some(KeySettings::Public(public)),
        Ok((Err(error), _)) => format!("`{path}` cannot be used: {error}"),
        Err(error) => format!("cannot read `{}`: {error}; correct the path or its rights", file.display()),
    };
    check.wrong(&key.child("pem"), problem);
    None
}

fn secret(check: &mut Check<'_>, key: &Key<'_>, raw: RawSecret) -> Option<Secret> {
    let text = match raw {
        RawSecret { env: Some(name), file: None } => {
            check.reserved.insert(name.clone());
            let set = check.env.get(&name).cloned();
            check.keep(key, set.ok_or_else(|| format!("the variable `{name}` is not set; set it")))?
        }
        RawSecret { env: None, file: Some(path) } => {
            let path = check.path(key, &path)?;
            check.keep(key, secret_file(&path))?
        }
        _ if check.is_wrong_inside(key) => return None,
        _ => {
            let forms = "`{ env = \"NAME\" }` or `{ file = \"path\" }`";
            check.wrong(key, format_args!("does not say where the secret comes from; write {forms}"));
            return None;
        }
    };
    if text.len() < SECRET_BYTES_MIN {
        let length = text.len();
        check.wrong(
            key,
            format_args!(
                "the secret has {length} bytes; it must have at least {SECRET_BYTES_MIN}, such as `openssl rand -base64 48` makes"
            ),
        );
        return None;
    }
    Some(Secret::new(text))
}

impl Auths<'_> {
    /// The settings of `name`; reports a name that is written nowhere.
    fn find(&self, check: &mut Check<'_>, key: &Key<'_>, name: &str) -> Option<(Arc<str>, Option<&AuthSettings>)> {
        if let Some(name) = self.names.get(name) {
            return Some((name.clone(), self.settings.get(name)));
        }
        match nearest(name, self.names.iter().map(AsRef::as_ref)) {
            Some(meant) => check.wrong(key, format_args!("there is no `[auth.{name}]`; did you mean `{meant}`?")),
            None => check.wrong(key, format_args!("there is no `[auth.{name}]`; add it")),
        }
        None
    }

    /// `gateway.auth`.
    pub(crate) fn of_gateway(&self, check: &mut Check<'_>, key: &Key<'_>, raw: Option<String>) -> Option<Arc<str>> {
        let (name, _) = self.find(check, key, &raw?)?;
        Some(name)
    }

    /// Who may use a route: `key` is the route's.
    pub(crate) fn of_route(
        &self,
        check: &mut Check<'_>,
        key: &Key<'_>,
        (public, auth): (Option<bool>, Option<String>),
        gateway: &GatewayAuth,
    ) -> Access {
        let (public_key, auth_key) = (key.child("public"), key.child("auth"));
        match (public.unwrap_or(false), auth, gateway) {
            (true, Some(_), _) => {
                check.wrong(&public_key, "is true, and `auth` asks for a token; remove one of the two");
                Access::Public
            }
            (true, None, _) => Access::Public,
            (false, Some(name), _) => match self.find(check, &auth_key, &name) {
                Some((name, _)) => Access::Token(name),
                None => Access::Public,
            },
            (false, None, GatewayAuth::Named(name)) => Access::Token(name.clone()),
            (false, None, GatewayAuth::Wrong) => Access::Public,
            (false, None, GatewayAuth::None) => {
                if !auth_key.is_written() && (public.is_some() || !public_key.is_written()) {
                    let message = "nobody is asked for a token here, so anybody could call this route; \
                                   set `gateway.auth`, name an `auth`, or say so with `public = true`";
                    check.wrong(&public_key, message);
                }
                Access::Public
            }
        }
    }
}

/// What `gateway.auth` says.
pub(crate) enum GatewayAuth {
    None,
    Named(Arc<str>),
    /// It has been reported.
    Wrong,
}
