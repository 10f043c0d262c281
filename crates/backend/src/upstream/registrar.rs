//! Tells Consul of the services of this host: that they are here, that they live, that they go.
//!
//! Decides how each is called, when it is told again, and in which order: what goes, what comes, then those that were
//! told of longest ago. Which services and at which address is the word of whoever calls [`Registrar::beat`], every few
//! seconds. Each of its methods is cancel safe: what was not said then is said by the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::{
    consul::{Consul, ConsulError, Registration},
    dial::Dialler,
};
use crate::http::Outbound;
use manifest::ConsulSettings;

/// How often to call [`Registrar::beat`]: three fit into the time after which Consul takes us for dead.
pub const BEAT: Duration = Duration::from_secs(5);
/// What whoever follows Consul by blocking queries needs at most to hear what Consul was told: until then a service
/// that Consul knows no more is still asked.
pub const HEARD: Duration = Duration::from_secs(2);
/// What a beat may take: with what may come before it, a service is told of twice within Consul's 15 s.
const BEAT_MAX: Duration = Duration::from_secs(8);
/// What leaving or coming may take: whoever drains or changes something does not wait for longer.
const CHANGE_MAX: Duration = Duration::from_secs(2);
/// So many words at once: many services of a slow agent fit into a beat, and no agent is flooded.
const AT_ONCE: usize = 8;
/// By then Consul has forgotten by itself whom it was not told that it goes.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// Where this host is, as others reach it.
#[derive(Debug, Clone)]
pub struct Here {
    /// The `name` of its manifest.
    pub system: String,
    /// Its gateway's host and port.
    pub gateway: (String, u16),
    /// The URL of its admin API; none: others do not reach that.
    pub admin: Option<String>,
}

pub struct Registrar {
    settings: ConsulSettings,
    consul: Consul,
    /// What Consul may know of, by id.
    known: BTreeMap<String, Known>,
    /// Why something could not be said since the last beat.
    failure: Option<ConsulError>,
    /// The last word was that it could not be said.
    is_failing: bool,
}

struct Known {
    of: Registration,
    /// Consul has answered that it knows it. What was said and not answered it may know, too.
    is_heard: bool,
    /// When something was last said of it, or tried to be.
    said: Instant,
}

impl Registrar {
    pub fn new(settings: &ConsulSettings, outbound: &Outbound) -> Self {
        let consul = Consul::new(settings, Dialler::plain(outbound));
        Self { settings: settings.clone(), consul, known: BTreeMap::new(), failure: None, is_failing: false }
    }

    pub fn settings(&self) -> &ConsulSettings {
        &self.settings
    }

    /// Only `staying` are here any more: the others are deregistered. Takes two seconds at most; what that is too
    /// short for is done by the next beat.
    pub async fn part(&mut self, staying: &BTreeSet<Arc<str>>, here: &Here) {
        let ids = staying.iter().map(|name| id(name, here)).collect();
        let _rest = timeout(CHANGE_MAX, self.deregister_all_but(&ids)).await;
    }

    /// What is new of `services` is registered. Takes two seconds at most, as [`Self::part`] does.
    pub async fn introduce(&mut self, services: &BTreeMap<Arc<str>, bool>, here: &Here) {
        let (new, _known) = self.sorted(services, here);
        let _rest = timeout(CHANGE_MAX, self.say(new)).await;
    }

    /// Our services, whether each is well, and where all of them are asked. What is gone is deregistered, what is
    /// new registered, and of the others is said how they are. Takes eight seconds at most.
    pub async fn beat(&mut self, services: &BTreeMap<Arc<str>, bool>, here: &Here) {
        let ids = services.keys().map(|name| id(name, here)).collect();
        let (new, known) = self.sorted(services, here);
        let told = async {
            self.deregister_all_but(&ids).await;
            self.say(new).await;
            self.say(known).await;
        };
        if timeout(BEAT_MAX, told).await.is_err() {
            let late = format!("it takes longer than {BEAT_MAX:?} to hear of {} services", services.len());
            self.failure = Some(ConsulError::Unanswered(late));
        }
        self.report();
    }

