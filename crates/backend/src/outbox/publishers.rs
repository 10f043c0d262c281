//! What each service may publish, for those who carry events on: now, and when the events were written.
//!
//! A transaction that began before a manifest took a topic away may commit after it: its events go on. So
//! what a service might publish before counts for events that were written until its requests of then
//! had ended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use grant::{Granted, Grants, Publishing, topic::Topic};

/// Changes of one service's grants that are remembered: an event that has waited through more of them is
/// judged by what is left.
const FORMER_MAX: usize = 16;
/// Services that publish nothing any more and are remembered; then those go that have not for longest.
const GONE_MAX: usize = 256;

/// A service as it is now.
pub struct Publisher {
    pub grants: Arc<Grants>,
    /// How long a request of it, or an event that it handles, may take.
    pub busy_max: Duration,
}

/// Replaced as a whole when manifests change.
#[derive(Default)]
pub struct Publishers(ArcSwap<BTreeMap<Arc<str>, Known>>);

#[derive(Clone)]
struct Known {
    /// None: it does not run, or publishes nothing any more.
    now: Option<Arc<Grants>>,
    busy_max: Duration,
    /// The latest last.
    former: Vec<Former>,
}

#[derive(Clone)]
struct Former {
    grants: Arc<Grants>,
    /// By the clock of this host; events are written by that of their database.
    until: Timestamp,
}

impl Publishers {
    pub fn replace(&self, services: impl IntoIterator<Item = (Arc<str>, Publisher)>) {
        let now = Timestamp::now();
        let mut next: BTreeMap<Arc<str>, Known> = (**self.0.load()).clone();
        let mut services: BTreeMap<Arc<str>, Publisher> = services.into_iter().collect();
        services.retain(|_, publisher| !publisher.grants.publishes().is_empty());
        for (service, known) in &mut next {
            known.go_on_as(services.remove(service), now);
        }
        next.extend(services.into_iter().map(|(service, Publisher { grants, busy_max })| {
            (service, Known { now: Some(grants), busy_max, former: Vec::new() })
        }));
        let gone = |known: &Known| known.former.last().filter(|_| known.now.is_none()).map(|former| former.until);
        while next.values().filter(|known| gone(known).is_some()).count() > GONE_MAX {
            let oldest = next.iter().filter_map(|(name, known)| Some((gone(known)?, name.clone()))).min();
            oldest.into_iter().for_each(|(_, name)| drop(next.remove(&name)));
        }
        self.0.store(Arc::new(next));
    }

    /// All that publish, or did since the start.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.load().keys().map(ToString::to_string).collect()
    }

    /// Whether `service` may publish to `topic`, or might when the event was written.
    ///
    /// # Errors
    /// Why not, for the operator.
    pub(super) fn judge(
        &self,
        service: &str,
        topic: &Topic,
        written: Timestamp,
    ) -> Result<Granted<Publishing>, String> {
        let known = self.0.load();
        let known = known.get(service).ok_or("no such service publishes here")?;
        let denied = match known.now.as_ref().map(|grants| grants.publish(topic.clone())) {
            Some(Ok(publishing)) => return Ok(publishing),
            Some(Err(denial)) => denial.to_string(),
            None => "the service publishes nothing here any more".to_owned(),
        };
        let then = known.former.iter().rev().filter(|former| written <= former.until);
        then.filter_map(|former| former.grants.publish(topic.clone()).ok()).next().ok_or(denied)
    }
}

impl Known {
    fn go_on_as(&mut self, next: Option<Publisher>, now: Timestamp) {
        let grants = next.as_ref().map(|next| &next.grants);
        let topics = |grants: &Arc<Grants>| grants.publishes().to_vec();
        if let Some(before) = &self.now
            && grants.map(topics) != Some(topics(before))
        {
            let until = now.checked_add(self.busy_max).unwrap_or(now);
            self.former.push(Former { grants: before.clone(), until });
            let over = self.former.len().saturating_sub(FORMER_MAX);
            self.former.drain(..over);
        }
        self.busy_max = next.as_ref().map_or(self.busy_max, |next| next.busy_max);
        self.now = next.map(|next| next.grants);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grant::{Permissions, Publish};

    const BUSY_MAX: Duration = Duration::from_secs(10);

    fn publisher(name: &str, topics: &[&str]) -> (Arc<str>, Publisher) {
        let publish = Publish(topics.iter().map(|topic| topic.parse().unwrap()).collect());
        let permissions = Permissions { publish, ..Permissions::default() };
        let grants = Arc::new(Grants::new(name.into(), "shop.toml".into(), permissions));
        (name.into(), Publisher { grants, busy_max: BUSY_MAX })
    }

    fn judge(publishers: &Publishers, topic: &str, ago: Duration) -> Result<(), String> {
        let written = Timestamp::now() - jiff::SignedDuration::try_from(ago).unwrap();
        publishers.judge("orders", &topic.parse().unwrap(), written).map(drop)
    }

    #[test]
    fn what_was_written_while_it_was_granted_goes_on_and_nothing_later_does() {
        let publishers = Publishers::default();
        publishers.replace([publisher("orders", &["order.*", "stock"])]);
        publishers.replace([publisher("orders", &["order.*"])]);
        assert!(judge(&publishers, "order.created", Duration::ZERO).is_ok());
        assert!(judge(&publishers, "stock", Duration::from_secs(1)).is_ok());
        let later = Timestamp::now() + BUSY_MAX + Duration::from_secs(1);
        let refused = publishers.judge("orders", &"stock".parse().unwrap(), later).unwrap_err();
        assert!(refused.contains("publish = [\"stock\"]"), "{refused}");

        publishers.replace([]);
        assert_eq!(publishers.names(), ["orders"], "what waits is still looked for");
        assert!(judge(&publishers, "order.created", Duration::ZERO).is_ok());
        assert!(publishers.judge("orders", &"order.created".parse().unwrap(), later).is_err());
        assert!(judge(&publishers, "user.created", Duration::ZERO).is_err(), "what was never granted");
        publishers.replace([publisher("orders", &["order.*"])]);
        assert!(publishers.judge("orders", &"order.created".parse().unwrap(), later).is_ok());
    }

    #[test]
    fn services_that_are_gone_are_remembered_up_to_a_bound() {
        let publishers = Publishers::default();
        for number in 0..GONE_MAX + 20 {
            publishers.replace([publisher(&format!("one-{number}"), &["a"])]);
        }
        assert_eq!(publishers.names().len(), GONE_MAX + 1);
        assert!(publishers.names().contains(&format!("one-{}", GONE_MAX + 19)));
        for round in 0..FORMER_MAX * 2 {
            publishers.replace([publisher("orders", &[if round % 2 == 0 { "a" } else { "b" }])]);
        }
        assert!(publishers.0.load()["orders"].former.len() <= FORMER_MAX);
    }
}
