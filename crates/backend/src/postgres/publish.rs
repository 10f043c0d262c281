//! Leaves an event in the outbox, as a part of a transaction.

use std::time::Instant;

use super::{
    error::Error,
    exchange::Execute,
    statement::{Effect, Statement},
    transaction::Transaction,
    value::Value,
};
use crate::{
    events::{Event, Options},
    outbox::PUT,
};

/// The host's own statement: its function computes nothing but the row.
const KIND: Statement = Statement { effect: Effect::Change, plain: true };

impl Transaction {
    /// The event is there if and only if the transaction commits; somebody carries it on then. It
    /// must be within its bounds.
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
        let publishing = event.publishing.get();
        let optional = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
        let millis = |time: Option<std::time::Duration>| {
            time.map_or(Value::Null, |time| Value::Int64(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
        };
        let params = [
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
        ];
        self.run(deadline, Execute { sql: PUT, kind: KIND, params: &params }).await?;
        self.remember_publishing();
        Ok(())
    }
}
