//! What a manifest may say, as tables: a file and the lines that `check` prints for it.

mod database;
mod environment;
mod include;

use std::{fs, path::Path};

use super::*;
use crate::problem::Problems;

const SERVICE: &str = "[services.a]\ncomponent = 'a.wasm'\n";

fn load(folder: &Path, text: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let file = folder.join("shop.toml");
    fs::write(&file, text).unwrap();
    Manifest::load(&file, &env)
}

/// `text` follows `name = "shop"` on the first line, so its own first line is the second.
#[track_caller]
fn loaded(text: &str, env: &[(&str, &str)]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    match load(folder.path(), &format!("name = \"shop\"\n{text}"), env) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{problems}"),
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    check_whole(&format!("name = \"shop\"\n{text}"), expected);
}

#[track_caller]
fn check_whole(text: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let problems = match load(folder.path(), text, &[]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.to_string()).collect(),
    };
    let folder = format!("{}/", folder.path().canonicalize().unwrap().display());
    let problems: Vec<String> = problems.iter().map(|line| line.replace(&folder, "")).collect();
    assert_eq!(problems, expected);
}

#[test]
fn a_manifest_with_five_mistakes_reports_five() {
    let text = "\
[gateway]
timeout = \"0s\"
bodylimit = \"1MiB\"

[services.users]
component = \"users.wasm\"
limits = { memory = \"64MB\", concurrency = 0 }

[[routes]]
path = \"/api/users/{*rest}\"
service = \"user\"
public = true
";
    check(
        text,
        &[
            "3:11 gateway.timeout: timeout is 0s; it must be 1ms to 5m",
            "4:1 gateway.bodylimit: unknown key; did you mean `body_limit`?",
            "8:21 services.users.limits.memory: `MB` is not a unit here; write `64MiB` (units are B, KiB, MiB, GiB)",
            "8:43 services.users.limits.concurrency: concurrency is 0; to stop a service, remove its routes",
            "12:11 routes[0].service: there is no service `user`; did you mean `users`?",
        ],
    );
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let manifest = loaded(&format!("[postgres.d]\n{SERVICE}"), &[]).manifest;
    let gateway = &manifest.gateway;
    assert_eq!(gateway.listen, ["127.0.0.1:3000".parse().unwrap()]);
    assert!(gateway.tls.is_none() && gateway.h2c && gateway.hosts.is_empty() && gateway.expose_version);
    assert_eq!((gateway.body_limit_bytes, gateway.timeout), (2 << 20, Duration::from_secs(10)));
    assert_eq!((gateway.connections_max.get(), gateway.requests_max.get()), (4096, 1024));
    assert_eq!(manifest.admin_listen, "127.0.0.1:3900".parse().unwrap());
    assert!(manifest.host.data.is_absolute() && manifest.host.data.ends_with(".archipel"));
    assert_eq!((manifest.host.drain, manifest.host.linger), (Duration::from_secs(30), Duration::ZERO));
    assert_eq!(manifest.host.artifacts_max_bytes, 1 << 30);

    let database = &manifest.databases["d"];
    assert!(matches!(database.place, DatabasePlace::Embedded));
    assert_eq!((database.connections_max.get(), database.wait), (16, Duration::from_secs(1)));
    assert_eq!((database.statement_timeout, database.rows_max), (Duration::from_secs(3), 10_000));
    assert_eq!((database.bytes_max, &database.migrations, database.optional), (16 << 20, &None, false));

    let service = &manifest.services["a"];
    assert_eq!((service.version.as_str(), service.env.len(), &service.health_path), ("0.0.0", 0, &None));
    let limits = &service.limits;
    assert_eq!((limits.memory_bytes, limits.timeout), (64 << 20, Duration::from_secs(5)));
    assert_eq!((limits.cpu, limits.concurrency.get()), (Duration::from_secs(1), 256));
    assert_eq!((limits.queue_length, limits.queue_wait), (256, Duration::from_millis(250)));
    assert_eq!((limits.reuse, service.grants.databases().count()), (Reuse::Fresh, 0));
}

#[test]
fn both_shipped_manifests_are_right_in_shape() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    for name in ["hello.toml", "shop.toml"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let read = structure::read::<raw::RawManifest>(Path::new(name), &text);
        assert_eq!(read.problems, [], "{name}");
    }
    let hello = Manifest::load(&folder.join("hello.toml"), &Environment::new()).unwrap();
    assert_eq!((hello.manifest.routes.len(), hello.warnings.len()), (2, 0));
}

