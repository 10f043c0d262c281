//! The counts of one route, and the note that one request leaves in them when it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::{Method, StatusCode};

use super::{Exemplars, Histogram, Label};
use crate::labels;

labels! {
    /// Methods that clients may invent are one.
    pub enum MethodLabel {
        Get = "GET",
        Head = "HEAD",
        Post = "POST",
        Put = "PUT",
        Patch = "PATCH",
        Delete = "DELETE",
        Options = "OPTIONS",
        Other = "OTHER",
    }
}

labels! {
    /// Of the status of an answer.
    pub enum Class {
        Informational = "1xx",
        Success = "2xx",
        Redirection = "3xx",
        ClientError = "4xx",
        ServerError = "5xx",
        /// The client left before there was one.
        None = "none",
    }
}

impl MethodLabel {
    fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }
}

impl Class {
    fn of(status: Option<StatusCode>) -> Self {
        match status.map(|status| status.as_u16() / 100) {
            Some(1) => Self::Informational,
            Some(2) => Self::Success,
            Some(3) => Self::Redirection,
            Some(4) => Self::ClientError,
            Some(_) => Self::ServerError,
            None => Self::None,
        }
    }
}

/// Requests by method and class of status, and how long they took.
#[derive(Debug, Default)]
pub struct RouteCounts {
    requests: [[AtomicU64; Class::WORDS.len()]; MethodLabel::WORDS.len()],
    /// From a request's head to its answer's last byte.
    pub duration: Histogram,
    pub exemplars: Exemplars,
}

impl RouteCounts {
    /// What there was: method, class of status, how often.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        let methods = MethodLabel::WORDS.iter().zip(&self.requests);
        let all = methods.flat_map(|(method, classes)| {
            let classes = Class::WORDS.iter().zip(classes);
            classes.map(|(class, count)| (*method, *class, count.load(Relaxed)))
        });
        all.filter(|(_, _, count)| *count > 0)
    }

    fn record(&self, method: MethodLabel, class: Class, duration: Duration) {
        self.requests[method.index()][class.index()].fetch_add(1, Relaxed);
        self.duration.record(duration);
    }
}

/// One request on its way; counted when it has ended, by what it has come to.
pub(crate) struct Tally {
    counts: Arc<RouteCounts>,
    method: MethodLabel,
    status: Option<StatusCode>,
    received: Instant,
}

impl Tally {
    pub(crate) fn new(counts: Arc<RouteCounts>, method: &Method, received: Instant) -> Self {
        Self { counts, method: MethodLabel::of(method), status: None, received }
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// `kept`: the trace that tells of it, if there will be one.
    pub(crate) fn ended(&self, now: Instant, kept: Option<u128>) {
        let duration = now.saturating_duration_since(self.received);
        if let Some(trace_id) = kept {
            self.counts.exemplars.note(trace_id, duration, now);
        }
        self.counts.record(self.method, Class::of(self.status), duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_are_one_and_a_client_that_left_is_told_apart() {
        let counts = Arc::new(RouteCounts::default());
        let now = Instant::now();
        for (method, status) in [("GET", Some(200)), ("BREW", Some(404)), ("WHEN", Some(404)), ("GET", None)] {
            let mut tally = Tally::new(counts.clone(), &method.parse().unwrap(), now);
            status.into_iter().for_each(|status| tally.answered(StatusCode::from_u16(status).unwrap()));
            tally.ended(now, Some(7));
        }
        let each: Vec<_> = counts.each().collect();
        assert_eq!(each, [("GET", "2xx", 1), ("GET", "none", 1), ("OTHER", "4xx", 2)]);
        assert_eq!(counts.duration.read().up_to.last(), Some(&4));
        assert_eq!(counts.exemplars.read()[0].map(|exemplar| exemplar.trace_id), Some(7));
    }
}
