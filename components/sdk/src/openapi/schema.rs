//! Schemas as values that a compiler can walk over.

use std::ops::RangeInclusive;

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// A schema's members as JSON, without the braces: `"type":"string","format":"uuid"`.
    Plain(&'static str),
    /// A text; its length is its member's to say.
    Text,
    List(&'static Schema),
    /// In a body it may be absent, in an answer it may be null.
    Optional(&'static Schema),
    Words(&'static Words),
    Object(&'static Object),
}

/// One of a few words, under a name of its own in the document.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    pub name: &'static str,
    pub doc: &'static str,
    pub words: &'static [&'static str],
}

/// An object, under a name of its own in the document.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    pub name: &'static str,
    pub doc: &'static str,
    pub members: &'static [Member],
    /// A client sends it: no other members, and what is optional may be absent.
    pub is_body: bool,
    /// It may not be empty.
    pub is_some: bool,
}

/// A member of an object, or a parameter.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    pub name: &'static str,
    pub schema: &'static Schema,
    pub(crate) doc: &'static str,
    /// Characters of a text, entries of a list.
    pub(crate) length: Option<(usize, usize)>,
    pub(crate) range: Option<(i64, i64)>,
    /// More members of its schema, as JSON.
    pub(crate) more: &'static str,
    /// It is left out where it is nothing.
    pub(crate) may_be_absent: bool,
}

impl Member {
    pub const fn new(name: &'static str, schema: &'static Schema) -> Self {
        Self { name, schema, doc: "", length: None, range: None, more: "", may_be_absent: false }
    }

    #[must_use]
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// Of a text in characters, of a list in entries. An end of [`usize::MAX`] is none.
    #[must_use]
    pub const fn length(mut self, length: RangeInclusive<usize>) -> Self {
        self.length = Some((*length.start(), *length.end()));
        self
    }

    /// Of a whole number.
    #[must_use]
    pub const fn range(mut self, range: RangeInclusive<i64>) -> Self {
        self.range = Some((*range.start(), *range.end()));
        self
    }

    /// More of its schema, as members in JSON: `"format":"password"`.
    #[must_use]
    pub const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    #[must_use]
    pub const fn may_be_absent(mut self) -> Self {
        self.may_be_absent = true;
        self
    }
}

impl Schema {
    /// The doc comment of what it is, or is a list of.
    pub(crate) const fn doc(&self) -> &'static str {
        match self {
            Self::Plain(_) | Self::Text => "",
            Self::List(of) | Self::Optional(of) => of.doc(),
            Self::Words(words) => words.doc,
            Self::Object(object) => object.doc,
        }
    }

    /// Holds what is read of a body to what is said of it.
    ///
    /// # Panics
    /// Where the two have other members: while it is compiled.
    pub(crate) const fn holds(&self, fields: &[&str]) {
        let Self::Object(object) = self else {
            panic!("a body is an object: derive `Described`");
        };
        assert!(object.is_body, "this type is a body: add `#[described(body)]` to it");
        assert!(object.members.len() == fields.len(), "a body has other `FIELDS` than are described");
        let mut at = 0;
        while at < fields.len() {
            assert!(has(object.members, fields[at]), "a body has a field in `FIELDS` that is not described");
            at += 1;
        }
    }
}

const fn has(members: &[Member], name: &str) -> bool {
    let mut at = 0;
    while at < members.len() {
        if same(members[at].name, name) {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether two texts are the same.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
