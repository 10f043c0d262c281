//! Keys that a manifest cannot have yet, or never will, and what to say about them.
//!
//! They are errors rather than ignored: a route whose `auth` was overlooked would be served to
//! everybody. Whoever builds a feature takes its line out of here.

/// What each key will be for; `*` is any name, `[]` any item.
const LATER: &[(&str, &str)] = &[("profiles", "profiles")];

/// Asked for only where the key is not known: in an included file.
const ELSEWHERE: &str =
    "belongs in the manifest itself; an included file may have `services`, `routes`, `postgres` and `redis`";

/// Keys that stay refused, with what to do instead.
const NEVER: &[(&str, &str)] = &[
    ("name", ELSEWHERE),
    ("include", ELSEWHERE),
    ("gateway", ELSEWHERE),
    ("admin", ELSEWHERE),
    ("cors", ELSEWHERE),
    ("host", ELSEWHERE),
    ("auth", ELSEWHERE),
    ("keyvalue", ELSEWHERE),
    ("permission-sets", ELSEWHERE),
    ("secrets", ELSEWHERE),
    ("events", ELSEWHERE),
    ("discovery", ELSEWHERE),
    ("trust", ELSEWHERE),
    ("telemetry", ELSEWHERE),
    (
        "ceiling",
        "a manifest cannot set its own ceiling: that is the operator's own file, `archipel run --ceiling FILE`; remove this table",
    ),
];

/// Why a key is refused, if it is one that users may expect to work.
pub(super) fn refusal(pattern: &str) -> Option<String> {
    let of =
        |list: &'static [(&str, &'static str)]| list.iter().find(|(key, _)| *key == pattern).map(|(_, text)| *text);
    match (of(NEVER), of(LATER)) {
        (Some(text), _) => Some(text.into()),
        (None, Some(feature)) => Some(format!("not yet supported ({feature}); remove it")),
        (None, None) => ["services.*.permissions.", "permission-sets.*.", "ceiling."]
            .iter()
            .find_map(|table| grant::refusal(pattern.strip_prefix(table)?)),
    }
}
