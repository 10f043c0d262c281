//! One route as a manifest states it: host, path and methods, and the limits of what it leads to.

use std::time::Duration;

use http::Method;

/// Which requests a route takes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub host: Option<HostPattern>,
    pub path: PathPattern,
    pub methods: Methods,
    /// Overrides the gateway's.
    pub timeout: Option<Duration>,
    /// Overrides the gateway's.
    pub body_limit_bytes: Option<u64>,
}

/// `None` of a method list means every method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    Any,
    /// Not empty, no duplicates. `GET` also takes `HEAD`.
    Only(Vec<Method>),
}

/// An exact authority host or `*.example.com` (whole labels, never the bare domain).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(String);

/// `/api/users/{id}`: literal segments, `{name}` for one, a final `{*rest}` for zero or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(String);
