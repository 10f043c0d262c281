//! Notifications in the key-value store: a sorted list for each user, under the events' ids.
//!
//! Ids sort by time, so the list is in order however its entries came. Putting one in is one step of
//! the store: done again it changes nothing, and there is no moment in which half of it is done.

use sdk::{
    Error, Listing, Start, Uuid,
    keyvalue::{self, Bucket, Item},
    openapi::{Described, Schema},
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use shop::Page;

use crate::notification::Notification;

/// For each user.
const KEEP: u32 = 1000;

pub(crate) struct Inbox(Bucket);

/// A notification as it was stored; never read on its way out.
#[derive(Debug)]
pub(crate) struct Stored {
    id: Uuid,
    body: Box<RawValue>,
}

impl Inbox {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self(Bucket::open("notifications")?))
    }

    pub(crate) fn store(&self, notification: &Notification) -> Result<(), Error> {
        let value = keyvalue::to_json(notification)?;
        let _new = self.0.insert(&key(notification.user_id), &notification.id.to_string(), &value, KEEP)?;
        Ok(())
    }

    /// Newest first.
    pub(crate) fn list(&self, user: Uuid, page: &Page) -> Result<Listing<Stored, Uuid>, Error> {
        let start = match page.start {
            Start::Offset(offset) => Start::Offset(offset),
            Start::After(id) => Start::After(id.to_string()),
        };
        let Listing { items, total, next, .. } = self.0.read_sorted(&key(user), start, page.limit)?;
        let items: Vec<Stored> = items.iter().map(stored).collect::<Result<_, _>>()?;
        let next = next.and_then(|_more| items.last().map(|stored| stored.id));
        Ok(Listing { items, limit: page.limit, start: page.start, total, next })
    }
}

fn key(user: Uuid) -> String {
    format!("user:{user}")
}

fn stored(item: &Item) -> Result<Stored, Error> {
    let id = Uuid::try_parse(&item.id).map_err(|_| Error::internal("an entry of the inbox has no UUID"))?;
    Ok(Stored { id, body: keyvalue::from_json(&item.value)? })
}

/// It is what was stored.
impl Described for Stored {
    const SCHEMA: &'static Schema = Notification::SCHEMA;
}

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_shown_as_it_is() {
        let id = "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";
        let value = br#"{"id":"x","kind":"order.created"}"#.to_vec();
        let shown = stored(&Item { id: id.to_owned(), value: value.clone() }).unwrap();
        assert_eq!(shown.id, Uuid::try_parse(id).unwrap());
        assert_eq!(serde_json::to_vec(&shown).unwrap(), value);
        assert!(stored(&Item { id: "7".to_owned(), value }).is_err());
        assert!(stored(&Item { id: id.to_owned(), value: b"{".to_vec() }).is_err());
    }
}
