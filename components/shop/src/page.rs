//! Paging, the same for every list: `limit` and `offset`, or `limit` and `cursor`.
//!
//! Lists are newest first by id (version 7 ids sort by time), and a cursor is the last id that
//! was shown: new entries and deleted ones move nothing.

use sdk::{
    Error, FromSegment as _, Listing, Parameters, Query, Start, Uuid,
    openapi::{Described, Member, Parameter},
};

const LIMIT_DEFAULT: u32 = 10;
const LIMIT_MAX: u32 = 100;
const OFFSET_MAX: u32 = 100_000;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// 1 to 100.
    pub limit: u32,
    /// After a cursor, or so many left out: 0 to 100 000.
    pub start: Start<Uuid>,
}

impl Page {
    pub const LIMIT: Parameter =
        Parameter::query(Member::new("limit", u32::SCHEMA).range(1..=LIMIT_MAX as i64).more(r#""default":10"#));
    pub const OFFSET: Parameter = Parameter::query(
        Member::new("offset", u32::SCHEMA)
            .range(0..=OFFSET_MAX as i64)
            .more(r#""default":0"#)
            .doc("Not together with `cursor`"),
    );
    pub const CURSOR: Parameter = Parameter::query(
        Member::new("cursor", Uuid::SCHEMA).doc("An `X-Next-Cursor`; pages stably while entries are added"),
    );

    pub fn from_query(query: &Query) -> Result<Self, Error> {
        let limit = number(query, "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        let offset = number(query, "offset", 0..=OFFSET_MAX)?;
        let start = match (query.get("cursor"), offset) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_request("Give `cursor` or `offset`, not both"));
            }
            (Some(cursor), None) => Start::After(
                Uuid::from_segment(cursor)
                    .map_err(|_| Error::bad_request("Query parameter `cursor` must be an `X-Next-Cursor`"))?,
            ),
            (None, offset) => Start::Offset(offset.unwrap_or(0)),
        };
        Ok(Self { limit, start })
    }

    /// How many rows to ask the database for: one more than are shown tells whether there is a
    /// next page.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Makes the list of the rows that [`Page::rows`] asked for.
    pub fn listing<T>(&self, rows: Vec<T>, total: i64, id: impl Fn(&T) -> Uuid) -> Listing<T, Uuid> {
        Listing::of(rows, self.limit, self.start, id).total(total)
    }
}

/// Those of a list that has no others.
impl Parameters for Page {
    const LIST: &'static [Parameter] = &[Self::LIMIT, Self::OFFSET, Self::CURSOR];
}

/// A number in plain digits.
fn number(query: &Query, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, Error> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && range.contains(&number) => Ok(Some(number)),
        _ => {
            let (least, most) = range.into_inner();
            Err(Error::bad_request(format!("Query parameter `{name}` must be a whole number from {least} to {most}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x017f_22e2_79b0_7cc3_98c4_dc0c_0c07_398f);

    #[track_caller]
    fn check(query: &str, expected: Option<(u32, Start<Uuid>)>) {
        let page = Query::parse(query, &["limit", "offset", "cursor"]).and_then(|query| Page::from_query(&query));
        assert_eq!(page.ok(), expected.map(|(limit, start)| Page { limit, start }), "{query}");
    }

    #[test]
    fn a_page_is_a_limit_and_a_start() {
        check("", Some((10, Start::Offset(0))));
        check("limit=1&offset=100000", Some((1, Start::Offset(100_000))));
        check("limit=100", Some((100, Start::Offset(0))));
        check(&format!("cursor={ID}&limit=7"), Some((7, Start::After(ID))));
        for refused in [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=%2B5",
            "limit=1.0",
            "limit=1e1",
            "limit=ten",
            "limit=99999999999",
            "offset=-1",
            "offset=100001",
            "limit=%205",
            "cursor=x",
            "cursor=017f22e279b07cc398c4dc0c0c07398f",
        ] {
            check(refused, None);
        }
        check(&format!("cursor={ID}&offset=0"), None);
    }

    #[test]
    fn a_list_is_made_of_one_row_more_than_is_shown() {
        let page = Page { limit: 2, start: Start::Offset(0) };
        let ids = |count: u128| (1..=count).map(Uuid::from_u128).collect::<Vec<_>>();
        assert_eq!(page.rows(), 3);
        let listing = page.listing(ids(3), 9, |id| *id);
        assert_eq!((listing.items, listing.total, listing.next), (ids(2), Some(9), Some(Uuid::from_u128(2))));
        assert_eq!(page.listing(ids(2), 2, |id| *id).next, None);
    }
}
