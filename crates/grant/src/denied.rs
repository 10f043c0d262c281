//! A refusal of something a service wanted to reach, for the operator's log. The guest sees only that it
//! was refused.

use std::{fmt, path::Path, sync::Arc};

use crate::Grants;

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
    pub(crate) fn rule(&self) -> Option<String> {
        match self {
            Self::Manifest(_) => None,
            Self::Ceiling(file) => Some(format!("the operator's ceiling {} does not allow it", file.display())),
        }
    }
}

/// Who wanted to reach what, which rule says no, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{service}` may not reach `{target}`: {rule}; {}", .fix.advice(.service))]
pub struct Denied {
    pub service: Arc<str>,
    /// Without a query: `api.example.com:443`, `GET http://users.internal/api/users/7`, `postgres carts`.
    pub target: String,
    pub rule: String,
    pub fix: Fix,
}

/// What an operator can do about a [`Denied`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// A line of `services.NAME.permissions`, or of the ceiling.
    Add { line: String, word: Word },
    /// Nothing to add: somebody wrote a rule against it, or the request is at fault.
    Other(&'static str),
}

impl Fix {
    pub(crate) fn add(line: String, word: Word) -> Self {
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

    fn advice(&self, service: &str) -> impl fmt::Display {
        match self {
            Self::Add { line, word } => format!("to allow it, add `{line}` to {}", word.table(service)),
            Self::Other(advice) => (*advice).to_owned(),
        }
    }
}

impl Grants {
    /// The refusal of `target` by `rule`, or by the ceiling where the manifest grants it.
    pub(crate) fn denied(&self, target: String, rule: String, line: String, is_written: bool) -> Denied {
        let word = self.word(is_written);
        let rule = word.rule().unwrap_or(rule);
        Denied { service: self.service.clone(), target, rule, fix: Fix::add(line, word) }
    }

    /// Whose word refuses something that the manifest grants, or does not.
    pub(crate) fn word(&self, is_written: bool) -> Word {
        match &self.ceiling {
            Some(ceiling) if is_written => Word::Ceiling(ceiling.file.clone()),
            _ => Word::Manifest(self.manifest.clone()),
        }
    }
}
