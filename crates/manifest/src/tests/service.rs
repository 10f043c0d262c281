//! What `[services.NAME]` may say.

use super::*;

#[test]
fn limits_stay_in_their_ranges() {
    let limits = |written: &str| format!("{SERVICE}limits = {{ {written} }}\n");
    let key = "services.a.limits";
    check(&limits("timeout = '6m'"), &[&format!("4:22 {key}.timeout: timeout is 6m; it must be 1ms to 5m")]);
    check(&limits("memory = '5GiB'"), &[&format!("4:21 {key}.memory: memory is 5GiB; it must be 1MiB to 4GiB")]);
    check(
        &limits("queue = { length = 100001 }"),
        &[&format!("4:31 {key}.queue.length: length is 100001; it must be 0 to 100000")],
    );
    check(
        &limits("reuse = { requests = 0 }"),
        &[&format!("4:33 {key}.reuse.requests: requests is 0; for a fresh instance each time, remove `reuse`")],
    );
    check(
        "[host]\nguest_memory = '32MiB'\n[services.a]\ncomponent = 'a.wasm'\n",
        &[
            "4:11 services.a.limits.memory: memory is 64MiB, but `host.guest_memory` is 32MiB for all instances; lower it or raise that",
        ],
    );
    check(
        "[gateway]\nconnections_max = 0\n",
        &["3:19 gateway.connections_max: connections_max is 0; it must be 1 to 1000000"],
    );
    let warm = loaded(&limits("reuse = {}"), &[]).manifest.services["a"].limits.reuse;
    let (requests_max, idle_max) = (NonZeroU32::new(128).unwrap(), Duration::from_secs(10));
    assert_eq!(warm, Reuse::Warm { requests_max, idle_max });
}

#[test]
fn names_become_host_and_role_names_so_they_are_plain() {
    let rule = "names are up to 63 lower-case letters, digits and `-`, a letter first";
    check(
        "[services.My_Users]\ncomponent = 'a.wasm'\n",
        &[&format!("2:11 services.My_Users: `My_Users` cannot be a name, write `my-users`; {rule}")],
    );
    check("[postgres.'7']\n", &[&format!("2:11 postgres.7: `7` cannot be a name; {rule}")]);
    check_whole("name = 'Shop'\n", &[&format!("1:8 name: `Shop` cannot be a name, write `shop`; {rule}")]);
}

#[test]
fn a_service_says_what_it_is() {
    let service = |line: &str| format!("{SERVICE}{line}\n");
    check(
        &service("wasi = '0.3'"),
        &["4:8 services.a.wasi: WASI 0.3 is not yet supported; build the component for 0.2 and write `\"0.2\"`"],
    );
    check(
        &service("version = '1.0.0+2'"),
        &[
            "4:11 services.a.version: `1.0.0+2` is no version; write up to 64 letters, digits, `.`, `-` and `_`, such as `1.0.0`",
        ],
    );
    check(
        &service("health = { path = 'health' }"),
        &["4:19 services.a.health.path: `health` is no path; write it like `/health`"],
    );
    check(
        &service("permissions = { run = true, ffi = ['x'], sys = false }"),
        &[
            "4:23 services.a.permissions.run: a component starts no program, so only `false` is accepted; publish an event \
             that somebody outside handles (`publish`), call a service that does it (`call`), or compose it with another component",
            "4:35 services.a.permissions.ffi: a component calls no native code, so only `false` is accepted; compile \
             the library into the component, or compose it with another component",
        ],
    );
}

#[test]
fn a_ramp_rises_and_has_defaults() {
    let ramp = |lines: &str| loaded(&format!("{SERVICE}{lines}"), &[]).manifest.services["a"].ramp.clone();
    let default = ramp("");
    assert_eq!((default.steps, default.error_rate, default.latency), (vec![5, 25, 50], 1, 50));
    let written = "swap = { ramp = { steps = ['10%'], min_requests = 7 }, rollback = { error_rate = '0%' } }\n";
    let written = ramp(written);
    assert_eq!((written.steps, written.min_requests.get(), written.error_rate), (vec![10], 7, 0));
    for (steps, reason) in [
        ("[]", "has 0 steps"),
        ("['10%', '10%']", "is no more than the step before it"),
        ("['100%']", "must be 1% to 99%"),
        ("['10']", "has no unit; write `10%`"),
        ("[10]", "10%"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("name = \"shop\"\n{SERVICE}swap = {{ ramp = {{ steps = {steps} }} }}\n");
        let error = load(folder.path(), &text, &[]).unwrap_err().to_string();
        assert!(error.contains(reason), "{steps}: {error}");
    }
}
