//! What keys are called in the Redis, and how they are found again by their beginning.
//!
//! `archipel:{SYSTEM}:kv:STORE:PREFIXkey`. The braces are a hash tag: in a cluster all keys of a
//! system are in one place, and one step may touch several.

use std::{sync::Arc, time::Instant};

use super::{
    Bucket, Error, Page,
    bounds::{self, Invalid},
};

/// Keys of one page.
pub(super) const PAGE_MAX: usize = 1_000;
/// Of one look into the Redis, at least; and how many looks for one page.
const LOOK_MIN: usize = 100;
const LOOKS_MAX: usize = 20;
/// A thousand keys of a KiB, and as many that were found beside them.
const LOOK_PLACES: usize = 2;
/// Between the parts of a cursor: a key may hold it, so it is escaped there.
const SEPARATOR: char = '\n';

/// The names of one store's keys, as one service sees them.
#[derive(Clone)]
pub(super) struct Keys {
    root: Arc<str>,
    prefix: Arc<str>,
}

impl Keys {
    pub(super) fn new(system: &str, store: &str, prefix: &Arc<str>) -> Self {
        Self { root: format!("archipel:{{{system}}}:kv:{store}").into(), prefix: prefix.clone() }
    }

    pub(super) fn name(&self, key: &str) -> Result<String, Invalid> {
        Ok(format!("{}:{}{}", self.root, self.prefix, bounds::key(key)?))
    }

    /// The counter of the store's versions, which no key can be called.
    pub(super) fn versions(&self) -> &str {
        &self.root
    }

    /// The key that is called so; none that is not of this store and prefix.
    fn key<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&*self.root)?.strip_prefix(':')?.strip_prefix(&*self.prefix).filter(|key| !key.is_empty())
    }

    /// A pattern of Redis for all that begin so, whatever their beginning holds.
    fn pattern(&self, beginning: &str) -> String {
        let name = format!("{}:{}{beginning}", self.root, self.prefix);
        let escaped = name.chars().fold(String::new(), |mut pattern, char| {
            if matches!(char, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(char);
            pattern
        });
        escaped + "*"
    }
}

/// Looks until `wanted` keys are found, or often enough: a Redis is never asked to look through
/// everything at once.
pub(super) async fn some(
    bucket: &Bucket,
    beginning: &str,
    mut cursor: u64,
    wanted: usize,
    deadline: Instant,
) -> Result<(Vec<String>, u64), Error> {
    let pattern = bucket.keys.pattern(bounds::prefix(beginning)?);
    let look = async |mut connection| {
        let mut found = Vec::new();
        for _ in 0..LOOKS_MAX {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(wanted.max(LOOK_MIN));
            let (next, names): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
            found.extend(names);
            cursor = next;
            if cursor == 0 || found.len() >= wanted {
                break;
            }
        }
        Ok((found, cursor))
    };
    let (names, cursor) = bucket
        .store
        .ask(bucket.share(LOOK_PLACES), deadline, look)
        .await
        .map_err(|error| bucket.failed(error, deadline))?;
    let key = |name: Vec<u8>| String::from_utf8(name).ok().and_then(|name| bucket.keys.key(&name).map(str::to_owned));
    let mut keys: Vec<String> = names.into_iter().filter_map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    Ok((keys, cursor))
}

/// A page of exactly what was asked for at most. A look finds as many as it likes, so what is too
/// much goes out with the cursor and comes back with it.
pub(super) async fn page(
    bucket: &Bucket,
    beginning: &str,
    limit: u32,
    cursor: Option<&str>,
    deadline: Instant,
) -> Result<Page, Error> {
    let limit = usize::try_from(limit).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let (mut keys, next) = match cursor.map(|cursor| read(cursor, beginning)).transpose()? {
        Some(Cursor { next: 0, left }) => (left, 0),
        Some(Cursor { next, left }) if left.len() >= limit => (left, next),
        Some(Cursor { next, mut left }) => {
            let (found, next) = some(bucket, beginning, next, limit - left.len(), deadline).await?;
            left.extend(found);
            (left, next)
        }
        None => some(bucket, beginning, 0, limit, deadline).await?,
    };
    let left = keys.split_off(limit.min(keys.len()));
    let cursor = (next != 0 || !left.is_empty()).then(|| written(&Cursor { next, left }));
    Ok(Page { keys, cursor })
}

/// Where to go on.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    /// In the Redis; 0 is nowhere.
    next: u64,
    /// Found, and not shown yet.
    left: Vec<String>,
}

fn written(cursor: &Cursor) -> String {
    let escaped = |key: &String| key.replace('\\', "\\\\").replace(SEPARATOR, "\\n");
    let left: String = cursor.left.iter().flat_map(|key| [SEPARATOR.to_string(), escaped(key)]).collect();
    format!("{}{left}", cursor.next)
}

/// What a guest makes up itself shows it keys that it made up, and nothing else.
fn read(text: &str, beginning: &str) -> Result<Cursor, Invalid> {
    let mut parts = text.split(SEPARATOR);
    let next = parts.next().and_then(|next| next.parse().ok()).ok_or(Invalid::Cursor)?;
    let left: Option<Vec<String>> = parts.map(unescaped).collect();
    let left = left.filter(|left| left.iter().all(|key| key.starts_with(beginning))).ok_or(Invalid::Cursor)?;
    Ok(Cursor { next, left })
}

fn unescaped(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let mut key = String::new();
    while let Some(char) = chars.next() {
        key.push(match char {
            '\\' => match chars.next()? {
                'n' => SEPARATOR,
                '\\' => '\\',
                _ => return None,
            },
            char => char,
        });
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new("shop", "cache", &"users:".into())
    }

    #[test]
    fn a_key_begins_with_its_system_its_store_and_the_grants_prefix() {
        assert_eq!(keys().name("7").unwrap(), "archipel:{shop}:kv:cache:users:7");
        assert_eq!(keys().key("archipel:{shop}:kv:cache:users:7"), Some("7"));
        for other in
            ["archipel:{shop}:kv:cache:orders:7", "archipel:{shop}:kv:caches:users:7", "archipel:{shop}:kv:cache", ""]
        {
            assert_eq!(keys().key(other), None, "{other}");
        }
    }

    #[test]
    fn a_pattern_takes_every_character_for_itself() {
        assert_eq!(keys().pattern("*?[a]\\"), "archipel:{shop}:kv:cache:users:\\*\\?\\[a\\]\\\\*");
    }

    #[test]
    fn a_cursor_brings_back_what_was_left_whatever_it_is_called() {
        for left in [vec![], vec!["a"], vec!["a\nb", "\\n", "\\", "é\n"]] {
            let cursor = Cursor { next: 7, left: left.into_iter().map(str::to_owned).collect() };
            assert_eq!(read(&written(&cursor), "").unwrap(), cursor);
        }
        for bad in ["", "x", "-1", "7\n\\", "7\n\\x", "99999999999999999999"] {
            assert_eq!(read(bad, ""), Err(Invalid::Cursor), "{bad:?}");
        }
        assert_eq!(read("0\nother", "users"), Err(Invalid::Cursor));
    }
}
