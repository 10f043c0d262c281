//! What waits to be sent: spans, log lines, measurements. Each counts what became of it.

use std::{sync::Arc, time::Duration};

use span::{Kept, Recorder};

use crate::{
    signal::Signal,
    sources::{Request, Sources},
    traces,
};

/// A place where something waits, bounded by itself.
pub(crate) trait Waiting: Send + Sync + 'static {
    type Batch: Send;

    const SIGNAL: Signal;

    /// What there is: when it is enough, or after a while. Cancel safe.
    fn gather(&self) -> impl Future<Output = Self::Batch> + Send;

    /// The same at the end, without waiting; none when nothing is left.
    fn rest(&self) -> impl Future<Output = Option<Self::Batch>> + Send;

    fn written(&self, batch: Self::Batch, sources: &mut Sources) -> impl Future<Output = Vec<Request>> + Send;

    /// Nobody wants it.
    fn unwanted(&self, batch: Self::Batch);

    fn sent(&self, items: usize);

    fn lost(&self, items: usize);
}

/// How long spans gather at most.
const GATHER: Duration = Duration::from_secs(5);
/// As many go at once.
const BATCH_SPANS: usize = 512;

/// The spans of traces that are kept.
pub(crate) struct Spans(pub(crate) Arc<Recorder>);

impl Waiting for Spans {
    type Batch = Vec<Kept>;

    const SIGNAL: Signal = Signal::Traces;

    async fn gather(&self) -> Vec<Kept> {
        self.0.take(BATCH_SPANS, GATHER).await
    }

    async fn rest(&self) -> Option<Vec<Kept>> {
        Some(self.0.take_now(BATCH_SPANS)).filter(|traces| !traces.is_empty())
    }

    async fn written(&self, batch: Vec<Kept>, sources: &mut Sources) -> Vec<Request> {
        traces::requests(&batch, sources)
    }

    fn unwanted(&self, batch: Vec<Kept>) {
        self.lost(batch.iter().map(|trace| trace.spans.len()).sum());
    }

    fn sent(&self, items: usize) {
        self.0.sent(items);
    }

    fn lost(&self, items: usize) {
        self.0.lost(items);
    }
}
