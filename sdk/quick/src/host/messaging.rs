//! Publishing events.

use rquickjs::{Ctx, Function, Object, Result, TypedArray};

use super::{Fault, Whole, bytes, given, pair};
use crate::world::service::archipel::messaging::{
    producer,
    types::{Error, Message, PublishOptions},
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("publish", Function::new(ctx.clone(), publish)?)
}

fn publish<'js>(ctx: Ctx<'js>, message: Object<'js>, options: Option<Object<'js>>) -> Result<String> {
    let message = Message {
        topic: message.get("topic")?,
        key: message.get("key")?,
        content_type: message.get("contentType")?,
        headers: message.get::<_, Vec<Vec<String>>>("headers")?.into_iter().filter_map(pair).collect(),
        body: bytes(&message.get::<_, TypedArray<u8>>("body")?),
    };
    let options = options.map(|options| -> Result<PublishOptions> {
        let millis = |name: &str| Ok::<_, rquickjs::Error>(options.get::<_, Option<Whole>>(name)?.map(Whole::unsigned));
        Ok(PublishOptions { delay_ms: millis("delayMs")?, dedup_id: options.get("dedupId")?, ttl_ms: millis("ttlMs")? })
    });
    given(&ctx, producer::publish(&message, options.transpose()?.as_ref()))
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::AccessDenied(text) => Self::with("access-denied", text),
            Error::Unavailable(text) => Self::with("unavailable", text),
            Error::Timeout => Self::of("timeout"),
            Error::TooLarge(most) => Self::with("too-large", most),
            Error::Overloaded => Self::of("overloaded"),
            Error::Other(text) => Self::with("other", text),
        }
    }
}
