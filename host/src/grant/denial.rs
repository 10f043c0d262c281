//! A refusal of something a service wanted to reach, for the operator's log. The guest sees only
//! that it was refused.

use std::{fmt, path::Path, sync::Arc};

/// Who wanted to reach what, which rule says no, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub service: Arc<str>,
    /// Without a query: `api.example.com:443`, `GET http://users.internal/api/users/7`.
    pub target: String,
    pub rule: String,
    pub fix: Fix,
}

/// What an operator can do about a [`Denial`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// A line of `services.NAME.permissions`.
    Add { line: String, manifest: String },
    /// Nothing to add: somebody wrote a rule against it, or the request is at fault.
    Other(&'static str),
}

impl Fix {
    pub(super) fn add(line: String, manifest: &Path) -> Self {
        Self::Add { line, manifest: manifest.display().to_string() }
    }

    /// The TOML to add; nothing when there is none.
    pub fn line(&self) -> Option<&str> {
        match self {
            Self::Add { line, .. } => Some(line),
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
            Fix::Add { line, manifest } => {
                write!(f, "to allow it, add `{line}` to `services.{service}.permissions` in {manifest}")
            }
            Fix::Other(advice) => f.write_str(advice),
        }
    }
}
