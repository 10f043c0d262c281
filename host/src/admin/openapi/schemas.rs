//! What the answers of the admin API are made of: the members that are always there.

use serde_json::{Map, Value, json};

const STRING: &str = "string";
const COUNT: &str = "integer";
const NUMBER: &str = "number";
const FLAG: &str = "boolean";
const LIST: &str = "array";
const OBJECT: &str = "object";

/// Members by schema: name and type; a `?` behind a type: it may be null.
const SCHEMAS: &[(&str, &[(&str, &str)])] = &[
    ("Health", &[("status", STRING)]),
    ("Document", &[("openapi", STRING), ("info", OBJECT), ("paths", OBJECT), ("components", OBJECT)]),
    ("Refusal", &[("success", FLAG), ("error", STRING), ("timestamp", STRING), ("traceId", STRING)]),
    (
        "Status",
        &[
            ("name", STRING),
            ("version", STRING),
            ("uptime", COUNT),
            ("manifest", OBJECT),
            ("guestMemory", OBJECT),
            ("ceiling", "string?"),
            ("certificates", LIST),
            ("services", LIST),
            ("pools", LIST),
            ("stores", LIST),
            ("elsewhere", LIST),
        ],
    ),
    (
        "Elsewhere",
        &[
            ("name", STRING),
            ("url", LIST),
            ("addresses", LIST),
            ("requests", COUNT),
            ("errors", COUNT),
            ("retries", COUNT),
            ("inFlight", COUNT),
            ("latencyMs", OBJECT),
        ],
    ),
    (
        "Service",
        &[
            ("name", STRING),
            ("version", STRING),
            ("digest", STRING),
            ("source", STRING),
            ("file", "string?"),
            ("since", "string?"),
            ("compiler", STRING),
            ("component", STRING),
            ("permissions", LIST),
            ("cut", LIST),
            ("unrestricted", FLAG),
            ("requests", COUNT),
            ("errors", COUNT),
            ("inFlight", COUNT),
            ("latencyMs", OBJECT),
            ("idleInstances", COUNT),
            ("memoryBytes", COUNT),
            ("memoryLimitBytes", COUNT),
            ("accepted", LIST),
            ("swap", OBJECT),
            ("ramp", "object?"),
            ("rollback", "string?"),
        ],
    ),
    (
        "Version",
        &[("version", STRING), ("digest", STRING), ("at", STRING), ("outcome", STRING), ("by", STRING), ("live", FLAG)],
    ),
    (
        "Swapped",
        &[
            ("service", STRING),
            ("version", STRING),
            ("replaced", STRING),
            ("cached", FLAG),
            ("tookMs", NUMBER),
            ("changes", OBJECT),
            ("accepted", LIST),
            ("ramp", "array?"),
        ],
    ),
    (
        "Ramp",
        &[
            ("version", STRING),
            ("percent", COUNT),
            ("led", FLAG),
            ("new", OBJECT),
            ("old", OBJECT),
            ("answered", COUNT),
            ("rules", OBJECT),
        ],
    ),
    ("Applied", &[("services", LIST), ("restart", LIST), ("digest", STRING), ("tookMs", NUMBER)]),
    ("Hosts", &[("own", "string?"), ("others", LIST), ("unreachable", LIST)]),
    ("Topics", &[("topics", LIST), ("delayed", COUNT), ("expired", COUNT)]),
    ("Pending", &[("events", LIST)]),
    ("Dead", &[]),
    ("Replayed", &[("service", STRING), ("replayed", COUNT)]),
    ("Level", &[("level", STRING)]),
];

pub(super) fn all() -> Map<String, Value> {
    let mut all: Map<String, Value> =
        SCHEMAS.iter().map(|(name, members)| ((*name).to_owned(), object(members))).collect();
    let versions = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Version" } });
    all.insert("Versions".to_owned(), versions);
    if let Some(status) = all.get_mut("Status") {
        status["properties"]["services"]["items"] = json!({ "$ref": "#/components/schemas/Service" });
        status["properties"]["elsewhere"]["items"] = json!({ "$ref": "#/components/schemas/Elsewhere" });
    }
    let either = ["Service", "Elsewhere"].map(|name| json!({ "$ref": format!("#/components/schemas/{name}") }));
    all.insert("EitherService".to_owned(), json!({ "anyOf": either }));
    all
}

fn object(members: &[(&str, &str)]) -> Value {
    let kind = |kind: &str| match kind.strip_suffix('?') {
        Some(kind) => json!({ "type": [kind, "null"] }),
        None => json!({ "type": kind }),
    };
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> = members.iter().map(|(name, of)| ((*name).to_owned(), kind(of))).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}
