//! The test guest for key-value stores: does what it is told and answers what came back, as JSON.
//!
//! A success is 200. What the host refused is 409 with the variant of the error, so that a test
//! sees what a guest sees. Values are texts; `size` makes one of so many bytes, and what is longer
//! than 100 comes back as its length.

use sdk::{
    Method, Request, Response,
    bindings::archipel::keyvalue::store::{Bucket, Condition, Entry, Error, Start},
};
use serde_json::{Value, json};

sdk::handler!(answer);

fn answer(mut request: Request) -> Response {
    let path = request.path();
    if request.method() != Method::Post {
        return Response::text(200, "probe-kv: POST to /kv/…\n");
    }
    let Some(order) = request.body().ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok()) else {
        return Response::text(400, "no JSON\n");
    };
    let behaviour = match &*path {
        "/kv/open" => |_: &Bucket, _: &Order| Ok(json!("opened")),
        "/kv/get" => get,
        "/kv/get-many" => get_many,
        "/kv/set" => set,
        "/kv/delete" => |bucket: &Bucket, order: &Order| bucket.delete(&order.text("key")).map(Value::from),
        "/kv/increment" => increment,
        "/kv/list-keys" => list_keys,
        "/kv/append" => append,
        "/kv/read-list" => read_list,
        "/kv/insert" => insert,
        "/kv/read-sorted" => read_sorted,
        _ => return Response::text(404, "no such behaviour\n"),
    };
    let order = Order(order);
    match Bucket::open(&order.text("store")).and_then(|bucket| behaviour(&bucket, &order)) {
        Ok(told) => Response::json(200, told.to_string()),
        Err(refused) => Response::json(409, error(refused).to_string()),
    }
}

struct Order(Value);

impl Order {
    fn text(&self, name: &str) -> String {
        self.0[name].as_str().unwrap_or_default().to_owned()
    }

    fn number(&self, name: &str) -> u32 {
        self.0[name].as_u64().and_then(|number| number.try_into().ok()).unwrap_or_default()
    }

    fn value(&self) -> Vec<u8> {
        match self.0["size"].as_u64() {
            Some(size) => vec![b'x'; size.try_into().unwrap_or_default()],
            None => self.text("value").into_bytes(),
        }
    }
}

/// `{key}`.
fn get(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    bucket.get(&order.text("key")).map(|entry| json!(entry.map(tell)))
}

/// `{keys}`, or `{key, count}`: the same one so often.
fn get_many(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    let named = order.0["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let same = std::iter::repeat_n(order.text("key"), order.number("count") as usize);
    let entries = bucket.get_many(&named.chain(same).collect::<Vec<_>>())?;
    Ok(entries.into_iter().map(|entry| json!(entry.map(tell))).collect())
}

/// `{key, value, ttl?, if?: "absent" | version}`.
fn set(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    let when = match &order.0["if"] {
        Value::String(_) => Condition::IfAbsent,
        Value::Number(version) => Condition::IfVersion(version.as_u64().unwrap_or_default()),
        _ => Condition::Always,
    };
    bucket.set(&order.text("key"), &order.value(), order.0["ttl"].as_u64(), when).map(Value::from)
}

/// `{key, delta}`.
fn increment(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    bucket.increment(&order.text("key"), order.0["delta"].as_i64().unwrap_or_default()).map(Value::from)
}

/// `{prefix, limit, cursor?}`.
fn list_keys(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    let page = bucket.list_keys(&order.text("prefix"), order.number("limit"), order.0["cursor"].as_str())?;
    Ok(json!({ "keys": page.keys, "cursor": page.cursor }))
}

/// `{key, value, keep}`.
fn append(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    bucket.append(&order.text("key"), &order.value(), order.number("keep")).map(Value::from)
}

/// `{key, offset, limit}`.
fn read_list(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    let values = bucket.read_list(&order.text("key"), order.number("offset"), order.number("limit"))?;
    Ok(values.iter().map(|value| shown(value)).collect())
}

/// `{key, id, value, keep}`.
fn insert(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    let (key, id) = (order.text("key"), order.text("id"));
    bucket.insert(&key, &id, &order.value(), order.number("keep")).map(Value::from)
}

/// `{key, after?, offset, limit}`: the total, then pairs of id and value.
fn read_sorted(bucket: &Bucket, order: &Order) -> Result<Value, Error> {
    let start = match order.0["after"].as_str() {
        Some(id) => Start::After(id.to_owned()),
        None => Start::Offset(order.number("offset")),
    };
    let found = bucket.read_sorted(&order.text("key"), &start, order.number("limit"))?;
    let items: Vec<Value> = found.items.iter().map(|item| json!([item.id, shown(&item.value)])).collect();
    Ok(json!({ "total": found.total, "items": items }))
}

fn tell(entry: Entry) -> Value {
    json!({ "key": entry.key, "value": shown(&entry.value), "version": entry.version })
}

fn shown(value: &[u8]) -> Value {
    if value.len() > 100 { json!(value.len()) } else { json!(String::from_utf8_lossy(value)) }
}

fn error(error: Error) -> Value {
    match error {
        Error::AccessDenied(what) => json!({ "error": "access-denied", "what": what }),
        Error::Unavailable(what) => json!({ "error": "unavailable", "what": what }),
        Error::Timeout => json!({ "error": "timeout" }),
        Error::TooLarge(limit) => json!({ "error": "too-large", "limit": limit }),
        Error::Other(what) => json!({ "error": "other", "what": what }),
    }
}
