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

/// A part, and what its service says of the path that is asked; null where it says nothing.
struct Part<'a> {
    part: &'a GatheredPart,
    /// As the service writes it.
    path: &'a str,
    item: &'a Value,
}

/// The path in the document, and what stands there. `document` has the parts already.
pub(super) fn described(gathered: &Gathered, document: &Value) -> (String, Value) {
    let parts: Vec<Part<'_>> = gathered.parts.iter().map(|part| Part::of(document, part)).collect();
    let mut get = json!({ "summary": "Gathered from several services", "tags": ["gathered"] });
    get["responses"] = responses(document, &parts);
    let parameters: Vec<Value> = names(&gathered.path).map(|name| parameter(document, name, &parts)).collect();
    get["parameters"] = parameters.into();
    if gathered.public {
        get["security"] = json!([]);
    } else if let Some(security) = parts.iter().find_map(|part| part.item["get"].get("security")) {
        get["security"] = security.clone();
    }
    (gathered.path.replace("{*", "{"), json!({ "get": get }))
}

impl<'a> Part<'a> {
    fn of(document: &'a Value, part: &'a GatheredPart) -> Self {
        let is_it = |(known, _): &(&String, &Value)| same_shape(known, asked(part));
        let item = document["paths"].as_object().and_then(|paths| paths.iter().find(is_it));
        let (path, item) = item.map_or(("", &Value::Null), |(path, item)| (path.as_str(), item));
        Self { part, path, item }
    }

    /// What it says of the parameter of its path that is filled with ours of this name: of all methods of
    /// the path, or of reading it.
    fn parameter(&self, document: &'a Value, name: &str) -> Option<&'a Value> {
        let place = asked(self.part).split('/').position(|part| name_in(part) == Some(name))?;
        let its = self.path.split('/').nth(place).and_then(name_in)?;
        let said = [&self.item["get"]["parameters"], &self.item["parameters"]];
        let mut said = said.into_iter().filter_map(Value::as_array).flatten().map(|said| followed(document, said));
        said.find(|said| said["in"] == "path" && said["name"] == its)
    }
}

/// The path of what is asked.
fn asked(part: &GatheredPart) -> &str {
    part.from.split('?').next().unwrap_or_default()
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
    for Part { part, item, .. } in parts {
        data.insert(part.name.clone(), data_of(document, &item["get"]["responses"]["200"]));
    }
    let required: Vec<&str> = parts.iter().map(|Part { part, .. }| part.name.as_str()).collect();
    let optional: Vec<&str> =
        parts.iter().filter(|Part { part, .. }| part.optional).map(|Part { part, .. }| &*part.name).collect();
    if !optional.is_empty() {
        data.insert("partial".to_owned(), json!({ "type": "array", "items": { "enum": optional } }));
    }
    let data = json!({ "type": "object", "required": required, "properties": data });
    let schema = json!({
        "type": "object",
        "required": ["success", "data"],
        "properties": { "success": { "const": true }, "data": data },
    });
    let mut all = Map::new();
    let is_any_needed = optional.len() < parts.len();
    let failing = parts.iter().filter(|Part { part, .. }| !part.optional || !is_any_needed);
    for Part { item, .. } in failing {
        for (status, response) in item["get"]["responses"].as_object().into_iter().flatten() {
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
    let known = parts.iter().find_map(|part| part.parameter(document, name)).cloned();
    let mut known = known.unwrap_or_else(|| json!({ "in": "path", "required": true, "schema": { "type": "string" } }));
    known["name"] = name.into();
    known
}

/// The names in a path: `{id}`, `{*rest}`.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(name_in)
}

fn name_in(segment: &str) -> Option<&str> {
    let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.trim_start_matches('*'))
}

/// What a reference leads to, once; a value that is none is itself.
fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let reference = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}
