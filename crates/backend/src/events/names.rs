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

    /// The topic of a stream, if it is one's.
    pub(super) fn topic_of<'a>(&self, stream: &'a str) -> Option<&'a str> {
        stream.strip_prefix(&self.prefix)?.strip_prefix("ev:")
    }

    /// A dedup id of a topic.
    pub(super) fn dedup(&self, topic: &str, id: &str) -> String {
        format!("{}ev:{topic}:dedup:{id}", self.prefix)
    }

    /// A set of all topics there are.
    pub(super) fn topics(&self) -> String {
        format!("{}topics", self.prefix)
    }

    /// How many of those each service has begun: a hash.
    pub(super) fn topics_of(&self) -> String {
        format!("{}topics:of", self.prefix)
    }

    /// Events that wait for their time: a sorted set of their ids by the time, in ms.
    pub(super) fn delayed(&self) -> String {
        format!("{}delayed", self.prefix)
    }

    /// What those events are: a hash by id.
    pub(super) fn delayed_events(&self) -> String {
        format!("{}delayed:events", self.prefix)
    }

    /// The bytes of those events together.
    pub(super) fn delayed_bytes(&self) -> String {
        format!("{}delayed:bytes", self.prefix)
    }

    /// How many of them each service has: a hash.
    pub(super) fn delayed_of(&self) -> String {
        format!("{}delayed:of", self.prefix)
    }

    /// What each group subscribes to: a hash of JSON arrays of patterns.
    pub(super) fn subscriptions(&self) -> String {
        format!("{}subscriptions", self.prefix)
    }

    /// Since when a group's topics are not asked for any more, in ms: a hash by `GROUP TOPIC`.
    pub(super) fn withdrawn(&self) -> String {
        format!("{}subscriptions:withdrawn", self.prefix)
    }

    /// A set of all groups there are: one a service.
    pub(super) fn groups(&self) -> String {
        format!("{}groups", self.prefix)
    }

    /// Events of a group that wait for another attempt: a sorted set of `ENTRY STREAM` by the time, in ms.
    pub(super) fn retries(&self, group: &str) -> String {
        format!("{}retry:{group}", self.prefix)
    }

    /// The stream of what a group could not handle.
    pub(super) fn dead(&self, group: &str) -> String {
        format!("{}dead:{group}", self.prefix)
    }

    /// The stream of events that are for one group only: replayed dead letters.
    pub(super) fn again(&self, group: &str) -> String {
        format!("{}again:{group}", self.prefix)
    }

    /// The hosts that are there: a sorted set of consumer names by the time until which they count, in ms.
    pub(super) fn hosts(&self) -> String {
        format!("{}hosts", self.prefix)
    }

    /// Held by the host that looks after retention for a moment.
    pub(super) fn tending(&self) -> String {
        format!("{}tending", self.prefix)
    }
}
