//! Which hosts are there. Each says so every second; one that has not for the lease is gone, and what was
//! handed to it is others' to take.
//!
//! A host that could not speak to Redis itself does not judge: after an outage everybody's word is old.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

/// How fast hosts judge one another; the same for all of a system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two words of a host.
    pub(super) beat: Duration,
    /// How long a host counts as there after its last word.
    pub(super) lease: Duration,
    /// After an outage, others get this long to say that they are there.
    pub(super) steady: Duration,
}

pub(super) const PACE: Pace =
    Pace { beat: Duration::from_secs(1), lease: Duration::from_secs(6), steady: Duration::from_secs(4) };

/// What is known of the hosts of this system.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) alive: HashSet<String>,
    /// Since when Redis has answered every time.
    pub(super) in_contact_since: Option<Instant>,
    /// The log knows that Redis is away.
    pub(super) told: bool,
}
