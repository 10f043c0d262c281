//! A span as those see it who tell of it.
//!
//! Whoever records keeps what it knows in a form of its own, which costs little: most traces are never told. Names
//! of attributes are said only where somebody asks, one after the other, without a list between.

use std::{fmt, sync::Arc, time::Instant};

use crate::{Kind, More, Source};

/// Some work that is over.
pub trait Told: fmt::Debug + Send + Sync {
    fn head(&self) -> Head<'_>;

    /// Whose work it was.
    fn source(&self) -> &Arc<Source>;

    /// Each attribute, by its name in OpenTelemetry's conventions, but for those in [`Told::more`] and `error.type`.
    fn each(&self, tell: &mut dyn FnMut(&'static str, Said<'_>));

    /// What few spans have.
    fn more(&self) -> Option<&More> {
        None
    }
}

/// What every span has.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pub id: u64,
    pub parent: Option<u64>,
    /// The parent is another host's or the client's.
    pub remote_parent: bool,
    pub kind: Kind,
    pub name: Said<'a>,
    pub began: Instant,
    pub ended: Instant,
    /// What failed, in a few words; none: nothing did, as far as is known.
    pub error: Option<Said<'a>>,
}

/// A value as it is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said<'a> {
    Text(&'a str),
    /// Two words.
    Words(&'a str, &'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl<'a> From<&'a str> for Said<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Said<'_> {
    #[inline]
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Words(first, second) => write!(f, "{first} {second}"),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}
