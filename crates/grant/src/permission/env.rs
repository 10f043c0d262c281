//! `permissions.env`: which variables of the host's environment a service sees.
//!
//! Decides by name alone and never reads a value. Deny beats allow in any order.

use std::{fmt, str::FromStr};

use document::source::Key;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ANY, Permission, Reading, Whose, lists_of, meets, union};
use crate::Grants;

/// One entry of `permissions.env`: `LOG_LEVEL`, or `FEATURE_*` for every name that starts so.
///
/// `*` alone does not parse: a service never gets the environment as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvPattern(Match);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Match {
    Exact(String),
    Prefix(String),
}

/// Why a text is no [`EnvPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvPatternError {
    #[error("`*` would show the service the whole environment; name the variables, or a prefix like `FEATURE_*`")]
    Everything,

    #[error("`{0}` has a `*` that is not at its end; write a prefix like `FEATURE_*`")]
    InnerStar(String),

    #[error("`{0}` is no name of a variable; names are letters, digits and `_`, like `LOG_LEVEL`")]
    NotAName(String),
}

impl EnvPattern {
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Match::Exact(exact) => name == exact,
            Match::Prefix(prefix) => name.starts_with(prefix),
        }
    }

    /// Every name: for a ceiling only, which lists nobody's variables.
    fn everything() -> Self {
        Self(Match::Prefix(String::new()))
    }

    /// The names that both match.
    fn meet(&self, other: &Self) -> Option<Self> {
        match (&self.0, &other.0) {
            (Match::Prefix(one), Match::Prefix(other)) => {
                let (long, short) = if one.len() >= other.len() { (one, other) } else { (other, one) };
                long.starts_with(short.as_str()).then(|| Self(Match::Prefix(long.clone())))
            }
            (Match::Exact(name), _) => other.matches(name).then(|| self.clone()),
            (_, Match::Exact(name)) => self.matches(name).then(|| other.clone()),
        }
    }

    /// Whether it matches all that `other` does.
    fn covers(&self, other: &Self) -> bool {
        self.meet(other).as_ref() == Some(other)
    }

    /// The one name it stands for; none for a prefix.
    pub fn exact(&self) -> Option<&str> {
        match &self.0 {
            Match::Exact(name) => Some(name),
            Match::Prefix(_) => None,
        }
    }
}

impl FromStr for EnvPattern {
    type Err = EnvPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, prefix) = match text.strip_suffix('*') {
            Some("") => return Err(EnvPatternError::Everything),
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(EnvPatternError::InnerStar(text.into()));
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(word) {
            return Err(EnvPatternError::NotAName(text.into()));
        }
        Ok(Self(if prefix { Match::Prefix(name.into()) } else { Match::Exact(name.into()) }))
    }
}

impl fmt::Display for EnvPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Match::Exact(name) => f.write_str(name),
            Match::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// The `env` permission of one service. Empty: nothing is visible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    pub allow: Vec<EnvPattern>,
    pub deny: Vec<EnvPattern>,
}

impl Env {
    pub fn allows(&self, name: &str) -> bool {
        let any = |patterns: &[EnvPattern]| patterns.iter().any(|pattern| pattern.matches(name));
        any(&self.allow) && !any(&self.deny)
    }

    /// What a ceiling's denies take of it without taking a whole entry.
    pub(crate) fn hidden_by(&self, ceiling: &Self) -> Vec<EnvPattern> {
        meets(&self.allow, &ceiling.deny, EnvPattern::meet)
    }

    pub(crate) fn denies(&self, pattern: &EnvPattern) -> bool {
        self.deny.iter().any(|deny| deny.covers(pattern))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawEnv {
    Allow(Vec<String>),
    Lists(RawEnvLists),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEnvLists {
    /// Names, or prefixes like `FEATURE_*`.
    #[serde(default)]
    allow: Vec<String>,
    /// Names or prefixes that stay invisible whatever `allow` says.
    #[serde(default)]
    deny: Vec<String>,
}

impl Permission for Env {
    const KEY: &'static str = "env";
    type Raw = RawEnv;

    fn read(raw: RawEnv, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
        match raw {
            RawEnv::Allow(allow) => Self { allow: patterns(&allow, key, reading), deny: Vec::new() },
            RawEnv::Lists(lists) => Self {
                allow: patterns(&lists.allow, &key.child("allow"), reading),
                deny: patterns(&lists.deny, &key.child("deny"), reading),
            },
        }
    }

    fn within(&self, ceiling: &Self) -> Self {
        let (mut allow, deny) =
            (meets(&self.allow, &ceiling.allow, EnvPattern::meet), union(&self.deny, &ceiling.deny));
        allow.retain(|one| !deny.iter().any(|deny| deny.covers(one)));
        Self { allow, deny }
    }

    fn lacking(&self, need: &Self) -> Self {
        let granted = |one: &EnvPattern| self.allow.iter().any(|allow| allow.covers(one)) && !self.denies(one);
        Self { allow: need.allow.iter().filter(|one| !granted(one)).cloned().collect(), deny: Vec::new() }
    }

    fn plus(&self, more: &Self) -> Self {
        Self { allow: union(&self.allow, &more.allow), deny: union(&self.deny, &more.deny) }
    }

    fn value(&self) -> Option<String> {
        lists_of(&self.allow, &self.deny)
    }

    /// Nothing tells whether it is used.
    fn decided(&self) -> Vec<String> {
        Vec::new()
    }

    fn words(&self) -> Vec<String> {
        self.allow.iter().filter(|one| !self.denies(one)).map(|one| format!("env {one}")).collect()
    }
}

fn patterns(texts: &[String], key: &Key<'_>, reading: &mut Reading<'_>) -> Vec<EnvPattern> {
    let mut all = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match reading.whose == Whose::Ceiling && text == ANY {
            true => all.push(EnvPattern::everything()),
            false => all.extend(reading.keep(&key.item(index), text.parse())),
        }
    }
    all
}

impl Grants {
    /// The names of variables this service sees, where they are set.
    pub fn env(&self) -> &Env {
        &self.left.env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn grant(allow: &[&str], deny: &[&str]) -> Env {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Env { allow: parse(allow), deny: parse(deny) }
    }

    #[test]
    fn nothing_is_visible_unless_named() {
        assert!(!Env::default().allows("PATH"));
        let some = grant(&["LOG_LEVEL", "FEATURE_*"], &[]);
        assert!(some.allows("LOG_LEVEL") && some.allows("FEATURE_X") && some.allows("FEATURE_"));
        assert!(!some.allows("LOG_LEVELS") && !some.allows("FEATURE") && !some.allows("log_level"));
    }

    #[test]
    fn deny_wins_over_the_more_specific_allow() {
        let some = grant(&["FEATURE_A"], &["FEATURE_*"]);
        assert!(!some.allows("FEATURE_A"));
    }

    #[test]
    fn the_whole_environment_cannot_be_written() {
        for text in ["*", "", "A*B", "**", "A B", "A=B", "1A", "FEATURE-X"] {
            assert!(text.parse::<EnvPattern>().is_err(), "{text}");
        }
        assert_eq!("FEATURE_*".parse::<EnvPattern>().unwrap().to_string(), "FEATURE_*");
        assert_eq!("LOG_LEVEL".parse::<EnvPattern>().unwrap().to_string(), "LOG_LEVEL");
    }
}
