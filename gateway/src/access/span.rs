//! A request as the gateway's span, in the words of OpenTelemetry's conventions for HTTP servers.
//!
//! Decides what is said of a request: never a query, a cookie or a token.

use std::time::Instant;

use http::{Version, uri::PathAndQuery};
use span::{Kind, Recording, Span, Value};

use super::{Asked, Record, text};
use crate::{client::AddressText, context::method_name};

/// Room for all that is said of a request.
const ATTRIBUTES: usize = 14;

impl Record {
    /// Nothing for a trace that will not be kept: this is its last span.
    pub(super) fn record(&self, spans: &Recording, ended: Instant) {
        let failed = self.status.is_some_and(|status| status.is_server_error());
        if !spans.would_keep(failed, self.cx.received, ended) {
            return;
        }
        let Asked { method, target, version, host, user_agent, .. } = &self.asked;
        let route = self.route.as_ref().map(|(_, path)| path);
        let name = match route {
            Some(route) => Value::Words(method_name(method), route.clone()),
            None => Value::Static(method_name(method)),
        };
        let mut span = Span::with_room(ATTRIBUTES, spans.own().clone(), Kind::Server, name);
        (span.id, span.parent, span.remote_parent) = (self.span_id, self.caller, true);
        (span.began, span.ended) = (self.cx.received, ended);
        span.set("http.request.method", method_name(method));
        span.set("url.scheme", if self.cx.https { "https" } else { "http" });
        span.set("url.path", target.as_ref().map_or("", PathAndQuery::path).to_owned());
        if let Some(route) = route {
            span.set("http.route", route.clone());
        }
        if let Some(host) = host {
            span.set("server.address", text(host).into_owned());
        }
        span.set("client.address", AddressText::of(self.cx.client).as_str().to_owned());
        span.set("network.protocol.version", protocol(*version));
        if let Some(agent) = user_agent {
            span.set("user_agent.original", text(agent).into_owned());
        }
        span.set("http.request.body.size", self.bytes_in());
        span.set("http.response.body.size", self.bytes_out);
        span.set("archipel.request_id", self.cx.request_id.to_str().unwrap_or_default().to_owned());
        match self.status {
            Some(status) => span.set("http.response.status_code", status.as_u16()),
            None => span.set("archipel.client_left", true),
        }
        if failed && let Some(status) = self.status {
            span.fail(status.as_str().to_owned());
        } else if self.status.is_some() && !self.complete {
            span.fail("incomplete");
        }
        spans.add(span);
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
