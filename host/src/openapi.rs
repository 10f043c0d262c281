//! One OpenAPI document for the system, from what its components say of themselves.
//!
//! Each component may carry a document with its own paths (`archipel:openapi`). They are put
//! together here, with the host's own pages and the answers that the gateway gathers; a component whose part cannot be read is left out and named in the log, since
//! a description is no reason not to serve.

mod gathered;
mod own;

use serde_json::{Map, Value, json};

pub use gathered::{Gathered, GatheredPart};

/// The parts of one service.
pub struct Part<'a> {
    pub service: &'a str,
    pub document: &'a str,
}

/// The whole document: the first that names a path describes it, the host before all services.
pub fn merge(title: &str, version: &str, parts: &[Part<'_>], gathered: &[Gathered]) -> Value {
    let mut paths = own::paths();
    let mut components: Map<String, Value> = Map::new();
    for part in parts {
        match serde_json::from_str::<Value>(part.document) {
            Ok(Value::Object(document)) => add(&mut paths, &mut components, part.service, document),
            Ok(_) => tracing::warn!(service = part.service, "its OpenAPI part is no object and is left out"),
            Err(error) => tracing::warn!(service = part.service, %error, "its OpenAPI part is no JSON and is left out"),
        }
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": version },
        "paths": paths,
        "components": components,
    });
    for gathered in gathered {
        let (path, item) = gathered::described(gathered, &document);
        document["paths"][path] = item;
    }
    document
}

fn add(
    paths: &mut Map<String, Value>,
    components: &mut Map<String, Value>,
    service: &str,
    mut document: Map<String, Value>,
) {
    rename_clashes(components, service, &mut document);
    for (kind, own) in object(document.remove("components")) {
        let all = components.entry(kind).or_insert_with(|| json!({}));
        if let Value::Object(all) = all {
            all.extend(object(Some(own)));
        }
    }
    for (path, item) in object(document.remove("paths")) {
        paths.entry(path).or_insert(item);
    }
}

/// A name that another service uses for something else gets this service's name in front,
/// in the document and in every reference to it.
fn rename_clashes(components: &Map<String, Value>, service: &str, document: &mut Map<String, Value>) {
    let mut clashes = Vec::new();
    if let Some(Value::Object(own)) = document.get("components") {
        for (kind, items) in own {
            for (name, item) in items.as_object().into_iter().flatten() {
                let other = components.get(kind).and_then(|all| all.get(name));
                if other.is_some_and(|other| other != item) {
                    clashes.push((kind.clone(), name.clone()));
                }
            }
        }
    }
    for (kind, name) in clashes {
        let renamed = format!("{service}.{name}");
        if let Some(Value::Object(items)) = document.get_mut("components").and_then(|own| own.get_mut(&kind))
            && let Some(item) = items.remove(&name)
        {
            items.insert(renamed.clone(), item);
        }
        let (from, to) = (format!("#/components/{kind}/{name}"), format!("#/components/{kind}/{renamed}"));
        document.values_mut().for_each(|value| replace(value, &from, &to));
    }
}

fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, from, to)),
        _ => {}
    }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_with_one_name_for_two_things_both_keep_theirs() {
        let document = |path: &str, kind: &str| {
            format!(
                r##"{{"paths":{{"{path}":{{"get":{{"$ref":"#/components/schemas/Item"}}}}}},"components":{{"schemas":{{"Item":{{"type":"{kind}"}}}}}}}}"##
            )
        };
        let (a, b) = (document("/a", "string"), document("/b", "number"));
        let parts = [Part { service: "a", document: &a }, Part { service: "b", document: &b }];
        let merged = merge("shop", "1", &parts, &[]);
        assert_eq!(merged["components"]["schemas"]["Item"]["type"], "string");
        assert_eq!(merged["components"]["schemas"]["b.Item"]["type"], "number");
        assert_eq!(merged["paths"]["/b"]["get"]["$ref"], "#/components/schemas/b.Item");
    }

    #[test]
    fn a_part_that_cannot_be_read_leaves_the_others() {
        let good = r#"{"paths":{"/a":{}}}"#;
        let parts = [Part { service: "bad", document: "{" }, Part { service: "good", document: good }];
        assert!(merge("shop", "1", &parts, &[])["paths"]["/a"].is_object());
    }

    #[test]
    fn a_gathered_answer_is_described_by_its_parts() {
        let user = r##"{"paths":{"/users/{id}":{
            "parameters":[{"name":"id","in":"path","required":true,"schema":{"format":"uuid"}}],
            "get":{"security":[{"bearer":[]}],"responses":{"200":{"content":{"application/json":{"schema":{"allOf":[{"type":"object"},
            {"properties":{"data":{"$ref":"#/components/schemas/User"}}}]}}}},"404":{"description":"none"}}}}},
            "components":{"schemas":{"User":{"type":"object"}}}}"##;
        let part = |name: &str, from: &str, optional| GatheredPart { name: name.into(), from: from.into(), optional };
        let gathered = Gathered {
            path: "/users/{user}/whole/{id}".into(),
            public: false,
            parts: vec![part("user", "/users/{user}", false), part("pets", "/pets?of={user}", true)],
        };
        let merged = merge("shop", "1", &[Part { service: "users", document: user }], &[gathered]);
        let get = &merged["paths"]["/users/{user}/whole/{id}"]["get"];
        let data = &get["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"];
        assert_eq!(data["required"], json!(["user", "pets"]));
        assert_eq!(data["properties"]["user"], json!({ "$ref": "#/components/schemas/User" }));
        assert_eq!(data["properties"]["partial"]["items"]["enum"], json!(["pets"]));
        assert_eq!(get["responses"]["404"]["description"], "none");
        assert_eq!(get["security"], json!([{ "bearer": [] }]));
        // By its place in what is asked, whatever the service calls it.
        let id = json!({ "name": "user", "in": "path", "required": true, "schema": { "format": "uuid" } });
        assert_eq!(get["parameters"][0], id);
        assert_eq!(
            (&get["parameters"][1]["name"], &get["parameters"][1]["schema"]),
            (&json!("id"), &json!({ "type": "string" }))
        );
    }
}
