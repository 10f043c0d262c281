//! A refusal of something a service wanted to reach, for the operator's log. The guest sees only
//! that it was refused.

use std::{fmt, path::Path, sync::Arc};

use super::Denied;

/// Whose word says no, and the file in which it could say yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    Manifest(Arc<Path>),
    /// The manifest grants it, and the operator's ceiling does not allow it.
    Ceiling(Arc<Path>),
}

impl Word {
    /// Where a line that would allow it goes.
    pub fn table(&self, service: &str) -> String {
        match self {
            Self::Manifest(file) => format!("`services.{service}.permissions` in {}", file.display()),
            Self::Ceiling(file) => format!("`ceiling` in {}", file.display()),
        }
    }

    /// The rule, where it is the ceiling's.
    pub(super) fn rule(&self) -> Option<String> {
        match self {
            Self::Manifest(_) => None,
            Self::Ceiling(file) => Some(format!("the operator's ceiling {} does not allow it", file.display())),
        }
    }
}

/// Who wanted to reach what, which rule says no, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub service: Arc<str>,
    /// Without a query: `api.example.com:443`, `GET http://users.internal/api/users/7`.
    pub target: String,
    pub rule: String,
    pub fix: Fix,
}

impl From<Denied> for Denial {
    fn from(denied: Denied) -> Self {
        let rule = denied.word.rule().unwrap_or_else(|| "it is not granted".to_owned());
        let fix = Fix::add(denied.line.trim_matches('`').to_owned(), denied.word);
        Self { service: denied.service, target: denied.what, rule, fix }
    }
}

/// What an operator can do about a [`Denial`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// A line of `services.NAME.permissions`, or of the ceiling.
    Add { line: String, word: Word },
    /// Nothing to add: somebody wrote a rule against it, or the request is at fault.
    Other(&'static str),
}

impl Fix {
    pub(super) fn add(line: String, word: Word) -> Self {
        Self::Add { line, word }
    }

    /// The TOML to add; nothing when there is none.
    pub fn line(&self) -> Option<&str> {
        match self {
            Self::Add { line, .. } => Some(line),
            Self::Other(_) => None,
        }
    }

    /// Where that line goes.
    pub fn table(&self, service: &str) -> Option<String> {
        match self {
            Self::Add { word, .. } => Some(word.table(service)),
            Self::Other(_) => None,
        }
    }
}

impl std::error::Error for Denial {}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, target, rule, fix } = self;
        write!(f, "`{service}` may not reach `{target}`: {rule}; ")?;
        match fix {
            Fix::Add { line, word } => write!(f, "to allow it, add `{line}` to {}", word.table(service)),
            Fix::Other(advice) => f.write_str(advice),
        }
    }
}
