//! A project of one's own: what its tests get of a system, and what is left of it.

use std::{fs, path::Path};

use crate::harness::{Command, Done, place, write_manifest};

/// Behind a token, with a database that must not be the operator's.
const SYSTEM: &str = r#"
[gateway]
listen = "127.0.0.1:3000"
auth = "main"
[auth.main]
issuer = "archipel"
audience = "test"
keys = { generate = true }
[postgres.shop]
url = "postgres://nobody@127.0.0.1:1/an-operators"
[services.probe]
component = "COMPONENTS/probe_pg.wasm"
build = "echo built >> builds"
permissions = { postgres = { shop = "read-write" } }
[[routes]]
path = "/{*rest}"
service = "probe"
"#;

/// Asks for the name of the database, with a token of this system.
const ASK: &str = r#"
token=$("$ARCHIPEL" token sign "$ARCHIPEL_MANIFEST" --sub tester) || exit 90
curl -sS -o /dev/null -w '%{http_code}\n' "$ARCHIPEL_URL/pg/query"
curl -sS -H "Authorization: Bearer $token" -H 'content-type: application/json' \
  -d '{"database":"shop","sql":"select count(*) from pg_class where relname = '"'left_by_a_test'"'"}' "$ARCHIPEL_URL/pg/query"; echo
curl -sS -H "Authorization: Bearer $token" -H 'content-type: application/json' \
  -d '{"database":"shop","sql":"create table left_by_a_test (id int)"}' "$ARCHIPEL_URL/pg/query" > /dev/null
curl -sS -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $ARCHIPEL_ADMIN_TOKEN" "$ARCHIPEL_ADMIN/v1/status"
env | grep -c 'an-operators'
echo "$ARCHIPEL_DATA"
exit 7
"#;

fn test(manifest: &Path, command: &[&str]) -> Done {
    let arguments = [&["test", manifest.to_str().unwrap(), "--"], command].concat();
    Command::with(&arguments, &[("ARCHIPEL_LOG", "off")]).done()
}

#[test]
fn a_test_gets_a_fresh_system_of_its_own_and_nothing_of_it_is_left() {
    let folder = place();
    let manifest = write_manifest(folder.path(), SYSTEM);
    for round in 1..=2 {
        let done = test(&manifest, &["sh", "-c", ASK]);
        assert_eq!(done.code, 7, "the command's: {}{}", done.output, done.errors);
        let lines: Vec<&str> = done.output.lines().collect();
        assert_eq!(lines[0], "401", "routes want their token");
        assert!(lines[1].contains(r#""rows":[[{"int64":0}]]"#), "no test sees what another left: {}", lines[1]);
        assert_eq!(lines[2..4], ["200", "0"], "the admin API; and no address of a database");
        assert!(!Path::new(lines[4]).exists() && !Path::new(lines[4]).parent().unwrap().exists(), "{}", lines[4]);
        let builds = fs::read_to_string(folder.path().join("builds")).unwrap();
        assert_eq!(builds.lines().count(), round, "what is tested is built first");
    }
    let kept: Vec<_> = fs::read_dir(folder.path().join(".archipel")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(kept.len(), 1, "only compiled components: {kept:?}");
}

#[test]
fn a_test_that_cannot_begin_says_why() {
    let folder = place();
    let manifest = write_manifest(folder.path(), &crate::harness::probe(""));
    let refused = |arguments: &[&str]| Command::new(&[&["test"], arguments].concat()).refused();
    let file = manifest.to_str().unwrap();
    assert!(refused(&[file]).contains("say what tests it: `archipel test -- COMMAND`"));
    assert!(refused(&[file, "--", "no-such-program"]).contains("cannot run `no-such-program`"));
    assert!(refused(&[folder.path().to_str().unwrap(), "--", "true"]).contains("archipel.toml"));
    let broken = crate::harness::probe("build = \"echo expected a semicolon; exit 1\"");
    let said = refused(&[write_manifest(folder.path(), &broken).to_str().unwrap(), "--", "true"]);
    assert!(said.contains("expected a semicolon") && said.contains("the build of service `probe` failed"), "{said}");
}
