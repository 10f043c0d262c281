//! Which topics a service may publish to and which it handles: `permissions.publish` and
//! `permissions.subscribe`.
//!
//! Judges names only. Who carries an event, and whether anybody handles it, is decided elsewhere.

use std::{fmt, str::FromStr, sync::Arc};

use super::{Denial, Fix, Granted, Grants};

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

/// A topic that may be published to: proof for whoever carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishing {
    /// Who publishes.
    pub service: Arc<str>,
    pub topic: Topic,
}

/// The topics that a service handles: proof for whoever delivers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Also the name of its consumer group.
    pub service: Arc<str>,
    /// At least one.
    pub topics: Vec<TopicPattern>,
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
    fn meet(&self, other: &Self) -> Option<Self> {
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

/// What is left of `written` under a ceiling's patterns.
pub(super) fn within(written: &[TopicPattern], ceiling: &[TopicPattern]) -> Vec<TopicPattern> {
    let mut both = Vec::new();
    for one in written.iter().flat_map(|one| ceiling.iter().filter_map(|other| one.meet(other))) {
        if !both.contains(&one) {
            both.push(one);
        }
    }
    both
}

fn measured(text: &str) -> Result<&str, TopicError> {
    if (1..=TOPIC_MAX_BYTES).contains(&text.len()) { Ok(text) } else { Err(TopicError::Length) }
}

fn is_segment(segment: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    !segment.is_empty() && segment.bytes().all(right)
}

impl Grants {
    /// The topics this service may publish to.
    pub fn publishes(&self) -> &[TopicPattern] {
        &self.permissions.publish
    }

    /// What it handles, if anything.
    pub fn subscription(&self) -> Option<Granted<Subscription>> {
        let topics = self.permissions.subscribe.clone();
        (!topics.is_empty()).then(|| Granted(Subscription { service: self.service.clone(), topics }))
    }

    /// Whether it may publish to `topic`.
    ///
    /// # Errors
    /// [`Denial`] names the line that would allow exactly this topic.
    pub fn publish(&self, topic: Topic) -> Result<Granted<Publishing>, Denial> {
        match self.permissions.publish.iter().any(|pattern| pattern.matches(&topic)) {
            true => Ok(Granted(Publishing { service: self.service.clone(), topic })),
            false => {
                let word = self.word(self.written.publish.iter().any(|pattern| pattern.matches(&topic)));
                Err(Denial {
                    service: self.service.clone(),
                    target: format!("the topic {topic}"),
                    rule: word.rule().unwrap_or_else(|| "`publish` does not cover it".into()),
                    fix: Fix::add(format!("publish = [\"{topic}\"]"), word),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Permissions;

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

    #[test]
    fn publishing_is_granted_by_topic_and_a_denial_names_the_line() {
        let permissions = Permissions { publish: vec!["order.*".parse().unwrap()], ..Permissions::default() };
        let grants = Grants::new("orders".into(), "shop.toml".into(), permissions);
        let granted = grants.publish("order.created".parse().unwrap()).unwrap();
        assert_eq!(granted.get().topic.as_str(), "order.created");
        let denied = grants.publish("user.created".parse().unwrap()).unwrap_err().to_string();
        assert!(denied.contains("add `publish = [\"user.created\"]` to `services.orders.permissions`"), "{denied}");
    }
}
