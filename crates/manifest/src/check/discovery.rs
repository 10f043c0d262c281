//! `[discovery.consul]`, and what `discover` may say.

use super::{Check, database::text, url::url_is_right};
use crate::{
    ConsulSettings, GatewaySettings, Secret,
    raw::{RawConsul, RawText},
};
use document::source::Key;
use grant::net::{Scheme, Target};

/// Tags, and bytes of each.
const TAGS_MAX: usize = 64;
const TAG_MAX_BYTES: usize = 256;

pub(crate) fn consul(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawConsul,
    gateway: &GatewaySettings,
) -> Option<ConsulSettings> {
    let url_key = key.child("url");
    let url = check.required(&url_key, raw.url, "http://127.0.0.1:8500");
    let url = url.and_then(|url| check.keep(&url_key, url_is_right(&url)));
    let token_key = key.child("token");
    let token = raw.token.and_then(|raw| text(check, &token_key, RawText::From(raw)).ok().flatten());
    if token.as_ref().is_some_and(|token| http::HeaderValue::try_from(token).is_err()) {
        check.wrong(&token_key, "has characters that no header may have; is it the right one?");
    }
    let datacenter =
        raw.datacenter.and_then(|name| check.keep(&key.child("datacenter"), is_name(&name).map(|()| name)));
    let address = raw.address.and_then(|text| check.keep(&key.child("address"), address_is_right(&text)));
    let tags_key = key.child("tags");
    if raw.tags.len() > TAGS_MAX || raw.tags.iter().any(|tag| tag.is_empty() || tag.len() > TAG_MAX_BYTES) {
        check
            .wrong(&tags_key, format_args!("has more than {TAGS_MAX} tags, or one without 1 to {TAG_MAX_BYTES} bytes"));
    }
    let register = raw.register.unwrap_or(true);
    let is_everywhere = gateway.listen.first().is_some_and(|address| address.ip().is_unspecified());
    let address_key = key.child("address");
    if register && is_everywhere && !address_key.is_written() {
        check.wrong(
            &address_key,
            "is missing: `gateway.listen` is every address of this machine; write the one by which others reach it, or `register = false`",
        );
    }
    Some(ConsulSettings { url: url?, token: token.map(Secret::new), datacenter, register, address, tags: raw.tags })
}

/// `consul:orders`: the name that Consul has for it.
pub(super) fn consul_name(text: &str) -> Result<String, String> {
    let Some(name) = text.strip_prefix("consul:") else {
        return Err(format!("`{text}` is no way to find a service; write it like `consul:orders`"));
    };
    is_name(name).map(|()| name.to_owned())
}

/// It becomes part of a path.
fn is_name(name: &str) -> Result<(), String> {
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match (1..=128).contains(&name.len()) && name.chars().all(right) && !name.starts_with('.') {
        true => Ok(()),
        false => Err(format!("`{name}` is no name in Consul; write up to 128 letters, digits, `-`, `_` and `.`")),
    }
}

fn address_is_right(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}` is no address with a port; write it like `10.0.0.5:3000`");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let target = Target::new(Scheme::Http, text).map_err(|_| wrong())?;
    let is_reachable = match &target.place {
        grant::net::Place::Address(address) => !address.is_unspecified(),
        grant::net::Place::Name(_) => true,
    };
    match is_reachable && port != 0 {
        true => Ok((host.trim_matches(['[', ']']).to_owned(), port)),
        false => Err(wrong()),
    }
}
