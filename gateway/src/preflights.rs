//! What answers preflights: nothing but headers, which [`cors`](crate::cors) puts into the answer.

use std::sync::Arc;

use http::{Request, Response, StatusCode};

use crate::{
    auth::Access,
    body::{self, Body},
    context::RequestContext,
    cors::RouteCors,
    counts::RouteCounts,
    dispatch::{Dispatch, Dispatched},
    route::{Methods, Route},
    router::Entry,
};

struct Preflights;

/// Where preflights go, for anybody.
pub(crate) fn entry(counts: Arc<RouteCounts>) -> Entry {
    let path = "/{*rest}".parse().expect("a valid path");
    Entry {
        route: Route { host: None, path, methods: Methods::Any, timeout: None, body_limit_bytes: None, stream: None },
        dispatch: Arc::new(Preflights),
        exempt: false,
        access: Access::Public,
        limit: None,
        cors: RouteCors::Off,
        label: "gateway".into(),
        counts,
    }
}

impl Dispatch for Preflights {
    fn dispatch(&self, _: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
        let mut answer = Response::new(body::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        Box::pin(std::future::ready(Ok(answer)))
    }
}
