//! Keys found by their beginning, a page at a time.

use std::time::Instant;

use super::{Bucket, bounds, error::Error, invalid::Invalid};

/// Keys of one page.
const PAGE_MAX: usize = 1_000;
/// Of one look into the Redis, at least; and how many looks for one page.
const LOOK_MIN: usize = 100;
const LOOKS_MAX: usize = 20;
/// A thousand keys of a KiB, and as many that were found beside them.
const LOOK_PLACES: usize = 2;
/// Between the parts of a cursor: a key may hold it, so it is escaped there.
const SEPARATOR: char = '\n';

/// Some keys.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub keys: Vec<String>,
    /// None at the end.
    pub cursor: Option<String>,
}

impl Bucket {
    /// Up to `limit` of the keys that begin with `prefix`; a page may be short and not the last.
    pub async fn list_keys(
        &self,
        prefix: &str,
        limit: u32,
        cursor: Option<&str>,
        deadline: Instant,
    ) -> Result<Page, Error> {
        page(self, prefix, limit, cursor, deadline).await
    }

    /// Some of all the keys, in no order, and where to go on; 0 is the beginning and the end.
    pub async fn some_keys(&self, cursor: u64, deadline: Instant) -> Result<(Vec<String>, u64), Error> {
        some(self, "", cursor, PAGE_MAX, deadline).await
    }
}

/// Looks until `wanted` keys are found, or often enough: a Redis is never asked to look through
/// everything at once.
async fn some(
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
async fn page(
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
