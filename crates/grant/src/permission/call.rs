//! `permissions.call`: which services a service may call, and with which requests.
//!
//! Judges methods and paths in the gateway's normal form. Whether a callee is there, and what it
//! answers, is decided elsewhere.

mod pattern;

use std::{collections::BTreeMap, sync::Arc};

use document::source::Key;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Permission, Reading, both, list_of, named, table_of};
use crate::{Denied, Granted, Grants, Import, Permissions};

pub use pattern::{CallPattern, CallPatternError};

/// Services by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call(pub BTreeMap<Arc<str>, CallScope>);

/// How far a service may use another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallScope {
    Whole,
    Only(Vec<CallPattern>),
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
    const EXAMPLE: &'static str = "call = [\"SERVICE\"]";
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

    fn is_asked_by(import: Import<'_>) -> bool {
        import.is_outgoing_http()
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
                let only = CallPattern::of(method, path);
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
}
