//! An event, as `wit/` has it, for JavaScript.

use rquickjs::{Array, Ctx, Object, Result, TypedArray};

use crate::world::consumer::exports::archipel::messaging::consumer::Delivery;

pub(super) fn event<'js>(ctx: &Ctx<'js>, delivery: Delivery) -> Result<Object<'js>> {
    let message = Object::new(ctx.clone())?;
    message.set("topic", delivery.message.topic)?;
    message.set("key", delivery.message.key)?;
    message.set("contentType", delivery.message.content_type)?;
    let headers = Array::new(ctx.clone())?;
    for (at, (name, value)) in delivery.message.headers.into_iter().enumerate() {
        headers.set(at, vec![name, value])?;
    }
    message.set("headers", headers)?;
    message.set("body", TypedArray::new(ctx.clone(), delivery.message.body)?)?;
    let event = Object::new(ctx.clone())?;
    event.set("id", delivery.id)?;
    event.set("attempt", delivery.attempt)?;
    event.set("maxAttempts", delivery.max_attempts)?;
    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
    event.set("publishedAt", delivery.published_at as f64)?;
    event.set("message", message)?;
    Ok(event)
}
