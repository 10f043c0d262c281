//! `permissions.subscribe`: which topics a service handles.

use std::sync::Arc;

use document::source::Key;

use super::{
    Permission, Reading, list_of, meets,
    topic::{self, TopicPattern},
    union,
};
use crate::{Granted, Grants};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subscribe(pub Vec<TopicPattern>);

/// The topics that a service handles: proof for whoever delivers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Also the name of its consumer group.
    pub service: Arc<str>,
    /// At least one.
    pub topics: Vec<TopicPattern>,
}

impl Permission for Subscribe {
    const KEY: &'static str = "subscribe";
    const EXAMPLE: &'static str = "subscribe = [\"TOPIC\"]";
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

    /// Nothing tells whether it is used.
    fn decided(&self) -> Vec<String> {
        Vec::new()
    }

    fn words(&self) -> Vec<String> {
        self.0.iter().map(|topic| format!("subscribe {topic}")).collect()
    }
}

impl Grants {
    /// What it handles, if anything.
    pub fn subscription(&self) -> Option<Granted<Subscription>> {
        let topics = self.left.subscribe.0.clone();
        (!topics.is_empty()).then(|| Granted(Subscription { service: self.service.clone(), topics }))
    }
}
