//! The quick engine for TypeScript: its own web types, what ends in it, and what its build refuses. What both engines
//! promise is in typescript.rs, which runs again on this one.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Barrier},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Host, Shared, Upstream, foreign, place,
    upstream::{Act, ok, quoted},
};

/// One host for all.
static HOST: Shared = Shared::new(start);

fn start() -> Host {
    granting("")
}

/// With this line more among its permissions.
fn granting(line: &str) -> Host {
    Host::running_in(place(), &manifest(line))
}

fn manifest(line: &str) -> String {
    format!(
        r#"
[postgres.shop]
[redis.main]
[keyvalue.cache]
redis = "main"
[events]
redis = "main"
[services.guest]
component = "{component}"
limits = {{ memory = "64MiB", reuse = {{ requests = 64, idle = "60s" }}, timeout = "30s" }}
[services.guest.permissions]
postgres = {{ shop = "read-write" }}
keyvalue = {{ cache = "read-write" }}
publish = ["note.*"]
subscribe = ["note.*"]
env = ["GREETING"]
{line}
[[routes]]
path = "/{{*rest}}"
service = "guest"
public = true
"#,
        component = foreign("typescript_quick")
    )
}

#[track_caller]
fn of(path: &str) -> Value {
    let answer = HOST.get().get(path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

#[test]
fn the_webs_types_do_what_is_expected_of_them() {
    let expected = json!([
        "https://a:b@example.com/y?q=1&q=2&r=%C3%A4+%26#z",
        "example.com",
        "https://example.com",
        "/y",
        "1,2",
        false,
        "a=1"
    ]);
    assert_eq!(of("/quick/addresses"), expected, "a port that is the scheme's own is none");
    let expected = json!([[["b", "1, 2"], ["set-cookie", "c=1"], ["set-cookie", "d=2"]], 2, "TypeError", "TypeError"]);
    assert_eq!(of("/quick/headers"), expected);
    let expected = json!(["Ada", "a.txt", "text/plain", "é", "TypeError", {"a": 1}, "{\"a\":1}", "POST", "bc", "application/json"]);
    assert_eq!(of("/quick/bodies"), expected, "read once, sent and read as forms, cloned");
    assert_eq!(of("/quick/streams"), json!(["AB", "AB", "no more"]));
    assert_eq!(of("/quick/texts"), json!(["€", "TypeError", "\u{fffd}a", "efbfbd"]));
    assert_eq!(of("/quick/secrets"), json!(["f7bc83f430538424", true, "2fd4e1c6", "NotSupportedError"]));
    assert_eq!(of("/quick/time"), json!(["now,soon,between,late", "AbortError"]));
}

#[test]
fn what_is_too_deep_is_an_error_and_the_languages_new_words_are_there() {
    let expected = json!([
        "RangeError",
        500,
        "RangeError",
        true,
        true,
        "DataCloneError",
        true,
        "1,2,3",
        "TypeError",
        1,
        "RangeError"
    ]);
    assert_eq!(of("/quick/language"), expected);
    // By the full compiler's code as by the quick one's: their frames are of other sizes.
    let host = Host::running_in(place(), &format!("[host]\nquick_compiler = false\n{}", manifest("")));
    assert_eq!(host.report["services"][0]["compiler"], "cranelift");
    assert_eq!(host.get("/quick/language").json(), expected);
}

#[test]
fn a_promise_that_nothing_settles_is_a_500_that_says_so() {
    let host = HOST.get();
    assert_eq!(host.get("/quick/never").status, 500);
    host.log.expect_line("the service waits for a promise that nothing will settle");
}

#[test]
fn a_rejection_that_nobody_awaits_is_one_line_and_one_that_is_awaited_late_is_none() {
    let host = HOST.get();
    assert_eq!(of("/quick/streams")[2], "no more", "what the web's types reject of their own, they await");
    assert_eq!(of("/fail/forgotten"), "caught");
    host.log.expect_line("nobody awaits what failed: RangeError: nobody listens (at src/failures.ts:35)");
    // Nothing of these requests is still on its way when a later one is told.
    assert_eq!(host.get("/fail/throw").status, 500);
    host.log.expect_line("Error: no price of tea");
    let told = host.log.text();
    let told: Vec<_> = told.lines().filter(|line| line.contains("nobody awaits")).collect();
    assert!(told.len() == 1 && told[0].contains("\"warn\"") && told[0].contains("\"traceId\""), "{told:?}");
}

#[test]
fn a_body_that_is_nested_too_deep_is_the_clients_mistake() {
    let refused = HOST.get().send("POST", "/web/json", &[], "[".repeat(100_000).as_bytes());
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("The body is not JSON")));
}

