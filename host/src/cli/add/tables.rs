//! A service's table and a route's, at the end of those that are there.

use anyhow::{Context, bail};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use crate::cli::new::Built;

/// A route that is wanted.
pub(super) struct Route {
    pub(super) path: String,
    pub(super) service: String,
    pub(super) methods: Vec<String>,
    pub(super) host: Option<String>,
    pub(super) limit: Option<String>,
    pub(super) public: bool,
}

/// Adds `[services.NAME]` and its route; what was written.
///
/// # Errors
/// When the manifest has services or routes in a form that is edited by hand only.
pub(super) fn service(document: &mut DocumentMut, name: &str, built: &Built) -> anyhow::Result<String> {
    let mut own = Table::new();
    own.insert("component", text(&built.component));
    own.insert("build", text(&built.build));
    own.insert("version", text("0.1.0"));
    own.insert("limits", built.limits.parse::<Value>().map(Item::Value).context("limits of the template")?);
    let written = format!("[services.{name}]\n{own}");
    let services = document.entry("services").or_insert_with(|| {
        let mut services = Table::new();
        services.set_implicit(true);
        Item::Table(services)
    });
    let services = services.as_table_mut().context("`services` is no table of tables; add it by hand")?;
    services.insert(name, Item::Table(own));
    let path = format!("/{name}/{{*rest}}");
    let route = Route { path, service: name.to_owned(), methods: vec![], host: None, limit: None, public: true };
    Ok(format!("{written}\n{}", self::route(document, &route)?))
}

/// Adds a `[[routes]]`; what was written.
///
/// # Errors
/// When there is one for the same requests.
pub(super) fn route(document: &mut DocumentMut, route: &Route) -> anyhow::Result<String> {
    let empty = || Item::ArrayOfTables(ArrayOfTables::new());
    let routes = document.entry("routes").or_insert_with(empty);
    let known: Vec<&dyn TableLike> = match &*routes {
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table as &dyn TableLike).collect(),
        Item::Value(Value::Array(list)) => {
            list.iter().filter_map(Value::as_inline_table).map(|table| table as _).collect()
        }
        _ => bail!("`routes` is no list of tables"),
    };
    if let Some(other) = known.into_iter().find(|known| is_same(*known, route)) {
        let service = other.get("service").and_then(Item::as_str).unwrap_or("something else");
        bail!("there is a route for {} already, to `{service}`; change it, or give it other methods", route.path);
    }
    let own = table(route);
    let written = format!("[[routes]]\n{own}");
    match routes {
        Item::ArrayOfTables(tables) => tables.push(own),
        Item::Value(Value::Array(list)) => list.push(own.into_inline_table()),
        _ => bail!("`routes` is no list of tables"),
    }
    Ok(written)
}

/// Whether a route takes some of the requests of another of the same path and host.
fn is_same(known: &dyn TableLike, route: &Route) -> bool {
    let text = |key: &str| known.get(key).and_then(Item::as_str);
    let methods = known.get("methods").and_then(Item::as_array);
    let shared = match methods {
        Some(methods) if !route.methods.is_empty() => {
            methods.iter().filter_map(Value::as_str).any(|method| route.methods.iter().any(|own| own == method))
        }
        // One for some methods and one for all others live beside each other.
        methods => methods.is_none() == route.methods.is_empty(),
    };
    text("path") == Some(&route.path) && text("host") == route.host.as_deref() && shared
}

fn table(route: &Route) -> Table {
    let mut own = Table::new();
    own.insert("path", text(&route.path));
    if let Some(host) = &route.host {
        own.insert("host", text(host));
    }
    if !route.methods.is_empty() {
        own.insert("methods", Item::Value(route.methods.iter().map(String::as_str).collect::<Array>().into()));
    }
    own.insert("service", text(&route.service));
    if let Some(limit) = &route.limit {
        own.insert("limit", text(limit));
    }
    if route.public {
        own.insert("public", Item::Value(true.into()));
    }
    own
}

fn text(text: &str) -> Item {
    Item::Value(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(path: &str, methods: &[&str]) -> Route {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        Route { path: path.to_owned(), service: "a".to_owned(), methods, host: None, limit: None, public: true }
    }

    #[test]
    fn a_route_comes_last_and_nothing_else_moves() {
        let before = "# Routes.\n[[routes]]\npath = \"/\" # all\nservice = \"a\"\n\n[gateway] # the end\n";
        let mut document: DocumentMut = before.parse().unwrap();
        let written = route(&mut document, &wanted("/b", &["GET"])).unwrap();
        assert_eq!(written, "[[routes]]\npath = \"/b\"\nmethods = [\"GET\"]\nservice = \"a\"\npublic = true\n");
        let after = before.replace("\n[gateway]", &format!("\n{written}\n[gateway]"));
        assert_eq!(document.to_string(), after);
    }

    #[test]
    fn two_routes_for_the_same_requests_are_refused() {
        let mut document: DocumentMut =
            "[[routes]]\npath = \"/b\"\nmethods = [\"GET\"]\nservice = \"x\"\n".parse().unwrap();
        let mut add = |path: &str, methods: &[&str]| route(&mut document, &wanted(path, methods)).map(drop);
        assert!(add("/b", &["GET", "POST"]).unwrap_err().to_string().contains("for /b already, to `x`"));
        assert!(add("/b", &[]).is_ok());
        assert!(add("/b", &["POST"]).is_ok());
        assert!(add("/b", &[]).is_err());
        assert!(add("/c", &["GET"]).is_ok());
    }

    #[test]
    fn a_service_comes_after_the_others_with_a_route_of_its_own() {
        let before = "name = \"x\"\n\n[services.a]\ncomponent = \"a.wasm\"\n\n[services.a.permissions]\nsockets = true\n\n[[routes]]\npath = \"/\"\nservice = \"a\"\n";
        let mut document: DocumentMut = before.parse().unwrap();
        let built =
            Built { component: "b/b.wasm".to_owned(), build: "make".to_owned(), limits: "{ memory = \"1MiB\" }" };
        service(&mut document, "b", &built).unwrap();
        let text = document.to_string();
        let (a, b) = (text.find("[services.a.permissions]").unwrap(), text.find("[services.b]").unwrap());
        let (first, own) = (text.find("path = \"/\"\n").unwrap(), text.find("path = \"/b/{*rest}\"").unwrap());
        assert!(a < b && b < first && first < own, "{text}");
        assert!(text.contains("build = \"make\"\nversion = \"0.1.0\"\nlimits = { memory = \"1MiB\" }\n"), "{text}");
    }

    #[test]
    fn routes_in_one_line_stay_so() {
        let mut document: DocumentMut = "routes = [{ path = \"/\", service = \"a\" }]\n".parse().unwrap();
        route(&mut document, &wanted("/b", &[])).unwrap();
        assert_eq!(document["routes"].as_array().map(Array::len), Some(2), "{document}");
        assert!(document["routes"].as_array().unwrap().get(1).is_some_and(Value::is_inline_table));
    }
}
