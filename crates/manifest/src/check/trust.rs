//! `[trust.NAME]`, and `tls` and `trust` of services elsewhere.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use gateway::{
    authority::Authority,
    tls::{Files, Tls},
};

use super::{
    Check,
    auth::{authority, jwks},
};
use crate::{
    OwnCertificate, Proof, TrustSettings, UpstreamTls, Whereabouts,
    raw::{RawProof, RawTrust, RawUpstreamTls},
};
use document::{name::check as name, problem::chain, source::Key};
use grant::net::Scheme;

/// Another host, believed for services of `services`.
pub(crate) fn trust(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawTrust,
    services: &BTreeSet<Arc<str>>,
) -> Option<TrustSettings> {
    check.keep(key, name(key.name()));
    let list_key = key.child("services");
    let written = check.required(&list_key, raw.services.map(|names| names.join(",")), "orders");
    let named: BTreeSet<Arc<str>> =
        written.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()).map(Arc::from).collect();
    if written.is_some() && named.is_empty() {
        check.wrong(&list_key, "is empty; name the services that this host may speak to, or remove the table");
    }
    for unknown in named.difference(services) {
        check.wrong(
            &list_key,
            format_args!("there is no service `{unknown}`; correct the name, or add `[services.{unknown}]`"),
        );
    }
    let is_address = raw.jwks.as_ref().is_some_and(|place| place.contains("://"));
    if raw.ca.is_some() && !is_address {
        check.wrong(&key.child("ca"), "is only for an address in `jwks`; remove it");
    }
    let keys = match raw.jwks {
        None => None,
        Some(place) => Some(jwks(check, key, &place, raw.ca)?),
    };
    Some(TrustSettings { services: named, keys })
}

/// How a service at `at`, called `service` here, is spoken to and shown who calls.
pub(super) fn secured(
    check: &mut Check<'_>,
    key: &Key<'_>,
    at: &Whereabouts,
    (tls, proof): (Option<RawUpstreamTls>, Option<RawProof>),
) -> (UpstreamTls, Proof) {
    let (tls_key, proof_key) = (key.child("tls"), key.child("trust"));
    let is_written = tls.is_some();
    let tls = tls.map(|raw| upstream_tls(check, &tls_key, raw)).unwrap_or_default();
    let proof = match proof {
        None | Some(RawProof::None) => Proof::None,
        Some(RawProof::Token) => Proof::Token,
        Some(RawProof::Mtls) => Proof::Certificate,
    };
    let plain = match at {
        Whereabouts::Fixed(urls) => urls.iter().any(|url| url.scheme != Scheme::Https),
        Whereabouts::Consul { .. } | Whereabouts::Dns { .. } => false,
    };
    if is_written && plain {
        check.wrong(&tls_key, "is for `https`; write `https://` in `url`, or remove it");
    }
    if proof == Proof::Certificate && !check.is_wrong_inside(&tls_key) && (tls.own.is_none() || plain) {
        check.wrong(&proof_key, "shows a certificate; write `https://` in `url`, and `tls = { ca = \"ca.pem\", cert = \"own.pem\", key = \"own.key\" }`");
    }
    // A service that proves itself is asked to be who it is called, wherever it is found.
    let own = (proof == Proof::Certificate).then(|| key.name().to_owned());
    // What DNS gives is addresses.
    let asked = match at {
        Whereabouts::Dns { question, .. } if is_written => Some(question.name().to_owned()),
        _ => None,
    };
    let name = tls.name.or(own).or(asked);
    (UpstreamTls { name, ..tls }, proof)
}

fn upstream_tls(check: &mut Check<'_>, key: &Key<'_>, raw: RawUpstreamTls) -> UpstreamTls {
    let ca = raw.ca.and_then(|path| authority(check, &key.child("ca"), &path));
    let name = raw.name.and_then(|text| check.keep(&key.child("name"), dns_name(text)));
    let own = match (raw.cert, raw.key) {
        (None, None) => None,
        (cert, private) => own(check, key, cert, private),
    };
    UpstreamTls { ca, own, name }
}

fn own(check: &mut Check<'_>, key: &Key<'_>, cert: Option<String>, private: Option<String>) -> Option<OwnCertificate> {
    let mut file = |name: &str, written: Option<String>| -> Option<PathBuf> {
        let key = key.child(name);
        let path = check.required(&key, written, &format!("own-{name}.pem"))?;
        check.file(&key, &path)
    };
    let (certificate, private) = (file("cert", cert), file("key", private));
    let own = OwnCertificate { certificate: certificate?, key: private? };
    let files =
        Files { certificate: own.certificate.clone(), key: own.key.clone(), client_ca: None, without_too: false };
    if !check.is_wrong_inside(key)
        && let Err(error) = Tls::read(files)
    {
        check.wrong(&key.child("cert"), chain(&error));
    }
    Some(own)
}

fn dns_name(text: String) -> Result<String, String> {
    let authority =
        Authority::parse(&text).ok().filter(|authority| authority.port.is_none() && !authority.is_address());
    match authority {
        Some(authority) => Ok(authority.host.into_owned()),
        None => Err(format!("`{text}` is no name of DNS; write the one that the certificate has, such as `orders`")),
    }
}