/// None is answered before all three have been asked: one after the other would never end.
#[test]
fn three_fetches_at_once_take_the_time_of_one() {
    let all = Arc::new(Barrier::new(3));
    let upstream = Upstream::acting(move |_number, head| {
        all.wait();
        Act::Say(ok(head.split(' ').nth(1).unwrap_or_default()).into_bytes())
    });
    let host = granting(&format!("net = [\"{}\"]", upstream.address));
    let answer = host.get(&format!("/quick/together?url={}", quoted(&upstream.url("/"))));
    assert_eq!((answer.status, answer.json()), (200, json!(["/a", "/b", "/c"])));
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn instances_that_are_copies_of_one_memory_have_random_numbers_of_their_own() {
    let random = || of("/quick/random")["random"].as_f64().unwrap();
    let first = random();
    assert_eq!(HOST.get().get("/fail/throw").status, 500, "which ends the instance");
    assert_ne!(first.to_bits(), random().to_bits());
}

/// A project with this service in it, beside the tools that `just foreign` installed.
fn project(source: &str) -> TempDir {
    let folder = place();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(
        folder.path().join("package.json"),
        r#"{ "name": "made", "type": "module", "archipel": { "engine": "quick" } }"#,
    )
    .unwrap();
    fs::write(folder.path().join("src/index.ts"), source).unwrap();
    symlink(tools(), folder.path().join("node_modules")).unwrap();
    folder
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/foreign/node/node_modules")
        .canonicalize()
        .expect("run `just foreign` first")
}

/// What the build of a service says that it refuses.
#[track_caller]
fn refused(source: &str) -> String {
    let folder = project(source);
    let done = Command::new("node").arg(tools().join("../bin/build.mjs")).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success(), "it was built: {said}");
    assert!(!folder.path().join("dist/made.wasm").exists(), "nothing half made");
    said
}

#[test]
fn what_cannot_be_built_is_told_with_its_place_in_the_source() {
    let said = refused("export default {\n  fetch: () => new Response('a'\n};\n");
    assert!(said.contains("src/index.ts:3:1: Expected \")\" but found \"}\""), "{said}");
    let said = refused("import { nothing } from './not-there.ts';\nexport default nothing;\n");
    assert!(said.contains("src/index.ts:1:25: Could not resolve \"./not-there.ts\""), "{said}");
    let said = refused("import fs from 'node:fs';\nexport default () => fs;\n");
    assert!(said.contains("src/index.ts:1:16: Could not resolve \"node:fs\""), "{said}");
    let said = refused("import { get } from 'wasi:keyvalue/store@0.2.0-draft';\nexport default () => get('a');\n");
    assert!(said.contains("The quick engine does not have \"wasi:keyvalue/store\""), "{said}");
    let said = refused(
        "const limit = {} as { of: { it: number } };\n\nconst most = limit.of.it;\nexport default () => new Response(String(most));\n",
    );
    assert!(said.contains("src/index.ts:3") && said.contains("TypeError"), "{said}");
    let said = refused(
        "import { env } from 'archipel';\nconst name = env('NAME');\nexport default () => new Response(name);\n",
    );
    assert!(
        said.contains("the service asks the host (wasi:cli/environment, get-environment) while it is built"),
        "{said}"
    );
    let said = refused("await new Promise((done) => setTimeout(done, 1));\nexport default () => new Response('');\n");
    assert!(said.contains("a module waits for something at its top level"), "{said}");
}
