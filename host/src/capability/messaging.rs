//! `archipel:messaging`: events that a component publishes, and those that it is handed.
//!
//! Publishing is three steps: may it (the grant), do it (the backend), say it in WIT. The trace of the
//! request goes with the event, whatever the guest wrote about it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::span::{Active, Kind, Value};
use gateway::context::{RequestContext, TraceContext};
use jiff::Timestamp;
use uuid::Uuid;
use wasmtime::component::{HasData, Linker};

use self::bindings::archipel::messaging::{producer, types};
use super::asking::Asking;
use backend::events::{Delivered, Event, Events, Options, PublishError};
use grant::{Granted, Publishing, permission::publish::Publish};

pub use self::handing::{Consumer, ConsumerIndices};
pub use types::{Delivery, Failure};

pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/producers",
        imports: { default: async | trappable },
        require_store_data_send: true,
    });
}

mod handing {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/consumer",
        exports: { default: async },
        require_store_data_send: true,
        with: { "archipel:messaging/types": super::bindings::archipel::messaging::types },
    });
}

/// The export that makes a component a consumer.
pub const CONSUMER: &str = "archipel:messaging/consumer@0.1.0";

/// What an instance holds to publish.
pub struct ProducerView {
    asking: Arc<Asking>,
    events: Option<Arc<Events>>,
}

struct HasProducer;

impl HasData for HasProducer {
    type Data<'a> = &'a mut ProducerView;
}

/// What a store must hold for its guest to publish.
pub trait MessagingView: Send + 'static {
    fn producer(&mut self) -> &mut ProducerView;
}

pub fn add_to_linker<T: MessagingView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    producer::add_to_linker::<_, HasProducer>(linker, T::producer)
}

impl ProducerView {
    pub fn new(asking: Arc<Asking>, events: Option<Arc<Events>>) -> Self {
        Self { asking, events }
    }

    /// A message as an event of the request being served, if its topic is granted, and the span of sending
    /// it, which whoever handles it continues.
    pub fn event(&mut self, message: types::Message) -> Result<(Event, Active), types::Error> {
        let publishing = self.may_publish(&message.topic)?;
        let mut headers = message.headers;
        headers.retain(|(name, _)| !is_trace(name));
        let id = Uuid::now_v7();
        let mut span = self.asking.span(Kind::Producer, || Value::from(format!("send {}", message.topic)));
        if let Some(span) = span.span() {
            span.set("messaging.system", "redis");
            span.set("messaging.operation.type", "send");
            span.set("messaging.operation.name", "publish");
            span.set("messaging.destination.name", message.topic);
            span.set("messaging.message.id", id.to_string());
            span.set("messaging.message.body.size", message.body.len());
        }
        if let Some(cx) = self.asking.request() {
            let within = self.asking.within().unwrap_or(cx.trace.span_id);
            headers.extend(trace(&cx, span.id_or(within)));
        }
        let event = Event {
            id,
            publishing,
            key: message.key,
            content_type: message.content_type,
            headers,
            body: message.body,
            at: Timestamp::now(),
        };
        Ok((event, span))
    }

    /// By when what is being served must be done.
    pub fn deadline(&self) -> Instant {
        self.asking.deadline()
    }

    fn may_publish(&mut self, topic: &str) -> Result<Granted<Publishing>, types::Error> {
        let topic = topic.parse().map_err(|error: grant::topic::TopicError| types::Error::Other(error.to_string()))?;
        self.asking.grants.publish(topic).map_err(|denied| {
            self.asking.tell::<Publish>(&denied);
            types::Error::AccessDenied(denied.target)
        })
    }

    async fn publish_all(
        &self,
        events: Vec<(Event, Options)>,
        mut spans: Vec<Active>,
    ) -> Result<Vec<String>, types::Error> {
        let Some(carrier) = &self.events else {
            return Err(types::Error::Unavailable("nothing carries events here".into()));
        };
        let published = carrier.publish(&events, self.asking.deadline()).await;
        if published.is_err() {
            spans.iter_mut().for_each(|span| span.fail("not_published"));
        }
        Ok(published.map_err(error)?.iter().map(Uuid::to_string).collect())
    }
}

fn is_trace(name: &str) -> bool {
    name.eq_ignore_ascii_case("traceparent") || name.eq_ignore_ascii_case("tracestate")
}

/// What makes whoever handles an event continue the trace of `cx`, within `span_id`.
fn trace(cx: &RequestContext, span_id: u64) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let within = TraceContext { span_id, ..cx.trace.clone() };
    let parent = ("traceparent".to_owned(), text(&within.traceparent()));
    let state = cx.trace.tracestate.as_ref().map(|state| ("tracestate".to_owned(), text(state)));
    [parent].into_iter().chain(state).collect()
}

/// What a guest asks for besides.
pub fn options(options: Option<types::PublishOptions>) -> Options {
    let Some(options) = options else { return Options::default() };
    Options {
        delay: options.delay_ms.map(Duration::from_millis),
        dedup_id: options.dedup_id,
        ttl: options.ttl_ms.map(Duration::from_millis),
    }
}

pub fn error(error: PublishError) -> types::Error {
    match error {
        PublishError::Unavailable(reason) => types::Error::Unavailable(reason),
        PublishError::Late(_) => types::Error::Timeout,
        PublishError::TooLarge(limit) => types::Error::TooLarge(limit as u64),
        PublishError::Overloaded => types::Error::Overloaded,
        PublishError::Invalid(rule) => types::Error::Other(rule),
    }
}

/// An event as its handler is given it.
pub fn delivery(delivered: &Delivered, attempts_max: u32) -> Delivery {
    let event = &delivered.event;
    Delivery {
        id: event.id.to_string(),
        attempt: delivered.attempt,
        max_attempts: attempts_max,
        published_at: u64::try_from(event.at).unwrap_or(0),
        message: types::Message {
            topic: event.topic.clone(),
            key: event.key.clone(),
            content_type: event.content_type.clone(),
            headers: event.headers.clone(),
            body: event.body.clone(),
        },
    }
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

impl types::Host for ProducerView {}

impl producer::Host for ProducerView {
    async fn publish(&mut self, message: types::Message, wanted: Option<types::PublishOptions>) -> Answer<String> {
        let (event, span) = match self.event(message) {
            Ok(event) => event,
            Err(refused) => return Ok(Err(refused)),
        };
        let ids = self.publish_all(vec![(event, options(wanted))], vec![span]).await;
        Ok(ids.and_then(|ids| ids.into_iter().next().ok_or_else(|| types::Error::Other("no id came back".into()))))
    }

    async fn publish_batch(&mut self, messages: Vec<types::Message>) -> Answer<Vec<String>> {
        let events: Result<Vec<_>, _> = messages.into_iter().map(|message| self.event(message)).collect();
        match events {
            Ok(events) => {
                let (events, spans): (Vec<_>, Vec<_>) = events.into_iter().unzip();
                let events = events.into_iter().map(|event| (event, Options::default())).collect();
                Ok(self.publish_all(events, spans).await)
            }
            Err(refused) => Ok(Err(refused)),
        }
    }
}
