//! The admin API's answers: the envelope of the shop's contract.

use gateway::{body::Body, context::RequestContext};
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::{
    deploy::DeployError,
    health,
    system::{Step, SwapError},
};
use document::problem::chain;

pub(super) fn ok(cx: &RequestContext, data: &Value) -> Response<Body> {
    envelope(cx, StatusCode::OK, &json!({"success": true, "data": data}))
}

/// A component.
pub(super) fn wasm(wasm: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(gateway::body::full(wasm));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    response
}

pub(super) fn refused(cx: &RequestContext, status: StatusCode, error: &str) -> Response<Body> {
    envelope(cx, status, &json!({"success": false, "error": error}))
}

/// A swap that changed nothing: which step failed and why, and what may be added.
pub(super) fn not_swapped(cx: &RequestContext, error: &SwapError) -> Response<Body> {
    let step = error.step();
    let status = match (error, step) {
        (SwapError::NoService { .. }, _) => StatusCode::NOT_FOUND,
        (_, Some(Step::Permissions)) => StatusCode::FORBIDDEN,
        (_, Some(Step::Compile)) => StatusCode::UNPROCESSABLE_ENTITY,
        (_, Some(Step::History)) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::CONFLICT,
    };
    let mut document = json!({"success": false, "error": chain(error)});
    if let Some(step) = step {
        document["data"] = json!({"step": step.as_str()});
    }
    if let SwapError::Deploy(DeployError::Needs { lines, beyond, .. }) = error {
        document["data"]["permissions"] = json!(lines);
        if !beyond.is_empty() {
            document["data"]["beyondCeiling"] = json!(beyond);
        }
    }
    if let SwapError::NotAccepted { reason } = error {
        document["data"]["permissions"] = json!([reason]);
    }
    if let SwapError::Deploy(DeployError::Missing { missing, .. }) = error {
        document["data"]["permissions"] = missing.iter().map(|missing| json!(missing.to_string())).collect();
    }
    envelope(cx, status, &document)
}

pub(super) fn envelope(cx: &RequestContext, status: StatusCode, document: &Value) -> Response<Body> {
    let mut document = document.clone();
    document["timestamp"] = format!("{:.3}", jiff::Timestamp::now()).into();
    document["traceId"] = cx.trace.to_string().into();
    health::json(status, &document)
}
