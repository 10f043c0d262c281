//! What a new project says of itself in `GET /openapi.json`, held to what it answers.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use crate::{
    harness::Command,
    openapi::{assert_matches, every_reference_leads_somewhere, followed, operations},
};

/// The document, then an answer of each route.
const ASK: &str = r#"
set -e
ask() { curl -sS -H 'content-type: application/json' "$@"; echo; }
ask "$ARCHIPEL_URL/openapi.json"
ask "$ARCHIPEL_URL/"
ask -d '{"text":"tea"}' "$ARCHIPEL_URL/notes"
ask -d '{}' "$ARCHIPEL_URL/notes"
ask "$ARCHIPEL_URL/notes"
ask -X POST "$ARCHIPEL_URL/visits"
ask -X POST "$ARCHIPEL_URL/events"
"#;

/// What is asked above, and by which status each is answered.
const ROUTES: [(&str, &str, &str); 6] = [
    ("/", "get", "200"),
    ("/notes", "post", "201"),
    ("/notes", "post", "400"),
    ("/notes", "get", "200"),
    ("/visits", "post", "200"),
    ("/events", "post", "200"),
];

/// Built already.
#[track_caller]
pub(super) fn a_project_describes_what_it_answers(project: &Path) {
    let manifest = project.join("archipel.toml");
    let done = Command::new(&["test", "--no-build", manifest.to_str().unwrap(), "--", "sh", "-c", ASK]).done();
    assert_eq!(done.code, 0, "{}{}", done.output, done.errors);
    let said: Vec<Value> = done.output.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let (document, answers) = said.split_first().unwrap();

    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")), "{document}");
    every_reference_leads_somewhere(document, document);
    let described: BTreeSet<_> = operations(document).collect();
    let pages = ["/.well-known/jwks.json", "/health", "/health/live", "/health/ready", "/openapi.json"];
    let routes = ROUTES.map(|(path, method, _)| (path, method));
    let answered: BTreeSet<_> = pages.map(|page| (page, "get")).into_iter().chain(routes).collect();
    assert_eq!(described, answered, "{document}");
    let ids: BTreeSet<_> = routes.map(|(path, method)| document["paths"][path][method]["operationId"].as_str()).into();
    assert_eq!(ids.len(), 5, "each has its own: {ids:?}");

    assert_eq!(answers.len(), ROUTES.len(), "{answers:?}");
    for ((path, method, status), answer) in ROUTES.into_iter().zip(answers) {
        let responses = &document["paths"][path][method]["responses"];
        let response = match &responses[status] {
            Value::Null if status.starts_with('2') => followed(document, &responses["2XX"]),
            described => followed(document, described),
        };
        assert!(response["description"].is_string(), "{method} {path} {status}: {responses}");
        if let Value::Object(_) = response["content"] {
            let schema = &response["content"]["application/json"]["schema"];
            assert_matches(document, schema, answer, &format!("{method} {path} {status}"));
        }
    }
    the_types_of_a_note(document);
}

#[track_caller]
fn the_types_of_a_note(document: &Value) {
    let notes = &document["paths"]["/notes"];
    let schema = |content: &Value| followed(document, &content["application/json"]["schema"]).clone();
    let new = schema(&notes["post"]["requestBody"]["content"]);
    assert_eq!(new["required"][0], "text", "{new}");
    let text = &new["properties"]["text"];
    assert_eq!(text["type"], "string", "{new}");
    assert_eq!(text["maxLength"], 1000, "{new}");
    let list = schema(&notes["get"]["responses"]["200"]["content"]);
    let note = followed(document, &list["items"]);
    let types = ["id", "text", "madeAt"].map(|name| note["properties"][name]["type"].as_str());
    assert_eq!(types, [Some("integer"), Some("string"), Some("string")], "{list}");
    assert_eq!(note["properties"]["madeAt"]["format"], "date-time", "{list}");
}