#[test]
fn a_key_of_a_later_feature_is_refused_and_says_which() {
    let text = format!(
        "[gateway]\nauth = 'main'\nlimit = '100/min'\n[auth.main]\nissuer = 'x'\n[redis.main]\n\
         {SERVICE}permissions = {{ net = ['a.b:443'], call = ['b'] }}\n[[routes]]\npath = '/'\npublic = true\n\
         service = 'a'\nlimit = '1/s'\n[ceiling]\n"
    );
    check(
        &text,
        &[
            "3:1 gateway.auth: not yet supported (authentication); remove it",
            "4:1 gateway.limit: not yet supported (rate limits); remove it",
            "5:2 auth: not yet supported (authentication); remove it",
            "7:2 redis: not yet supported (redis); remove it",
            "10:17 services.a.permissions.net: not yet supported (outbound network access); remove it",
            "10:36 services.a.permissions.call: not yet supported (calls between services); remove it",
            "15:1 routes[0].limit: not yet supported (rate limits); remove it",
            "16:2 ceiling: a manifest cannot set its own ceiling: that is the operator's file, which is not yet supported; remove this table",
        ],
    );
}

#[test]
fn a_route_is_never_open_by_accident() {
    let expected = "authentication is not yet supported, so anybody could call this route; say so with `public = true`";
    let route = format!("{SERVICE}[[routes]]\npath = '/'\nservice = 'a'\n");
    check(&route, &[&format!("4:1 routes[0].public: {expected}")]);
    check(&format!("{route}public = false\n"), &[&format!("7:10 routes[0].public: {expected}")]);
    check(&format!("{route}public = 'yes'\n"), &["7:10 routes[0].public: is a text; it must be true or false"]);
    check(&format!("{route}public = true\n"), &[]);
}

#[test]
fn values_of_a_wrong_kind_say_what_to_write() {
    check("[host]\ndrain = 5\n", &["3:9 host.drain: 5 has no unit; write `\"5s\"`"]);
    check("[host]\nguest_memory = 64\n", &["3:16 host.guest_memory: 64 has no unit; write `\"64MiB\"`"]);
    check("[gateway]\nh2c = 'yes'\n", &["3:7 gateway.h2c: is a text; it must be true or false, such as `true`"]);
    check("[gateway]\nlisten = 3000\n", &["3:10 gateway.listen: is a number; it must be a text or a list, such as `\"127.0.0.1:3000\"`"]);
    check("[gateway]\nrequests_max = -1\n", &["3:16 gateway.requests_max: -1 is out of range; write a number from 0 on"]);
    check("services = 1\n", &["2:12 services: is a number; it must be a table"]);
    check("[services]\na = 1\n[[routes]]\npath='/'\nservice='a'\npublic=true\n", &["3:5 services.a: is a number; it must be a table"]);
}

#[test]
fn text_that_is_no_toml_is_reported_with_its_place() {
    check("[gateway\nlisten = 'a'\n", &["2:9 unclosed table, expected `]`"]);
    check("[host]\ndrain = '1s'\ndrain = '2s'\n", &["4:1 duplicate key"]);
}

#[test]
fn what_must_be_written_is_asked_for() {
    check_whole("", &["name: is missing; add `name = \"shop\"`"]);
    check("[services.a]\n", &["2:11 services.a.component: is missing; add `component = \"service.wasm\"`"]);
    check(
        &format!("{SERVICE}[[routes]]\npublic = true\n"),
        &[
            "4:1 routes[0].path: is missing; add `path = \"/{*rest}\"`",
            "4:1 routes[0].service: is missing; add `service = \"NAME\"`",
        ],
    );
    check("[gateway]\ntls = { cert = 'no.pem' }\n", &[
        "3:1 gateway.tls.key: is missing; add `key = \"key.pem\"`",
        "3:16 gateway.tls.cert: cannot read `no.pem`: No such file or directory (os error 2); correct the path or its rights",
    ]);
}

#[test]
fn limits_stay_in_their_ranges() {
    let limits = |written: &str| format!("{SERVICE}limits = {{ {written} }}\n");
    let key = "services.a.limits";
    check(&limits("timeout = '6m'"), &[&format!("4:22 {key}.timeout: timeout is 6m; it must be 1ms to 5m")]);
    check(&limits("memory = '5GiB'"), &[&format!("4:21 {key}.memory: memory is 5GiB; it must be 1MiB to 4GiB")]);
    check(&limits("queue = { length = 100001 }"), &[
        &format!("4:31 {key}.queue.length: length is 100001; it must be 0 to 100000"),
    ]);
    check(&limits("reuse = { requests = 0 }"), &[
        &format!("4:33 {key}.reuse.requests: requests is 0; for a fresh instance each time, remove `reuse`"),
    ]);
    check("[host]\nguest_memory = '32MiB'\n[services.a]\ncomponent = 'a.wasm'\n", &[
        "4:11 services.a.limits.memory: memory is 64MiB, but `host.guest_memory` is 32MiB for all instances; lower it or raise that",
    ]);
    check("[gateway]\nconnections_max = 0\n", &["3:19 gateway.connections_max: connections_max is 0; it must be 1 to 1000000"]);
    let warm = loaded(&limits("reuse = {}"), &[]).manifest.services["a"].limits.reuse;
    let (requests_max, idle_max) = (NonZeroU32::new(128).unwrap(), Duration::from_secs(10));
    assert_eq!(warm, Reuse::Warm { requests_max, idle_max });
}

