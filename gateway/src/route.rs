//! One route as a manifest states it: host, path and methods, and the limits of what it leads to.
//!
//! Decides what a route may say and which methods it takes. Which route wins is decided in
//! `router`; nothing here looks at a request's path.

mod host;
mod pattern;

use std::{fmt, time::Duration};

use http::Method;

pub(crate) use host::HostMatch;
pub use host::{HostPattern, HostPatternError};
pub(crate) use pattern::Segment;
pub use pattern::{PathPattern, PathPatternError};

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
    /// An answer may take as long as it likes, and become another protocol, as long as it goes on: it is silent
    /// for so long at most. Only its head has a deadline.
    pub stream: Option<Duration>,
}

/// `None` of a method list means every method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// Every method but `OPTIONS`, `TRACE` and `CONNECT`, which nobody gets by accident.
    Any,
    /// Not empty, no duplicates. `GET` also takes `HEAD`.
    Only(Vec<Method>),
}

/// Why a list of methods is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MethodsError {
    #[error("`methods` is empty; leave it out to take every method")]
    Empty,

    #[error("`{0}` is no method; methods are written in capitals, such as `GET`")]
    NotAMethod(String),

    #[error("`{0}` is never forwarded; remove it")]
    NeverForwarded(Method),

    #[error("`{0}` stands twice; remove one")]
    Twice(Method),
}

impl Methods {
    /// Reads a manifest's list.
    ///
    /// # Errors
    /// Any [`MethodsError`]; the first mistake of the list.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, MethodsError> {
        let mut methods = Vec::new();
        for word in words {
            if word.is_empty() || word.len() > 32 || !word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
            {
                return Err(MethodsError::NotAMethod(word.to_owned()));
            }
            let method: Method = word.parse().map_err(|_invalid| MethodsError::NotAMethod(word.to_owned()))?;
            if matches!(method, Method::CONNECT | Method::TRACE) {
                return Err(MethodsError::NeverForwarded(method));
            }
            if methods.contains(&method) {
                return Err(MethodsError::Twice(method));
            }
            methods.push(method);
        }
        if methods.is_empty() { Err(MethodsError::Empty) } else { Ok(Self::Only(methods)) }
    }

    pub fn takes(&self, method: &Method) -> bool {
        match self {
            Self::Any => !matches!(*method, Method::OPTIONS | Method::TRACE | Method::CONNECT),
            Self::Only(methods) => {
                methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET))
            }
        }
    }

    /// What a 405 names in `Allow`: for [`Methods::Any`] the methods of RFC 9110 and 5789.
    pub fn listed(&self) -> Vec<Method> {
        match self {
            Self::Any => {
                vec![Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
            }
            Self::Only(methods) => {
                let mut listed = methods.clone();
                if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
                    listed.push(Method::HEAD);
                }
                listed
            }
        }
    }
}

/// `GET,POST api.shop.test/users/{id}`: for logs and messages.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Methods::Only(methods) = &self.methods {
            let mut methods = methods.iter();
            if let Some(first) = methods.next() {
                f.write_str(first.as_str())?;
            }
            methods.try_for_each(|method| write!(f, ",{method}"))?;
            f.write_str(" ")?;
        }
        if let Some(host) = &self.host {
            write!(f, "{host}")?;
        }
        write!(f, "{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_list_names_real_methods_once() {
        assert_eq!(Methods::parse(["GET", "PURGE"]).unwrap().listed().len(), 3);
        assert_eq!(Methods::parse([]), Err(MethodsError::Empty));
        assert_eq!(Methods::parse(["get"]), Err(MethodsError::NotAMethod("get".into())));
        assert_eq!(Methods::parse(["G T"]), Err(MethodsError::NotAMethod("G T".into())));
        assert_eq!(Methods::parse(["TRACE"]), Err(MethodsError::NeverForwarded(Method::TRACE)));
        assert_eq!(Methods::parse(["PUT", "PUT"]), Err(MethodsError::Twice(Method::PUT)));
    }

    #[test]
    fn get_takes_head_and_options_must_be_named() {
        let get = Methods::Only(vec![Method::GET]);
        assert!(get.takes(&Method::GET) && get.takes(&Method::HEAD) && !get.takes(&Method::POST));
        assert!(Methods::Any.takes(&Method::PATCH) && !Methods::Any.takes(&Method::OPTIONS));
        assert!(Methods::Only(vec![Method::OPTIONS]).takes(&Method::OPTIONS));
        assert!(!Methods::Only(vec![Method::HEAD]).takes(&Method::GET));
    }
}
