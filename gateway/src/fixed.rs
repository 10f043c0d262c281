//! A route that leads to no service: always the same status, in the envelope.

use std::sync::Arc;

use http::{Request, StatusCode};

use crate::{
    body::{self, Body},
    context::RequestContext,
    dispatch::{Dispatch, Dispatched},
    error::refusal,
};

/// Answers every request with this status.
pub struct Fixed(pub StatusCode);

impl Dispatch for Fixed {
    fn dispatch(&self, cx: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
        let answer = refusal(self.0, self.0.canonical_reason().unwrap_or("No answer"), &cx.trace);
        Box::pin(std::future::ready(Ok(answer.map(body::full))))
    }
}
