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

/// What a guest is told, as the block of `archipel:http`: `name: value` and CR LF for each.
pub fn block(headers: &HeaderMap) -> Vec<u8> {
    let told = || headers.iter().filter(|(name, _)| !is_forbidden(name));
    let bytes = told().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    let mut block = Vec::with_capacity(bytes);
    for (name, value) in told() {
        block.extend_from_slice(name.as_str().as_bytes());
        block.extend_from_slice(b": ");
        block.extend_from_slice(value.as_bytes());
        block.extend_from_slice(b"\r\n");
    }
    block
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_block_has_a_line_for_each_field_and_none_of_a_connection() {
        let mut headers = HeaderMap::new();
        let add = [("accept", "a/b"), ("x-empty", ""), ("connection", "close"), ("accept", "c: d"), ("host", "x")];
        for (name, value) in add {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("x-bytes", HeaderValue::from_bytes(b"\xff\t").expect("obs-text"));
        assert_eq!(block(&headers), b"accept: a/b\r\naccept: c: d\r\nx-empty: \r\nx-bytes: \xff\t\r\n");
        assert_eq!(block(&HeaderMap::new()), b"");
    }
}
