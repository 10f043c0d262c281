//! A component made with Spin's sdk, on the interfaces of it that are WASI's: requests both ways, the second draft of
//! key-value stores, configuration.

use std::fmt::Debug;

use anyhow::anyhow;
use spin_sdk::{
    http::{self, IntoResponse, Request, Response},
    http_component,
    wit::wasi::{
        config::store as config,
        keyvalue::{
            atomics::{self, Cas, CasError},
            batch, store,
        },
    },
};

#[http_component]
async fn answer(request: Request) -> anyhow::Result<impl IntoResponse> {
    let text = match request.path() {
        "/visit" => visit()?,
        "/swap" => swap()?,
        "/config" => format!("{:?}", config::get("GREETING").map_err(told)?),
        "/call" => {
            let asked: Response = http::send(Request::get("http://spin.internal/").build()).await?;
            format!("{} {}", asked.status(), String::from_utf8_lossy(asked.body()))
        }
        _ => "hello from spin".to_owned(),
    };
    Ok(Response::builder().status(200).header("content-type", "text/plain").body(text).build())
}

/// All functions of a bucket, and many keys at once.
fn visit() -> anyhow::Result<String> {
    let bucket = store::open("default").map_err(told)?;
    let back = atomics::increment(&bucket, "count", -1).map_err(told)?;
    let count = atomics::increment(&bucket, "count", 2).map_err(told)?;
    let pairs = [("one".to_owned(), b"1".to_vec()), ("two".to_owned(), b"2".to_vec())];
    batch::set_many(&bucket, &pairs).map_err(told)?;
    let many = batch::get_many(&bucket, &["two".to_owned(), "three".to_owned()]).map_err(told)?;
    bucket.set("one", b"changed").map_err(told)?;
    let one = bucket.get("one").map_err(told)?.unwrap_or_default();
    bucket.delete("one").map_err(told)?;
    let is_gone = !bucket.exists("one").map_err(told)? && bucket.exists("two").map_err(told)?;
    batch::delete_many(&bucket, &["two".to_owned()]).map_err(told)?;
    let one = String::from_utf8_lossy(&one);
    Ok(format!("{back} {count} {many:?} {one} {is_gone} {:?}", keys(&bucket)?))
}

fn keys(bucket: &store::Bucket) -> anyhow::Result<Vec<String>> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let found = bucket.list_keys(cursor.as_deref()).map_err(told)?;
        keys.extend(found.keys);
        cursor = found.cursor;
        if cursor.is_none() {
            keys.sort();
            return Ok(keys);
        }
    }
}

/// A value that somebody else changes between reading and writing: the first try fails, the second has what they wrote.
fn swap() -> anyhow::Result<String> {
    let bucket = store::open("default").map_err(told)?;
    bucket.delete("turn").map_err(told)?;
    atomics::swap(Cas::new(&bucket, "turn").map_err(told)?, b"first").map_err(|_| anyhow!("nobody else was here"))?;
    let cas = Cas::new(&bucket, "turn").map_err(told)?;
    let before = cas.current().map_err(told)?;
    bucket.set("turn", b"somebody else's").map_err(told)?;
    let Err(CasError::CasFailed(again)) = atomics::swap(cas, b"lost") else {
        return Err(anyhow!("it was not refused"));
    };
    let meanwhile = again.current().map_err(told)?;
    atomics::swap(again, b"second").map_err(|_| anyhow!("nobody else was here"))?;
    let text = |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
    Ok([before, meanwhile, bucket.get("turn").map_err(told)?].map(text).join(", "))
}

fn told(error: impl Debug) -> anyhow::Error {
    anyhow!("{error:?}")
}
