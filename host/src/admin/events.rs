//! The admin API's part about events: topics with their lag, what is in work, dead letters and their replay.
//!
//! Reading needs `may = ["read"]`; replaying hands events to services, and needs `apply`.

use std::{collections::BTreeMap, sync::Arc};

use gateway::{
    body::Body,
    context::RequestContext,
    dispatch::{Dispatch, Dispatched},
};
use http::{Method, Request, Response, StatusCode, header::ORIGIN, request::Parts};
use serde_json::{Value, json};

use super::{answer, token::permitted};
use crate::system::System;
use backend::{
    events::{Events, PAGE_MAX},
    redis::AskError,
};
use document::problem::chain;
use manifest::May;

/// What an address does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventAction {
    Topics,
    Pending,
    Dead,
    Replay,
}

/// All addresses: what they do, with which method. `?service=` names the service.
pub const EVENT_ACTIONS: [(&str, Method, EventAction); 4] = [
    ("/v1/events/topics", Method::GET, EventAction::Topics),
    ("/v1/events/pending", Method::GET, EventAction::Pending),
    ("/v1/events/dead", Method::GET, EventAction::Dead),
    ("/v1/events/replay", Method::POST, EventAction::Replay),
];

/// One address.
pub struct EventsApi {
    pub action: EventAction,
    pub system: Arc<System>,
}

/// Why there is no answer.
enum Refusal {
    /// The request is at fault.
    Wrong(StatusCode, String),
    Redis(AskError),
}

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        Self::Redis(error)
    }
}

type Query<'a> = BTreeMap<&'a str, &'a str>;

impl Dispatch for EventsApi {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        let (head, _no_body) = request.into_parts();
        Box::pin(async move { Ok(self.answer(&cx, &head).await) })
    }
}

impl EventsApi {
    async fn answer(&self, cx: &RequestContext, head: &Parts) -> Response<Body> {
        if head.headers.contains_key(ORIGIN) {
            let error = "Pages of a browser may not use the admin API";
            return answer::refused(cx, StatusCode::FORBIDDEN, error);
        }
        let may = if self.action == EventAction::Replay { May::Apply } else { May::Read };
        let Some(by) = permitted(cx, may) else {
            let error = format!("The token may not `{}`; `admin.tokens.NAME.may` says what it may", may.as_str());
            return answer::refused(cx, StatusCode::FORBIDDEN, &error);
        };
        let Some(events) = self.system.current().backends.events.clone() else {
            let error = "Nothing carries events in this system; `[events]` would";
            return answer::refused(cx, StatusCode::NOT_FOUND, error);
        };
        let query: Query<'_> =
            head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        match self.told(&events, &query, &by).await {
            Ok(told) => answer::ok(cx, &told),
            Err(Refusal::Wrong(status, error)) => answer::refused(cx, status, &error),
            Err(Refusal::Redis(error)) => answer::refused(cx, StatusCode::SERVICE_UNAVAILABLE, &chain(&error)),
        }
    }

    async fn told(&self, events: &Events, query: &Query<'_>, by: &str) -> Result<Value, Refusal> {
        match self.action {
            EventAction::Topics => Ok(json!({
                "topics": events.topics().await?,
                "delayed": events.delayed_count().await?,
                "expired": events.expired_count(),
            })),
            EventAction::Pending => Ok(json!({ "events": events.pending(self.service(events, query).await?).await? })),
            EventAction::Dead if !query.contains_key("service") => self.dead_counts(events).await,
            EventAction::Dead => {
                let service = self.service(events, query).await?;
                let limit = query.get("limit").map_or(Some(PAGE_MAX), |limit| limit.parse().ok());
                let limit = limit.filter(|limit| (1..=PAGE_MAX).contains(limit));
                let limit = limit.ok_or_else(|| bad(format!("`limit` is 1 to {PAGE_MAX}")))?;
                let letters = events.dead(service, after(query)?, limit).await?;
                let next = letters.last().filter(|_| letters.len() == limit).map(|letter| letter.letter.clone());
                Ok(
                    json!({ "service": service, "letters": letters, "next": next, "count": events.dead_count(service).await? }),
                )
            }
            EventAction::Replay => {
                let service = self.service(events, query).await?;
                let event = match (query.get("id"), query.get("all")) {
                    (Some(id), None) => Some(*id),
                    (None, Some(&"true")) => None,
                    _ => return Err(bad("name one event, `?id=…`, or all of them, `?all=true`".into())),
                };
                let replayed = events.replay(service, event).await?;
                if let (0, Some(id)) = (replayed, event) {
                    let error = format!("`{service}` has no dead letter of the event `{id}`");
                    return Err(Refusal::Wrong(StatusCode::NOT_FOUND, error));
                }
                tracing::info!(service, by, replayed, "dead letters were replayed");
                Ok(json!({ "service": service, "replayed": replayed }))
            }
        }
    }

    async fn dead_counts(&self, events: &Events) -> Result<Value, Refusal> {
        let mut services = Vec::new();
        for service in events.groups().await? {
            let letters = events.dead_count(&service).await?;
            services.push(json!({ "service": service, "letters": letters }));
        }
        Ok(json!({ "services": services }))
    }

    /// Also one that ran once and left something behind.
    async fn service<'a>(&self, events: &Events, query: &Query<'a>) -> Result<&'a str, Refusal> {
        let service = *query.get("service").ok_or_else(|| bad("say which service: `?service=NAME`".into()))?;
        if self.system.services().contains_key(service) || events.groups().await?.iter().any(|group| group == service) {
            return Ok(service);
        }
        let error = format!("there is no service `{service}` that handles events; `archipel events topics` lists them");
        Err(Refusal::Wrong(StatusCode::NOT_FOUND, error))
    }
}

/// A letter's place: two numbers.
fn after<'a>(query: &Query<'a>) -> Result<Option<&'a str>, Refusal> {
    let is_number = |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    match query.get("after") {
        None => Ok(None),
        Some(after) if after.split_once('-').is_some_and(|(ms, at)| is_number(ms) && is_number(at)) => Ok(Some(after)),
        Some(_) => Err(bad("`after` is the `next` of the page before".into())),
    }
}

fn bad(error: String) -> Refusal {
    Refusal::Wrong(StatusCode::BAD_REQUEST, error)
}
