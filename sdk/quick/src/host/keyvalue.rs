//! Key-value stores.

use rquickjs::{Array, BigInt, Ctx, Exception, Function, IntoJs as _, Object, Result, TypedArray, Value};

use super::{Fault, Handles, Whole, big, bytes, given};
use crate::world::service::archipel::keyvalue::store::{Bucket, Condition, Entry, Error, Start};

thread_local! {
    static BUCKETS: Handles<Bucket> = const { Handles::new() };
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("bucketOpen", Function::new(ctx.clone(), open)?)?;
    native.set("bucketGet", Function::new(ctx.clone(), get)?)?;
    native.set("bucketGetMany", Function::new(ctx.clone(), get_many)?)?;
    native.set("bucketSet", Function::new(ctx.clone(), set)?)?;
    native.set("bucketDelete", Function::new(ctx.clone(), delete)?)?;
    native.set("bucketIncrement", Function::new(ctx.clone(), increment)?)?;
    native.set("bucketListKeys", Function::new(ctx.clone(), list_keys)?)?;
    native.set("bucketAppend", Function::new(ctx.clone(), append)?)?;
    native.set("bucketReadList", Function::new(ctx.clone(), read_list)?)?;
    native.set("bucketInsert", Function::new(ctx.clone(), insert)?)?;
    native.set("bucketReadSorted", Function::new(ctx.clone(), read_sorted)?)
}

fn of<T>(ctx: &Ctx, number: u32, ask: impl FnOnce(&Bucket) -> std::result::Result<T, Error>) -> Result<T> {
    let bucket = BUCKETS.with(|buckets| buckets.get(ctx, number))?;
    given(ctx, ask(&bucket))
}

fn open(ctx: Ctx<'_>, name: String) -> Result<u32> {
    given(&ctx, BUCKETS.with(|buckets| buckets.named(name, Bucket::open)))
}

fn get<'js>(ctx: Ctx<'js>, bucket: u32, key: String) -> Result<Option<Object<'js>>> {
    let found = of(&ctx, bucket, |bucket| bucket.get(&key))?;
    found.map(|found| entry(&ctx, found)).transpose()
}

fn get_many<'js>(ctx: Ctx<'js>, bucket: u32, keys: Vec<String>) -> Result<Vec<Option<Object<'js>>>> {
    let found = of(&ctx, bucket, |bucket| bucket.get_many(&keys))?;
    found.into_iter().map(|found| found.map(|found| entry(&ctx, found)).transpose()).collect()
}

fn entry<'js>(ctx: &Ctx<'js>, found: Entry) -> Result<Object<'js>> {
    let made = Object::new(ctx.clone())?;
    made.set("key", found.key)?;
    made.set("value", TypedArray::new(ctx.clone(), found.value)?)?;
    made.set("version", big(ctx, found.version)?)?;
    Ok(made)
}

fn set<'js>(
    ctx: Ctx<'js>,
    bucket: u32,
    key: String,
    value: TypedArray<'js, u8>,
    ttl_ms: Option<Whole>,
    when: Object<'js>,
) -> Result<bool> {
    let when = match &*when.get::<_, String>("tag")? {
        "always" => Condition::Always,
        "if-absent" => Condition::IfAbsent,
        "if-version" => Condition::IfVersion(when.get::<_, Whole>("val")?.unsigned()),
        _ => return Err(Exception::throw_type(&ctx, "no such condition")),
    };
    of(&ctx, bucket, |bucket| bucket.set(&key, &bytes(&value), ttl_ms.map(Whole::unsigned), when))
}

fn delete(ctx: Ctx<'_>, bucket: u32, key: String) -> Result<bool> {
    of(&ctx, bucket, |bucket| bucket.delete(&key))
}

fn increment<'js>(ctx: Ctx<'js>, bucket: u32, key: String, delta: Whole) -> Result<BigInt<'js>> {
    let sum = of(&ctx, bucket, |bucket| bucket.increment(&key, delta.0))?;
    BigInt::from_i64(ctx, sum)
}

fn list_keys<'js>(
    ctx: Ctx<'js>,
    bucket: u32,
    prefix: String,
    limit: u32,
    cursor: Option<String>,
) -> Result<Object<'js>> {
    let page = of(&ctx, bucket, |bucket| bucket.list_keys(&prefix, limit, cursor.as_deref()))?;
    let made = Object::new(ctx)?;
    made.set("keys", page.keys)?;
    made.set("cursor", page.cursor)?;
    Ok(made)
}

fn append<'js>(ctx: Ctx<'js>, bucket: u32, key: String, value: TypedArray<'js, u8>, keep: u32) -> Result<BigInt<'js>> {
    let length = of(&ctx, bucket, |bucket| bucket.append(&key, &bytes(&value), keep))?;
    big(&ctx, length)
}

fn read_list<'js>(
    ctx: Ctx<'js>,
    bucket: u32,
    key: String,
    offset: u32,
    limit: u32,
) -> Result<Vec<TypedArray<'js, u8>>> {
    let items = of(&ctx, bucket, |bucket| bucket.read_list(&key, offset, limit))?;
    items.into_iter().map(|item| TypedArray::new(ctx.clone(), item)).collect()
}

fn insert<'js>(
    ctx: Ctx<'js>,
    bucket: u32,
    key: String,
    id: String,
    value: TypedArray<'js, u8>,
    keep: u32,
) -> Result<bool> {
    of(&ctx, bucket, |bucket| bucket.insert(&key, &id, &bytes(&value), keep))
}

fn read_sorted<'js>(ctx: Ctx<'js>, bucket: u32, key: String, start: Object<'js>, limit: u32) -> Result<Value<'js>> {
    let start = match &*start.get::<_, String>("tag")? {
        "offset" => Start::Offset(start.get("val")?),
        _ => Start::After(start.get("val")?),
    };
    let found = of(&ctx, bucket, |bucket| bucket.read_sorted(&key, &start, limit))?;
    let items = Array::new(ctx.clone())?;
    for (at, item) in found.items.into_iter().enumerate() {
        let made = Object::new(ctx.clone())?;
        made.set("id", item.id)?;
        made.set("value", TypedArray::new(ctx.clone(), item.value)?)?;
        items.set(at, made)?;
    }
    let made = Object::new(ctx.clone())?;
    made.set("items", items)?;
    made.set("total", big(&ctx, found.total)?)?;
    made.into_js(&ctx)
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::AccessDenied(text) => Self::with("access-denied", text),
            Error::Unavailable(text) => Self::with("unavailable", text),
            Error::Timeout => Self::of("timeout"),
            Error::TooLarge(most) => Self::with("too-large", most),
            Error::Other(text) => Self::with("other", text),
        }
    }
}
