//! Which services a service may call, and with which requests: `permissions.call`.
//!
//! Judges methods and paths in the gateway's normal form. Whether a callee is there, and what it
//! answers, is decided elsewhere.

use std::{fmt, str::FromStr, sync::Arc};

use http::Method;

use super::{Denial, Fix, Granted, Grants};

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

impl CallScope {
    /// What is left of it under a ceiling's.
    pub(super) fn within(&self, ceiling: &Self) -> Option<Self> {
        match (self, ceiling) {
            (all, Self::Whole) | (Self::Whole, all) => Some(all.clone()),
            (Self::Only(these), Self::Only(those)) => {
                let both: Vec<_> =
                    these.iter().flat_map(|one| those.iter().filter_map(|other| one.meet(other))).collect();
                (!both.is_empty()).then_some(Self::Only(both))
            }
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
        self.permissions.call.keys()
    }

    /// Whether every request of `pattern` may be sent to `callee`.
    pub fn covers_call(&self, callee: &str, pattern: &CallPattern) -> bool {
        match self.permissions.call.get(callee) {
            Some(CallScope::Whole) => true,
            Some(CallScope::Only(only)) => only.iter().any(|one| one.allows(&pattern.method, &pattern.path)),
            None => false,
        }
    }

    /// Whether `callee` may be sent this request; `path` is in normal form and has no query.
    ///
    /// # Errors
    /// [`Denial`] names the line that would allow exactly this request.
    pub fn call(&self, callee: &str, method: &Method, path: &str) -> Result<Granted<CallGrant>, Denial> {
        let is_written = self.written.call.get(callee).is_some_and(|scope| scope.allows(method, path));
        let word = self.word(is_written);
        let denied = |rule: String, line: String| Denial {
            service: self.service.clone(),
            target: format!("{method} http://{callee}.internal{path}"),
            rule,
            fix: Fix::add(line, word.clone()),
        };
        let allowed = self.permissions.call.get_key_value(callee).filter(|(_, scope)| scope.allows(method, path));
        if let Some((callee, _)) = allowed {
            return Ok(Granted(CallGrant { callee: callee.clone() }));
        }
        match self.written.call.get(callee) {
            Some(scope) if scope.allows(method, path) => {
                let only = format!("call = {{ {callee} = [\"{method} {path}\"] }}");
                Err(denied(word.rule().unwrap_or_default(), only))
            }
            Some(_) => Err(denied(
                format!("`call` covers other requests to `{callee}`"),
                format!("call = {{ {callee} = [\"{method} {path}\"] }}"),
            )),
            None => Err(denied(format!("`call` does not name `{callee}`"), format!("call = [\"{callee}\"]"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Permissions;

    fn grants() -> Grants {
        let only = ["POST /api/products/*/reserve", "GET /api/products"].map(|text| text.parse().unwrap());
        let call =
            BTreeMap::from([("users".into(), CallScope::Whole), ("products".into(), CallScope::Only(only.to_vec()))]);
        Grants::new("orders".into(), "shop.toml".into(), Permissions { call, ..Permissions::default() })
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
