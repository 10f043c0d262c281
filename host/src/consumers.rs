//! Who is handed events: one consumer a service that subscribes, from when the services run until the host
//! stops.
//!
//! Decides who consumes. What becomes of one event is in `consumers/work`, where events come from in
//! `backend/events`.

mod work;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use span::Recorder;
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

use crate::service::Service;
use backend::events::{Events, Group, Taker};
use grant::{Granted, Subscription};
use manifest::{ConsumerSettings, ServiceSettings};
use work::Work;

/// The consumers of a host.
#[derive(Default)]
pub struct Consumers(Mutex<Running>);

#[derive(Default)]
struct Running {
    by_service: BTreeMap<Arc<str>, Consumer>,
    /// Those that were replaced or removed and finish what they have, the latest last.
    ending: Vec<Ending>,
    /// No consumer starts any more.
    stopped: bool,
}

/// A consumer that takes no more, or soon will not.
struct Ending {
    service: Arc<str>,
    /// Closed when it takes no more.
    taking: watch::Receiver<()>,
    task: JoinHandle<()>,
}

struct Consumer {
    service: Arc<Service>,
    subscription: Granted<Subscription>,
    settings: ConsumerSettings,
    stop: watch::Sender<bool>,
    /// Closed when it takes no more.
    taking: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl Consumers {
    /// From now on these services are handed events, as far as they subscribe to any. A consumer whose
    /// service and settings are what they were goes on; another finishes what it has and takes no more.
    /// Nobody consumes where nothing carries events.
    pub fn replace(
        &self,
        events: Option<&Arc<Events>>,
        services: impl IntoIterator<Item = (Arc<ServiceSettings>, Arc<Service>)>,
        recorder: &Arc<Recorder>,
    ) {
        let Some(events) = events else { return };
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.stopped {
            return;
        }
        let mut before = std::mem::take(&mut running.by_service);
        for (settings, service) in services {
            let Some(subscription) = settings.grants.subscription() else { continue };
            let consumer = match before.remove(&settings.name) {
                Some(same) if same.is_for(&service, &subscription, &settings.events) => same,
                other => {
                    running.ending.extend(other.map(|other| other.end(&settings.name)));
                    let before = running.before(&settings.name);
                    let group = Arc::new(Group::new(events.clone(), subscription.clone()));
                    let (service, settings, recorder) = (service, settings.events.clone(), recorder.clone());
                    Consumer::start(subscription, Work { group, service, settings, recorder }, before)
                }
            };
            running.by_service.insert(settings.name.clone(), consumer);
        }
        running.ending.retain(|ending| !ending.task.is_finished());
        running.ending.extend(before.into_iter().map(|(name, consumer)| consumer.end(&name)));
    }

    /// Takes nothing any more, and waits for what is being handled, for at most `drain`; then it is cut, and
    /// another host is handed it. Cancel safe.
    pub async fn stop(&self, drain: Duration) {
        let tasks: Vec<JoinHandle<()>> = {
            let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            running.stopped = true;
            let consumers = std::mem::take(&mut running.by_service);
            let consumers = consumers.into_iter().map(|(name, consumer)| consumer.end(&name));
            consumers.chain(std::mem::take(&mut running.ending)).map(|ending| ending.task).collect()
        };
        let until = tokio::time::Instant::now() + drain;
        for mut task in tasks {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                tracing::warn!("an event was still being handled at the end of `host.drain`; it will be handled again");
                task.abort();
            }
        }
    }
}

impl Running {
    /// Who takes for a service until its next consumer may: the latest, for each waits for the one before.
    fn before(&self, service: &str) -> Option<watch::Receiver<()>> {
        let latest = self.ending.iter().rfind(|ending| *ending.service == *service);
        latest.map(|ending| ending.taking.clone())
    }
}

impl Consumer {
    fn start(subscription: Granted<Subscription>, work: Work, before: Option<watch::Receiver<()>>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (takes, taking) = watch::channel(());
        let (service, settings) = (work.service.clone(), work.settings.clone());
        let task = tokio::spawn(async move {
            if let Some(mut before) = before {
                // Two that take for one group at once would find one another's reads before they arrive.
                // An error says that it takes no more.
                let _ = before.changed().await;
            }
            consume(Arc::new(work), stopping, takes).await;
        });
        Self { service, subscription, settings, stop, taking, task }
    }

    fn is_for(
        &self,
        service: &Arc<Service>,
        subscription: &Granted<Subscription>,
        settings: &ConsumerSettings,
    ) -> bool {
        Arc::ptr_eq(&self.service, service) && self.subscription == *subscription && self.settings == *settings
    }

    fn end(self, name: &Arc<str>) -> Ending {
        self.stop.send_replace(true);
        Ending { service: name.clone(), taking: self.taking, task: self.task }
    }
}

/// Takes events and works on them, as many at once as the service may, until it shall stop; then finishes
/// what it has. Dropping it cuts what is in work.
async fn consume(work: Arc<Work>, mut stopping: watch::Receiver<bool>, takes: watch::Sender<()>) {
    let places = Arc::new(Semaphore::new(work.settings.concurrency.get() as usize));
    let mut taker = Taker::new(work.group.clone());
    let mut working = JoinSet::new();
    // More than there are places only when several topics bring news at once.
    let mut held = VecDeque::new();
    loop {
        let acquired = places.clone().acquire_owned();
        let place = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping), if held.is_empty() => break,
            place = acquired => place.expect("never closed"),
        };
        while let Some(ended) = working.try_join_next() {
            report(ended);
        }
        match held.pop_front() {
            Some(delivered) => {
                let work = work.clone();
                working.spawn(async move {
                    work.on(delivered).await;
                    drop(place);
                });
            }
            None if *stopping.borrow() => break,
            None => held.extend(taker.take(places.available_permits() + 1).await),
        }
    }
    drop(takes);
    while let Some(ended) = working.join_next().await {
        report(ended);
    }
}

/// The event itself is found again.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the handling of an event broke off");
    }
}
