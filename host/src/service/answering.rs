//! A guest's answer to one request, as a span that goes on until it is dropped.
//!
//! Decides what is said of it: whether its instance was fresh, how long it waited for a place, what it used, how it
//! failed. Every request has one and few are told, so it is kept in a form of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::context::{RequestContext, method_name};
use http::{Method, StatusCode};
use span::{Head, Kind, More, Recording, Said, Source, Span, Told};

use super::{failure::Failure, told};
use crate::{capability::exception::Exception, instance::Instance};

/// Nothing where nobody wants to know.
#[must_use = "a span ends when it is dropped"]
pub(super) struct Answering(Option<(Recording, Box<Answer>)>);

#[derive(Debug)]
struct Answer {
    /// Ids and times, and what only a failure has.
    span: Span,
    method: &'static str,
    route: Option<Arc<str>>,
    queued: Option<Duration>,
    door: Option<&'static str>,
    fresh: Option<bool>,
    status: Option<StatusCode>,
    /// CPU in microseconds, memory in bytes.
    used: Option<(u64, u64)>,
    /// What the guest said of a failure of its own.
    said: Option<Box<Exception>>,
}

impl Answering {
    /// Begins with the wait for a place.
    pub(super) fn begin(cx: &RequestContext, source: &Arc<Source>, method: &Method, began: Instant) -> Self {
        Self(cx.spans.as_ref().map(|spans| {
            let mut answer = Box::new(Answer {
                span: Span::begun((cx.trace.span_id, began), 0, source.clone(), Kind::Server, ""),
                method: method_name(method),
                route: cx.route.clone(),
                queued: None,
                door: None,
                fresh: None,
                status: None,
                used: None,
                said: None,
            });
            answer.span.parent = cx.trace.parent_id;
            (spans.clone(), answer)
        }))
    }

    fn answer(&mut self) -> Option<&mut Answer> {
        self.0.as_mut().map(|(_, answer)| &mut **answer)
    }

    /// It has a place, on a build that was chosen just now.
    pub(super) fn admitted(&mut self, source: &Arc<Source>, now: Instant) {
        let Some(answer) = self.answer() else { return };
        if !Arc::ptr_eq(&answer.span.source, source) {
            answer.span.source = source.clone();
        }
        answer.queued = Some(now.saturating_duration_since(answer.span.began));
    }

    /// By which package it is asked.
    pub(super) fn enters_by(&mut self, door: &'static str) {
        if let Some(answer) = self.answer() {
            answer.door = Some(door);
        }
    }

    /// On an instance that nobody has asked before, or not.
    pub(super) fn runs(&mut self, fresh: bool) {
        if let Some(answer) = self.answer() {
            answer.fresh = Some(fresh);
        }
    }

    pub(super) fn head(&mut self, status: StatusCode) {
        if let Some(answer) = self.answer() {
            answer.status = Some(status);
        }
    }

    /// The guest has returned, well or not.
    pub(super) fn returned(&mut self, instance: &Instance) {
        if let Some(answer) = self.answer() {
            answer.used = Some(told::used(instance));
            answer.said = instance.output.exception().map(Box::new);
        }
    }

    pub(super) fn failed(&mut self, failure: &Failure) {
        if let Some(answer) = self.answer() {
            told::failed(&mut answer.span, failure);
        }
    }

    /// It was not let in.
    pub(super) fn refused(&mut self, kind: &'static str) {
        if let Some(answer) = self.answer() {
            answer.span.fail(kind);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some((spans, mut answer)) = self.0.take() {
            answer.span.ended = Instant::now();
            answer.explain();
            spans.add(answer);
        }
    }
}

impl Answer {
    /// A failure that nothing else is known of is told in the guest's own words.
    fn explain(&mut self) {
        let is_told = self.span.more.as_ref().is_some_and(|more| !more.events.is_empty());
        if let Some(said) = self.said.take()
            && self.error().is_some()
            && !is_told
        {
            told::exception(&mut self.span, &said);
        }
    }

    fn error(&self) -> Option<Said<'_>> {
        let status = self.status.as_ref().filter(|status| status.is_server_error());
        let error = self.span.error.as_ref().map(span::Value::said);
        error.or_else(|| status.map(|status| Said::Text(status.as_str())))
    }
}

impl Told for Answer {
    fn head(&self) -> Head<'_> {
        let name = match &self.route {
            Some(route) => Said::Words(self.method, route),
            None => Said::Text(self.method),
        };
        Head { name, error: self.error(), ..self.span.head() }
    }

    fn source(&self) -> &Arc<Source> {
        &self.span.source
    }

    fn each(&self, tell: &mut dyn FnMut(&'static str, Said<'_>)) {
        tell("http.request.method", self.method.into());
        if let Some(route) = &self.route {
            tell("http.route", Said::Text(route));
        }
        if let Some(queued) = self.queued {
            tell("archipel.queue_us", told::micros(queued).into());
        }
        if let Some(door) = self.door {
            tell("archipel.door", door.into());
        }
        if let Some(fresh) = self.fresh {
            tell("archipel.fresh", fresh.into());
        }
        if let Some(status) = self.status {
            tell("http.response.status_code", status.as_u16().into());
        }
        if let Some((cpu_us, memory_bytes)) = self.used {
            tell("archipel.cpu_us", cpu_us.into());
            tell("archipel.memory_bytes", memory_bytes.into());
        }
        self.span.each(tell);
    }

    fn more(&self) -> Option<&More> {
        self.span.more()
    }
}
