//! What becomes of one event: it is handled, tried again later, or goes to the dead letters.

use std::{sync::Arc, time::Duration};

use gateway::context::{RequestContext, TraceContext};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use span::Recorder;

use crate::{
    capability::messaging,
    service::{Failure, Handled, Service},
    telemetry::counts::EventOutcome,
};
use backend::events::{Delivered, Group};
use manifest::{BACKOFF_MAX, ConsumerSettings};

/// A service at its events.
pub(super) struct Work {
    pub(super) group: Arc<Group>,
    pub(super) service: Arc<Service>,
    pub(super) settings: ConsumerSettings,
    pub(super) recorder: Arc<Recorder>,
}

/// What is to become of an event.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    /// It was too old when its turn came.
    Expired,
    Later(Duration),
    /// Its build was replaced before it came to an end: that was no attempt.
    Again,
    Dead(String),
}

impl Verdict {
    fn outcome(&self) -> EventOutcome {
        match self {
            Self::Done => EventOutcome::Handled,
            Self::Expired => EventOutcome::Expired,
            Self::Later(_) | Self::Again => EventOutcome::Retried,
            Self::Dead(_) => EventOutcome::Dead,
        }
    }
}

/// The longest pause that a handler may ask for.
const RETRY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Between two attempts to tell Redis what became of an event, or to find room for a guest.
const PAUSE: Duration = Duration::from_millis(250);
/// Of a reason, in the dead letters and the log.
const REASON_MAX_CHARS: usize = 1000;

impl Work {
    /// To the end: until Redis knows what became of the event.
    pub(super) async fn on(&self, delivered: Delivered) {
        let verdict = self.verdict(&delivered).await;
        loop {
            let settled = match &verdict {
                Verdict::Done | Verdict::Expired => self.group.acknowledge(&delivered).await,
                Verdict::Later(pause) => self.group.later(&delivered, *pause).await,
                Verdict::Again => self.group.again(&delivered).await,
                Verdict::Dead(reason) => self.group.bury(&delivered, reason).await,
            };
            match settled {
                Ok(()) => return self.service.counts().events.count(verdict.outcome()),
                Err(error) => {
                    tracing::debug!(service = &**self.group.name(), event = %delivered.event.id, %error, "not settled yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn verdict(&self, delivered: &Delivered) -> Verdict {
        let tries = self.settings.tries.get();
        if delivered.event.expires.is_some_and(|at| at <= Timestamp::now().as_millisecond()) {
            self.group.expired();
            return Verdict::Expired;
        }
        if delivered.attempt > tries {
            return self.dead(delivered, "no attempt came to an end: its host ended first".into());
        }
        match self.handled(delivered).await {
            Ok(Handled::Done) => Verdict::Done,
            Ok(Handled::Reject(reason)) => self.dead(delivered, format!("rejected: {reason}")),
            Ok(Handled::Retry(_)) if delivered.attempt >= tries => {
                self.dead(delivered, "its handler asked for another attempt, and this was the last".into())
            }
            Ok(Handled::Retry(Some(pause))) => Verdict::Later(pause.min(RETRY_MAX)),
            Ok(Handled::Retry(None)) => Verdict::Later(self.backoff(delivered.attempt)),
            Err(Failure::Left) => Verdict::Again,
            Err(failure) => self.failed(delivered, &failure),
        }
    }

    fn failed(&self, delivered: &Delivered, failure: &Failure) -> Verdict {
        let reason = failure.to_string();
        if delivered.attempt >= self.settings.tries.get() {
            return self.dead(delivered, reason);
        }
        let (service, event, topic) = (&**self.group.name(), delivered.event.id, &delivered.event.topic);
        tracing::warn!(service, %event, topic, attempt = delivered.attempt, reason, "an event was not handled; it is tried again");
        Verdict::Later(self.backoff(delivered.attempt))
    }

    fn dead(&self, delivered: &Delivered, reason: String) -> Verdict {
        let reason: String = reason.chars().take(REASON_MAX_CHARS).collect();
        let (service, event, topic) = (&**self.group.name(), delivered.event.id, &delivered.event.topic);
        tracing::warn!(service, %event, topic, attempt = delivered.attempt, reason, "an event went to the dead letters");
        Verdict::Dead(reason)
    }

    /// Waits for room as long as it takes: that there is none is no attempt.
    async fn handled(&self, delivered: &Delivered) -> Result<Handled, Failure> {
        loop {
            let delivery = messaging::delivery(delivered, self.settings.tries.get());
            let cx = Arc::new(self.context(delivered));
            match self.service.deliver(cx, delivery, self.settings.timeout).await {
                Err(Failure::NoRoom(_)) => tokio::time::sleep(PAUSE).await,
                handled => return handled,
            }
        }
    }

    /// A new span of the publisher's trace, on nobody's behalf.
    fn context(&self, delivered: &Delivered) -> RequestContext {
        let mut cx = context(delivered, self.settings.timeout);
        let trace = &mut cx.trace;
        let state = trace.tracestate.as_ref().and_then(|state| state.to_str().ok());
        let (sampled, spans) = self.recorder.begin(trace.trace_id, trace.parent_sampled(), state);
        trace.set_sampled(sampled);
        cx.spans = spans;
        cx
    }

    fn backoff(&self, attempt: u32) -> Duration {
        backoff(self.settings.backoff, attempt)
    }
}

/// The pause after `attempt`: doubled each time, up to a minute.
fn backoff(first: Duration, attempt: u32) -> Duration {
    let times = 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(times).min(BACKOFF_MAX)
}

fn context(delivered: &Delivered, timeout: Duration) -> RequestContext {
    let mut headers = HeaderMap::new();
    for (name, value) in &delivered.event.headers {
        let name = HeaderName::try_from(name).ok().filter(|name| matches!(name.as_str(), "traceparent" | "tracestate"));
        if let (Some(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    let request_id = HeaderValue::try_from(delivered.event.id.to_string()).expect("a UUID is visible ASCII");
    RequestContext { trace: TraceContext::of(&headers), request_id, ..RequestContext::own("event", timeout) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_attempts_doubles_up_to_a_minute() {
        let pauses = [1, 2, 3, 6, 7, 40, 100].map(|attempt| backoff(Duration::from_secs(1), attempt).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60]);
    }
}
