//! Which variables of the host's environment a service sees.
//!
//! Decides by name alone and never reads a value. Deny beats allow in any order.

use std::{fmt, str::FromStr};

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
    pub fn everything() -> Self {
        Self(Match::Prefix(String::new()))
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
pub struct EnvGrant {
    pub allow: Vec<EnvPattern>,
    pub deny: Vec<EnvPattern>,
}

impl EnvGrant {
    pub fn allows(&self, name: &str) -> bool {
        let any = |patterns: &[EnvPattern]| patterns.iter().any(|pattern| pattern.matches(name));
        any(&self.allow) && !any(&self.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn grant(allow: &[&str], deny: &[&str]) -> EnvGrant {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        EnvGrant { allow: parse(allow), deny: parse(deny) }
    }

    #[test]
    fn nothing_is_visible_unless_named() {
        assert!(!EnvGrant::default().allows("PATH"));
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
