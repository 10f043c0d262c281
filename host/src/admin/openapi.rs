//! `GET /openapi.json` on the admin listener: the admin API described, from one table.
//!
//! A test holds the table against the routes, another one its answers against real ones.

mod schemas;

use serde_json::{Value, json};

use manifest::May;

/// One operation: what it takes and what it answers.
struct Operation {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    /// What a token must be allowed; none: no token is asked for.
    may: Option<May>,
    query: &'static [Parameter],
    /// The media type of its body.
    body: Option<&'static str>,
    /// The schema of what it answers, or the media type where that is no JSON.
    answer: Answer,
    /// Besides 200, and [`ALWAYS`] where there is a token.
    refusals: &'static [u16],
}

enum Answer {
    /// In the envelope, under `data`.
    Data(&'static str),
    /// A document of its own.
    Plain(&'static str),
    Text(&'static [&'static str]),
}

struct Parameter {
    name: &'static str,
    schema: &'static str,
    says: &'static str,
    required: bool,
}

/// Of everything that asks for a token: a `Host` that is not the listener's, and too much at once.
const ALWAYS: &[u16] = &[401, 403, 421, 503];

const fn parameter(name: &'static str, schema: &'static str, says: &'static str) -> Parameter {
    Parameter { name, schema, says, required: false }
}

const fn get(path: &'static str, summary: &'static str, answer: Answer, refusals: &'static [u16]) -> Operation {
    Operation { path, method: "get", summary, may: Some(May::Read), query: &[], body: None, answer, refusals }
}

const fn open(operation: Operation) -> Operation {
    Operation { may: None, ..operation }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    may: May,
    answer: &'static str,
    refusals: &'static [u16],
) -> Operation {
    Operation { method: "post", may: Some(may), ..get(path, summary, Answer::Data(answer), refusals) }
}

const SERVICE: Parameter = Parameter { required: true, ..parameter("service", "string", "The name of the service") };

const OPERATIONS: &[Operation] = &[
    open(get("/health", "Whether the host is ready, and each of its parts", Answer::Plain("Health"), &[503])),
    open(get("/health/ready", "The same", Answer::Plain("Health"), &[503])),
    open(get("/health/live", "Whether the process lives", Answer::Plain("Health"), &[])),
    open(get("/health/services/{name}", "One service", Answer::Plain("Health"), &[404, 503])),
    open(get("/metrics", "Everything that is counted", Answer::Text(METRICS), &[])),
    get("/openapi.json", "This document", Answer::Plain("Document"), &[]),
    get("/v1/status", "What runs", Answer::Data("Status"), &[]),
    get("/v1/services/{name}", "One service", Answer::Data("EitherService"), &[404]),
    get("/v1/services/{name}/versions", "What a service has run, newest first", Answer::Data("Versions"), &[404]),
    Operation {
        query: &[Parameter { required: true, ..parameter("digest", "string", "Its SHA-256, in hexadecimal digits") }],
        ..get("/v1/services/{name}/build", "A build that a service has run", Answer::Text(WASM), &[400, 404])
    },
    Operation {
        body: Some("application/wasm"),
        query: &[
            parameter("ramp", "boolean", "By shares of the requests"),
            parameter("led", "boolean", "With `ramp`: whoever sends it says when the share grows"),
            parameter(
                "acceptPermissions",
                "boolean",
                "Grants what it needs beyond the manifest; the token's `may` has `accept`",
            ),
        ],
        ..post(
            "/v1/services/{name}/swap",
            "Replaces a service's component",
            May::Swap,
            "Swapped",
            &[400, 404, 409, 413, 415, 422, 500],
        )
    },
    post(
        "/v1/services/{name}/rollback",
        "Makes the version before live again",
        May::Swap,
        "Swapped",
        &[404, 409, 422, 500],
    ),
    Operation {
        body: Some("application/json"),
        ..post(
            "/v1/services/{name}/ramp",
            "What whoever leads a ramp over several hosts says of it, every few seconds",
            May::Swap,
            "Ramp",
            &[400, 404, 409],
        )
    },
    Operation {
        body: Some("application/toml"),
        ..post("/v1/apply", "Makes a manifest the running one", May::Apply, "Applied", &[409, 413, 415, 422, 500])
    },
    get("/v1/hosts", "Where the admin APIs of this system's hosts are, by Consul", Answer::Data("Hosts"), &[409, 500]),
    post("/v1/reload", "Reads the host's own manifest file again", May::Apply, "Applied", &[409, 422, 500]),
    Operation {
        query: &[
            parameter("route", "string", "Only those of this route, as the manifest has its path"),
            parameter("slowMs", "integer", "Only those that took so long, in milliseconds"),
            parameter("errors", "boolean", "Only those that failed"),
        ],
        ..get("/v1/traces", "Requests as they end, one JSON document a line, without end", Answer::Text(LINES), &[400])
    },
    get("/v1/logs", "The log from now on, one JSON document a line, without end", Answer::Text(LINES), &[]),
    get("/v1/log", "How much is told", Answer::Data("Level"), &[]),
    Operation {
        method: "put",
        may: Some(May::Apply),
        body: Some("application/json"),
        ..get("/v1/log", "What is told from now on, until the host stops", Answer::Data("Level"), &[400])
    },
    get("/v1/events/topics", "Topics and how far services are behind", Answer::Data("Topics"), &[404, 503]),
    Operation {
        query: &[SERVICE],
        ..get("/v1/events/pending", "What is in work", Answer::Data("Pending"), &[400, 404, 503])
    },
    Operation {
        query: &[
            Parameter { required: false, ..SERVICE },
            parameter("after", "string", "The `next` of the page before"),
            parameter("limit", "integer", "Letters in one page"),
        ],
        ..get("/v1/events/dead", "Dead letters; of all services: how many", Answer::Data("Dead"), &[400, 404, 503])
    },
    Operation {
        query: &[SERVICE, parameter("id", "string", "One event"), parameter("all", "boolean", "Or all of them")],
        ..post("/v1/events/replay", "Hands dead letters out again", May::Apply, "Replayed", &[400, 404, 503])
    },
];

const LINES: &[&str] = &["application/x-ndjson"];
const WASM: &[&str] = &["application/wasm"];
const METRICS: &[&str] = &["text/plain", "application/openmetrics-text"];

/// The whole document, which is OpenAPI 3.1.
pub(super) fn document() -> Value {
    let mut paths = json!({});
    for operation in OPERATIONS {
        paths[operation.path][operation.method] = operation.described();
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Archipel's admin API", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

impl Operation {
    fn described(&self) -> Value {
        let mut described = json!({
            "summary": self.summary,
            "parameters": self.parameters(),
            "responses": { "200": self.answer.described() },
        });
        let always = if self.may.is_some() { ALWAYS } else { &[] };
        for status in always.iter().chain(self.refusals) {
            described["responses"][status.to_string()] = self.refused(*status);
        }
        if let Some(may) = self.may {
            described["security"] = json!([{ "token": [] }]);
            described["description"] = json!(format!("The token's `may` has `{}`.", may.as_str()));
        }
        if let Some(kind) = self.body {
            described["requestBody"] = json!({ "required": true, "content": { kind: {} } });
        }
        described
    }

    fn parameters(&self) -> Value {
        let name = self
            .path
            .contains("{name}")
            .then(|| json!({ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } }));
        let query = self.query.iter().map(|Parameter { name, schema, says, required }| {
            json!({ "name": name, "in": "query", "required": required, "description": says, "schema": { "type": schema } })
        });
        name.into_iter().chain(query).collect()
    }

    fn refused(&self, status: u16) -> Value {
        // A page of health says in its own words what is wrong.
        let schema = match (&self.answer, status) {
            (Answer::Plain("Health"), 503) => "Health",
            _ => "Refusal",
        };
        json!({ "description": words(status), "content": content(schema) })
    }
}

impl Answer {
    fn described(&self) -> Value {
        let content = match self {
            Self::Plain(schema) => content(schema),
            Self::Data(schema) => json!({ "application/json": { "schema": {
                "type": "object",
                "required": ["success", "data", "timestamp", "traceId"],
                "properties": {
                    "success": { "const": true },
                    "data": reference(schema),
                    "timestamp": { "type": "string", "format": "date-time" },
                    "traceId": { "type": "string" },
                },
            } } }),
            Self::Text(kinds) => kinds.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect(),
        };
        json!({ "description": words(200), "content": content })
    }
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": reference(schema) } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn words(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::admin::{ACTIONS, EVENT_ACTIONS, LIVE_ACTIONS, PAGES};

    #[test]
    fn every_route_of_the_admin_api_is_described_and_nothing_else() {
        let actions = ACTIONS.iter().map(|(path, method, _)| (*path, method.as_str().to_lowercase()));
        let events = EVENT_ACTIONS.iter().map(|(path, method, _)| (*path, method.as_str().to_lowercase()));
        let live = LIVE_ACTIONS.iter().map(|(path, method, _)| (*path, method.as_str().to_lowercase()));
        let pages = PAGES.map(|(path, _)| (path, "get".to_owned()));
        let served: BTreeSet<_> = actions.chain(events).chain(live).chain(pages).collect();
        let described: BTreeSet<_> =
            OPERATIONS.iter().map(|operation| (operation.path, operation.method.to_owned())).collect();
        assert_eq!(described, served);
        assert_eq!(described.len(), OPERATIONS.len(), "each once");
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let document = document();
        let text = document.to_string();
        let named = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
        let missing: Vec<&str> = named.filter(|name| document["components"]["schemas"][*name].is_null()).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
