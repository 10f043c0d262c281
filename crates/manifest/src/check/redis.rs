//! `[redis.NAME]`: where a Redis is.

use std::{collections::BTreeMap, sync::Arc};

use super::{Check, database::text, name};
use crate::{RedisPlace, RedisSettings, Secret, raw::RawRedis};
use document::source::Key;

/// As many logical databases as a server has unless it is told otherwise.
const EMBEDDED_MAX: usize = 16;

pub(crate) fn redis(check: &mut Check<'_>, key: &Key<'_>, raw: RawRedis) -> RedisSettings {
    check.keep(key, name(key.name()));
    let url_key = key.child("url");
    let url = raw.url.and_then(|raw| text(check, &url_key, raw).ok().flatten());
    let place = match url.and_then(|url| check.keep(&url_key, url_is_right(url))) {
        Some(url) => RedisPlace::External { url },
        None => RedisPlace::Embedded,
    };
    RedisSettings { place }
}

/// All of them together.
pub(crate) fn redis_count(check: &mut Check<'_>, key: &Key<'_>, all: &BTreeMap<Arc<str>, RedisSettings>) {
    let embedded = all.values().filter(|settings| matches!(settings.place, RedisPlace::Embedded)).count();
    if embedded > EMBEDDED_MAX {
        let message = format!(
            "{embedded} names are without a `url`, and the private server has {EMBEDDED_MAX} databases; \
             let some share a name, or give them a `url`"
        );
        check.wrong(key, message);
    }
}

/// Says nothing of the URL itself: it is a secret.
fn url_is_right(url: String) -> Result<Secret, &'static str> {
    if url.starts_with("redis://") || url.starts_with("rediss://") {
        return Ok(Secret::new(url));
    }
    Err("is not the URL of a Redis server; write it like `redis://USER:PASSWORD@HOST:PORT/0`, or `rediss://` for TLS")
}
