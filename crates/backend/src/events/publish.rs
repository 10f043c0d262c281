//! Publishing: checked against the bounds, then one script for all events of a call. Either all of them
//! are there or none.

mod script;

use std::{sync::PoisonError, time::Instant};

pub(super) use self::script::{FULL, SCRIPT};
use redis::{Script, ScriptInvocation};
use uuid::Uuid;

use super::{
    BATCH_MAX, BATCH_MAX_BYTES, BODY_MAX_BYTES, DEDUP, DELAY_MAX, DELAYED_EACH_MAX, DELAYED_MAX, Event, Events,
    HEADERS_MAX, HEADERS_MAX_BYTES, NAME_MAX_BYTES, Options, PublishError, TOPICS_EACH_MAX, TOPICS_MAX,
};
use crate::redis::Share;

impl Events {
    /// Publishes all of `events`, in order, in one round trip; when it returns, Redis has acknowledged
    /// them. Gives their ids: for a repeated dedup id, that of the event which had it first.
    ///
    /// Within 100 ms and by `deadline`. Cancel safe, but what was sent may be published all the same.
    pub async fn publish(&self, events: &[(Event, Options)], deadline: Instant) -> Result<Vec<Uuid>, PublishError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        check(events)?;
        let (call, share) = (self.call(events), share(events));
        let asked = self.store.ask(share, deadline, |mut connection| async move {
            call.invoke_async::<Vec<String>>(&mut connection).await
        });
        let ids = asked.await?;
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().for_each(|(event, _)| *published.entry(event.publishing.get().service.clone()).or_default() += 1);
        drop(published);
        if events.iter().any(|(_, options)| options.delay.is_some()) {
            self.delayed.notify_one();
        }
        let parse = |id: &String| id.parse().map_err(|_| PublishError::Unavailable(format!("{id:?} is no event id")));
        ids.iter().map(parse).collect()
    }

    fn call(&self, events: &[(Event, Options)]) -> ScriptInvocation<'_> {
        let mut call = Script::prepare_invoke(&self.publishing);
        call.key(self.names.topics()).key(self.names.delayed()).key(self.names.delayed_events());
        call.key(self.names.delayed_bytes()).key(self.names.delayed_of()).key(self.names.topics_of());
        call.arg(DELAYED_MAX).arg(DEDUP.as_secs()).arg(TOPICS_MAX);
        call.arg(self.settings.load().retain_bytes).arg(DELAYED_EACH_MAX).arg(TOPICS_EACH_MAX);
        for (event, options) in events {
            let publishing = event.publishing.get();
            let topic = publishing.topic.as_str();
            let delay = options.delay.map_or(0, |delay| delay.as_millis() as u64);
            call.key(self.names.topic(topic));
            call.key(self.names.dedup(topic, options.dedup_id.as_deref().unwrap_or_default()));
            let fields = fields(event, options);
            call.arg(topic)
                .arg(&*publishing.service)
                .arg(delay)
                .arg(u8::from(options.dedup_id.is_some()))
                .arg(event.id.to_string());
            call.arg(fields.len() * 2);
            for (name, value) in &fields {
                call.arg(*name).arg(value.as_slice());
            }
        }
        call
    }
}

/// Of whose events they are: an outbox may carry on those of several services, and the first stands for all.
fn share(events: &[(Event, Options)]) -> Share<'_> {
    let bytes: usize = events.iter().map(|(event, _)| event.body.len()).sum();
    let places = u32::try_from(bytes.div_ceil(BODY_MAX_BYTES)).unwrap_or(u32::MAX);
    Share { service: events.first().map_or("", |(event, _)| &*event.publishing.get().service), places }
}

/// The entry of an event; what it does not have is left out.
fn fields(event: &Event, options: &Options) -> Vec<(&'static str, Vec<u8>)> {
    let mut fields = vec![("id", event.id.to_string().into_bytes())];
    if let Some(key) = &event.key {
        fields.push(("key", key.clone().into_bytes()));
    }
    if let Some(content_type) = &event.content_type {
        fields.push(("type", content_type.clone().into_bytes()));
    }
    if !event.headers.is_empty() {
        fields.push(("h", serde_json::json!(event.headers).to_string().into_bytes()));
    }
    let at = event.at.as_millisecond();
    fields.push(("at", at.to_string().into_bytes()));
    if let Some(ttl) = options.ttl {
        let until = at.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        fields.push(("exp", until.to_string().into_bytes()));
    }
    fields.push(("body", event.body.clone()));
    fields
}

/// What hosts add to an event's headers.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

fn check(events: &[(Event, Options)]) -> Result<(), PublishError> {
    if events.len() > BATCH_MAX {
        return Err(PublishError::Invalid(format!("{BATCH_MAX} events at most are published together")));
    }
    if events.iter().map(|(event, _)| event.body.len()).sum::<usize>() > BATCH_MAX_BYTES {
        return Err(PublishError::TooLarge(BATCH_MAX_BYTES));
    }
    events.iter().try_for_each(|(event, options)| event.check(options))
}

impl Event {
    /// Whether it is within its bounds; what is kept to be published later is checked before.
    pub fn check(&self, options: &Options) -> Result<(), PublishError> {
        if self.body.len() > BODY_MAX_BYTES {
            return Err(PublishError::TooLarge(BODY_MAX_BYTES));
        }
        // The host adds the trace at the end: that is not the publisher's.
        let added = self.headers.iter().rev().take(TRACE.len()).take_while(|(name, _)| TRACE.contains(&name.as_str()));
        let own = &self.headers[..self.headers.len() - added.count()];
        let header_bytes: usize = own.iter().map(|(name, value)| name.len() + value.len()).sum();
        if own.len() > HEADERS_MAX || header_bytes > HEADERS_MAX_BYTES {
            let rule = format!("an event has {HEADERS_MAX} headers and {HEADERS_MAX_BYTES} bytes of them at most");
            return Err(PublishError::Invalid(rule));
        }
        for (what, text) in [("key", &self.key), ("content type", &self.content_type), ("dedup id", &options.dedup_id)]
        {
            if text.as_ref().is_some_and(|text| text.len() > NAME_MAX_BYTES) {
                return Err(PublishError::Invalid(format!("a {what} has {NAME_MAX_BYTES} bytes at most")));
            }
        }
        let texts = [&self.key, &self.content_type, &options.dedup_id].into_iter().flatten();
        let headers = self.headers.iter().flat_map(|(name, value)| [name, value]);
        if texts.chain(headers).any(|text| text.contains('\0')) {
            return Err(PublishError::Invalid("an event's texts hold no NUL character".into()));
        }
        match options.delay.is_some_and(|delay| delay > DELAY_MAX) {
            true => Err(PublishError::Invalid("a delay is a year at most".into())),
            false => Ok(()),
        }
    }
}
