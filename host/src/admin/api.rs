//! The admin API: what runs, and replacing it while it runs.
//!
//! Works on the runtime of the guests, not on the admin's own thread: a swap compiles, and a build
//! on trial is a guest. A swap that has begun goes on when its client leaves.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use gateway::{
    body::Body,
    context::RequestContext,
    dispatch::{Dispatch, DispatchError, Dispatched},
};
use http::{
    Request, Response, StatusCode,
    header::{CONTENT_TYPE, ORIGIN},
};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::{runtime::Handle, task::JoinError};

use super::{answer, apply, openapi, ramp, sites::Sites, status, token::permitted};
use crate::{
    component::Digest,
    health,
    system::{ApplyError, Done, SwapError, SwapOptions, Swapped, System},
};
use backend::upstream::{FoundHost, hosts};
use manifest::May;

/// What an address of the API does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Document,
    Status,
    Service,
    Versions,
    Build,
    Swap,
    Rollback,
    Ramp,
    Apply,
    Reload,
    Hosts,
}

/// All of the API by path: what it does, with which method.
pub const ACTIONS: [(&str, http::Method, Action); 11] = [
    ("/openapi.json", http::Method::GET, Action::Document),
    ("/v1/status", http::Method::GET, Action::Status),
    ("/v1/services/{name}", http::Method::GET, Action::Service),
    ("/v1/services/{name}/versions", http::Method::GET, Action::Versions),
    ("/v1/services/{name}/build", http::Method::GET, Action::Build),
    ("/v1/services/{name}/swap", http::Method::POST, Action::Swap),
    ("/v1/services/{name}/rollback", http::Method::POST, Action::Rollback),
    ("/v1/services/{name}/ramp", http::Method::POST, Action::Ramp),
    ("/v1/apply", http::Method::POST, Action::Apply),
    ("/v1/reload", http::Method::POST, Action::Reload),
    ("/v1/hosts", http::Method::GET, Action::Hosts),
];

/// One address of the API.
pub struct Api {
    pub action: Action,
    pub system: Arc<System>,
    pub sites: Sites,
    /// Where guests run.
    pub runtime: Handle,
    pub started: Instant,
}

impl Dispatch for Api {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(self.answer(cx, request))
    }
}

