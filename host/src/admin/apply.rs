//! `POST /v1/apply`: what is sent, and what is said of it. Applying it is `system`'s.

use std::sync::Arc;

use gateway::{body::Body, context::RequestContext, dispatch::DispatchError};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::answer;
use crate::{
    deploy::{DeployError, Fate},
    system::{ApplyError, Done, System},
};
use document::problem::chain;

/// The largest manifest that is taken.
const TEXT_MAX_BYTES: usize = 4 << 20;

/// A manifest that runs now.
pub(super) fn document(done: &Done, system: &System) -> Value {
    let now = system.services();
    let service = |(name, fate): (&Arc<str>, &Fate)| {
        let version = now.get(name).map(|deployed| deployed.service.version().text().to_owned());
        json!({ "name": &**name, "change": fate, "version": version })
    };
    json!({
        "services": done.services.iter().map(service).collect::<Vec<_>>(),
        "restart": done.manifest.restart,
        "digest": done.manifest.digest,
        "tookMs": done.took.as_micros() as f64 / 1000.0,
    })
}

/// The manifest in a request, or why there is none.
pub(super) async fn text(request: Request<Body>) -> Result<Result<String, (StatusCode, &'static str)>, DispatchError> {
    let is_toml = |value: &http::HeaderValue| {
        let value = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        ["application/toml", "text/toml", "text/x-toml"].iter().any(|known| value.eq_ignore_ascii_case(known))
    };
    if !request.headers().get(CONTENT_TYPE).is_some_and(is_toml) {
        let error = "A manifest is sent as `Content-Type: application/toml`";
        return Ok(Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, error)));
    }
    let body = request.into_body().collect().await?.to_bytes();
    if body.len() > TEXT_MAX_BYTES {
        return Ok(Err((StatusCode::PAYLOAD_TOO_LARGE, "A manifest has at most 4 MiB")));
    }
    let text = String::from_utf8(body.into());
    Ok(text.map_err(|_| (StatusCode::UNPROCESSABLE_ENTITY, "A manifest is text in UTF-8")))
}

/// A manifest that changed nothing, and why.
pub(super) fn refused(cx: &RequestContext, error: &ApplyError) -> Response<Body> {
    let needs = |error: &DeployError| match error {
        DeployError::Needs { lines, .. } => lines.clone(),
        DeployError::Missing { missing, .. } => missing.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let (status, data) = match error {
        ApplyError::Wrong(problems) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "problems": problems })),
        ApplyError::Refused(keys) => (StatusCode::FORBIDDEN, json!({ "refused": keys })),
        ApplyError::Services(errors) if errors.iter().any(|error| !needs(error).is_empty()) => {
            (StatusCode::FORBIDDEN, json!({ "permissions": errors.iter().flat_map(needs).collect::<Vec<_>>() }))
        }
        ApplyError::Services(errors) if errors.iter().any(|error| matches!(error, DeployError::Component { .. })) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Value::Null)
        }
        ApplyError::Busy | ApplyError::NeedsRestart(_) | ApplyError::Backend(_) | ApplyError::Services(_) => {
            (StatusCode::CONFLICT, Value::Null)
        }
    };
    let mut document = json!({ "success": false, "error": chain(error) });
    if !data.is_null() {
        document["data"] = data;
    }
    answer::envelope(cx, status, &document)
}
