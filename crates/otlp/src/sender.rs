//! The task that sends: a batch every few seconds, or as soon as there is one.
//!
//! A collector that is away, slow or busy costs spans, never a request: what is in hand is tried again with
//! growing pauses, the queue behind it is bounded, and what finds no room there is counted. It is said once
//! that spans are lost, and once that they are not any more.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use span::{Recorder, Source, Trace};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    InvalidSettings, Settings,
    convert::{self, Clock},
    exporter::exporter,
    transport::Last,
};

/// How long spans gather at most.
const GATHER: Duration = Duration::from_secs(5);
/// As many go at once.
const BATCH_SPANS: usize = 512;
/// The first pause after a failure; each is twice the one before.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// One batch is not tried for longer than this: newer ones tell more.
const TRIES_MAX: u32 = 8;
/// Services of which a description is kept: versions come and go.
const RESOURCES_MAX: usize = 256;

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

    /// Whether an exporter can be made of these.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(settings: &Settings) -> Result<(), InvalidSettings> {
        exporter(settings, Arc::default()).map(drop)
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
        loop {
            let traces = tokio::select! {
                traces = recorder.take(BATCH_SPANS, GATHER) => traces,
                changed = settings.changed() => match changed {
                    Ok(()) => break,
                    Err(_gone) => return,
                },
                () = stopped(&mut stopping) => return last(&recorder, way).await,
            };
            let spans = count(&traces);
            let Some(way) = way.as_mut().filter(|_| spans > 0) else {
                recorder.lost(spans);
                continue;
            };
            tokio::select! {
                sent = way.deliver(&traces) => match sent {
                    true => recorder.sent(spans),
                    false => recorder.lost(spans),
                },
                changed = settings.changed() => {
                    recorder.lost(spans);
                    if changed.is_err() { return }
                    break;
                }
                () = stopped(&mut stopping) => {
                    // Once more, and without waiting for better times.
                    match way.send(&traces, &mut HashSet::new()).await {
                        Ok(()) => recorder.sent(spans),
                        Err(_) => recorder.lost(spans),
                    }
                }
            }
        }
    }
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
        if way.send(&traces, &mut HashSet::new()).await.is_err() {
            return recorder.lost(count(&traces));
        }
        recorder.sent(count(&traces));
    }
}

fn count(traces: &[Trace]) -> usize {
    traces.iter().map(|trace| trace.spans.len()).sum()
}

/// The way to one collector.
struct Way {
    settings: Settings,
    exporter: SpanExporter,
    last: Arc<Last>,
    scope: InstrumentationScope,
    resources: HashMap<Arc<Source>, Resource>,
    /// It has been said that spans are lost.
    told: bool,
}

impl Way {
    fn new(settings: Settings) -> Result<Self, InvalidSettings> {
        let last = Arc::<Last>::default();
        let exporter = exporter(&settings, last.clone())?;
        let (scope, resources) = (convert::scope(), HashMap::new());
        Ok(Self { settings, exporter, last, scope, resources, told: false })
    }

    /// Tries until it has gone out or is not worth it any more; true: it has.
    async fn deliver(&mut self, traces: &[Trace]) -> bool {
        let mut sent = HashSet::new();
        let mut pause = PAUSE;
        for attempt in 1..=TRIES_MAX {
            let error = match self.send(traces, &mut sent).await {
                Ok(()) => {
                    self.say_again();
                    return true;
                }
                Err(error) => error,
            };
            self.say_lost(&error);
            if self.last.is_refusal() || attempt == TRIES_MAX {
                break;
            }
            tokio::time::sleep(self.last.retry_after().unwrap_or(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        false
    }

    /// One attempt; what has gone out is noted in `sent`.
    async fn send(&mut self, traces: &[Trace], sent: &mut HashSet<Arc<Source>>) -> Result<(), String> {
        for (source, spans) in self.batches(traces, sent) {
            let resource = self.resource(&source);
            self.exporter.set_resource(&resource);
            self.exporter.export(spans).await.map_err(|error| error.to_string())?;
            sent.insert(source);
        }
        Ok(())
    }

    fn batches(&self, traces: &[Trace], sent: &HashSet<Arc<Source>>) -> HashMap<Arc<Source>, Vec<SpanData>> {
        let clock = Clock::now();
        let mut batches: HashMap<Arc<Source>, Vec<SpanData>> = HashMap::new();
        for trace in traces {
            for span in trace.spans.iter().filter(|span| !sent.contains(&span.source)) {
                let data = convert::span(trace, span, &clock, &self.scope);
                match batches.get_mut(&span.source) {
                    Some(batch) => batch.push(data),
                    None => _ = batches.insert(span.source.clone(), vec![data]),
                }
            }
        }
        batches
    }

    fn resource(&mut self, source: &Arc<Source>) -> Resource {
        if self.resources.len() >= RESOURCES_MAX {
            self.resources.clear();
        }
        let common = &self.settings.resource;
        self.resources.entry(source.clone()).or_insert_with(|| convert::resource(source, common)).clone()
    }

    fn say_lost(&mut self, error: &str) {
        if !std::mem::replace(&mut self.told, true) {
            let endpoint = &self.settings.endpoint;
            let text = "the collector takes no spans: what finds no room is dropped and counted";
            match self.settings.is_default {
                true => tracing::info!(endpoint, error, "{text}"),
                false => tracing::warn!(endpoint, error, "{text}"),
            }
        }
    }

    fn say_again(&mut self) {
        if std::mem::replace(&mut self.told, false) {
            tracing::info!(endpoint = self.settings.endpoint, "the collector takes spans again");
        }
    }
}