#[test]
fn names_become_host_and_role_names_so_they_are_plain() {
    let rule = "names are up to 63 lower-case letters, digits and `-`, a letter first";
    check("[services.My_Users]\ncomponent = 'a.wasm'\n", &[
        &format!("2:11 services.My_Users: `My_Users` cannot be a name, write `my-users`; {rule}"),
    ]);
    check("[postgres.'7']\n", &[&format!("2:11 postgres.7: `7` cannot be a name; {rule}")]);
    check_whole("name = 'Shop'\n", &[&format!("1:8 name: `Shop` cannot be a name, write `shop`; {rule}")]);
}

#[test]
fn addresses_are_loopback_for_admin_and_never_taken_twice() {
    check("[gateway]\nlisten = 'localhost:80'\n", &[
        "3:10 gateway.listen: `localhost:80` is no address; write an IP address and a port, such as `127.0.0.1:80`",
    ]);
    check("[gateway]\nlisten = ['0.0.0.0:80', '127.0.0.1:80']\n", &[
        "3:25 gateway.listen[1]: `127.0.0.1:80` is already taken by `0.0.0.0:80`; remove one",
    ]);
    check("[gateway]\nlisten = []\n", &["3:10 gateway.listen: is empty; name an address, such as `127.0.0.1:3000`"]);
    check("[admin]\nlisten = '0.0.0.0:3000'\n", &[
        "3:10 admin.listen: `0.0.0.0:3000` is not loopback, and admin tokens are not yet supported; write `127.0.0.1:3000`",
        "3:10 admin.listen: `0.0.0.0:3000` is already taken by `127.0.0.1:3000` of `gateway.listen`; choose another port",
    ]);
    check("[gateway]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']\n[admin]\nlisten = '[::1]:0'\n", &[]);
    check("[gateway]\nhosts = ['Shop.Test:80', 'https://shop.test/a', '*.shop.test', 'a b']\n", &[
        "3:27 gateway.hosts[1]: `https://shop.test/a` is a URL; write only its host, `shop.test`",
        "3:50 gateway.hosts[2]: `*.shop.test` has a wildcard, but a gateway knows its own names; \
         write a host such as `shop.example.com` or `shop.example.com:8443`",
        "3:65 gateway.hosts[3]: `a b` is no host; write a host such as `shop.example.com` or `shop.example.com:8443`",
    ]);
}

#[test]
fn a_service_says_what_it_is() {
    let service = |line: &str| format!("{SERVICE}{line}\n");
    check(&service("wasi = '0.3'"), &[
        "4:8 services.a.wasi: WASI 0.3 is not yet supported; build the component for 0.2 and write `\"0.2\"`",
    ]);
    check(&service("version = '1.0.0+2'"), &[
        "4:11 services.a.version: `1.0.0+2` is no version; write up to 64 letters, digits, `.`, `-` and `_`, such as `1.0.0`",
    ]);
    check(&service("health = { path = 'health' }"), &["4:19 services.a.health.path: `health` is no path; write it like `/health`"]);
    check(&service("permissions = { run = true, ffi = ['x'], sys = false }"), &[
        "4:23 services.a.permissions.run: a component starts no program, so only `false` is accepted; \
         compose it with another component instead",
        "4:35 services.a.permissions.ffi: a component calls no native code, so only `false` is accepted; \
         compose it with another component instead",
    ]);
}

#[test]
fn routes_are_right_alone_and_together() {
    let route = |line: &str| format!("{SERVICE}[[routes]]\npublic = true\nservice = 'a'\n{line}\n");
    check(&route("path = '/'\nmethods = ['get', 'PUT', 'TRACE']"), &[
        "8:12 routes[0].methods[0]: `get` is no method; methods are written in capitals, such as `GET`",
        "8:26 routes[0].methods[2]: `TRACE` is never forwarded; remove it",
    ]);
    check(&route("path = '/'\nmethods = ['GET', 'GET']"), &["8:11 routes[0].methods: `GET` stands twice; remove one"]);
    check(&route("path = '/'\ntimeout = '0s'\nbody_limit = '2TiB'"), &[
        "8:11 routes[0].timeout: timeout is 0s; it must be 1ms to 5m",
        "9:14 routes[0].body_limit: `TiB` is not a unit here; write `2MiB` (units are B, KiB, MiB, GiB)",
    ]);
    check(&route("path = 'a'"), &["7:8 routes[0].path: `a` does not begin with `/`"]);
    check(&route("path = '/'\nhost = '*'"), &[
        "8:8 routes[0].host: `*` has `*` in it; it may only stand alone in front, as in `*.example.com`",
    ]);
    let two = format!("{}[[routes]]\npublic = true\nservice = 'a'\npath = '/b/{{y}}'\n", route("path = '/b/{x}'"));
    check(&two, &[
        "8:1 routes[1]: takes the same requests as `routes[0]` at shop.toml:4:1: /b/{x}; remove one, or give them different `methods`",
    ]);
}
