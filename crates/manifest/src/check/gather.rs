//! What a route leads to: a service, several that are gathered, or a fixed status.

use std::{collections::BTreeSet, sync::Arc};

use gateway::{gather::Template, route::PathPattern};
use http::{Method, StatusCode};

use super::{Check, route::known_service};
use crate::{
    PartSettings, Target,
    raw::{Named, RawPart, RawPartFrom},
};
use document::source::Key;
use gateway::route::Methods;

/// Statuses that need no header to be understood.
const STATIC: [u16; 5] = [403, 404, 410, 451, 503];
const PARTS_MAX: usize = 16;
const NAME_MAX: usize = 64;

/// What stands in a route about where it leads.
pub(super) struct RawTarget {
    pub(super) service: Option<String>,
    pub(super) gather: Option<Named<RawPart>>,
    pub(super) fixed: Option<u64>,
}

/// `key` is the route's. A gathering route takes GET only, also where it says nothing of methods.
pub(super) fn target(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawTarget,
    path: Option<&PathPattern>,
    methods: &mut Option<Methods>,
    services: &BTreeSet<Arc<str>>,
) -> Option<Target> {
    let written: Vec<_> =
        ["service", "gather", "static"].into_iter().filter(|name| key.child(name).is_written()).collect();
    match written.as_slice() {
        [] => _ = check.required(&key.child("service"), None, "NAME"),
        [_] => {}
        [first, second, ..] => {
            check.wrong(&key.child(second), format_args!("stands beside `{first}`; a route leads to one of them"));
            return None;
        }
    }
    if let Some(name) = raw.service {
        return known_service(check, &key.child("service"), &name, services).map(Target::Service);
    }
    if let Some(status) = raw.fixed {
        return fixed(check, &key.child("static"), status);
    }
    let parts = parts(check, &key.child("gather"), raw.gather?, path, services);
    match methods {
        Some(Methods::Only(only)) if *only == [Method::GET] => {}
        Some(_) => check.wrong(&key.child("methods"), "a gathered answer is only read; write `[\"GET\"]`"),
        None if key.child("methods").is_written() => {}
        None => *methods = Some(Methods::Only(vec![Method::GET])),
    }
    Some(Target::Gather(parts?))
}

fn fixed(check: &mut Check<'_>, key: &Key<'_>, status: u64) -> Option<Target> {
    match u16::try_from(status).ok().filter(|status| STATIC.contains(status)).map(StatusCode::from_u16) {
        Some(Ok(status)) => Some(Target::Static(status)),
        _ => {
            check
                .wrong(key, format_args!("{status} is no status for a static answer; write 403, 404, 410, 451 or 503"));
            None
        }
    }
}

/// All parts, or none when one has a mistake; every mistake is reported.
fn parts(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: Named<RawPart>,
    path: Option<&PathPattern>,
    services: &BTreeSet<Arc<str>>,
) -> Option<Vec<PartSettings>> {
    if raw.is_empty() || raw.len() > PARTS_MAX {
        check.wrong(key, format_args!("has {} parts; write 1 to {PARTS_MAX}", raw.len()));
    }
    let written = raw.len();
    let parts: Vec<_> =
        raw.into_iter().filter_map(|(name, raw)| part(check, &key.child(&name), name, raw, path, services)).collect();
    (parts.len() == written).then_some(parts)
}

fn part(
    check: &mut Check<'_>,
    key: &Key<'_>,
    name: String,
    raw: RawPart,
    path: Option<&PathPattern>,
    services: &BTreeSet<Arc<str>>,
) -> Option<PartSettings> {
    let (from_key, raw) = match raw {
        RawPart::Plain(from) => (key.clone(), RawPartFrom { from: Some(from), default: None }),
        RawPart::From(raw) => (key.child("from"), raw),
    };
    check.keep(key, name_is_right(&name))?;
    let from = check.required(&from_key, raw.from, "SERVICE:/path")?;
    let (service, template) = match from.split_once(':') {
        Some((service, template)) => (service, template),
        None => {
            check.wrong(&from_key, format_args!("`{from}` names no service; write `SERVICE:/path`"));
            return None;
        }
    };
    let service = known_service(check, &from_key, service, services);
    let template: Option<Template> = check.keep(&from_key, template.parse());
    let fits = template.as_ref().zip(path).map(|(template, path)| check.keep(&from_key, template.check(path)));
    fits.flatten()?;
    Some(PartSettings { name, service: service?, from: template?, default: raw.default })
}

/// It becomes a member of `data`, beside `partial`.
fn name_is_right(name: &str) -> Result<(), String> {
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match name {
        "partial" => Err("`partial` names the parts that are missing; choose another name".into()),
        _ if (1..=NAME_MAX).contains(&name.len()) && name.chars().all(right) => Ok(()),
        _ => Err(format!("`{name}` cannot be a name here; write up to {NAME_MAX} letters, digits, `_` and `-`")),
    }
}
