//! Publishing in a test: what is published is kept, in its order. That of a transaction when it commits.

use super::turn::{self, Kept};
use crate::bindings::archipel::messaging::types::{Error, Message, PublishOptions};

thread_local! {
    static KEPT: Kept<Events> = Kept::default();
}

#[track_caller]
pub(crate) fn with<R>(call: &str, work: impl FnOnce(&mut Events) -> R) -> R {
    turn::with(&KEPT, call, work)
}

/// An event, and the id that it was given.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) id: String,
    pub(crate) message: Message,
    pub(crate) options: Option<PublishOptions>,
}

#[derive(Default)]
pub(crate) struct Events {
    pub(crate) published: Vec<Published>,
    /// What the next ones are answered instead.
    pub(crate) failure: Option<Error>,
    count: u128,
}

impl Events {
    /// Ids are the same in every run: 1, 2, ….
    pub(super) fn made(&mut self, message: &Message, options: Option<&PublishOptions>) -> Result<Published, Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.count += 1;
        let id = uuid::Uuid::from_u128(self.count).to_string();
        Ok(Published { id, message: message.clone(), options: options.cloned() })
    }
}

pub(crate) fn keep(events: Vec<Published>) {
    with("a commit", |kept| kept.published.extend(events));
}

pub(crate) mod producer {
    use super::*;

    pub(crate) fn publish(message: &Message, options: Option<&PublishOptions>) -> Result<String, Error> {
        with("`messaging::publish`", |events| {
            let event = events.made(message, options)?;
            let id = event.id.clone();
            events.published.push(event);
            Ok(id)
        })
    }

    pub(crate) fn publish_batch(messages: &[Message]) -> Result<Vec<String>, Error> {
        messages.iter().map(|message| publish(message, None)).collect()
    }
}
