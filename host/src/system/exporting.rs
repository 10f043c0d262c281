//! What the host tells a collector, and where: spans, log lines, metrics, each as the manifest that runs says.
//!
//! What goes to one collector goes by one connection.

use std::{sync::Arc, time::Duration};

use otlp::{Collector, Metering, Records, Sender, Settings};
use span::Recorder;
use tokio::sync::watch;

use crate::telemetry::Export;

/// The ways, and who sends. Metrics are sent by whoever reads them.
pub struct Exporting {
    spans: watch::Sender<Option<Collector>>,
    logs: watch::Sender<Option<Collector>>,
    metrics: watch::Sender<Option<Collector>>,
    pub metering: Arc<Metering>,
    senders: [Sender; 2],
}

impl Exporting {
    /// Nothing goes anywhere until [`Exporting::follow`] says so.
    pub(super) fn start(recorder: &Arc<Recorder>, records: &Arc<Records>) -> Self {
        let (spans, spans_to) = watch::channel(None);
        let (logs, logs_to) = watch::channel(None);
        let senders = [Sender::spans(recorder.clone(), spans_to), Sender::records(records.clone(), logs_to)];
        Self { spans, logs, metrics: watch::Sender::new(None), metering: Arc::default(), senders }
    }

    /// From the next batch on. What cannot be sent so is told, and not sent.
    pub(super) fn follow(&self, export: Export, recorder: &Recorder, records: &Records) {
        let Export { mut recording, spans, logs, metrics, interval } = export;
        let spans = follow(&self.spans, "spans", spans, &[]);
        let logs = follow(&self.logs, "log lines", logs, &[&spans]);
        self.metering.set_interval(interval);
        follow(&self.metrics, "metrics", metrics, &[&spans, &logs]);
        recording.sends = spans.is_some();
        recorder.configure(recording);
        records.want(logs.is_some());
    }

    /// Where metrics go.
    pub fn metrics(&self) -> watch::Receiver<Option<Collector>> {
        self.metrics.subscribe()
    }

    /// Sends what waits, for at most `within`.
    pub(super) async fn stop(&self, within: Duration) {
        let [spans, logs] = &self.senders;
        tokio::join!(spans.stop(within), logs.stop(within));
    }
}

/// What is the same stays as it is, with its connection.
fn follow(
    way: &watch::Sender<Option<Collector>>,
    what: &str,
    wanted: Option<Settings>,
    beside: &[&Option<Collector>],
) -> Option<Collector> {
    let now = way.borrow().clone();
    if now.as_ref().map(Collector::settings) == wanted.as_ref() {
        return now;
    }
    let beside: Vec<_> = beside.iter().filter_map(|collector| collector.as_ref()).collect();
    let opened = wanted.and_then(|settings| match Collector::open(settings, &beside) {
        Ok(collector) => Some(collector),
        Err(error) => {
            tracing::error!(%error, "{what} cannot be sent; correct `telemetry`");
            None
        }
    });
    way.send_replace(opened.clone());
    opened
}
