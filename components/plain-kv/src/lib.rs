//! A portable component with a key-value store, made without the sdk: `wasi:http` and
//! `wasi:keyvalue` are all that it knows.
//!
//! `GET /NAME` counts a visit to the store and bucket `visits` and tells what it has done with each
//! function there is; any failure is a 500 that says which.

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

use crate::bindings::wasi::keyvalue::{
    atomics, batch,
    store::{self, Error},
};

#[allow(unsafe_code, unreachable_pub, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({
        world: "wasi:keyvalue/imports@0.2.0-draft",
        path: "../../wit/deps/wasi-keyvalue",
        generate_all,
    });
}

struct Plain;

wasip2::http::proxy::export!(Plain);

impl Guest for Plain {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let name = request.path_with_query().unwrap_or_default();
        let (status, text) = match visit(&name) {
            Ok(text) => (200, text),
            Err(Error::NoSuchStore) => (500, "no such store\n".to_owned()),
            Err(Error::AccessDenied) => (500, "access denied\n".to_owned()),
            Err(Error::Other(reason)) => (500, format!("{reason}\n")),
        };

        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).expect("a status");
        let body = response.body().expect("taken once");
        ResponseOutparam::set(out, Ok(response));

        let stream = body.write().expect("taken once");
        let sent = text.as_bytes().chunks(4096).try_for_each(|part| stream.blocking_write_and_flush(part));
        drop(stream);
        if sent.is_ok() {
            // An error here is the downstream's going away; there is nobody left to tell.
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

fn visit(name: &str) -> Result<String, Error> {
    let bucket = store::open("visits")?;
    let count = atomics::increment(&bucket, &format!("count{name}"), 1)?;
    bucket.set(name, format!("visit {count}").as_bytes())?;
    let last = bucket.get(name)?.unwrap_or_default();
    let pairs = [("one".to_owned(), b"1".to_vec()), ("two".to_owned(), b"2".to_vec())];
    batch::set_many(&bucket, &pairs)?;
    let found = batch::get_many(&bucket, &["two".to_owned(), "three".to_owned()])?;
    bucket.delete("one")?;
    let is_gone = !bucket.exists("one")? && bucket.exists("two")?;
    batch::delete_many(&bucket, &["two".to_owned(), "three".to_owned()])?;
    Ok(format!("{}; {found:?}; {is_gone}; {:?}\n", String::from_utf8_lossy(&last), all_keys(&bucket)?))
}

fn all_keys(bucket: &store::Bucket) -> Result<Vec<String>, Error> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let response = bucket.list_keys(cursor)?;
        keys.extend(response.keys);
        cursor = response.cursor;
        if cursor.is_none() {
            keys.sort();
            return Ok(keys);
        }
    }
}
