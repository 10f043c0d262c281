//! Which pages of other origins may use a route: CORS, as the Fetch standard has it.
//!
//! Decides what a browser is told, and what is a preflight. A preflight is answered here, after the
//! limit of the address and before any token: browsers send none with it. An origin that is not
//! admitted is told nothing at all; its requests are served like any other, for it is the browser
//! that keeps the answer from the page.

mod origin;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

use crate::{framing::line, route::Methods};

pub use origin::{OriginPattern, OriginPatternError};

/// Bytes of `Access-Control-Request-Headers` that are told back at most.
const ASKED_BYTES_MAX: usize = 1024;

/// How a preflight's answer depends on its request.
const PREFLIGHT_VARIES: [&str; 2] = ["Access-Control-Request-Method", "Access-Control-Request-Headers"];

/// What a manifest says of CORS, each part by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Not empty.
    pub origins: Vec<OriginPattern>,
    /// None: every method that a route takes by default.
    pub methods: Option<Vec<Method>>,
    /// None: whatever a page asks for.
    pub headers: Option<Vec<HeaderName>>,
    /// Headers of answers that pages may read, besides those that Fetch lets them read anyway.
    pub expose: Vec<HeaderName>,
    /// Whether browsers may send cookies and let pages read what they get for them.
    pub credentials: bool,
    /// How long a browser may remember a preflight's answer.
    pub max_age: Duration,
}

/// Why rules are refused together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    #[error("`origins` is empty; name who may read answers, such as `https://app.example.com`, or remove `cors`")]
    NoOrigins,

    #[error("`credentials = true` with the origin `*` would let any page act as whoever visits it; name the origins")]
    CredentialsForAll,
}

/// Rules, in the form in which they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<OriginPattern>,
    credentials: bool,
    methods: HeaderValue,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// Whose rules hold on a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RouteCors {
    #[default]
    Gateways,
    Off,
    Own(Arc<Cors>),
}

/// What a browser asks with its request, kept for the answer.
#[derive(Debug)]
pub(crate) struct Asked {
    cors: Arc<Cors>,
    origin: Option<HeaderValue>,
    /// The headers it wants to send, for a preflight.
    preflight: Option<Option<HeaderValue>>,
}

impl Cors {
    /// # Errors
    /// Any [`RulesError`].
    pub fn new(rules: Rules) -> Result<Self, RulesError> {
        if rules.origins.is_empty() {
            return Err(RulesError::NoOrigins);
        }
        if rules.credentials && rules.origins.iter().any(OriginPattern::is_any) {
            return Err(RulesError::CredentialsForAll);
        }
        let methods = rules.methods.unwrap_or_else(|| Methods::Any.listed());
        Ok(Self {
            methods: list(methods.iter().map(Method::as_str)),
            headers: rules.headers.map(|names| list(names.iter().map(HeaderName::as_str))),
            expose: (!rules.expose.is_empty()).then(|| list(rules.expose.iter().map(HeaderName::as_str))),
            credentials: rules.credentials,
            max_age: rules.max_age.as_secs().into(),
            origins: rules.origins,
        })
    }

    /// What an admitted origin is told of who may read the answer.
    fn admits(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let text = origin.to_str().ok()?;
        if self.origins.iter().any(OriginPattern::is_any) {
            return Some(HeaderValue::from_static("*")); // never with credentials
        }
        self.origins.iter().any(|pattern| pattern.admits(text)).then(|| origin.clone())
    }
}

/// Tokens, with commas between.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> HeaderValue {
    let names: Vec<&str> = names.collect();
    HeaderValue::from_str(&names.join(", ")).expect("methods and names of headers are tokens")
}

impl RouteCors {
    /// The rules that hold, those of the gateway being `gateways`.
    pub(crate) fn or<'a>(&'a self, gateways: Option<&'a Arc<Cors>>) -> Option<&'a Arc<Cors>> {
        match self {
            Self::Gateways => gateways,
            Self::Off => None,
            Self::Own(own) => Some(own),
        }
    }
}

/// The method that a browser asks about before it sends it, if this is what a request is for.
pub(crate) fn preflight(head: &Parts) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let asked = only(&head.headers, header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

impl Asked {
    pub(crate) fn of(cors: Arc<Cors>, headers: &HeaderMap, is_preflight: bool) -> Self {
        let wanted = || only(headers, header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|wanted| is_list(wanted)).cloned();
        let origin = only(headers, header::ORIGIN).cloned();
        Self { cors, origin, preflight: is_preflight.then(wanted) }
    }

    /// Whether a page of this origin may read answers.
    pub(crate) fn admits(&self, origin: &HeaderValue) -> bool {
        self.cors.admits(origin).is_some()
    }

    /// Says it in the headers of an answer, whoever gave it. What a service says of CORS itself goes:
    /// two answers to one question are none.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let said: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
        for name in said {
            headers.remove(name);
        }
        vary(headers, ["Origin"]);
        if self.preflight.is_some() {
            vary(headers, PREFLIGHT_VARIES);
        }
        let Some(admitted) = self.origin.as_ref().and_then(|origin| self.cors.admits(origin)) else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, admitted);
        if self.cors.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        match &self.preflight {
            None => {
                drop(self.cors.expose.clone().map(|names| headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names)))
            }
            Some(wanted) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.cors.methods.clone());
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.cors.max_age.clone());
                let allowed = self.cors.headers.as_ref().or(wanted.as_ref()).cloned();
                allowed.map(|names| headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names));
            }
        }
    }
}

/// Adds what is not said yet, so that no cache gives one origin's answer to another.
fn vary<const N: usize>(headers: &mut HeaderMap, names: [&'static str; N]) {
    let said: BTreeSet<String> = (headers.get_all(header::VARY).iter())
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in names {
        if !said.contains("*") && !said.contains(&name.to_ascii_lowercase()) {
            headers.append(header::VARY, HeaderValue::from_static(name));
        }
    }
}

fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// Names of headers, and not too many: they are told back as they came.
fn is_list(value: &HeaderValue) -> bool {
    let name = |name: &[u8]| line::is_token(name.trim_ascii());
    value.len() <= ASKED_BYTES_MAX && value.as_bytes().split(|byte| *byte == b',').all(name)
}
