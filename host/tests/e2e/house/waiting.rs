//! What waits to be opened or split. Both lists only get shorter; `rooms` says so when a name may go.

use super::rooms::Known;

/// Circles of files, each of which uses each, by way of others or at once.
pub const CIRCLES: &[Known] = &[
    Known { krate: "crates/backend", files: &["events.rs", "events/hosts.rs", "events/publish.rs"] },
    Known {
        krate: "crates/backend",
        files: &["keyvalue.rs", "keyvalue/bounds.rs", "keyvalue/keys.rs", "keyvalue/write.rs"],
    },
    Known {
        krate: "gateway",
        files: &[
            "access.rs",
            "body.rs",
            "body/awaited.rs",
            "body/held.rs",
            "body/limited.rs",
            "body/pace.rs",
            "context.rs",
            "dispatch.rs",
            "headers.rs",
            "router.rs",
        ],
    },
    Known {
        krate: "gateway",
        files: &["auth.rs", "auth/claims.rs", "auth/known.rs", "auth/source.rs", "auth/verifier.rs"],
    },
    Known { krate: "gateway", files: &["auth/pem.rs", "auth/signing.rs"] },
    Known {
        krate: "gateway",
        files: &[
            "connection.rs",
            "connection/answer.rs",
            "connection/http1.rs",
            "connection/http2.rs",
            "connection/refusal.rs",
        ],
    },
    Known { krate: "gateway", files: &["client.rs", "client/forwarded.rs"] },
    Known { krate: "gateway", files: &["limit.rs", "limit/rate.rs"] },
    Known { krate: "host", files: &["capability/keyvalue.rs", "capability/keyvalue/standard.rs"] },
    Known { krate: "host", files: &["capability/postgres.rs", "capability/postgres/convert.rs"] },
    Known { krate: "host", files: &["cli/watch.rs", "cli/watch/build.rs"] },
    Known { krate: "host", files: &["component.rs", "component/artifact.rs"] },
    Known { krate: "host", files: &["health.rs", "health/cached.rs"] },
    Known { krate: "components/sdk", files: &["call.rs", "call/wire.rs"] },
];

/// Files of more than 400 lines.
pub const LONG: &[&str] = &[];
