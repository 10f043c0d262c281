//! Which route wins: host before path before method.
//!
//! Of all routes with a request's host and path, those with the most specific host decide (exact,
//! then the longest `*.domain`, then any), of these those with the most specific path (segment by
//! segment from the left: literal, `{name}`, `{*rest}`), then the one that lists the method over one
//! that takes any. When none of them takes the method, the answer is a 405 that names what they
//! take: what a path is for is never decided by a wildcard that would take it too.
//! The order of routes in a file never matters: two that could tie are refused at load.
//!
//! Works only on the normal form of `path`; decides nothing about who may use a route.

mod conflict;
mod trie;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use http::{HeaderValue, Method};

use crate::{
    auth::Access,
    cors::RouteCors,
    counts::RouteCounts,
    dispatch::Dispatch,
    limit::Limit,
    route::{HostMatch, Methods, Route, Segment},
};

pub use conflict::{Conflict, conflicts};
use trie::Trie;

/// A route and what it leads to.
#[derive(Clone)]
pub struct Entry {
    pub route: Route,
    pub dispatch: Arc<dyn Dispatch>,
    /// Never shed when the gateway is full, never limited, open to anybody: health and admin.
    pub exempt: bool,
    pub access: Access,
    /// Its own limit besides the gateway's: by subject, by address where there is none.
    pub limit: Option<Arc<dyn Limit>>,
    pub cors: RouteCors,
    /// What it leads to, as the access log calls it: a service's name.
    pub label: Arc<str>,
    /// Shared by the entries of one path that lead to the same; a gateway keeps them over
    /// [`replace`](crate::gateway::Gateway::replace).
    pub counts: Arc<RouteCounts>,
}

/// All routes of a generation; immutable.
#[derive(Default)]
pub struct RouteTable {
    entries: Vec<Entry>,
    exact: HashMap<String, Trie>,
    /// By the domain below which names match.
    under: HashMap<String, Trie>,
    any: Trie,
}

/// Why no route takes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoMatch {
    /// No route has this host and path: 404.
    Path,
    /// The most specific routes have it, but for other methods: 405 with this `Allow`.
    Method { allow: HeaderValue },
}

impl RouteTable {
    /// # Errors
    /// Every [`Conflict`] of the routes; the indices are those of `entries`.
    pub fn new(entries: Vec<Entry>) -> Result<Self, Vec<Conflict>> {
        let conflicts = conflicts(entries.iter().map(|entry| &entry.route));
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let mut table = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let trie = match entry.route.host.as_ref().map(|host| host.matcher()) {
                None => &mut table.any,
                Some(HostMatch::Exact(host)) => table.exact.entry(host.clone()).or_default(),
                Some(HostMatch::Under(domain)) => table.under.entry(domain.clone()).or_default(),
            };
            trie.insert(entry.route.path.segments(), index);
        }
        table.entries = entries;
        Ok(table)
    }

    /// The route for a request. `host` is in lower case and without a port, `path` in normal
    /// form. The cost depends on the path's length, not on how many routes there are.
    ///
    /// # Errors
    /// [`NoMatch`] when no route takes it.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Result<&Entry, NoMatch> {
        self.pick(self.indices(host, path).ok_or(NoMatch::Path)?, method)
    }

    /// Those of the most specific routes for a path, whatever methods they take.
    pub(crate) fn at(&self, host: &str, path: &str) -> impl Iterator<Item = &Entry> {
        self.indices(host, path).unwrap_or_default().iter().map(|&index| &self.entries[index])
    }

    fn indices(&self, host: &str, path: &str) -> Option<&[usize]> {
        let mut visited = 0;
        let exact = self.exact.get(host);
        let under = Domains(if self.under.is_empty() { "" } else { host }).filter_map(|domain| self.under.get(domain));
        exact.into_iter().chain(under).chain([&self.any]).find_map(|trie| trie.find(path, &mut visited))
    }

    /// The one of several routes with equal host and path that takes the method: a list that
    /// names it before one that takes any.
    fn pick(&self, indices: &[usize], method: &Method) -> Result<&Entry, NoMatch> {
        let entries = indices.iter().map(|&index| &self.entries[index]);
        let taking = entries.clone().filter(|entry| entry.route.methods.takes(method));
        let picked = taking.min_by_key(|entry| matches!(entry.route.methods, Methods::Any));
        picked.ok_or_else(|| NoMatch::Method { allow: allow(entries.map(|entry| &entry.route.methods)) })
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What its entries are counted under, each once: host and path, what they lead to.
    pub(crate) fn series(&self) -> BTreeMap<(String, Arc<str>), Arc<RouteCounts>> {
        self.entries.iter().map(|entry| (entry.series(), entry.counts.clone())).collect()
    }

    /// Goes on counting where `before` is.
    pub(crate) fn count_on(&mut self, before: &Self) {
        let mut series = before.series();
        for entry in &mut self.entries {
            entry.counts = series.entry(entry.series()).or_default().clone();
        }
    }
}

impl Entry {
    /// A page of the host that tells whether it lives: `/health` and what is below it.
    pub(crate) fn is_probe(&self) -> bool {
        let first = self.route.path.segments().first();
        self.exempt && matches!(first, Some(Segment::Literal(first)) if first == "health")
    }

    fn series(&self) -> (String, Arc<str>) {
        let host = self.route.host.as_ref().map(ToString::to_string).unwrap_or_default();
        (format!("{host}{}", self.route.path), self.label.clone())
    }
}

/// The domains a name is under, longest first: `a.b.c` is under `b.c` and `c`.
struct Domains<'a>(&'a str);

impl<'a> Iterator for Domains<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (_label, domain) = self.0.split_once('.')?;
        self.0 = domain;
        Some(domain)
    }
}

/// All methods that any of the routes takes, each once, in alphabetical order.
fn allow<'a>(routes: impl Iterator<Item = &'a Methods>) -> HeaderValue {
    let mut names: Vec<Method> = routes.flat_map(Methods::listed).collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    let names: Vec<&str> = names.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).expect("methods are tokens")
}

#[cfg(test)]
mod tests;
