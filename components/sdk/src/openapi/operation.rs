//! What is said of a route: what it takes, what it answers, how it fails, who may.

use super::schema::{Member, Schema};
use crate::Error;

/// A service.
#[derive(Debug)]
pub struct Api {
    pub title: &'static str,
    pub version: &'static str,
    pub description: &'static str,
    pub form: Form,
    pub paths: &'static [Path],
}

/// A path with its methods.
#[derive(Debug)]
pub struct Path {
    pub path: &'static str,
    pub operations: &'static [Operation],
}

/// A method of a path.
#[derive(Debug)]
pub struct Operation {
    /// In lower case.
    pub method: &'static str,
    /// The handler, as the table names it.
    pub handler: &'static str,
    /// Lines: the first is the summary.
    pub docs: &'static [&'static str],
    pub takes: &'static [Taken],
    pub answers: &'static Success,
    /// What it fails with beside what its types say.
    pub fails: &'static [Error],
    pub guard: Option<Guard>,
}

/// What stands around the data of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The name and the schema of an object that has the data as its member `data`; none where an answer is its data.
    pub around: Option<(&'static str, &'static str)>,
}

/// Who may use a route, as far as a document can say it.
#[derive(Debug, Clone, Copy)]
pub enum Guard {
    /// Anybody.
    Open,
    /// Whoever has a token: 401.
    Token,
    /// Not everybody who has one: 401 and 403.
    Some,
}

/// What a handler takes beside the request.
#[derive(Debug, Clone, Copy)]
pub enum Taken {
    /// A parameter of the path.
    Segment(&'static Schema),
    /// A body in JSON.
    Body(&'static Schema),
    Parameters(&'static [Parameter]),
}

/// A parameter in a query or a header.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub(crate) member: Member,
    pub(crate) place: Place,
    pub(crate) is_required: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum Place {
    Query,
    Header,
}

/// What a handler answers when it does not fail.
#[derive(Debug)]
pub struct Success {
    pub status: u16,
    pub content: Content,
    pub headers: &'static [Header],
}

#[derive(Debug)]
pub enum Content {
    /// The handler's type does not say it, nor the status.
    Unknown,
    None,
    Json(&'static Schema),
}

/// A header of an answer.
#[derive(Debug)]
pub struct Header {
    pub name: &'static str,
    pub doc: &'static str,
    pub schema: &'static Schema,
}

impl Form {
    /// An answer is its data.
    pub const PLAIN: Self = Self { around: None };
}

impl Parameter {
    pub const fn query(member: Member) -> Self {
        Self { member, place: Place::Query, is_required: false }
    }

    pub const fn header(member: Member) -> Self {
        Self { member, place: Place::Header, is_required: false }
    }

    #[must_use]
    pub const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// Its name, if it stands in a query.
    pub(crate) fn in_query(&self) -> Option<&'static str> {
        matches!(self.place, Place::Query).then_some(self.member.name)
    }
}

impl Taken {
    /// How many of `takes` are parameters of the path.
    pub(crate) const fn segments(takes: &[Self]) -> usize {
        let (mut at, mut count) = (0, 0);
        while at < takes.len() {
            count += matches!(takes[at], Self::Segment(_)) as usize;
            at += 1;
        }
        count
    }
}

impl Content {
    /// The schema of what is answered, if it is known.
    pub(crate) const fn schema(&self) -> Option<&'static Schema> {
        match self {
            Self::Json(schema) => Some(schema),
            Self::Unknown | Self::None => None,
        }
    }
}