    /// None of them is here any more; takes at most two seconds.
    pub async fn leave(&mut self) {
        let _rest = timeout(CHANGE_MAX, self.deregister_all_but(&BTreeSet::new())).await;
        let left: Vec<&str> = self.known.keys().map(String::as_str).collect();
        if !left.is_empty() {
            let services = left.join(", ");
            tracing::warn!(services, "Consul could not be told that services go; it finds out by itself");
        }
    }

    /// Those that Consul has not answered for, and the others, whose turn comes by age.
    fn sorted(&self, services: &BTreeMap<Arc<str>, bool>, here: &Here) -> (Vec<Word>, Vec<Word>) {
        let word = |(name, is_well): (&Arc<str>, &bool)| {
            let of = self.registration(name, here);
            let known = self.known.get(&of.id).filter(|known| known.of == of);
            let is_heard = known.is_some_and(|known| known.is_heard);
            (known.map(|known| known.said), Word { of, is_well: *is_well, is_heard })
        };
        let mut words: Vec<_> = services.iter().map(word).collect();
        words.sort_by_key(|(said, _)| *said);
        words.into_iter().map(|(_, word)| word).partition(|word| !word.is_heard)
    }

    fn registration(&self, name: &Arc<str>, here: &Here) -> Registration {
        let (address, port) = &here.gateway;
        Registration {
            id: id(name, here),
            name: name.clone(),
            address: address.clone(),
            port: *port,
            tags: self.settings.tags.clone(),
            system: here.system.clone(),
            admin: here.admin.clone(),
        }
    }

    async fn deregister_all_but(&mut self, staying: &BTreeSet<String>) {
        self.known.retain(|id, known| staying.contains(id) || known.said.elapsed() < FORGOTTEN);
        let consul = &self.consul;
        let gone: Vec<String> = self.known.keys().filter(|id| !staying.contains(*id)).cloned().collect();
        let each: Vec<_> = gone.into_iter().map(|id| async move { (consul.deregister(&id).await, id) }).collect();
        let mut told = stream::iter(each).buffer_unordered(AT_ONCE);
        while let Some((told, id)) = told.next().await {
            match told {
                Err(error @ ConsulError::Refused { status: 401 | 403, .. }) => self.failure = Some(error),
                Ok(()) | Err(ConsulError::Refused { status: 400..=499, .. }) => _ = self.known.remove(&id),
                // Told again with the next beat: until Consul finds out by itself, others are sent to it.
                Err(error) => self.failure = Some(error),
            }
        }
    }

    async fn say(&mut self, words: Vec<Word>) {
        for word in words.iter().filter(|word| !word.is_heard) {
            // Before it is said: where no answer comes it may have been heard.
            let known = Known { of: word.of.clone(), is_heard: false, said: Instant::now() };
            self.known.insert(word.of.id.clone(), known);
        }
        let consul = &self.consul;
        let each: Vec<_> = words.into_iter().map(|word| async move { (word.say(consul).await, word.of.id) }).collect();
        let mut told = stream::iter(each).buffer_unordered(AT_ONCE);
        while let Some((told, id)) = told.next().await {
            if let Some(known) = self.known.get_mut(&id) {
                known.is_heard |= told.is_ok();
                known.said = Instant::now();
            }
            self.failure = told.err().or(self.failure.take());
        }
    }

    /// A change for the worse or the better is told once.
    fn report(&mut self) {
        match self.failure.take() {
            Some(reason) if !self.is_failing => {
                tracing::warn!(%reason, "Consul cannot be told of our services; it is tried again");
                self.is_failing = true;
            }
            None if self.is_failing => {
                tracing::info!("Consul knows our services again");
                self.is_failing = false;
            }
            _ => {}
        }
    }
}

fn id(name: &str, here: &Here) -> String {
    let (address, port) = &here.gateway;
    format!("{name}-{}-{port}", address.replace(':', "."))
}

/// What is to be said of one service.
struct Word {
    of: Registration,
    is_well: bool,
    /// Consul knew it.
    is_heard: bool,
}

impl Word {
    async fn say(&self, consul: &Consul) -> Result<(), ConsulError> {
        if self.is_heard {
            match consul.tell_health(&self.of.id, self.is_well).await {
                // Forgotten by a Consul that was started again.
                Err(ConsulError::Refused { .. }) => {}
                told => return told,
            }
        }
        consul.register(&self.of, self.is_well).await
    }
}
