//! `permissions.call`: which services a service may call, and with which requests.
//!
//! Judges methods and paths in the gateway's normal form. Whether a callee is there, and what it
//! answers, is decided elsewhere.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use document::source::Key;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Permission, Reading, both, list_of, named, table_of};
use crate::{Denied, Granted, Grants, Permissions};

/// Services by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call(pub BTreeMap<Arc<str>, CallScope>);

/// How far a service may use another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallScope {
    Whole,
    Only(Vec<CallPattern>),
}

/// One request that may be made: `POST /api/products/*/reserve`; `*` is one whole segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPattern {
    method: Method,
    path: String,
}

/// Why a text is no [`CallPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallPatternError {
    #[error("`{0}` is no request; write a method and a path, like `POST /api/products/*/reserve`")]
    Shape(String),

    #[error("`{0}` is no method in capitals; write one like `GET`")]
    Method(String),

    #[error("`{path}` is no path in normal form: {reason}")]
    Path { path: String, reason: String },

    #[error("`*` stands for one whole segment; `{0}` has it inside of one")]
    InnerStar(String),
}

/// A call that has passed its check: proof for whoever makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallGrant {
    pub callee: Arc<str>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawCall {
    Whole(Vec<String>),
    Narrow(BTreeMap<String, RawCallScope>),
}

/// `true`, or the requests.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawCallScope {
    Whole(bool),
    Only(Vec<String>),
}

impl Permission for Call {
    const KEY: &'static str = "call";
    type Raw = RawCall;

    fn read(raw: RawCall, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
        let mut callees = BTreeMap::new();
        match raw {
            RawCall::Whole(names) => {
                for (index, name) in names.iter().enumerate() {
                    callees.insert(reading.name(&key.item(index), name), CallScope::Whole);
                }
            }
            RawCall::Narrow(scopes) => {
                for (name, raw) in scopes {
                    let key = key.child(&name);
                    let name = reading.name(&key, &name);
                    callees.insert(name, scope(raw, &key, reading));
                }
            }
        }
        Self(callees)
    }

    fn within(&self, ceiling: &Self) -> Self {
        Self(both(&self.0, &ceiling.0, CallScope::within))
    }

    fn lacking(&self, need: &Self) -> Self {
        let lacks = |(name, needed): (&Arc<str>, &CallScope)| {
            let lacks = match named(&self.0, name) {
                Some(granted) => granted.lacking(needed)?,
                None => needed.clone(),
            };
            Some((name.clone(), lacks))
        };
        Self(need.0.iter().filter_map(lacks).collect())
    }

    fn plus(&self, more: &Self) -> Self {
        let mut all = self.0.clone();
        for (name, scope) in &more.0 {
            let known = all.remove(name).map_or_else(|| scope.clone(), |known| known.plus(scope));
            all.insert(name.clone(), known);
        }
        Self(all)
    }

    fn value(&self) -> Option<String> {
        if self.0.values().all(|scope| *scope == CallScope::Whole) {
            return list_of(self.0.keys());
        }
        let value = |scope: &CallScope| match scope {
            CallScope::Whole => "true".to_owned(),
            CallScope::Only(only) => list_of(only).unwrap_or_else(|| "[]".to_owned()),
        };
        table_of(self.0.iter().map(|(name, scope)| (&**name, value(scope))))
    }

    fn words(&self) -> Vec<String> {
        let word = |(name, scope): (&Arc<str>, &CallScope)| match scope {
            CallScope::Whole => vec![format!("call {name}")],
            CallScope::Only(only) => only.iter().map(|one| format!("call {name} ({one})")).collect(),
        };
        self.0.iter().flat_map(word).collect()
    }
}

impl Call {
    /// Which of its words covers a request.
    fn position(&self, callee: &str, method: &Method, path: &str) -> Option<usize> {
        let mut before = 0;
        for (name, scope) in &self.0 {
            let (found, words) = match scope {
                CallScope::Whole => (Some(0), 1),
                CallScope::Only(only) => (only.iter().position(|one| one.allows(method, path)), only.len()),
            };
            if **name == *callee {
                return found.map(|found| before + found);
            }
            before += words;
        }
        None
    }
}

