//! An event handed to a guest: a call like a request, with its own time and without an answer to wait for.
//!
//! It runs on the version that is live when it begins and finishes there. Deliveries have places of their
//! own (`services.NAME.events.concurrency`) and leave the breaker alone: events that fail must not keep
//! requests out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::context::RequestContext;

use super::{Service, failure::Failure, guarded::Guarded, told, trap::explained};
use crate::{
    capability::{
        http::HeadDue,
        messaging::{self, Delivery},
    },
    instance::{Instance, Scope},
};

/// What a guest made of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    Done,
    /// Another attempt is wanted, perhaps not before so long.
    Retry(Option<Duration>),
    /// No other attempt is wanted.
    Reject(String),
}

impl Service {
    /// Hands `delivery` to the live version, for at most `timeout`.
    ///
    /// Dropping it ends the guest, and so does `host.drain` after its version was replaced.
    ///
    /// # Errors
    /// The guest trapped, ran out of its time or CPU, or there was no room for it.
    pub async fn deliver(
        &self,
        cx: Arc<RequestContext>,
        delivery: Delivery,
        timeout: Duration,
    ) -> Result<Handled, Failure> {
        let version = self.version();
        let now = Instant::now();
        let deadline = now + timeout;
        let scope = Scope { trace_id: cx.trace.trace_id, deadline, cpu: version.limits().cpu };
        let limits = version.leave.limits(deadline.into(), now);
        let mut span = told::event(&cx, version.source(), &delivery);
        let handling = async { hand(self.instance(&version, scope).await?, cx, scope, delivery).await };
        // Outside of the store too: a guest that is parked in a host call meets no epoch.
        let handled = limits.bound(handling).await;
        let (instance, handled) = handled.inspect_err(|failure| {
            // Room is waited for.
            if !matches!(failure, Failure::NoRoom(_)) {
                self.counts.troubles.count(failure.trouble());
            }
            if let Some(span) = span.span() {
                told::failed(span, failure);
            }
        })?;
        told::returned(&mut span, &instance);
        match &handled {
            Handled::Done => {}
            Handled::Retry(_) => span.fail("retry"),
            Handled::Reject(reason) => {
                span.set("archipel.reason", reason.clone());
                span.fail("rejected");
            }
        }
        version.keep(instance);
        Ok(handled)
    }
}

async fn hand(
    mut instance: Instance,
    cx: Arc<RequestContext>,
    scope: Scope,
    delivery: Delivery,
) -> Result<(Instance, Handled), Failure> {
    let Some(consumer) = instance.consumer.clone() else {
        return Err(Failure::NoAnswer(format!("its component does not export `{}`", messaging::CONSUMER)));
    };
    instance.begin(&scope, cx, HeadDue::new(scope.deadline));
    let budget = instance.budget.clone();
    let working = Box::pin(async move {
        let handler = consumer.archipel_messaging_consumer();
        let result = handler.call_handle(&mut instance.store, &delivery).await;
        instance.end(result.is_ok());
        (instance, result)
    });
    let (instance, result) = Guarded::new(working, budget).await?;
    match result {
        Ok(Ok(())) => Ok((instance, Handled::Done)),
        Ok(Err(messaging::Failure::Retry(pause))) => Ok((instance, Handled::Retry(pause.map(Duration::from_millis)))),
        Ok(Err(messaging::Failure::Reject(reason))) => Ok((instance, Handled::Reject(reason))),
        Err(error) => Err(explained(&error, &instance)),
    }
}
