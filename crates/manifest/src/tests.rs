//! What a manifest may say, as tables: a file and the lines that `check` prints for it.

mod audit;
mod auth;
mod ceiling;
mod cors;
mod database;
mod discovery;
mod environment;
mod events;
mod gateway;
mod include;
mod limiting;
mod reach;
mod schema;
mod service;
mod sets;
mod trust;
mod upstream;

use std::{fs, num::NonZeroU32, path::Path, time::Duration};

use super::*;
use document::problem::Problems;

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
    assert_eq!(manifest.admin.listen, "127.0.0.1:3900".parse().unwrap());
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests");
    for name in ["hello.toml", "shop.toml"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let read = document::structure::read::<raw::RawManifest>(Path::new(name), &text, crate::later::refusal);
        assert_eq!(read.problems, [], "{name}");
    }
    let hello = Manifest::load(&folder.join("hello.toml"), &Environment::new()).unwrap();
    assert_eq!((hello.manifest.routes.len(), hello.warnings.len()), (2, 0));
}

#[test]
fn a_key_of_a_later_feature_is_refused_and_says_which() {
    let text = format!(
        "[profiles.production]\n\
         {SERVICE}\n[[routes]]\npath = '/'\npublic = true\n\
         service = 'a'\n[ceiling]\n"
    );
    check(
        &text,
        &[
            "2:2 profiles: not yet supported (profiles); remove it",
            "10:2 ceiling: a manifest cannot set its own ceiling: that is the operator's own file, `archipel run --ceiling FILE`; remove this table",
        ],
    );
}

#[test]
fn values_of_a_wrong_kind_say_what_to_write() {
    check("[host]\ndrain = 5\n", &["3:9 host.drain: 5 has no unit; write `\"5s\"`"]);
    check("[host]\nguest_memory = 64\n", &["3:16 host.guest_memory: 64 has no unit; write `\"64MiB\"`"]);
    check("[gateway]\nh2c = 'yes'\n", &["3:7 gateway.h2c: is a text; it must be true or false, such as `true`"]);
    check(
        "[gateway]\nlisten = 3000\n",
        &["3:10 gateway.listen: is a number; it must be a text or a list or a table, such as `\"127.0.0.1:3000\"`"],
    );
    check(
        "[gateway]\nrequests_max = -1\n",
        &["3:16 gateway.requests_max: -1 is out of range; write a number from 0 on"],
    );
    check("services = 1\n", &["2:12 services: is a number; it must be a table"]);
    check(
        "[services]\na = 1\n[[routes]]\npath='/'\nservice='a'\npublic=true\n",
        &["3:5 services.a: is a number; it must be a table"],
    );
}

#[test]
fn text_that_is_no_toml_is_reported_with_its_place() {
    check("[gateway\nlisten = 'a'\n", &["2:9 unclosed table, expected `]`"]);
    check("[host]\ndrain = '1s'\ndrain = '2s'\n", &["4:1 duplicate key"]);
}

#[test]
fn what_must_be_written_is_asked_for() {
    check_whole("", &["1:1 name: is missing; add `name = \"shop\"`"]);
    check("[services.a]\n", &["2:11 services.a.component: is missing; add `component = \"service.wasm\"`"]);
    check(
        &format!("{SERVICE}[[routes]]\npublic = true\n"),
        &[
            "4:1 routes[0].path: is missing; add `path = \"/{*rest}\"`",
            "4:1 routes[0].service: is missing; add `service = \"NAME\"`",
        ],
    );
    check(
        "[gateway]\ntls = { cert = 'no.pem' }\n",
        &[
            "3:1 gateway.tls.key: is missing; add `key = \"key.pem\"`",
            "3:16 gateway.tls.cert: cannot read `no.pem`: No such file or directory (os error 2); correct the path or its rights",
        ],
    );
}

#[test]
fn no_value_of_any_kind_stops_the_reading() {
    let whole = "name='s'\ninclude=[]\ngateway={listen='',tls={cert='',key=''},h2c=true,hosts=[''],timeout='1s'}\n\
                 admin={listen=''}\nhost={data='',guest_memory='1GiB'}\npostgres={d={url='',tls='',rows_max=1}}\n\
                 services={a={component='',env={A=''},permissions={postgres={d='read'},env=[''],run=true},\
                 limits={queue={length=1},reuse={idle='1s'}},health={path=''}}}\nroutes=[{path='',methods=['']}]\n";
    let folder = tempfile::tempdir().unwrap();
    for value in
        ["1", "'x'", "true", "[]", "{}", "1.5", "1979-05-27", "[1]", "{a={b=1}}", "0xfffffffffffffffff", "-9", "'\\'"]
    {
        for (at, _) in whole.match_indices('=') {
            let (before, after) = whole.split_at(at + 1);
            let old = after.find([',', '}', ']', '\n']).unwrap();
            let text = format!("{before}{value}{}", &after[old..]);
            assert!(load(folder.path(), &text, &[]).is_err_and(|problems| !problems.is_empty()), "{text}");
        }
    }
}