impl Api {
    async fn answer(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Result<Response<Body>, DispatchError> {
        if request.headers().contains_key(ORIGIN) {
            let error = "Pages of a browser may not use the admin API";
            return Ok(answer::refused(&cx, StatusCode::FORBIDDEN, error));
        }
        let may = match self.action {
            Action::Document | Action::Status | Action::Service | Action::Versions | Action::Build | Action::Hosts => {
                May::Read
            }
            Action::Swap | Action::Rollback | Action::Ramp => May::Swap,
            Action::Apply | Action::Reload => May::Apply,
        };
        let Some(by) = permitted(&cx, may) else {
            let error = format!("The token may not `{}`; `admin.tokens.NAME.may` says what it may", may.as_str());
            return Ok(answer::refused(&cx, StatusCode::FORBIDDEN, &error));
        };
        let name: Arc<str> = request.uri().path().split('/').nth(3).unwrap_or_default().into();
        match self.action {
            Action::Document => Ok(health::json(StatusCode::OK, &openapi::document())),
            Action::Status => Ok(answer::ok(&cx, &status::host(&self.system, self.started.elapsed()))),
            Action::Service => Ok(self.about(&cx, &name)),
            Action::Versions => Ok(self.versions(&cx, &name)),
            Action::Build => Ok(self.build(&cx, &name, request.uri().query().unwrap_or_default()).await),
            Action::Rollback => Ok(self.rollback(&cx, name, by).await),
            Action::Ramp => Ok(self.ramp(&cx, &name, request).await),
            Action::Swap => self.swap(&cx, name, by, request).await,
            Action::Apply => self.apply(&cx, by, request).await,
            Action::Reload => Ok(self.reload(&cx, by).await),
            Action::Hosts => Ok(self.hosts(&cx).await),
        }
    }

    fn about(&self, cx: &RequestContext, name: &str) -> Response<Body> {
        let now = self.system.current();
        match (now.services.get(name), now.remotes.get(name)) {
            (Some(deployed), _) => answer::ok(cx, &status::service(&self.system, deployed)),
            (None, Some(elsewhere)) => answer::ok(cx, &status::elsewhere(elsewhere)),
            (None, None) => answer::not_swapped(cx, &self.system.no_component(name)),
        }
    }

    fn versions(&self, cx: &RequestContext, name: &str) -> Response<Body> {
        match self.system.services().contains_key(name) {
            true => answer::ok(cx, &status::versions(&self.system.loader().histories.of(name))),
            false => answer::not_swapped(cx, &self.system.no_component(name)),
        }
    }

    /// A build that the service has run, for a host of the same system that has none of it.
    async fn build(&self, cx: &RequestContext, name: &str, query: &str) -> Response<Body> {
        if !self.system.services().contains_key(name) {
            return answer::not_swapped(cx, &self.system.no_component(name));
        }
        let Some(digest) = query.strip_prefix("digest=").and_then(|text| text.parse::<Digest>().ok()) else {
            return answer::refused(cx, StatusCode::BAD_REQUEST, "Name it: `digest=` with 64 hexadecimal digits");
        };
        let histories = self.system.loader().histories.clone();
        let known = histories.of(name).lineage.contains(&digest);
        let found = self.runtime.spawn_blocking(move || known.then(|| histories.build(&digest)).flatten()).await;
        match found.ok().flatten() {
            Some(wasm) => answer::wasm(wasm),
            None => answer::refused(cx, StatusCode::NOT_FOUND, &format!("{name} has no such build here")),
        }
    }

    /// Where the admin APIs of this system's hosts are, as Consul says.
    async fn hosts(&self, cx: &RequestContext) -> Response<Body> {
        let now = self.system.current();
        let Some(agent) = now.manifest.consul.clone() else {
            let error = "This host knows of no others: its manifest has no `[discovery.consul]`; add it, or give the command to \
                         each host alone, with its `--admin`";
            return answer::refused(cx, StatusCode::CONFLICT, error);
        };
        let (system, services) = (self.system.clone(), now.routed().into_iter().collect::<Vec<_>>());
        let name = now.manifest.name.clone();
        let own = self.sites.as_others_see(&name, &agent);
        let asking = async move { hosts(&agent, system.outbound(), &services, &name).await };
        match self.runtime.spawn(asking).await {
            Ok(Ok(found)) => {
                let others = found.into_iter().filter(|host| host.gateway != own.gateway);
                let (reached, unreached): (Vec<_>, Vec<_>) = others.partition(|host| host.admin.is_some());
                let gateway = |host: FoundHost| format!("{}:{}", host.gateway.0, host.gateway.1);
                let others: Vec<_> = reached.into_iter().filter_map(|host| host.admin).collect();
                let unreachable: Vec<_> = unreached.into_iter().map(gateway).collect();
                answer::ok(cx, &json!({ "own": own.admin, "others": others, "unreachable": unreachable }))
            }
            Ok(Err(error)) => answer::refused(cx, StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
            Err(_broken) => answer::refused(cx, StatusCode::INTERNAL_SERVER_ERROR, "Asking Consul broke off"),
        }
    }

    async fn rollback(&self, cx: &RequestContext, name: Arc<str>, by: Arc<str>) -> Response<Body> {
        let system = self.system.clone();
        let work = self.runtime.spawn(async move { system.rollback(&name, &by).await });
        outcome(cx, work.await)
    }

    async fn ramp(&self, cx: &RequestContext, name: &str, request: Request<Body>) -> Response<Body> {
        match ramp::word(request.into_body()).await {
            Ok((version, word)) => match self.system.lead(name, &version, word) {
                Ok(led) => answer::ok(cx, &ramp::told(&led)),
                Err(error) => answer::not_swapped(cx, &error),
            },
            Err(error) => answer::refused(cx, StatusCode::BAD_REQUEST, error),
        }
    }

    async fn apply(
        &self,
        cx: &RequestContext,
        by: Arc<str>,
        request: Request<Body>,
    ) -> Result<Response<Body>, DispatchError> {
        let text = match apply::text(request).await? {
            Ok(text) => text,
            Err((status, error)) => return Ok(answer::refused(cx, status, error)),
        };
        let system = self.system.clone();
        let work = self.runtime.spawn(async move { system.apply(text, by).await });
        Ok(self.applied(cx, work.await))
    }

    async fn reload(&self, cx: &RequestContext, by: Arc<str>) -> Response<Body> {
        let system = self.system.clone();
        let work = self.runtime.spawn(async move { system.reload(by).await });
        self.applied(cx, work.await)
    }

    fn applied(&self, cx: &RequestContext, applied: Result<Result<Done, ApplyError>, JoinError>) -> Response<Body> {
        match applied {
            Ok(Ok(done)) => answer::ok(cx, &apply::document(&done, &self.system)),
            Ok(Err(error)) => apply::refused(cx, &error),
            Err(_broken) => answer::refused(
                cx,
                StatusCode::INTERNAL_SERVER_ERROR,
                "Applying it broke off; the log says why, and `archipel status` what runs",
            ),
        }
    }

    async fn swap(
        &self,
        cx: &RequestContext,
        name: Arc<str>,
        by: Arc<str>,
        request: Request<Body>,
    ) -> Result<Response<Body>, DispatchError> {
        if !self.system.services().contains_key(&name) {
            return Ok(answer::not_swapped(cx, &self.system.no_component(&name)));
        }
        let is_wasm = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"application/wasm");
        if !request.headers().get(CONTENT_TYPE).is_some_and(is_wasm) {
            let error = "A build is sent as `Content-Type: application/wasm`";
            return Ok(answer::refused(cx, StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let options = match options(request.uri().query().unwrap_or_default()) {
            Ok(options) => options,
            Err(error) => return Ok(answer::refused(cx, StatusCode::BAD_REQUEST, &error)),
        };
        if options.accept && permitted(cx, May::Accept).is_none() {
            let error = "The token may swap and not `accept`: leave `acceptPermissions` out, grant in the manifest what the \
                         build needs, or add \"accept\" to `admin.tokens.NAME.may`";
            return Ok(answer::refused(cx, StatusCode::FORBIDDEN, error));
        }
        let wasm: Bytes = request.into_body().collect().await?.to_bytes();
        let system = self.system.clone();
        let work = self.runtime.spawn(async move { system.swap(&name, wasm, &by, options).await });
        Ok(outcome(cx, work.await))
    }
}

/// `ramp=true&led=true&acceptPermissions=true`.
fn options(query: &str) -> Result<SwapOptions, String> {
    let mut options = SwapOptions::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let wanted = match pair.split_once('=').unwrap_or((pair, "true")) {
            (_, "true") => true,
            (_, "false") => false,
            _ => return Err(format!("`{pair}` must be `true` or `false`")),
        };
        match pair.split('=').next() {
            Some("ramp") => options.ramp = wanted,
            Some("led") => options.led = wanted,
            Some("acceptPermissions") => options.accept = wanted,
            _ => return Err(format!("`{pair}` is unknown here; there are `ramp`, `led` and `acceptPermissions`")),
        }
    }
    match options.led && !options.ramp {
        true => Err("`led=true` goes with `ramp=true`".to_owned()),
        false => Ok(options),
    }
}

fn outcome(cx: &RequestContext, outcome: Result<Result<Swapped, SwapError>, JoinError>) -> Response<Body> {
    match outcome {
        Ok(Ok(swapped)) => answer::ok(
            cx,
            &json!({
                "service": &*swapped.service,
                "version": swapped.version,
                "replaced": swapped.replaced,
                "cached": swapped.cached,
                "tookMs": swapped.took.as_micros() as f64 / 1000.0,
                "changes": swapped.changes,
                "accepted": swapped.accepted,
                "ramp": (!swapped.steps.is_empty()).then_some(&swapped.steps),
            }),
        ),
        Ok(Err(error)) => answer::not_swapped(cx, &error),
        Err(_broken) => answer::refused(
            cx,
            StatusCode::INTERNAL_SERVER_ERROR,
            "The swap broke off; the log says why, and what ran before still runs",
        ),
    }
}
