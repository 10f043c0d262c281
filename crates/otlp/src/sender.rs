//! The task that sends: a batch every few seconds, or as soon as there is one.
//!
//! A collector that is away, slow or busy costs what is told, never a request: what is in hand is tried again with
//! growing pauses, the queue behind it is bounded, and what finds no room there is counted.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use span::{Recorder, Source};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    Collector, Records,
    delivery::Delivery,
    metrics::{Measured, Metering, Snapshot},
    sources::{Request, Sources},
    waiting::{Spans, Waiting},
};

/// Where something goes, from the next batch on; none: nowhere.
type Following = watch::Receiver<Option<Collector>>;

/// Sends until it is stopped.
pub struct Sender {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Sender {
    /// Sends the spans that are kept. Must be called within a runtime, as the others.
    pub fn spans(recorder: Arc<Recorder>, to: watch::Receiver<Option<Collector>>) -> Self {
        Self::start(Spans(recorder), to)
    }

    /// Sends log lines.
    pub fn records(records: Arc<Records>, to: watch::Receiver<Option<Collector>>) -> Self {
        Self::start(records, to)
    }

    /// Sends what `snapshot` gives, as `own`, every `metering.interval`.
    pub fn metrics(
        own: Arc<Source>,
        snapshot: Snapshot,
        metering: Arc<Metering>,
        to: watch::Receiver<Option<Collector>>,
    ) -> Self {
        Self::start(Measured::new(own, snapshot, metering), to)
    }

    fn start<W: Waiting>(waiting: W, to: Following) -> Self {
        let (stop, stopping) = watch::channel(false);
        Self { stop, task: Mutex::new(Some(tokio::spawn(run(waiting, to, stopping)))) }
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
    fn new<W: Waiting>(collector: Collector) -> Self {
        let sources = Sources::new(collector.settings.resource.clone());
        Self { delivery: Delivery::new(collector, W::SIGNAL), sources }
    }
}

async fn run<W: Waiting>(waiting: W, mut to: Following, mut stopping: watch::Receiver<bool>) {
    loop {
        let mut way = to.borrow_and_update().clone().map(Way::new::<W>);
        // Until it goes elsewhere.
        loop {
            let batch = tokio::select! {
                batch = waiting.gather() => batch,
                changed = to.changed() => match changed {
                    Ok(()) => break,
                    Err(_gone) => return,
                },
                () = stopped(&mut stopping) => return last(&waiting, way).await,
            };
            let Some(way) = &mut way else {
                waiting.unwanted(batch);
                continue;
            };
            // Whatever becomes of the collector, it is kept once only.
            let mut requests = VecDeque::from(waiting.written(batch, &mut way.sources).await);
            tokio::select! {
                () = deliver(&waiting, &mut way.delivery, &mut requests) => {}
                changed = to.changed() => {
                    waiting.lost(requests.iter().map(|request| request.items).sum());
                    if changed.is_err() { return }
                    break;
                }
                () = stopped(&mut stopping) => once(&waiting, &mut way.delivery, &mut requests).await,
            }
        }
    }
}

/// Takes each from `requests` when it is known what has become of it. Cancel safe.
async fn deliver(waiting: &impl Waiting, delivery: &mut Delivery, requests: &mut VecDeque<Request>) {
    while let Some(request) = requests.front() {
        let (items, arrived) = (request.items, delivery.deliver(request).await);
        requests.pop_front();
        settle(waiting, items, arrived);
    }
}

/// The same without waiting for better times: the rest is lost when one is not taken.
async fn once(waiting: &impl Waiting, delivery: &mut Delivery, requests: &mut VecDeque<Request>) {
    while let Some(request) = requests.pop_front() {
        let arrived = delivery.once(&request).await;
        settle(waiting, request.items, arrived);
        if arrived == 0 {
            waiting.lost(requests.drain(..).map(|request| request.items).sum());
        }
    }
}

fn settle(waiting: &impl Waiting, items: usize, arrived: usize) {
    waiting.sent(arrived);
    waiting.lost(items - arrived);
}

/// Ends when it is time to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that whoever could say so is gone.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// What waits at the end.
async fn last<W: Waiting>(waiting: &W, way: Option<Way>) {
    let Some(mut way) = way else { return };
    while let Some(batch) = waiting.rest().await {
        let mut requests = VecDeque::from(waiting.written(batch, &mut way.sources).await);
        once(waiting, &mut way.delivery, &mut requests).await;
    }
}
