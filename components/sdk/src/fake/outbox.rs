//! Publishing in a transaction, in a test: what is published is kept by it until it commits.

use super::{messaging, postgres::Transaction};
use crate::bindings::archipel::messaging::types::{Error, Message, PublishOptions};

pub(crate) fn publish(
    transaction: &Transaction,
    message: &Message,
    options: Option<&PublishOptions>,
) -> Result<String, Error> {
    let event = messaging::with("`Transaction::publish`", |events| events.made(message, options))?;
    let id = event.id.clone();
    transaction.publish(event);
    Ok(id)
}
