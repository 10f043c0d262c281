//! A part of a list, however it was cut: by how many are left out, or by a cursor that says after what it goes on.

use serde::Serialize;

/// A part of a list. In JSON `{"items":[…],"limit":10,"offset":20,"total":25,"next":"…"}`, without what is not known.
///
/// `C` is what a cursor is: the id of the last item that was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing<T, C = String> {
    pub items: Vec<T>,
    /// As many as were asked for; there may be fewer.
    pub limit: u32,
    #[serde(flatten)]
    pub start: Start<C>,
    /// Of the whole list; none where counting costs too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// After what the next part begins; none at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<C>,
}

/// Where a part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Start<C = String> {
    /// So many are left out.
    Offset(u32),
    /// After the item with this cursor.
    After(C),
}

impl<T, C> Listing<T, C> {
    /// Of what a store gave that was asked for one item more than are shown: whether that one is there tells whether
    /// there is a next part.
    pub fn of(mut items: Vec<T>, limit: u32, start: Start<C>, cursor: impl Fn(&T) -> C) -> Self {
        let shown = limit as usize;
        let more = items.len() > shown;
        items.truncate(shown);
        let next = items.last().filter(|_last| more).map(cursor);
        Self { items, limit, start, total: None, next }
    }

    /// How many there are in all; less than none is none.
    #[must_use]
    pub fn total(mut self, total: i64) -> Self {
        self.total = Some(total.max(0).unsigned_abs());
        self
    }

    /// The same part, of what is made of each item.
    ///
    /// # Errors
    /// The first that there is.
    pub fn try_map<U, E>(self, each: impl FnMut(T) -> Result<U, E>) -> Result<Listing<U, C>, E> {
        let Self { items, limit, start, total, next } = self;
        let items = items.into_iter().map(each).collect::<Result<_, _>>()?;
        Ok(Listing { items, limit, start, total, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u32) -> Listing<u32, u32> {
        Listing::of((1..=count).collect(), 2, Start::Offset(0), |item| *item)
    }

    #[test]
    fn the_next_part_begins_after_the_last_item_and_there_is_none_at_the_end() {
        assert_eq!((of(3).items, of(3).next), (vec![1, 2], Some(2)));
        assert_eq!((of(2).items, of(2).next), (vec![1, 2], None));
        assert_eq!((of(0).items, of(0).next), (vec![], None));
    }

    #[test]
    fn what_is_made_of_each_item_stays_in_its_part() {
        let twice = of(3).total(9).try_map(|item| Ok::<_, ()>(item * 2)).unwrap();
        assert_eq!((twice.items, twice.total, twice.next), (vec![2, 4], Some(9), Some(2)));
        assert_eq!(of(3).try_map(|item| if item == 2 { Err("two") } else { Ok(item) }), Err("two"));
    }

    #[test]
    fn a_part_is_json() {
        let json = |listing| serde_json::to_value::<Listing<u32, u32>>(listing).unwrap();
        assert_eq!(
            json(of(3).total(9)),
            serde_json::json!({ "items": [1, 2], "limit": 2, "offset": 0, "total": 9, "next": 2 })
        );
        let last = Listing { start: Start::After(7), ..of(1) };
        assert_eq!(json(last), serde_json::json!({ "items": [1], "limit": 2, "after": 7 }));
    }
}
