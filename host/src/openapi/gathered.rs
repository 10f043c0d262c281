//! Answers that the gateway puts together, described by what their parts say of themselves.

use serde_json::{Map, Value, json};

/// A route that is gathered.
pub struct Gathered {
    /// As a manifest writes it: `/api/users/{id}/profile`.
    pub path: String,
    pub public: bool,
    pub parts: Vec<GatheredPart>,
}

/// What one member of its `data` comes from.
pub struct GatheredPart {
    pub name: String,
    /// What is asked, perhaps with a query.
    pub from: String,
    /// It may be missing.
    pub optional: bool,
}

/// A part, and what it says of being read.
type Part<'a> = (&'a GatheredPart, &'a Value);

/// The path in the document, and what stands there. `document` has the parts already.
pub(super) fn described(gathered: &Gathered, document: &Value) -> (String, Value) {
    let parts: Vec<Part<'_>> = gathered.parts.iter().map(|part| (part, operation(document, &part.from))).collect();
    let mut get = json!({ "summary": "Gathered from several services", "tags": ["gathered"] });
    get["responses"] = responses(document, &parts);
    let parameters: Vec<Value> = names(&gathered.path).map(|name| parameter(document, name, &parts)).collect();
    get["parameters"] = parameters.into();
    if gathered.public {
        get["security"] = json!([]);
    } else if let Some(security) = parts.iter().find_map(|(_, operation)| operation.get("security")) {
        get["security"] = security.clone();
    }
    (gathered.path.replace("{*", "{"), json!({ "get": get }))
}

/// What a part says of being read, with what it says of all methods of its path; nothing if it says nothing.
fn operation<'a>(document: &'a Value, from: &str) -> &'a Value {
    let path = from.split('?').next().unwrap_or_default();
    let is_it = |(known, _): &(&String, &Value)| same_shape(known, path);
    let item = document["paths"].as_object().and_then(|paths| paths.iter().find(is_it));
    item.map_or(&Value::Null, |(_, item)| &item["get"])
}

/// Whether two paths are the same but for the names of their parameters.
fn same_shape(a: &str, b: &str) -> bool {
    let shape = |path: &str| -> Vec<String> {
        path.split('/').map(|part| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() }).collect()
    };
    shape(a) == shape(b)
}

/// The whole answer, and the failures of parts without which there is none.
fn responses(document: &Value, parts: &[Part<'_>]) -> Value {
    let mut data: Map<String, Value> = Map::new();
    for (part, operation) in parts {
        data.insert(part.name.clone(), data_of(document, &operation["responses"]["200"]));
    }
    let required: Vec<&str> = parts.iter().map(|(part, _)| part.name.as_str()).collect();
    if parts.iter().any(|(part, _)| part.optional) {
        let optional: Vec<&str> = parts.iter().filter(|(part, _)| part.optional).map(|(part, _)| &*part.name).collect();
        data.insert("partial".to_owned(), json!({ "type": "array", "items": { "enum": optional } }));
    }
    let data = json!({ "type": "object", "required": required, "properties": data });
    let schema = json!({
        "type": "object",
        "required": ["success", "data"],
        "properties": { "success": { "const": true }, "data": data },
    });
    let mut all = Map::new();
    let is_any_needed = parts.iter().any(|(part, _)| !part.optional);
    let failing = parts.iter().filter(|(part, _)| !part.optional || !is_any_needed);
    for (_, operation) in failing {
        for (status, response) in operation["responses"].as_object().into_iter().flatten() {
            if !status.starts_with('2') {
                all.entry(status.clone()).or_insert_with(|| response.clone());
            }
        }
    }
    let whole = json!({ "description": "All parts", "content": { "application/json": { "schema": schema } } });
    all.insert("200".to_owned(), whole);
    Value::Object(all)
}

/// The schema of `data` in an answer; anything where none is found.
fn data_of(document: &Value, response: &Value) -> Value {
    let response = followed(document, response);
    let schema = followed(document, &response["content"]["application/json"]["schema"]);
    let all = schema["allOf"].as_array().into_iter().flatten().map(|part| followed(document, part));
    let mut data = std::iter::once(schema).chain(all).filter_map(|schema| schema["properties"].get("data"));
    data.next().cloned().unwrap_or_else(|| json!({}))
}

/// As a part describes it; else a text.
fn parameter(document: &Value, name: &str, parts: &[Part<'_>]) -> Value {
    let known = parts.iter().find_map(|(_, operation)| {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut parameters = parameters.map(|parameter| followed(document, parameter));
        parameters.find(|parameter| parameter["in"] == "path" && parameter["name"] == name).cloned()
    });
    known.unwrap_or_else(|| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
}

/// The names in a path: `{id}`, `{*rest}`.
fn names(path: &str) -> impl Iterator<Item = &str> {
    let inner = |part: &'_ str| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')).is_some();
    path.split('/').filter(move |part| inner(part)).map(|part| part.trim_matches(['{', '}', '*']))
}

/// What a reference leads to, once; a value that is none is itself.
fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let reference = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}
