//! The task that sends: a batch every few seconds, or as soon as there is one.
//!
//! A collector that is away, slow or busy costs spans, never a request: what is in hand is tried again with
//! growing pauses, the queue behind it is bounded, and what finds no room there is counted.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use span::{Recorder, Trace};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    InvalidSettings, Settings,
    client::Client,
    delivery::Delivery,
    signal::Signal,
    sources::{Request, Sources},
    traces,
};

/// How long spans gather at most.
const GATHER: Duration = Duration::from_secs(5);
/// As many go at once.
const BATCH_SPANS: usize = 512;

/// Sends until it is stopped.
pub struct Sender {
    settings: watch::Sender<Option<Settings>>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Sender {
    /// Must be called within a runtime. None: nothing is sent until [`Sender::follow`] says where to.
    pub fn start(recorder: Arc<Recorder>, settings: Option<Settings>) -> Self {
        let (settings, following) = watch::channel(settings);
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(run(recorder, following, stopping));
        Self { settings, stop, task: Mutex::new(Some(task)) }
    }

    /// Whether there is a way to such a collector. Must be called within a runtime.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(settings: &Settings) -> Result<(), InvalidSettings> {
        Client::new(settings).map(drop)
    }

    /// Sends there from the next batch on.
    pub fn follow(&self, settings: Option<Settings>) {
        self.settings.send_if_modified(|current| {
            let changed = *current != settings;
            *current = settings;
            changed
        });
    }

    /// Sends what waits, for at most `within`, and ends.
    pub async fn stop(&self, within: Duration) {
        self.stop.send_replace(true);
        let Some(mut task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if tokio::time::timeout(within, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// The way to one collector.
struct Way {
    delivery: Delivery,
    sources: Sources,
}

impl Way {
    fn new(settings: Settings) -> Result<Self, InvalidSettings> {
        let sources = Sources::new(settings.resource.clone());
        Ok(Self { delivery: Delivery::new(settings, Signal::Traces)?, sources })
    }
}

async fn run(
    recorder: Arc<Recorder>,
    mut settings: watch::Receiver<Option<Settings>>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let now = settings.borrow_and_update().clone();
        let mut way = match now.map(Way::new).transpose() {
            Ok(way) => way,
            Err(error) => {
                tracing::error!(%error, "spans cannot be sent");
                None
            }
        };
        // Until it goes elsewhere.
        loop {
            let traces = tokio::select! {
                traces = recorder.take(BATCH_SPANS, GATHER) => traces,
                changed = settings.changed() => match changed {
                    Ok(()) => break,
                    Err(_gone) => return,
                },
                () = stopped(&mut stopping) => return last(&recorder, way).await,
            };
            let Some(way) = &mut way else {
                recorder.lost(count(&traces));
                continue;
            };
            let mut requests = VecDeque::from(traces::requests(&traces, &mut way.sources));
            drop(traces); // whatever becomes of the collector, it is kept once only
            tokio::select! {
                () = deliver(&recorder, &mut way.delivery, &mut requests) => {}
                changed = settings.changed() => {
                    recorder.lost(requests.iter().map(|request| request.items).sum());
                    if changed.is_err() { return }
                    break;
                }
                () = stopped(&mut stopping) => once(&recorder, &mut way.delivery, &mut requests).await,
            }
        }
    }
}

/// Takes each from `requests` when it is known what has become of it. Cancel safe.
async fn deliver(recorder: &Recorder, delivery: &mut Delivery, requests: &mut VecDeque<Request>) {
    while let Some(request) = requests.front() {
        let (items, arrived) = (request.items, delivery.deliver(request).await);
        requests.pop_front();
        settle(recorder, items, arrived);
    }
}

/// The same without waiting for better times: the rest is lost when one is not taken.
async fn once(recorder: &Recorder, delivery: &mut Delivery, requests: &mut VecDeque<Request>) {
    while let Some(request) = requests.pop_front() {
        let arrived = delivery.once(&request).await;
        settle(recorder, request.items, arrived);
        if arrived == 0 {
            recorder.lost(requests.drain(..).map(|request| request.items).sum());
        }
    }
}

fn settle(recorder: &Recorder, items: usize, arrived: usize) {
    recorder.sent(arrived);
    recorder.lost(items - arrived);
}

/// Ends when it is time to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that whoever could say so is gone.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// What waits at the end.
async fn last(recorder: &Recorder, way: Option<Way>) {
    let Some(mut way) = way else { return };
    loop {
        let traces = recorder.take_now(BATCH_SPANS);
        if traces.is_empty() {
            return;
        }
        let mut requests = VecDeque::from(traces::requests(&traces, &mut way.sources));
        once(recorder, &mut way.delivery, &mut requests).await;
    }
}

fn count(traces: &[Trace]) -> usize {
    traces.iter().map(|trace| trace.spans.len()).sum()
}
