//! `[admin]`: where it listens and who may change what runs.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Check,
    database::{Wrong, text},
    gateway::{address, hosts, overlap},
    tls::tls,
};
use crate::{
    AdminSettings, AdminToken, GatewaySettings, May, Secret, defaults,
    raw::{Named, RawAdmin, RawAdminToken, RawMay, RawText, RawTextFrom},
};
use document::name::check as name;
use document::source::Key;

/// A token shorter than this is guessed one day.
const TOKEN_MIN_BYTES: usize = 16;

pub(crate) fn admin(check: &mut Check<'_>, key: &Key<'_>, raw: RawAdmin, gateway: &GatewaySettings) -> AdminSettings {
    let has_tokens = !raw.tokens.is_empty();
    let tokens = tokens(check, &key.child("tokens"), raw.tokens);
    let hosts = hosts(check, &key.child("hosts"), &raw.hosts);
    let tls = raw.tls.and_then(|raw| tls(check, &key.child("tls"), raw, false));
    let key = key.child("listen");
    let default = defaults::ADMIN_LISTEN.parse().expect("our own default is an address");
    let written = raw.listen.map_or(Ok(None), |raw| text(check, &key, raw));
    let listen = match written {
        Ok(Some(written)) => check.keep(&key, address(&written)).unwrap_or(default),
        Ok(None) | Err(Wrong) => default,
    };
    if !listen.ip().is_loopback() && !has_tokens {
        let port = listen.port();
        let fix = "say who may with `[admin.tokens.NAME]`";
        check.wrong(&key, format_args!("`{listen}` is not loopback; {fix}, or write `127.0.0.1:{port}`"));
    }
    if let Some(other) = gateway.listen.iter().find(|other| overlap(**other, listen)) {
        check.wrong(
            &key,
            format_args!("`{listen}` is already taken by `{other}` of `gateway.listen`; choose another port"),
        );
    }
    AdminSettings { listen, hosts, tls, tokens }
}

fn tokens(check: &mut Check<'_>, key: &Key<'_>, raw: Named<RawAdminToken>) -> BTreeMap<Arc<str>, AdminToken> {
    let mut tokens: BTreeMap<Arc<str>, AdminToken> = BTreeMap::new();
    for (of, raw) in raw {
        let key = key.child(&of);
        check.keep(&key, not_taken(&of));
        let may = raw.may.unwrap_or_default().into_iter().map(may).collect();
        if !key.child("may").is_written() {
            check.wrong(&key.child("may"), "is missing; add `may = [\"read\", \"swap\"]`");
        }
        let from = RawText::From(RawTextFrom { env: raw.env, optional: None, file: raw.file });
        let Ok(Some(secret)) = text(check, &key, from) else { continue };
        if secret.len() < TOKEN_MIN_BYTES || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let fix = "`openssl rand -hex 32` makes a good one";
            check.wrong(&key, format_args!("a token has {TOKEN_MIN_BYTES} visible ASCII characters or more; {fix}"));
        }
        let same = |(_, other): &(&Arc<str>, &AdminToken)| other.secret.reveal() == secret;
        if let Some((other, _)) = tokens.iter().find(same) {
            check.wrong(&key, format_args!("is the same token as `{other}`; each needs one of its own"));
        }
        tokens.insert(of.into(), AdminToken { secret: Secret::new(secret), may });
    }
    tokens
}

fn not_taken(of: &str) -> Result<(), String> {
    match of {
        "local" => Err("`local` is the token that the host makes itself; choose another name".into()),
        other => name(other),
    }
}

fn may(raw: RawMay) -> May {
    match raw {
        RawMay::Read => May::Read,
        RawMay::Swap => May::Swap,
        RawMay::Apply => May::Apply,
        RawMay::Accept => May::Accept,
    }
}
