//! What waits to be opened or split. Both lists only get shorter; `rooms` says so when a name may go.

use super::rooms::Known;

/// Circles of files, each of which uses each, by way of others or at once.
pub const CIRCLES: &[Known] = &[
    Known { krate: "crates/grant", files: &["call.rs", "ceiling.rs", "keyvalue.rs", "lib.rs", "net.rs", "topic.rs"] },
    Known {
        krate: "crates/manifest",
        files: &[
            "check.rs",
            "check/admin.rs",
            "check/auth.rs",
            "check/ceiling.rs",
            "check/database.rs",
            "check/environment.rs",
            "check/events.rs",
            "check/gateway.rs",
            "check/gather.rs",
            "check/host.rs",
            "check/keyvalue.rs",
            "check/limiting.rs",
            "check/limits.rs",
            "check/reach.rs",
            "check/redis.rs",
            "check/route.rs",
            "check/service.rs",
            "check/swap.rs",
            "confines.rs",
            "files.rs",
            "lib.rs",
            "load.rs",
        ],
    },
    Known {
        krate: "crates/manifest",
        files: &["raw.rs", "raw/keyvalue.rs", "raw/reach.rs", "raw/redis.rs", "raw/service.rs"],
    },
    Known { krate: "crates/backend", files: &["events.rs", "events/hosts.rs", "events/publish.rs"] },
    Known { krate: "crates/backend", files: &["events/claim.rs", "events/take.rs"] },
    Known {
        krate: "crates/backend",
        files: &["keyvalue.rs", "keyvalue/bounds.rs", "keyvalue/keys.rs", "keyvalue/write.rs"],
    },
    Known {
        krate: "gateway",
        files: &[
            "body.rs",
            "body/held.rs",
            "body/limited.rs",
            "dispatch.rs",
            "headers.rs",
            "router.rs",
            "router/trie.rs",
        ],
    },
    Known {
        krate: "gateway",
        files: &["auth.rs", "auth/claims.rs", "auth/known.rs", "auth/source.rs", "auth/verifier.rs"],
    },
    Known { krate: "gateway", files: &["auth/pem.rs", "auth/signing.rs"] },
    Known {
        krate: "gateway",
        files: &["connection.rs", "connection/answer.rs", "connection/http1.rs", "connection/http2.rs"],
    },
    Known { krate: "gateway", files: &["limit.rs", "limit/rate.rs"] },
    Known { krate: "host", files: &["capability/keyvalue.rs", "capability/keyvalue/standard.rs"] },
    Known { krate: "host", files: &["capability/postgres.rs", "capability/postgres/convert.rs"] },
    Known {
        krate: "host",
        files: &[
            "cli.rs",
            "cli/admin.rs",
            "cli/apply.rs",
            "cli/check.rs",
            "cli/diff.rs",
            "cli/events.rs",
            "cli/explain.rs",
            "cli/inspect.rs",
            "cli/run.rs",
            "cli/status.rs",
            "cli/swap.rs",
            "cli/token.rs",
        ],
    },
    Known { krate: "host", files: &["cli/watch.rs", "cli/watch/build.rs"] },
    Known { krate: "host", files: &["component.rs", "component/artifact.rs"] },
    Known { krate: "host", files: &["deploy.rs", "deploy/apply/outcome.rs", "deploy/leaving.rs", "deploy/loader.rs"] },
    Known { krate: "host", files: &["deploy/swap.rs", "deploy/swap/fitting.rs"] },
    Known { krate: "host", files: &["health.rs", "health/cached.rs"] },
    Known { krate: "host", files: &["serve.rs", "serve/apply.rs"] },
    Known {
        krate: "host",
        files: &[
            "service.rs",
            "service/answer.rs",
            "service/answer/streaming.rs",
            "service/leave.rs",
            "service/ramp.rs",
            "service/run.rs",
        ],
    },
    Known { krate: "components/sdk", files: &["call.rs", "call/wire.rs"] },
];

/// Files of more than 400 lines.
pub const LONG: &[&str] = &["crates/manifest/src/lib.rs"];
