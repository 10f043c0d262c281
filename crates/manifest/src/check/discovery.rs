//! `[discovery]`, and what `discover` may say.

use super::{Check, database::text, url::url_is_right};
use crate::{
    AdminSettings, ConsulSettings, DnsQuestion, DnsSettings, GatewaySettings, HostSettings, May, Secret, TakeBuilds,
    defaults,
    raw::{RawConsul, RawDns, RawTakeBuilds, RawText},
};
use document::source::Key;
use grant::net::{Scheme, Target};

/// As many as anybody asks in turn.
const SERVERS_MAX: usize = 8;
/// Tags, and bytes of each.
const TAGS_MAX: usize = 64;
const TAG_MAX_BYTES: usize = 256;

pub(crate) fn consul(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawConsul,
    (gateway, admin, host): (&GatewaySettings, &AdminSettings, &HostSettings),
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
    let take_key = key.child("take_builds");
    let take_builds = raw.take_builds.and_then(|raw| take_builds(check, &take_key, raw, (admin, host)));
    let (token, tags) = (token.map(Secret::new), raw.tags);
    Some(ConsulSettings { url: url?, token, datacenter, register, address, tags, take_builds })
}

fn take_builds(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawTakeBuilds,
    (admin, host): (&AdminSettings, &HostSettings),
) -> Option<TakeBuilds> {
    if !host.signed_by.is_empty() {
        check.wrong(key, "cannot be: `host.import.signed_by` wants signatures, and a build of another host has none");
    }
    let token_key = key.child("token");
    let name = check.required(&token_key, raw.token, "ops");
    let ca = raw.ca.and_then(|path| check.file(&key.child("ca"), &path));
    let name = name?;
    let Some(token) = admin.tokens.get(&*name) else {
        if !check.is_written_wrong("admin") {
            check.wrong(&token_key, format_args!("there is no `[admin.tokens.{name}]`; add one that all hosts know"));
        }
        return None;
    };
    if !token.may.contains(&May::Read) {
        check.wrong(&token_key, format_args!("`{name}` may not `read`; add that to `admin.tokens.{name}.may`"));
    }
    Some(TakeBuilds { token: token.secret.clone(), ca })
}

/// Whom a `discover` may ask.
#[derive(Clone, Copy)]
pub(crate) struct Guides<'a> {
    pub(crate) consul: Option<&'a ConsulSettings>,
    pub(crate) dns: &'a DnsSettings,
}

/// What a `discover` says.
pub(super) enum Found {
    /// The name that Consul has for it.
    Consul(String),
    Dns(DnsQuestion),
}

pub(super) fn place(text: &str) -> Result<Found, String> {
    match text.split_once(':') {
        Some(("consul", name)) => is_name(name).map(|()| Found::Consul(name.to_owned())),
        Some(("dns", rest)) => hosts(rest).map(Found::Dns),
        Some(("srv", name)) => dns_name(name).map(|name| Found::Dns(DnsQuestion::Services { name })),
        _ => Err(format!(
            "`{text}` is no way to find a service; write it like `consul:orders`, `dns:orders.internal.example:4000` or `srv:_http._tcp.orders`"
        )),
    }
}

fn hosts(text: &str) -> Result<DnsQuestion, String> {
    let wrong = || format!("`{text}` is no name with a port; write it like `dns:orders.internal.example:4000`");
    let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    Ok(DnsQuestion::Hosts { name: dns_name(name)?, port })
}

/// In lower case; `_` is for SRV.
fn dns_name(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let bare = text.strip_suffix('.').unwrap_or(text);
    match bare.len() <= 253 && bare.split('.').all(is_label) && bare.parse::<std::net::IpAddr>().is_err() {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("`{text}` is no name of DNS; write one such as `orders.internal.example`")),
    }
}

/// `[discovery.dns]`; without it the servers of the system are asked.
pub(crate) fn dns(check: &mut Check<'_>, key: &Key<'_>, raw: RawDns) -> DnsSettings {
    let ttl_max = check.within(&key.child("ttl_max"), raw.ttl_max, defaults::DNS_TTL_MAX, &defaults::DNS_TTLS);
    let servers_key = key.child("servers");
    if raw.servers.len() > SERVERS_MAX {
        check.wrong(&servers_key, format_args!("has more than {SERVERS_MAX} servers"));
    }
    let mut servers = Vec::new();
    for (index, text) in raw.servers.iter().enumerate() {
        let address: Result<std::net::SocketAddr, _> = text.parse();
        let address = address.map_err(|_| format!("`{text}` is no address with a port; write it like `10.96.0.10:53`"));
        servers.extend(check.keep(&servers_key.item(index), address));
    }
    DnsSettings { servers, ttl_max: ttl_max.get() }
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
