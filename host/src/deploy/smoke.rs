//! The first request of a new build, before it is live: nobody waits for its answer but us.

use std::{sync::Arc, time::Duration};

use gateway::{body, context::RequestContext, dispatch::Dispatch};
use http::Request;
use http_body_util::{BodyExt, Limited};

use crate::service::{Service, Version};
use document::problem::chain;
use manifest::Smoke;

/// How long the answer may take besides the service's own limits.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of the answer is read.
const ANSWER_MAX_BYTES: usize = 1 << 20;

/// Sends `smoke` to `version`, with limits of its own, so that neither the live version's places nor
/// its breaker are touched.
///
/// # Errors
/// A sentence: it trapped, gave no whole answer, or one of 5xx.
pub async fn smoke(version: &Arc<Version>, smoke: &Smoke) -> Result<(), String> {
    let name = version.component.service.clone();
    let apart = Service::new(name.clone(), version.clone());
    let request = Request::builder()
        .method(smoke.method.clone())
        .uri(&smoke.target)
        .header(http::header::HOST, format!("{name}.internal"))
        .body(body::empty())
        .map_err(|error| error.to_string())?;
    let cx = Arc::new(RequestContext::own("smoke-request", TIMEOUT));
    let answer = apart.dispatch(cx, request).await.map_err(|error| chain(&error))?;
    let status = answer.status();
    if let Err(error) = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await
        && !error.is::<http_body_util::LengthLimitError>()
    {
        return Err(format!("`{smoke}` was answered {status}, and then: {error}"));
    }
    match status.is_server_error() {
        true => Err(format!("`{smoke}` was answered {status}")),
        false => Ok(()),
    }
}
