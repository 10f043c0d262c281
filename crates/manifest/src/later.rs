//! Keys that a manifest cannot have yet, or never will, and what to say about them.
//!
//! They are errors rather than ignored: a route whose `auth` was overlooked would be served to
//! everybody. Whoever builds a feature takes its line out of here.

/// What each key will be for; `*` is any name, `[]` any item.
const LATER: &[(&str, &str)] = &[
    ("permission-sets", "permission sets"),
    ("discovery", "discovery"),
    ("telemetry", "telemetry export"),
    ("profiles", "profiles"),
    ("services.*.permissions.use", "permission sets"),
];

/// Asked for only where the key is not known: in an included file.
const ELSEWHERE: &str =
    "belongs in the manifest itself; an included file may have `services`, `routes`, `postgres` and `redis`";

/// Keys that stay refused, with what to do instead.
const NEVER: &[(&str, &str)] = &[
    ("name", ELSEWHERE),
    ("include", ELSEWHERE),
    ("gateway", ELSEWHERE),
    ("admin", ELSEWHERE),
    ("host", ELSEWHERE),
    ("auth", ELSEWHERE),
    ("keyvalue", ELSEWHERE),
    ("secrets", ELSEWHERE),
    ("events", ELSEWHERE),
    (
        "ceiling",
        "a manifest cannot set its own ceiling: that is the operator's own file, `archipel run --ceiling FILE`; remove this table",
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
    if let Some(key) = pattern.strip_prefix("ceiling.") {
        return of_ceiling(key);
    }
    let of =
        |list: &'static [(&str, &'static str)]| list.iter().find(|(key, _)| *key == pattern).map(|(_, text)| *text);
    match (of(NEVER), of(LATER)) {
        (Some(text), _) => Some(text.into()),
        (None, Some(feature)) => Some(format!("not yet supported ({feature}); remove it")),
        (None, None) => None,
    }
}

/// The same in a ceiling, whose keys are those of `permissions`.
fn of_ceiling(key: &str) -> Option<String> {
    match key {
        "use" => Some("a ceiling names no permission sets, which are a manifest's; write here what they allow".into()),
        other => refusal(&format!("services.*.permissions.{other}")),
    }
}
