//! The path of a route: `/api/users/{id}`, `/files/{*rest}`.
//!
//! Reads and prints the pattern, and refuses one that no request could ever match: requests
//! arrive in the normal form of `path`, so a pattern must be in it too.

use std::{fmt, str::FromStr, sync::Arc};

use crate::path::{PathError, normal_form};

const PATTERN_BYTES_MAX: usize = 1024;
/// Bounds the work of a lookup; deeper paths are still matched by a final `{*rest}`.
const SEGMENTS_MAX: usize = 32;

/// `/api/users/{id}`: literal segments, `{name}` for one, a final `{*rest}` for zero or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: Arc<str>,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    /// One segment that is not empty. The name is for people and templates.
    Name(String),
    /// Zero or more segments, always the last of a pattern.
    Rest(String),
}

/// Why a path pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    #[error("`{0}` does not begin with `/`")]
    NoSlash(String),

    #[error("`{0}` can never match: only `{{*rest}}` matches a trailing slash; remove it or write `{0}{{*rest}}`")]
    TrailingSlash(String),

    #[error("`{text}` can never match: {source}")]
    NeverMatches { text: String, source: PathError },

    #[error("`{segment}` can never match; write it as `{normal}`")]
    NotNormal { segment: String, normal: String },

    #[error("`{0}` mixes text and a parameter; a parameter is a whole segment, such as `{{id}}`")]
    Mixed(String),

    #[error("`{segment}` looks like another router's parameter; write `{instead}`")]
    Foreign { segment: String, instead: String },

    #[error("`{0}` has no valid name; use letters, digits and `_`")]
    Name(String),

    #[error("`{0}` must be the last segment")]
    RestNotLast(String),

    #[error("the name `{0}` stands twice")]
    NameTwice(String),

    #[error("the path is over {PATTERN_BYTES_MAX} bytes or {SEGMENTS_MAX} segments; end it earlier with `{{*rest}}`")]
    TooLong,
}

impl PathPattern {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, to be kept without a copy.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Equal for two patterns that match the same paths: names do not count.
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::with_capacity(self.text.len());
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Literal(text) => shape.push_str(text),
                Segment::Name(_) => shape.push_str("{}"),
                Segment::Rest(_) => shape.push_str("{*}"),
            }
        }
        shape
    }
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text.strip_prefix('/').ok_or_else(|| PathPatternError::NoSlash(text.to_owned()))?;
        if text.len() > PATTERN_BYTES_MAX || inner.split('/').count() > SEGMENTS_MAX {
            return Err(PathPatternError::TooLong);
        }
        if inner.is_empty() {
            return Ok(Self { text: text.into(), segments: Vec::new() });
        }
        if inner.ends_with('/') {
            return Err(PathPatternError::TrailingSlash(text.to_owned()));
        }
        let mut segments: Vec<Segment> = Vec::new();
        for part in inner.split('/') {
            if let Some(rest @ Segment::Rest(_)) = segments.last() {
                return Err(PathPatternError::RestNotLast(rest.to_string()));
            }
            let segment: Segment = part.parse()?;
            if let Some(name) = segment.name()
                && segments.iter().any(|earlier| earlier.name() == Some(name))
            {
                return Err(PathPatternError::NameTwice(name.to_owned()));
            }
            segments.push(segment);
        }
        Ok(Self { text: text.into(), segments })
    }
}

impl Segment {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Name(name) | Self::Rest(name) => Some(name),
        }
    }
}

impl FromStr for Segment {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            return match inner.strip_prefix('*') {
                Some(name) => Ok(Self::Rest(checked_name(name, text)?)),
                None => Ok(Self::Name(checked_name(inner, text)?)),
            };
        }
        if text.contains(['{', '}']) {
            return Err(PathPatternError::Mixed(text.to_owned()));
        }
        if let Some(instead) = foreign(text) {
            return Err(PathPatternError::Foreign { segment: text.to_owned(), instead });
        }
        match normal_form(&format!("/{text}")) {
            _ if text.is_empty() => Err(never(text, PathError::EmptySegment)),
            Ok(normal) if normal[1..] == *text => Ok(Self::Literal(text.to_owned())),
            Ok(normal) => Err(PathPatternError::NotNormal { segment: text.to_owned(), normal: normal[1..].to_owned() }),
            Err(source) => Err(never(text, source)),
        }
    }
}

fn never(text: &str, source: PathError) -> PathPatternError {
    PathPatternError::NeverMatches { text: text.to_owned(), source }
}

/// `:id`, `*` and `**` are parameters elsewhere; taken literally here they would surprise.
fn foreign(segment: &str) -> Option<String> {
    match segment.strip_prefix(':') {
        Some(name) => Some(format!("{{{name}}}")),
        None if segment.starts_with('*') => Some("{*rest}".to_owned()),
        None => None,
    }
}

fn checked_name(name: &str, segment: &str) -> Result<String, PathPatternError> {
    let is_valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if is_valid { Ok(name.to_owned()) } else { Err(PathPatternError::Name(segment.to_owned())) }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(text),
            Self::Name(name) => write!(f, "{{{name}}}"),
            Self::Rest(name) => write!(f, "{{*{name}}}"),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_prints_as_it_was_written() {
        for text in [
            "/",
            "/a",
            "/api/users/{id}",
            "/{*rest}",
            "/a/{b}/{*c}",
            "/.well-known/jwks.json",
            "/v1/x:batch",
            "/caf%C3%A9",
        ] {
            assert_eq!(text.parse::<PathPattern>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_pattern_that_could_never_match_or_is_mistyped_is_refused() {
        check("", "does not begin");
        check("a/b", "does not begin");
        check("/a/", "trailing slash; remove it or write `/a/{*rest}`");
        check("/a//b", "can never match: the path has an empty segment");
        check("//", "trailing slash");
        check("/a/../b", "can never match");
        check("/a;b", "can never match");
        check("/caf\u{e9}", "can never match");
        check("/a%2fb", "can never match");
        check("/%61", "write it as `a`");
        check("/%c3%a9", "write it as `%C3%A9`");
        check("/x{id}", "mixes text");
        check("/{id", "mixes text");
        check("/{}", "no valid name");
        check("/{*}", "no valid name");
        check("/{1a}", "no valid name");
        check("/{a-b}", "no valid name");
        check("/{*rest}/x", "must be the last");
        check("/{a}/{a}", "stands twice");
        check("/:id", "write `{id}`");
        check("/files/*", "write `{*rest}`");
        check(&"/a".repeat(33), "or 32 segments");
        check(&format!("/{}", "a".repeat(1024)), "over 1024 bytes");
    }

    #[track_caller]
    fn check(text: &str, sentence: &str) {
        let error = text.parse::<PathPattern>().unwrap_err().to_string();
        assert!(error.contains(sentence), "{text}: {error}");
    }
}
