//! The pages of the host itself, for the document.

use serde_json::{Map, Value, json};

/// By path. Every one is only read, and by anybody.
pub(super) fn paths() -> Map<String, Value> {
    let pages = [
        ("/health", page("Whether all works", vec![("200", report("It works")), ("503", report("It does not"))])),
        ("/health/ready", page("Whether to send requests", vec![("200", report("Yes")), ("503", report("Not now"))])),
        ("/health/live", page("Whether the process works", vec![("200", answer("It does", &alive()))])),
        (
            "/openapi.json",
            page("This document", vec![("200", answer("The document", &members(&["openapi", "paths"])))]),
        ),
        ("/.well-known/jwks.json", page("The public keys of tokens", vec![("200", answer("The keys", &key_set()))])),
    ];
    pages.into_iter().map(|(path, page)| (path.to_owned(), page)).collect()
}

fn page(summary: &str, responses: Vec<(&str, Value)>) -> Value {
    let responses: Map<String, Value> =
        responses.into_iter().map(|(status, response)| (status.to_owned(), response)).collect();
    json!({ "get": { "summary": summary, "tags": ["host"], "security": [], "responses": responses } })
}

fn answer(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn members(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}

fn alive() -> Value {
    json!({ "type": "object", "required": ["status"], "properties": { "status": { "const": "alive" } } })
}

fn report(description: &str) -> Value {
    let statuses = json!({ "enum": ["healthy", "degraded", "unhealthy", "shutting_down"] });
    let schema = json!({
        "type": "object",
        "required": ["status", "service", "version", "uptime", "checks"],
        "properties": {
            "status": statuses,
            "service": { "type": "string" },
            "version": { "type": "string" },
            "uptime": { "type": "integer", "minimum": 0 },
            "checks": { "type": "object" },
        },
    });
    answer(description, &schema)
}

fn key_set() -> Value {
    let keys = json!({ "type": "array", "items": { "type": "object", "required": ["kty"] } });
    json!({ "type": "object", "required": ["keys"], "properties": { "keys": keys } })
}
