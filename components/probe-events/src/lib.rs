//! The test guest for events: publishes what it is told, and handles an event as the event's body says.
//!
//! `{do, …}`: `ok`, `fail`, `reject` with its `reason`, `retry` after `ms`, `trap`, `hang`, `spin`,
//! `sleep` for `ms`; with `until`, `do` holds for the attempts before that one. Every attempt is one line
//! of its log, before and after, so that a test sees what was handled how often.

use std::{thread::sleep, time::Duration};

use sdk::{
    Method, Request, Response,
    bindings::archipel::messaging::{
        producer,
        types::{Error, Message, PublishOptions},
    },
    messaging::{Delivery, Failure},
};
use serde_json::{Value, json};

sdk::handler!(answer);
sdk::consumer!(handle);

fn handle(delivery: &Delivery) -> Result<(), Failure> {
    tell("began", delivery);
    let body: Value = delivery.json()?;
    let told = body["do"].as_str().unwrap_or("ok");
    let is_over = body["until"].as_u64().is_some_and(|until| u64::from(delivery.attempt()) >= until);
    let pause = Duration::from_millis(body["ms"].as_u64().unwrap_or(0));
    match told {
        _ if is_over => {}
        "fail" => return Err(Failure::retry()),
        "retry" => return Err(Failure::retry_in(pause)),
        "reject" => return Err(Failure::reject(body["reason"].as_str().unwrap_or_default())),
        "trap" => std::process::abort(),
        "hang" => loop {
            sleep(Duration::from_secs(60));
        },
        "spin" => loop {
            std::hint::black_box(&pause);
        },
        "sleep" => sleep(pause),
        _ => {}
    }
    tell("handled", delivery);
    Ok(())
}

/// One line: what happened, then a document.
#[allow(clippy::print_stdout, reason = "the test reads it in the log")]
fn tell(what: &str, delivery: &Delivery) {
    let told = json!({
        "id": delivery.id().to_string(),
        "topic": delivery.topic(),
        "attempt": delivery.attempt(),
        "maxAttempts": delivery.max_attempts(),
        "key": delivery.key(),
        "traceparent": delivery.header("traceparent"),
        "body": String::from_utf8_lossy(delivery.body()),
    });
    println!("{what} {told}");
}

fn answer(mut request: Request) -> Response {
    let path = request.path();
    if request.method() != Method::Post {
        return Response::text(200, "probe-events: POST to /publish or /batch\n");
    }
    let Some(order) = request.body().ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok()) else {
        return Response::text(400, "no JSON\n");
    };
    let told = match path.as_ref() {
        "/publish" => publish(&order),
        "/batch" => batch(&order),
        _ => return Response::text(404, "no such behaviour\n"),
    };
    match told {
        Ok(told) => Response::json(200, told.to_string()),
        Err(refused) => Response::json(409, json!({ "error": error(&refused) }).to_string()),
    }
}

/// `{topic, body, key?, headers?, size?, delay?, dedup?, ttl?}`; times in ms, `size` for a body of so
/// many bytes.
fn publish(order: &Value) -> Result<Value, Error> {
    let options = PublishOptions {
        delay_ms: order["delay"].as_u64(),
        dedup_id: order["dedup"].as_str().map(str::to_owned),
        ttl_ms: order["ttl"].as_u64(),
    };
    producer::publish(&message(order), Some(&options)).map(|id| json!({ "id": id }))
}

/// `{events: [{topic, body, …}]}`.
fn batch(order: &Value) -> Result<Value, Error> {
    let messages: Vec<Message> = order["events"].as_array().into_iter().flatten().map(message).collect();
    producer::publish_batch(&messages).map(|ids| json!({ "ids": ids }))
}

fn message(order: &Value) -> Message {
    let header = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    let body = match order["size"].as_u64() {
        Some(size) => vec![b'x'; size as usize],
        None => order["body"].to_string().into_bytes(),
    };
    Message {
        topic: order["topic"].as_str().unwrap_or_default().to_owned(),
        key: order["key"].as_str().map(str::to_owned),
        content_type: Some("application/json".to_owned()),
        headers: order["headers"].as_object().into_iter().flatten().map(header).collect(),
        body,
    }
}

fn error(error: &Error) -> Value {
    match error {
        Error::AccessDenied(text) => json!({ "variant": "access-denied", "text": text }),
        Error::Unavailable(text) => json!({ "variant": "unavailable", "text": text }),
        Error::Timeout => json!({ "variant": "timeout" }),
        Error::TooLarge(limit) => json!({ "variant": "too-large", "limit": limit }),
        Error::Overloaded => json!({ "variant": "overloaded" }),
        Error::Other(text) => json!({ "variant": "other", "text": text }),
    }
}
