//! Header fields as plain values, both ways. What may pass is `wasi:http`'s to say: its own code checks them.

use http::{HeaderMap, HeaderName};
use wasmtime_wasi_http::{FieldMap, WasiHttpHooks};

/// Names and values in one set of headers, with what it costs to keep them.
pub const HEADERS_MAX_BYTES: usize = 64 << 10;

/// Those of a connection, which are the host's.
static FORBIDDEN: [HeaderName; 9] = wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;

/// Whether no guest says it and none is told it.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    FORBIDDEN.contains(name)
}

/// What a guest is told.
pub fn told(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().filter(|(name, _)| !is_forbidden(name)).map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// What a guest says, if it may say all of that.
///
/// # Errors
/// Half a sentence that names the first one that may not pass.
pub fn said(fields: Vec<(String, Vec<u8>)>, hooks: &mut dyn WasiHttpHooks) -> Result<HeaderMap, String> {
    let mut headers = FieldMap::new_mutable(HEADERS_MAX_BYTES);
    for (name, value) in fields {
        let added = headers.append(hooks, name.clone(), value);
        added.map_err(|error| format!("the header `{}`: {error}", name.escape_debug()))?;
    }
    Ok(headers.into())
}
