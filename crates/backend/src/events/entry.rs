//! What is kept of an event in a stream, read back.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use super::names::Names;

/// Where an event stands: a stream and its entry there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) stream: String,
    pub(super) entry: String,
}

/// An event as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: Uuid,
    pub topic: String,
    pub key: Option<String>,
    pub content_type: Option<String>,
    pub headers: Vec<(String, String)>,
    /// ms since 1970.
    pub at: i64,
    /// After it nobody handles it any more: ms since 1970.
    pub expires: Option<i64>,
    pub body: Vec<u8>,
}

/// An event that was handed to this host for a service, and is that host's until it is settled.
#[derive(Debug)]
pub struct Delivered {
    pub(super) place: Place,
    /// One that is dropped before it was settled is found again.
    pub(super) _mark: Mark,
    /// 1 on the first attempt.
    pub attempt: u32,
    pub event: Kept,
}

/// What was handed to this host and is not settled, each place with its group: never more than the services
/// handle at once, and what one read of each brings.
pub(super) type Marks = Arc<Mutex<HashSet<(Arc<str>, Place)>>>;

/// That a place is in work here, for as long as this lives.
#[derive(Debug)]
pub(super) struct Mark {
    marks: Marks,
    at: (Arc<str>, Place),
}

impl Mark {
    /// `None` for one that is in work already.
    pub(super) fn set(marks: &Marks, group: &Arc<str>, place: &Place) -> Option<Self> {
        let at = (group.clone(), place.clone());
        let is_new = marks.lock().unwrap_or_else(PoisonError::into_inner).insert(at.clone());
        is_new.then(|| Self { marks: marks.clone(), at })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.at);
    }
}

/// Names and values in turn.
pub(super) type Fields = Vec<Vec<u8>>;

impl Kept {
    /// What its texts and its body take.
    pub(super) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.topic.len() + text(&self.key) + text(&self.content_type) + headers + self.body.len()
    }

    /// `None` for an entry that no host has written.
    pub(super) fn parse(names: &Names, stream: &str, fields: Fields) -> Option<Self> {
        let mut values = by_name(fields);
        let mut text = |name: &str| values.remove(name).and_then(|value| String::from_utf8(value).ok());
        let headers = text("h").map_or(Some(Vec::new()), |headers| serde_json::from_str(&headers).ok())?;
        Some(Self {
            id: text("id")?.parse().ok()?,
            topic: text("topic").or_else(|| names.topic_of(stream).map(str::to_owned))?,
            key: text("key"),
            content_type: text("type"),
            headers,
            at: text("at")?.parse().ok()?,
            expires: text("exp").and_then(|until| until.parse().ok()),
            body: values.remove("body")?,
        })
    }
}

pub(super) fn by_name(fields: Fields) -> HashMap<String, Vec<u8>> {
    let mut fields = fields.into_iter();
    let mut values = HashMap::new();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        values.insert(String::from_utf8_lossy(&name).into_owned(), value);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().flat_map(|(name, value)| [name.as_bytes().to_vec(), value.as_bytes().to_vec()]).collect()
    }

    #[test]
    fn an_entry_is_an_event_only_with_all_that_one_has() {
        let names = Names::new("shop");
        let id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        let kept = Kept::parse(&names, &names.topic("a.b"), fields(&[("id", id), ("at", "7"), ("body", "x")])).unwrap();
        assert_eq!((kept.topic.as_str(), kept.at, kept.body), ("a.b", 7, b"x".to_vec()));
        let again = fields(&[("topic", "a.c"), ("h", "[[\"a\",\"b\"]]"), ("id", id), ("at", "7"), ("body", "x")]);
        let kept = Kept::parse(&names, &names.again("users"), again).unwrap();
        assert_eq!((kept.topic, kept.headers), ("a.c".into(), vec![("a".into(), "b".into())]));
        for pairs in [&[("id", id), ("body", "x")][..], &[("id", "7"), ("at", "7"), ("body", "x")], &[]] {
            assert_eq!(Kept::parse(&names, &names.topic("a.b"), fields(pairs)), None, "{pairs:?}");
        }
    }
}
