//! Routes that cannot stand beside each other.
//!
//! Two routes conflict when they have the same host, the same path but for names, and a method in
//! common while neither is more specific: both list it, or both take any. A route that lists
//! methods beside one that takes any is no conflict: the list wins. No other pair can shadow a
//! route: a more specific path always leaves paths over (`{name}` and `{*rest}` match endlessly
//! many), and a pattern that never matches alone is already refused when it is read.

use std::{collections::HashMap, fmt};

use http::Method;

use crate::route::{Methods, Route};

/// Two routes of which one could never be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("routes {first} and {second} take the same requests: {}; remove one or give them different `methods`", Pair(.first_text, .second_text))]
pub struct Conflict {
    /// Index of the earlier one.
    pub first: usize,
    /// Index of the later one.
    pub second: usize,
    pub first_text: String,
    pub second_text: String,
}

/// Every pair that conflicts with the first of its kind, by the second's index.
pub fn conflicts<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Vec<Conflict> {
    let mut groups: HashMap<_, Vec<(usize, &Route)>> = HashMap::new();
    let mut conflicts = Vec::new();
    for (second, route) in routes.into_iter().enumerate() {
        let group = groups.entry((route.host.as_ref(), route.path.shape())).or_default();
        match group.iter().find(|(_, earlier)| overlap(&earlier.methods, &route.methods)) {
            Some((first, earlier)) => conflicts.push(Conflict {
                first: *first,
                second,
                first_text: earlier.to_string(),
                second_text: route.to_string(),
            }),
            // Only routes that stand are kept, so a group never outgrows the methods there are.
            None => group.push((second, route)),
        }
    }
    conflicts
}

fn overlap(one: &Methods, other: &Methods) -> bool {
    match (one, other) {
        (Methods::Any, Methods::Any) => true,
        (Methods::Only(_), Methods::Only(_)) => one.listed().iter().any(|method: &Method| other.takes(method)),
        (Methods::Any, Methods::Only(_)) | (Methods::Only(_), Methods::Any) => false,
    }
}

/// `` `GET /a` `` or `` `GET /{a}` and `GET /{b}` ``.
struct Pair<'a>(&'a str, &'a str);

impl fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 { write!(f, "`{}`", self.0) } else { write!(f, "`{}` and `{}`", self.0, self.1) }
    }
}
