//! One span, and what may be said of it.
//!
//! Names of attributes are those of OpenTelemetry's semantic conventions where there are any, else
//! `archipel.…`. What guests and clients wrote is cut to [`TEXT_BYTES_MAX`].

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::{Head, Said, Source, Told};

/// Of a text in an attribute.
const TEXT_BYTES_MAX: usize = 1024;
/// Attributes of one span, events and links apart.
const ATTRIBUTES_MAX: usize = 64;
/// Room for what most spans have.
const ATTRIBUTES_USUAL: usize = 8;
/// Events of one span.
const EVENTS_MAX: usize = 32;

/// The role of a span in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Kind {
    /// Where work comes in: what is slow or failed here is so for somebody.
    pub fn is_entry(self) -> bool {
        matches!(self, Self::Server | Self::Consumer | Self::Internal)
    }
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Static(&'static str),
    Shared(Arc<str>),
    Text(String),
    /// Two words.
    Words(&'static str, Arc<str>),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub at: SystemTime,
    pub attributes: Vec<(String, Value)>,
}

/// Another span that this one has to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub trace_id: u128,
    pub span_id: u64,
}

/// Some work that is over.
#[derive(Debug, Clone)]
pub struct Span {
    pub id: u64,
    pub parent: Option<u64>,
    /// The parent is another host's or the client's.
    pub remote_parent: bool,
    pub kind: Kind,
    pub name: Value,
    pub source: Arc<Source>,
    pub began: Instant,
    pub ended: Instant,
    pub attributes: Vec<(&'static str, Value)>,
    /// What failed, in a few words; none: nothing did, as far as is known.
    pub error: Option<Value>,
    pub more: Option<Box<More>>,
}

/// What few spans have.
#[derive(Debug, Clone, Default)]
pub struct More {
    pub events: Vec<Event>,
    pub links: Vec<Link>,
    /// Attributes whose names a guest chose.
    pub attributes: Vec<(String, Value)>,
    /// Times that a guest told itself, where it did.
    pub times: Option<(SystemTime, SystemTime)>,
    /// What was left out, for there was too much of it.
    pub dropped: u32,
}

impl Span {
    /// Begins now and, until it is said otherwise, ends now.
    pub fn new(source: Arc<Source>, kind: Kind, name: impl Into<Value>) -> Self {
        Self::begun((crate::new_id(), Instant::now()), ATTRIBUTES_USUAL, source, kind, name)
    }

    /// The same of work whose id is known and that has begun, and there is room for so many attributes before any is
    /// set.
    pub fn begun(
        (id, began): (u64, Instant),
        attributes: usize,
        source: Arc<Source>,
        kind: Kind,
        name: impl Into<Value>,
    ) -> Self {
        Self {
            id,
            parent: None,
            remote_parent: false,
            kind,
            name: name.into(),
            source,
            began,
            ended: began,
            attributes: Vec::with_capacity(attributes),
            error: None,
            more: None,
        }
    }

    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if self.attributes.len() < ATTRIBUTES_MAX {
            self.attributes.push((key, value.into()));
        } else {
            self.more_mut().dropped += 1;
        }
    }

    /// Under a name that a guest chose.
    pub fn set_named(&mut self, key: String, value: impl Into<Value>) {
        let more = self.more_mut();
        match more.attributes.len() < ATTRIBUTES_MAX {
            true => more.attributes.push((shortened(key), value.into())),
            false => more.dropped += 1,
        }
    }

    pub fn event(&mut self, event: Event) {
        let more = self.more_mut();
        match more.events.len() < EVENTS_MAX {
            true => more.events.push(event),
            false => more.dropped += 1,
        }
    }

    pub fn link(&mut self, link: Link) {
        let more = self.more_mut();
        match more.links.len() < EVENTS_MAX {
            true => more.links.push(link),
            false => more.dropped += 1,
        }
    }

    /// `error.type`, and the status of the span. Only the first counts.
    pub fn fail(&mut self, kind: impl Into<Value>) {
        if self.error.is_none() {
            self.error = Some(kind.into());
        }
    }

    pub fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

/// The text, or as much of its beginning as is told.
fn shortened(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(shortened(text))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Value {
            fn from(value: $integer) -> Self {
                Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
            }
        }

        impl From<$integer> for Said<'_> {
            #[inline]
            fn from(value: $integer) -> Self {
                Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
            }
        }
    )*};
}

integers!(i64 u64 u32 u16 usize u128);

impl Value {
    /// As it is told.
    pub fn said(&self) -> Said<'_> {
        match self {
            Self::Static(text) => Said::Text(text),
            Self::Shared(text) => Said::Text(text),
            Self::Text(text) => Said::Text(text),
            Self::Words(first, second) => Said::Words(first, second),
            Self::Int(value) => Said::Int(*value),
            Self::Float(value) => Said::Float(*value),
            Self::Bool(value) => Said::Bool(*value),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.said().fmt(f)
    }
}

impl Told for Span {
    fn head(&self) -> Head<'_> {
        Head {
            id: self.id,
            parent: self.parent,
            remote_parent: self.remote_parent,
            kind: self.kind,
            name: self.name.said(),
            began: self.began,
            ended: self.ended,
            error: self.error.as_ref().map(Value::said),
        }
    }

    fn source(&self) -> &Arc<Source> {
        &self.source
    }

    fn each(&self, tell: &mut dyn FnMut(&'static str, Said<'_>)) {
        self.attributes.iter().for_each(|(key, value)| tell(key, value.said()));
    }

    fn more(&self) -> Option<&More> {
        self.more.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_too_much_is_cut_and_counted() {
        let mut span = Span::new(Source::new("a", "1"), Kind::Server, "GET");
        (0..70).for_each(|_| span.set("key", 1_u64));
        (0..40).for_each(|_| span.link(Link { trace_id: 1, span_id: 1 }));
        assert_eq!((span.attributes.len(), span.more_mut().links.len(), span.more_mut().dropped), (64, 32, 6 + 8));
        let Value::Text(text) = Value::from("é".repeat(1000)) else { panic!("a text") };
        assert_eq!(text.len(), 1024);
        span.fail("first");
        span.fail("second");
        assert_eq!(span.error, Some(Value::Static("first")));
    }
}
