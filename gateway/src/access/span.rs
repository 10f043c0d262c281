//! A request as the gateway's span, in the words of OpenTelemetry's conventions for HTTP servers.
//!
//! Decides what is said of a request: never a query, a cookie or a token.

use std::{net::IpAddr, sync::Arc, time::Instant};

use http::{StatusCode, Version, uri::PathAndQuery};
use span::{Head, Kind, Recording, Said, Source, Told};

use super::{Asked, Record, text};
use crate::{client::AddressText, context::method_name};

/// Bytes of a path that are told.
const PATH_BYTES_MAX: usize = 1024;

impl Record {
    /// Nothing for a trace that will not be kept: this is its last span.
    pub(super) fn record(&self, spans: &Recording, ended: Instant) {
        let failed = self.status.is_some_and(|status| status.is_server_error());
        if !spans.would_keep(failed, self.cx.received, ended) {
            return;
        }
        let Asked { method, target, version, host, user_agent, .. } = &self.asked;
        let path = target.as_ref().map_or("", PathAndQuery::path);
        let host = host.as_ref().map(text).unwrap_or_default();
        let agent = user_agent.as_ref().map(text).unwrap_or_default();
        spans.add(Box::new(Served {
            id: self.span_id,
            caller: self.caller,
            own: spans.own().clone(),
            began: self.cx.received,
            ended,
            method: method_name(method),
            route: self.route.as_ref().map(|(_, path)| path.clone()),
            version: *version,
            https: self.cx.https,
            client: self.cx.client,
            texts: Texts::of([
                &path[..path.floor_char_boundary(PATH_BYTES_MAX)],
                &host,
                &agent,
                self.cx.request_id.to_str().unwrap_or_default(),
            ]),
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out,
            status: self.status,
            complete: self.complete,
        }));
    }
}

/// A request that is over, as far as it is told.
#[derive(Debug)]
struct Served {
    id: u64,
    caller: Option<u64>,
    own: Arc<Source>,
    began: Instant,
    ended: Instant,
    method: &'static str,
    route: Option<Arc<str>>,
    version: Version,
    https: bool,
    client: IpAddr,
    /// Path, host, user agent, request id.
    texts: Texts<4>,
    bytes_in: u64,
    bytes_out: u64,
    /// None: its client left before.
    status: Option<StatusCode>,
    complete: bool,
}

impl Told for Served {
    fn head(&self) -> Head<'_> {
        let error = match &self.status {
            Some(status) if status.is_server_error() => Some(Said::Text(status.as_str())),
            Some(_) if !self.complete => Some(Said::Text("incomplete")),
            _ => None,
        };
        Head {
            id: self.id,
            parent: self.caller,
            remote_parent: true,
            kind: Kind::Server,
            name: match &self.route {
                Some(route) => Said::Words(self.method, route),
                None => Said::Text(self.method),
            },
            began: self.began,
            ended: self.ended,
            error,
        }
    }

    fn source(&self) -> &Arc<Source> {
        &self.own
    }

    fn each(&self, tell: &mut dyn FnMut(&'static str, Said<'_>)) {
        let [path, host, agent, request_id] = self.texts.all();
        tell("http.request.method", self.method.into());
        tell("url.scheme", if self.https { "https" } else { "http" }.into());
        tell("url.path", path.into());
        if let Some(route) = &self.route {
            tell("http.route", Said::Text(route));
        }
        if !host.is_empty() {
            tell("server.address", host.into());
        }
        tell("client.address", AddressText::of(self.client).as_str().into());
        tell("network.protocol.version", protocol(self.version).into());
        if !agent.is_empty() {
            tell("user_agent.original", agent.into());
        }
        tell("http.request.body.size", self.bytes_in.into());
        tell("http.response.body.size", self.bytes_out.into());
        tell("archipel.request_id", request_id.into());
        match self.status {
            Some(status) => tell("http.response.status_code", status.as_u16().into()),
            None => tell("archipel.client_left", true.into()),
        }
    }
}

/// Short texts in one allocation: a request's own buffer is not kept for them.
#[derive(Debug)]
struct Texts<const N: usize> {
    joined: Box<str>,
    ends: [usize; N],
}

impl<const N: usize> Texts<N> {
    fn of(texts: [&str; N]) -> Self {
        let mut joined = String::with_capacity(texts.iter().map(|text| text.len()).sum());
        let ends = texts.map(|text| {
            joined.push_str(text);
            joined.len()
        });
        Self { joined: joined.into_boxed_str(), ends }
    }

    fn all(&self) -> [&str; N] {
        let mut from = 0;
        self.ends.map(|end| {
            let text = self.joined.get(from..end).unwrap_or_default();
            from = end;
            text
        })
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