fn scope(raw: RawCallScope, key: &Key<'_>, reading: &mut Reading<'_>) -> CallScope {
    match raw {
        RawCallScope::Whole(true) => CallScope::Whole,
        RawCallScope::Whole(false) => {
            reading.wrong(key, "allows no request; remove it");
            CallScope::Only(Vec::new())
        }
        RawCallScope::Only(requests) => {
            if requests.is_empty() {
                reading.wrong(key, "allows no request; write some, like `[\"GET /api/*\"]`, or remove it");
            }
            CallScope::Only(reading.list(key, &requests).into_iter().map(|(_, request)| request).collect())
        }
    }
}

/// A path as a permission would name it: what looks like somebody's id is any segment.
fn without_ids(path: &str) -> String {
    let is_id = |segment: &str| {
        let hex = segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        !segment.is_empty() && hex && digits > 0 && (digits == segment.len() || segment.len() >= 16)
    };
    let plain = |segment| if is_id(segment) { "*" } else { segment };
    path.split('/').map(plain).collect::<Vec<_>>().join("/")
}

impl CallScope {
    /// What is left of it under a ceiling's.
    fn within(&self, ceiling: &Self) -> Option<Self> {
        match (self, ceiling) {
            (all, Self::Whole) | (Self::Whole, all) => Some(all.clone()),
            (Self::Only(these), Self::Only(those)) => {
                let both = super::meets(these, those, CallPattern::meet);
                (!both.is_empty()).then_some(Self::Only(both))
            }
        }
    }

    /// What of `need` it does not cover; none when it covers all.
    fn lacking(&self, need: &Self) -> Option<Self> {
        match (self, need) {
            (Self::Whole, _) => None,
            (Self::Only(_), Self::Whole) => Some(Self::Whole),
            (Self::Only(granted), Self::Only(needed)) => {
                let covered = |one: &CallPattern| granted.iter().any(|granted| granted.covers(one));
                let lacks: Vec<_> = needed.iter().filter(|one| !covered(one)).cloned().collect();
                (!lacks.is_empty()).then_some(Self::Only(lacks))
            }
        }
    }

    fn plus(&self, more: &Self) -> Self {
        match (self, more) {
            (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
            (Self::Only(these), Self::Only(those)) => Self::Only(super::union(these, those)),
        }
    }

    fn allows(&self, method: &Method, path: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Only(only) => only.iter().any(|one| one.allows(method, path)),
        }
    }
}

impl CallPattern {
    /// The requests that both allow.
    fn meet(&self, other: &Self) -> Option<Self> {
        let method = match (&self.method, &other.method) {
            (one, same) if one == same => one,
            (&Method::GET, head @ &Method::HEAD) | (head @ &Method::HEAD, &Method::GET) => head,
            _ => return None,
        };
        if self.path.split('/').count() != other.path.split('/').count() {
            return None;
        }
        let segment = |pair| match pair {
            ("*", "") | ("", "*") => None,
            ("*", one) | (one, "*") => Some(one),
            (one, same) if one == same => Some(one),
            _ => None,
        };
        let segments: Option<Vec<&str>> = self.path.split('/').zip(other.path.split('/')).map(segment).collect();
        Some(Self { method: method.clone(), path: segments?.join("/") })
    }

    /// Whether it allows every request that `other` does.
    fn covers(&self, other: &Self) -> bool {
        self.meet(other).as_ref() == Some(other)
    }

    /// `GET` allows `HEAD` too, as it does for routes.
    fn allows(&self, method: &Method, path: &str) -> bool {
        let method = self.method == *method || (self.method == Method::GET && *method == Method::HEAD);
        let (mut pattern, mut segments) = (self.path.split('/'), path.split('/'));
        method
            && loop {
                match (pattern.next(), segments.next()) {
                    (None, None) => break true,
                    (Some("*"), Some(segment)) if !segment.is_empty() => {}
                    (Some(wanted), Some(segment)) if wanted == segment && wanted != "*" => {}
                    _ => break false,
                }
            }
    }
}

impl FromStr for CallPattern {
    type Err = CallPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (method, path) = text.split_once(' ').ok_or_else(|| CallPatternError::Shape(text.to_owned()))?;
        let parsed = Method::from_bytes(method.as_bytes()).ok();
        let known = parsed.filter(|parsed| parsed.as_str().bytes().all(|byte| byte.is_ascii_uppercase()));
        let method = known.ok_or_else(|| CallPatternError::Method(method.to_owned()))?;
        let reason = |reason: String| CallPatternError::Path { path: path.to_owned(), reason };
        let normal = gateway::path::normal_form(path).map_err(|error| reason(error.to_string()))?;
        if normal != path {
            return Err(reason(format!("write `{normal}`")));
        }
        match path.split('/').any(|segment| segment.contains('*') && segment != "*") {
            true => Err(CallPatternError::InnerStar(path.to_owned())),
            false => Ok(Self { method, path: path.to_owned() }),
        }
    }
}

