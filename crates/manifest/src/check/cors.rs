//! `[cors]` and `routes[].cors`.

use std::sync::Arc;

use gateway::{
    cors::{Cors, OriginPattern, RouteCors, Rules},
    route::Methods,
};
use http::HeaderName;

use super::Check;
use crate::{
    defaults,
    raw::{RawCors, RawRouteCors},
};
use document::source::Key;

/// None when it has mistakes.
pub(crate) fn cors(check: &mut Check<'_>, key: &Key<'_>, raw: RawCors) -> Option<Arc<Cors>> {
    let written = raw.origins.unwrap_or_default();
    let origins = each(check, &key.child("origins"), &written, |text| {
        text.parse::<OriginPattern>().map_err(|error| error.to_string())
    });
    let methods = raw.methods.map(|written| {
        let methods = Methods::parse(written.iter().map(String::as_str));
        check.keep(&key.child("methods"), methods).map(|methods| methods.listed())
    });
    let headers = raw.headers.map(|written| each(check, &key.child("headers"), &written, header));
    let expose = each(check, &key.child("expose"), &raw.expose, header);
    let max_age =
        check.within(&key.child("max_age"), raw.max_age, defaults::CORS_MAX_AGE, &defaults::CORS_MAX_AGES).get();
    if origins.len() < written.len() || methods.as_ref().is_some_and(Option::is_none) {
        return None; // told already
    }
    let credentials = raw.credentials.unwrap_or(false);
    let rules = Rules { origins, methods: methods.flatten(), headers, expose, credentials, max_age };
    let of_all = if credentials { key.child("credentials") } else { key.clone() };
    check.keep(&of_all, Cors::new(rules)).map(Arc::new)
}

pub(super) fn route_cors(check: &mut Check<'_>, key: &Key<'_>, raw: Option<RawRouteCors>) -> RouteCors {
    match raw {
        None | Some(RawRouteCors::Switch(true)) => RouteCors::Gateways,
        Some(RawRouteCors::Switch(false)) => RouteCors::Off,
        Some(RawRouteCors::Own(raw)) => cors(check, key, raw).map_or(RouteCors::Off, RouteCors::Own),
    }
}

fn header(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_invalid| format!("`{text}` is no name of a header"))
}

/// Those that are right; the others are told.
fn each<T>(
    check: &mut Check<'_>,
    key: &Key<'_>,
    written: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let items = written.iter().enumerate();
    items.filter_map(|(index, text)| check.keep(&key.item(index), read(text))).collect()
}
