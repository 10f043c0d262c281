//! `POST /v1/apply`: what is sent, and what is said of it. Who applies it is handed in.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use gateway::{body::Body, context::RequestContext, dispatch::DispatchError};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::answer;
use crate::deploy::{Applied, ApplyError, DeployError, Deployment, Fate};
use document::problem::chain;

/// The largest manifest that is taken.
const TEXT_MAX_BYTES: usize = 4 << 20;

/// What an applier is about to say.
pub type Applying<'a> = Pin<Box<dyn Future<Output = Result<Done, ApplyError>> + Send + 'a>>;

/// Makes a manifest the running one.
pub trait Apply: Send + Sync + 'static {
    /// Whole or not at all. `by` is the name of the token that asks for it.
    fn apply(&self, text: String, by: Arc<str>) -> Applying<'_>;
}

/// A manifest that runs now.
pub struct Done {
    pub services: BTreeMap<Arc<str>, Fate>,
    pub manifest: Applied,
    pub took: Duration,
}

impl Done {
    pub(super) fn document(&self, deployment: &Deployment) -> Value {
        let now = deployment.services();
        let service = |(name, fate): (&Arc<str>, &Fate)| {
            let version = now.get(name).map(|deployed| deployed.service.version().text().to_owned());
            json!({ "name": &**name, "change": fate, "version": version })
        };
        json!({
            "services": self.services.iter().map(service).collect::<Vec<_>>(),
            "restart": self.manifest.restart,
            "digest": self.manifest.digest,
            "tookMs": self.took.as_micros() as f64 / 1000.0,
        })
    }
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
