//! `archipel:messaging/outbox`: events that are published if and only if a transaction commits.
//!
//! Each call is three steps: may it (the grant), do it (the transaction, which belongs to the guest
//! already), say it in WIT. When the event goes on to its consumers is not decided here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::context::TraceContext;
use jiff::Timestamp;
use uuid::Uuid;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::bindings::archipel::messaging::{outbox, types};
use super::postgres::OpenTransaction;
use crate::{
    backend::{
        events::{Event, Options, PublishError},
        postgres,
    },
    grant::{Grants, topic::Topic},
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/outboxes",
        imports: { default: async | trappable },
        with: {
            "archipel:postgres/types": crate::capability::postgres::bindings::archipel::postgres::types,
            "archipel:postgres/client": crate::capability::postgres::bindings::archipel::postgres::client,
        },
        require_store_data_send: true,
    });
}

/// What an instance holds to publish within its transactions.
pub struct OutboxView {
    grants: Arc<Grants>,
    deadline: Instant,
    /// Of the request or the event that is being worked on.
    trace: Option<TraceContext>,
    /// A refusal is logged once for each request.
    told: bool,
}

/// The view during one host call.
pub struct OutboxCtx<'a> {
    view: &'a mut OutboxView,
    table: &'a mut ResourceTable,
}

struct HasOutbox;

impl HasData for HasOutbox {
    type Data<'a> = OutboxCtx<'a>;
}

/// What a store must hold for its guest to publish within its transactions.
pub trait OutboxesView: Send + 'static {
    fn outbox(&mut self) -> OutboxCtx<'_>;
}

pub fn add_to_linker<T: OutboxesView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    outbox::add_to_linker::<_, HasOutbox>(linker, T::outbox)
}

impl OutboxView {
    pub fn new(grants: Arc<Grants>) -> Self {
        Self { grants, deadline: Instant::now(), trace: None, told: false }
    }

    /// Calls from now on must end by `deadline`; events from now on belong to `trace`.
    pub fn begin(&mut self, deadline: Instant, trace: TraceContext) {
        (self.deadline, self.trace, self.told) = (deadline, Some(trace), false);
    }

    pub fn with<'a>(&'a mut self, table: &'a mut ResourceTable) -> OutboxCtx<'a> {
        OutboxCtx { view: self, table }
    }

    /// The event, if the manifest grants its topic and it is within its bounds.
    fn judged(
        &mut self,
        message: types::Message,
        options: Option<types::PublishOptions>,
    ) -> Result<(Event, Options), types::Error> {
        let topic: Topic = message.topic.parse().map_err(|error| types::Error::Other(format!("{error}")))?;
        let publishing = self.grants.publish(topic).map_err(|denial| {
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(service = %denial.service, "{denial}");
            }
            types::Error::AccessDenied(message.topic)
        })?;
        let mut headers = message.headers;
        if let Some(trace) = &self.trace {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case(TRACEPARENT));
            let traceparent = trace.traceparent().to_str().unwrap_or_default().to_owned();
            headers.push((TRACEPARENT.to_owned(), traceparent));
        }
        let event = Event {
            id: Uuid::now_v7(),
            publishing,
            key: message.key,
            content_type: message.content_type,
            headers,
            body: message.body,
            at: Timestamp::now(),
        };
        let millis = |number: Option<u64>| number.map(Duration::from_millis);
        let options = options.map_or_else(Options::default, |options| Options {
            delay: millis(options.delay_ms),
            dedup_id: options.dedup_id,
            ttl: millis(options.ttl_ms),
        });
        event.check(&options).map_err(out_of_bounds)?;
        Ok((event, options))
    }
}

const TRACEPARENT: &str = "traceparent";

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

impl types::Host for OutboxCtx<'_> {}

impl outbox::Host for OutboxCtx<'_> {
    async fn publish(
        &mut self,
        tx: Resource<OpenTransaction>,
        message: types::Message,
        options: Option<types::PublishOptions>,
    ) -> Answer<String> {
        let (event, options) = match self.view.judged(message, options) {
            Ok(judged) => judged,
            Err(error) => return Ok(Err(error)),
        };
        let transaction = self.table.get(&tx)?.transaction();
        let published = transaction.publish(&event, &options, self.view.deadline).await;
        Ok(published.map(|()| event.id.to_string()).map_err(failed))
    }
}

fn out_of_bounds(error: PublishError) -> types::Error {
    match error {
        PublishError::TooLarge(bytes) => types::Error::TooLarge(bytes as u64),
        other => types::Error::Other(other.to_string()),
    }
}

/// What the database said of it, in the words of events.
fn failed(error: postgres::Error) -> types::Error {
    match error {
        postgres::Error::Unavailable(_) => types::Error::Unavailable(error.to_string()),
        postgres::Error::Timeout => types::Error::Timeout,
        postgres::Error::Overloaded => types::Error::Overloaded,
        other => types::Error::Other(other.to_string()),
    }
}
