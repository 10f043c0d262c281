//! What the events of a system are called in Redis. All names share one hash tag, so that a script may
//! touch several of them in a cluster too.

/// The keys of one system.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(system: &str) -> Self {
        Self { prefix: format!("archipel:{{{system}}}:") }
    }

    /// The stream of a topic. No topic has a `:` in it.
    pub(super) fn topic(&self, topic: &str) -> String {
        format!("{}ev:{topic}", self.prefix)
    }

    /// A dedup id of a topic.
    pub(super) fn dedup(&self, topic: &str, id: &str) -> String {
        format!("{}ev:{topic}:dedup:{id}", self.prefix)
    }

    /// A set of all topics there are.
    pub(super) fn topics(&self) -> String {
        format!("{}topics", self.prefix)
    }

    /// Events that wait for their time: a sorted set of their ids by the time, in ms.
    pub(super) fn delayed(&self) -> String {
        format!("{}delayed", self.prefix)
    }

    /// What those events are: a hash by id.
    pub(super) fn delayed_events(&self) -> String {
        format!("{}delayed:events", self.prefix)
    }
}
