//! Topics of events and patterns for them, as `permissions.publish` and `permissions.subscribe` name them.
//!
//! Judges names only. Who carries an event, and whether anybody handles it, is decided elsewhere.

use std::{fmt, str::FromStr, sync::Arc};

/// As long as a topic, or a pattern for topics, may be.
const TOPIC_MAX_BYTES: usize = 255;

/// The name of a kind of event: `order.created`. One to some segments of lower-case letters,
/// digits, `_` and `-`, with `.` between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// Some topics: `order.*`, where `*` is one segment; `shop.**`, where `**` is all that follows, at
/// least one segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPattern(Arc<str>);

/// Why a text is no topic, or no pattern for topics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("a topic has 1 to {TOPIC_MAX_BYTES} characters")]
    Length,
    #[error("`{0}` is no topic; write segments of lower-case letters, digits, `_` and `-`, like `order.created`")]
    Shape(String),
    #[error("`{0}`: `*` stands for one whole segment, and `**` for all that follow, at the end only")]
    Star(String),
}

impl Topic {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = measured(text)?;
        match text.split('.').all(is_segment) {
            true => Ok(Self(text.into())),
            false => Err(TopicError::Shape(text.to_owned())),
        }
    }
}

/// The pattern for this topic alone.
impl From<Topic> for TopicPattern {
    fn from(topic: Topic) -> Self {
        Self(topic.0)
    }
}

impl TopicPattern {
    pub fn matches(&self, topic: &Topic) -> bool {
        let (mut pattern, mut segments) = (self.0.split('.'), topic.as_str().split('.'));
        loop {
            match (pattern.next(), segments.next()) {
                (None, None) | (Some("**"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
    }

    /// The only topic it matches, if it names one.
    pub fn exact(&self) -> Option<Topic> {
        (!self.0.contains('*')).then(|| Topic(self.0.clone()))
    }

    /// The topics that both match.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let (mut these, mut those) = (self.0.split('.'), other.0.split('.'));
        let mut both = Vec::new();
        loop {
            match (these.next(), those.next()) {
                (None, None) => break,
                (Some("**"), Some(one)) => {
                    both.extend(std::iter::once(one).chain(those));
                    break;
                }
                (Some(one), Some("**")) => {
                    both.extend(std::iter::once(one).chain(these));
                    break;
                }
                (Some("*"), Some(one)) | (Some(one), Some("*")) => both.push(one),
                (Some(one), Some(same)) if one == same => both.push(one),
                _ => return None,
            }
        }
        Some(Self(both.join(".").into()))
    }

    /// Whether this covers all that `other` may match.
    pub fn covers(&self, other: &Self) -> bool {
        let (mut wide, mut narrow) = (self.0.split('.'), other.0.split('.'));
        loop {
            match (wide.next(), narrow.next()) {
                (None, None) | (Some("**"), Some(_)) => return true,
                (Some("*"), Some(segment)) if segment != "**" => {}
                (Some(wanted), Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TopicPattern {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = measured(text)?;
        let mut segments = text.split('.').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            match segment {
                "*" => {}
                "**" if is_last => {}
                starred if starred.contains('*') => return Err(TopicError::Star(text.to_owned())),
                plain if is_segment(plain) => {}
                _ => return Err(TopicError::Shape(text.to_owned())),
            }
        }
        Ok(Self(text.into()))
    }
}

/// What `need` asks for and `granted` does not cover.
pub(super) fn lacking(granted: &[TopicPattern], need: &[TopicPattern]) -> Vec<TopicPattern> {
    let covered = |topic: &TopicPattern| granted.iter().any(|one| one.covers(topic));
    need.iter().filter(|topic| !covered(topic)).cloned().collect()
}

fn measured(text: &str) -> Result<&str, TopicError> {
    if (1..=TOPIC_MAX_BYTES).contains(&text.len()) { Ok(text) } else { Err(TopicError::Length) }
}

fn is_segment(segment: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    !segment.is_empty() && segment.bytes().all(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, topic: &str, expected: bool) {
        let (parsed, topic) = (pattern.parse::<TopicPattern>().unwrap(), topic.parse::<Topic>().unwrap());
        assert_eq!(parsed.matches(&topic), expected, "{pattern} {topic}");
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_the_rest() {
        check("order.*", "order.created", true);
        check("order.*", "order", false);
        check("order.*", "order.created.late", false);
        check("order.**", "order.created.late", true);
        check("order.**", "order", false);
        check("*.created", "order.created", true);
        check("*", "order", true);
        check("**", "order.created", true);
        check("order.created", "order.created", true);
        check("order.created", "order.createdx", false);
    }

    #[test]
    fn one_pattern_covers_another_when_it_matches_all_of_its_topics() {
        let covers = |wide: &str, narrow: &str| {
            wide.parse::<TopicPattern>().unwrap().covers(&narrow.parse::<TopicPattern>().unwrap())
        };
        assert!(covers("order.*", "order.created"));
        assert!(covers("order.**", "order.*"));
        assert!(covers("**", "*.x"));
        assert!(!covers("order.*", "order.**"));
        assert!(!covers("order.created", "order.*"));
        assert!(!covers("*", "**"));
    }

    #[test]
    fn what_is_no_topic_is_refused() {
        for text in ["", ".", "order.", ".created", "Order.created", "order created", "order..x", "ordré", "a\0"] {
            assert!(text.parse::<Topic>().is_err(), "{text:?}");
            assert!(text.parse::<TopicPattern>().is_err(), "{text:?}");
        }
        for text in ["order.*x", "**.created", "order.***", "a**"] {
            assert!(text.parse::<TopicPattern>().is_err(), "{text:?}");
        }
        assert!("order.*".parse::<Topic>().is_err());
        assert!("a".repeat(256).parse::<Topic>().is_err());
    }
}
