//! Which methods an OpenAPI document says a path has: for a test that holds it to the routes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Methods by path. `HEAD` is `GET` and is not named.
pub type Methods = BTreeMap<String, BTreeSet<String>>;

/// What `document` says.
///
/// # Panics
/// When it is no OpenAPI document: it is a service's own, and this is for its tests.
pub fn documented(document: &str) -> Methods {
    let document: Value = serde_json::from_str(document).expect("an OpenAPI document is JSON");
    let paths: BTreeMap<String, Map<String, Value>> =
        serde_json::from_value(document["paths"].clone()).expect("an OpenAPI document has paths");
    let methods = |item: Map<String, Value>| {
        item.keys().filter(|key| *key != "parameters").map(|method| method.to_uppercase()).collect()
    };
    paths.into_iter().map(|(path, item)| (path, methods(item))).collect()
}

/// What there is: of [`Routes::list`](crate::Routes::list).
pub fn existing(routes: impl Iterator<Item = (&'static str, String)>) -> Methods {
    let methods = |allow: String| allow.split(", ").filter(|method| *method != "HEAD").map(str::to_owned).collect();
    routes.map(|(path, allow)| (path.to_owned(), methods(allow))).collect()
}
