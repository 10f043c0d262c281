//! What a service sees of the host's environment.

use super::*;

const HOST: &[(&str, &str)] = &[
    ("LOG_LEVEL", "info"),
    ("FEATURE_A", "on"),
    ("FEATURE_B", "off"),
    ("PATH", "/bin"),
    ("FEATURE_DB", "postgres://db"),
];

#[track_caller]
fn visible(service: &str, expected: &[(&str, &str)]) -> Vec<String> {
    let text = format!("[postgres.d]\nurl = {{ env = 'FEATURE_DB', optional = true }}\n{SERVICE}{service}\n");
    let loaded = loaded(&text, HOST);
    let env: Vec<_> = loaded.manifest.services["a"].env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(env, expected);
    loaded.warnings.iter().map(ToString::to_string).filter(|line| !line.contains("no route")).collect()
}

#[test]
fn only_granted_names_are_visible() {
    visible("", &[]);
    visible("permissions = { env = ['LOG_LEVEL', 'ABSENT'] }", &[("LOG_LEVEL", "info")]);
    visible("permissions = { env = { allow = ['FEATURE_*'], deny = ['FEATURE_B'] } }", &[("FEATURE_A", "on")]);
}

#[test]
fn values_of_the_manifest_win_over_the_hosts() {
    let env = "permissions = { env = ['LOG_LEVEL', 'MODE'] }\nenv = { LOG_LEVEL = 'debug', MODE = 'x' }";
    visible(env, &[("LOG_LEVEL", "debug"), ("MODE", "x")]);
}

#[test]
fn what_the_manifest_itself_reads_stays_invisible() {
    let warnings = visible("permissions = { env = ['FEATURE_*'] }", &[("FEATURE_A", "on"), ("FEATURE_B", "off")]);
    let line = "6:24 services.a.permissions.env[0]: `FEATURE_*` also covers `FEATURE_DB`, which this manifest itself reads; \
                the service does not see that one";
    assert_eq!(warnings, [line]);
    let text =
        format!("{SERVICE}permissions = {{ env = ['U'] }}\n[postgres.d]\nurl = {{ env = 'U', optional = true }}\n");
    check(
        &text,
        &["4:24 services.a.permissions.env[0]: `U` is read by this manifest itself and cannot be granted; remove it"],
    );
}

#[test]
fn a_value_nobody_would_see_is_an_error() {
    check(
        &format!("{SERVICE}env = {{ MODE = 'x' }}\n"),
        &[
            "4:16 services.a.env.MODE: is not granted, so the service would not see it; add \"MODE\" to `permissions.env`",
        ],
    );
    let denied =
        format!("{SERVICE}env = {{ MODE = 'x' }}\npermissions = {{ env = {{ allow = ['M*'], deny = ['MODE'] }} }}\n");
    check(
        &denied,
        &[
            "4:16 services.a.env.MODE: is denied by `permissions.env`, so the service would not see it; remove one of the two",
        ],
    );
    check(
        &format!("{SERVICE}permissions = {{ env = ['*', 'A*B'] }}\n"),
        &[
            "4:24 services.a.permissions.env[0]: `*` would show the service the whole environment; \
         name the variables, or a prefix like `FEATURE_*`",
            "4:29 services.a.permissions.env[1]: `A*B` has a `*` that is not at its end; write a prefix like `FEATURE_*`",
        ],
    );
}

#[test]
fn a_manifest_that_was_sent_cannot_bare_what_one_from_this_machine_reads() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("APP_URL", "postgres://u:p@db/d"), ("APP_OPEN", "yes")];
    let text = |lines: &str| format!("name = 'shop'\n{lines}\n{SERVICE}permissions = {{ env = ['APP_*'] }}\n");
    let here = load(folder.path(), &text("[postgres.d]\nurl = { env = 'APP_URL' }"), &env).unwrap().manifest;
    let file = folder.path().join("shop.toml");
    let environment = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let sent = |running: &Manifest| {
        let confines = Confines::of([running]);
        Manifest::load_sent(&file, &text(""), &environment, &confines).unwrap().manifest
    };
    let visible = |manifest: &Manifest| manifest.services["a"].env.keys().cloned().collect::<Vec<_>>();
    let first = sent(&here);
    assert_eq!(visible(&first), ["APP_OPEN"], "the sent manifest reads it no longer");
    assert_eq!(visible(&sent(&first)), ["APP_OPEN"], "nor does the one before it");
}
