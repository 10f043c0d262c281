//! `permissions.publish`: which topics a service may publish to.

use std::sync::Arc;

use document::source::Key;

use super::{
    Permission, Reading, list_of, meets,
    topic::{self, Topic, TopicPattern},
    union,
};
use crate::{Denied, Granted, Grants, Import, Permissions};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Publish(pub Vec<TopicPattern>);

/// A topic that may be published to: proof for whoever carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishing {
    /// Who publishes.
    pub service: Arc<str>,
    pub topic: Topic,
}

impl Permission for Publish {
    const KEY: &'static str = "publish";
    const EXAMPLE: &'static str = "publish = [\"TOPIC\"]";
    type Raw = Vec<String>;

    fn read(raw: Self::Raw, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
        Self(reading.list(key, &raw).into_iter().map(|(_, pattern)| pattern).collect())
    }

    fn within(&self, ceiling: &Self) -> Self {
        Self(meets(&self.0, &ceiling.0, TopicPattern::meet))
    }

    fn lacking(&self, need: &Self) -> Self {
        Self(topic::lacking(&self.0, &need.0))
    }

    fn plus(&self, more: &Self) -> Self {
        Self(union(&self.0, &more.0))
    }

    fn value(&self) -> Option<String> {
        list_of(&self.0)
    }

    fn is_asked_by(import: Import<'_>) -> bool {
        import.is_ours("archipel:messaging/producer") || import.is_ours("archipel:messaging/outbox")
    }

    fn words(&self) -> Vec<String> {
        self.0.iter().map(|topic| format!("publish {topic}")).collect()
    }
}

impl Grants {
    /// The topics this service may publish to.
    pub fn publishes(&self) -> &[TopicPattern] {
        &self.left.publish.0
    }

    /// Whether it may publish to `topic`.
    ///
    /// # Errors
    /// [`Denied`] names the line that would allow exactly this topic.
    pub fn publish(&self, topic: Topic) -> Result<Granted<Publishing>, Denied> {
        let covers = |patterns: &[TopicPattern]| patterns.iter().any(|pattern| pattern.matches(&topic));
        match covers(&self.left.publish.0) {
            true => {
                let index = self.written.publish.0.iter().position(|pattern| pattern.matches(&topic));
                let need = || Permissions { publish: Publish(vec![topic.clone().into()]), ..Permissions::default() };
                let granted = self.granted(Publish::KEY, index, need, ());
                let publishing = Publishing { service: self.service.clone(), topic };
                Ok(granted.map(|()| publishing))
            }
            false => Err(self.denied(
                format!("publish {topic}"),
                "`publish` does not cover it".to_owned(),
                format!("publish = [\"{topic}\"]"),
                covers(&self.written.publish.0),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::grants;

    #[test]
    fn publishing_is_granted_by_topic_and_a_denial_names_the_line() {
        let grants = grants("orders", "publish = [\"order.*\"]");
        let granted = grants.publish("order.created".parse().unwrap()).unwrap();
        assert_eq!(granted.get().topic.as_str(), "order.created");
        let denied = grants.publish("user.created".parse().unwrap()).unwrap_err().to_string();
        assert!(denied.contains("add `publish = [\"user.created\"]` to `services.orders.permissions`"), "{denied}");
    }
}
