//! Tells what a guest can see: its request, its environment, its files, its past.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use sdk::Response;
use serde_json::{Value, json};

use crate::call::Call;

pub(crate) fn env(call: Call) {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    call.json(&json!(variables));
}

pub(crate) fn args(call: Call) {
    let arguments: Vec<String> = std::env::args().collect();
    call.json(&json!(arguments));
}

/// Tries to read and to write, and tells how each ended.
pub(crate) fn files(call: Call) {
    let told = |result: Result<String, std::io::Error>| match result {
        Ok(done) => json!({ "ok": done }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    let listed = |path: &str| fs::read_dir(path).map(|entries| format!("{} entries", entries.count()));
    call.json(&json!({
        "list /": told(listed("/")),
        "list .": told(listed(".")),
        "read /etc/passwd": told(fs::read_to_string("/etc/passwd")),
        "read ../../etc/passwd": told(fs::read_to_string("../../etc/passwd")),
        "write /tmp/probe": told(fs::write("/tmp/probe", "probe").map(|()| "written".to_owned())),
        "write probe": told(fs::write("probe", "probe").map(|()| "written".to_owned())),
    }));
}

/// How many requests this instance has counted, this one included.
pub(crate) fn counter(call: Call) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    call.json(&json!({ "count": COUNT.fetch_add(1, Ordering::Relaxed) + 1 }));
}

/// The whole request; a body that broke is `null`.
pub(crate) fn echo(call: Call) {
    let told = request(&call);
    call.json(&told);
}

/// An answer in the shop's envelope: `data` is `value` as it stands there, or what `/echo` tells.
pub(crate) fn data(call: Call) {
    let data = call.parameter("value").map_or_else(|| request(&call).to_string(), str::to_owned);
    let status = u16::try_from(call.number("code", 200)).expect("a status code");
    call.send(Response::json(status, format!("{{\"success\":{},\"data\":{data}}}", status < 400)));
}

fn request(call: &Call) -> Value {
    let body = call.upload().all().ok();
    let headers: Vec<Value> =
        call.headers().iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect();
    json!({
        "method": call.method(),
        "scheme": call.scheme(),
        "authority": call.authority(),
        "target": call.target(),
        "headers": headers,
        "body": body.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    })
}
