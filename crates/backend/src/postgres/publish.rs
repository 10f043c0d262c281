//! Leaves an event in the outbox, as a part of a transaction.

use std::time::{Duration, Instant};

use super::{
    error::Error,
    exchange::Execute,
    leave::{self, KIND},
    transaction::Transaction,
    value::Value,
};
use crate::events::{Event, Options};

impl Transaction {
    /// The event is there if and only if the transaction commits; somebody carries it on then. It
    /// must be within its bounds. What the server says against it, the next statement or the commit tells.
    ///
    /// # Errors
    /// [`Error::Refused`] where the service's grant has no outbox, [`Error::Overloaded`] while as many
    /// events wait as may.
    pub async fn publish(&self, event: &Event, options: &Options, deadline: Instant) -> Result<(), Error> {
        let outbox = self.outbox().ok_or_else(|| {
            Error::Refused("events are published in transactions of a database that is granted `read-write`".to_owned())
        })?;
        if outbox.is_full() {
            return Err(Error::Overloaded);
        }
        let params = params(event, options);
        let bytes =
            event.body.len() + event.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if let Some(params) = self.leave_later(params, bytes)? {
            self.run(deadline, Execute { sql: &outbox.put(), kind: KIND, params: &params }).await?;
        }
        self.remember_publishing();
        Ok(())
    }
}

fn params(event: &Event, options: &Options) -> leave::Event {
    let publishing = event.publishing.get();
    let optional = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
    let millis = |time: Option<Duration>| {
        time.map_or(Value::Null, |time| Value::Int64(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    };
    [
        Value::Uuid(event.id.as_u128()),
        Value::Text(publishing.service.to_string()),
        Value::Text(publishing.topic.to_string()),
        optional(&event.key),
        optional(&event.content_type),
        Value::Text(serde_json::json!(event.headers).to_string()),
        Value::Bytes(event.body.clone()),
        millis(options.delay),
        optional(&options.dedup_id),
        millis(options.ttl),
    ]
}
