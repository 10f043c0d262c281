//! Keys that a manifest cannot have yet, or never will, and what to say about them.
//!
//! They are errors rather than ignored: a route whose `auth` was overlooked would be served to
//! everybody. Whoever builds a feature takes its line out of here.

/// What each key will be for; `*` is any name, `[]` any item.
const LATER: &[(&str, &str)] = &[
    ("gateway.limit", "rate limits"),
    ("gateway.limit_store", "rate limits"),
    ("gateway.trusted_proxies", "trusted proxies"),
    ("admin.tokens", "admin tokens"),
    ("host.allow_unrestricted", "unrestricted network access"),
    ("secrets", "secrets"),
    ("redis", "redis"),
    ("keyvalue", "key-value stores"),
    ("events", "events"),
    ("permission-sets", "permission sets"),
    ("discovery", "discovery"),
    ("telemetry", "telemetry export"),
    ("profiles", "profiles"),
    ("services.*.swap", "swapping a running component"),
    ("services.*.events", "events"),
    ("services.*.permissions.net", "outbound network access"),
    ("services.*.permissions.read", "folders for components"),
    ("services.*.permissions.write", "folders for components"),
    ("services.*.permissions.keyvalue", "key-value stores"),
    ("services.*.permissions.call", "calls between services"),
    ("services.*.permissions.publish", "events"),
    ("services.*.permissions.subscribe", "events"),
    ("services.*.permissions.secrets", "secrets"),
    ("services.*.permissions.sockets", "raw sockets"),
    ("services.*.permissions.use", "permission sets"),
    ("routes[].gather", "gathering several answers"),
    ("routes[].static", "static answers"),
    ("routes[].limit", "rate limits"),
];

/// Asked for only where the key is not known: in an included file.
const ELSEWHERE: &str = "belongs in the manifest itself; an included file may have `services`, `routes` and `postgres`";

/// Keys that stay refused, with what to do instead.
const NEVER: &[(&str, &str)] = &[
    ("name", ELSEWHERE),
    ("include", ELSEWHERE),
    ("gateway", ELSEWHERE),
    ("admin", ELSEWHERE),
    ("host", ELSEWHERE),
    ("auth", ELSEWHERE),
    (
        "ceiling",
        "a manifest cannot set its own ceiling: that is the operator's file, which is not yet supported; remove this table",
    ),
    (
        "services.*.permissions.run",
        "a component starts no program, so only `false` is accepted; compose it with another component instead",
    ),
    (
        "services.*.permissions.ffi",
        "a component calls no native code, so only `false` is accepted; compose it with another component instead",
    ),
    (
        "services.*.permissions.sys",
        "a component learns nothing about the machine, so only `false` is accepted; \
         pass what it needs by the `env` permission and `services.NAME.env`",
    ),
];

/// Why a key is refused, if it is one that users may expect to work.
pub(super) fn refusal(pattern: &str) -> Option<String> {
    let of =
        |list: &'static [(&str, &'static str)]| list.iter().find(|(key, _)| *key == pattern).map(|(_, text)| *text);
    match (of(NEVER), of(LATER)) {
        (Some(text), _) => Some(text.into()),
        (None, Some(feature)) => Some(format!("not yet supported ({feature}); remove it")),
        (None, None) => None,
    }
}