impl fmt::Display for CallPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Grants {
    /// The services this one may call, with some request at least.
    pub fn callees(&self) -> impl Iterator<Item = &Arc<str>> {
        self.left.call.0.keys()
    }

    /// Whether `callee` may be sent this request; `path` is in normal form and has no query.
    ///
    /// # Errors
    /// [`Denied`] names the line that would allow exactly this request.
    pub fn call(&self, callee: &str, method: &Method, path: &str) -> Result<Granted<CallGrant>, Denied> {
        let allowed = self.left.call.0.get_key_value(callee).filter(|(_, scope)| scope.allows(method, path));
        if let Some((callee, _)) = allowed {
            let need = || {
                let only = CallPattern { method: method.clone(), path: without_ids(path) };
                let scope = CallScope::Only(vec![only]);
                Permissions { call: Call([(callee.clone(), scope)].into()), ..Permissions::default() }
            };
            let index = self.written.call.position(callee, method, path);
            return Ok(self.granted(Call::KEY, index, need, CallGrant { callee: callee.clone() }));
        }
        let target = format!("{method} http://{callee}.internal{path}");
        let only = || format!("call = {{ {callee} = [\"{method} {path}\"] }}");
        Err(match self.written.call.0.get(callee) {
            Some(scope) => {
                let is_written = scope.allows(method, path);
                self.denied(target, format!("`call` covers other requests to `{callee}`"), only(), is_written)
            }
            None => {
                self.denied(target, format!("`call` does not name `{callee}`"), format!("call = [\"{callee}\"]"), false)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn grants() -> Grants {
        testing::grants(
            "orders",
            "call = { users = true, products = [\"POST /api/products/*/reserve\", \"GET /api/products\"] }",
        )
    }

    #[track_caller]
    fn check(request: &str, callee: &str, allowed: bool) {
        let (method, path) = request.split_once(' ').unwrap();
        let decision = grants().call(callee, &method.parse().unwrap(), path);
        assert_eq!(decision.is_ok(), allowed, "{callee} {request}");
    }

    #[test]
    fn a_callee_is_open_whole_or_for_the_requests_that_are_written() {
        check("DELETE /anything", "users", true);
        check("POST /api/products/7/reserve", "products", true);
        check("GET /api/products", "products", true);
        check("HEAD /api/products", "products", true);
        for other in [
            "GET /api/products/7/reserve",
            "POST /api/products//reserve",
            "POST /api/products/7/8/reserve",
            "POST /api/products/7/reserve/",
            "POST /api/products/7",
            "POST /api/products",
            "GET /api/products/",
            "GET /API/products",
        ] {
            check(other, "products", false);
        }
        check("GET /", "notifications", false);
    }

    #[test]
    fn a_denial_names_the_line_that_would_allow_exactly_this() {
        let denied = |callee: &str| grants().call(callee, &Method::GET, "/api/x/7").unwrap_err().to_string();
        assert_eq!(
            denied("carts"),
            "`orders` may not reach `GET http://carts.internal/api/x/7`: `call` does not name `carts`; to allow it, add \
             `call = [\"carts\"]` to `services.orders.permissions` in shop.toml"
        );
        assert!(
            denied("products").contains("add `call = { products = [\"GET /api/x/7\"] }`"),
            "{}",
            denied("products")
        );
    }

    #[test]
    fn a_pattern_is_a_method_and_a_path_in_normal_form() {
        for text in ["GET /", "POST /api/products/*/reserve", "DELETE /a/*"] {
            assert_eq!(text.parse::<CallPattern>().unwrap().to_string(), text);
        }
        for (text, says) in [
            ("/api", "is no request"),
            ("get /", "in capitals"),
            ("GET api", "not a path"),
            ("GET /a/../b", "`..` segment"),
            ("GET /%61", "write `/a`"),
            ("GET /a*b", "inside of one"),
            ("GET /**", "inside of one"),
        ] {
            let error = text.parse::<CallPattern>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
