//! Whose tokens are accepted, which routes ask for them, and who may have them signed.

use std::fs;

use super::*;

const MAIN: &str = "[auth.main]\nissuer = 'archipel'\naudience = 'shop'\n";
const ROUTE: &str = "[[routes]]\npath = '/'\nservice = 'a'\n";

#[test]
fn a_route_asks_whom_it_names_or_whom_the_gateway_names_or_nobody() {
    let text =
        |gateway: &str, route: &str| format!("{gateway}{MAIN}keys = {{ generate = true }}\n{SERVICE}{ROUTE}{route}\n");
    let access = |gateway: &str, route: &str| loaded(&text(gateway, route), &[]).manifest.routes[0].access.clone();
    let gateway = "[gateway]\nauth = 'main'\n";
    assert_eq!(access(gateway, ""), Access::Token("main".into()));
    assert_eq!(access(gateway, "public = false"), Access::Token("main".into()));
    assert_eq!(access(gateway, "public = true"), Access::Public);
    assert_eq!(access("", "auth = 'main'"), Access::Token("main".into()));
    check(
        &text("", "auth = 'main'\npublic = true"),
        &["12:10 routes[0].public: is true, and `auth` asks for a token; remove one of the two"],
    );
    check(
        &text("[gateway]\nauth = 'mian'\n", "auth = 'man'"),
        &[
            "3:8 gateway.auth: there is no `[auth.mian]`; did you mean `main`?",
            "13:8 routes[0].auth: there is no `[auth.man]`; did you mean `main`?",
        ],
    );
}

#[test]
fn keys_come_from_one_place_that_can_be_trusted() {
    let keys = |keys: &str| format!("{MAIN}keys = {keys}\n");
    check(&keys("{ generate = true }"), &[]);
    check(&keys("{ jwks = 'https://id.example.com/jwks' }"), &[]);
    check(&keys("{ jwks = 'http://[::1]:9/jwks' }"), &[]);
    check(
        &keys("{ jwks = 'http://id.example.com/jwks' }"),
        &[
            "5:17 auth.main.keys.jwks: `http://id.example.com/jwks` is not encrypted, so anybody on the way could change \
           the keys; write `https://`",
        ],
    );
    check(
        &keys("{ jwks = 'https://u:p@id.example.com/' }"),
        &["5:17 auth.main.keys.jwks: `https://u:p@id.example.com/` is no address of keys; write it like \
           `https://id.example.com/.well-known/jwks.json`"],
    );
    let forms = "must say one thing where keys come from; write `{ generate = true }`, `{ jwks = \"path or https://…\" }`, \
                 `{ pem = \"path\", alg = \"EdDSA\" }` or `{ hs256 = { env = \"NAME\" } }`";
    for wrong in ["{}", "{ generate = true, pem = 'k.pem', alg = 'EdDSA' }"] {
        check(&keys(wrong), &[&format!("5:1 auth.main.keys: {forms}")]);
    }
    check(
        &keys("{ pem = 'k.pem' }"),
        &["5:1 auth.main.keys: does not say what its key is for; add `alg = \"EdDSA\"`, `\"RS256\"` or `\"ES256\"`"],
    );
    check(
        "[auth.main]\n",
        &[
            "2:7 auth.main.audience: is missing; add `audience = \"shop\"`",
            "2:7 auth.main.issuer: is missing; add `issuer = \"archipel\"`",
            "2:7 auth.main.keys: is missing; add `keys = { generate = true }`",
        ],
    );
}

#[test]
fn a_secret_is_long_reserved_and_printed_nowhere() {
    let text = format!("{MAIN}keys = {{ hs256 = {{ env = 'S' }} }}\n{SERVICE}permissions = {{ env = ['S'] }}\n");
    let folder = tempfile::tempdir().unwrap();
    let problems = |secret: &str| match load(folder.path(), &format!("name = 's'\n{text}"), &[("S", secret)]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    let reserved =
        "8:24 services.a.permissions.env[0]: `S` is read by this manifest itself and cannot be granted; remove it";
    assert_eq!(problems("0123456789abcdef0123456789abcdef"), [reserved]);
    let short = problems("canary");
    assert!(short[0].contains("has 6 bytes; it must have at least 32") && !short[0].contains("canary"), "{short:?}");
}

#[test]
fn only_a_key_that_signs_can_be_granted_for_signing() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    fs::write(folder.path().join("public.pem"), pair.public_key_pem()).unwrap();
    fs::write(folder.path().join("private.pem"), pair.serialize_pem()).unwrap();
    let problems = |keys: &str| {
        let sign = "permissions = { sign = { auth = 'main', roles = ['user'], ttl_max = '10m' } }";
        let text = format!("name = 's'\n{MAIN}keys = {keys}\n{SERVICE}{sign}\n");
        match load(folder.path(), &text, &[]) {
            Ok(loaded) => {
                let sign = loaded.manifest.services["a"].grants.signs().unwrap().clone();
                assert_eq!((&*sign.auth, sign.ttl_max), ("main", Duration::from_secs(600)));
                Vec::new()
            }
            Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }
    };
    assert_eq!(problems("{ generate = true }"), Vec::<String>::new());
    assert_eq!(problems("{ pem = 'private.pem', alg = 'EdDSA' }"), Vec::<String>::new());
    for verifies in ["{ pem = 'public.pem', alg = 'EdDSA' }", "{ jwks = 'https://id.example.com/jwks' }"] {
        let found = problems(verifies);
        assert!(found.len() == 1 && found[0].contains("services.a.permissions.sign.auth"), "{found:?}");
        assert!(found[0].contains("keys that only verify"), "{found:?}");
    }
    let other = problems("{ pem = 'public.pem', alg = 'ES256' }");
    assert!(other[0].contains("its key is for EdDSA, not for ES256"), "{other:?}");
}

#[test]
fn roles_and_the_authority_of_keys_are_checked() {
    let main = |more: &str| format!("[auth.main]\nissuer = 'i'\naudience = 'a'\n{more}\n");
    let keys = "keys = { jwks = 'https://id.example.com/jwks' }";
    let settings =
        loaded(&main(&format!("roles = 'realm_access.roles'\n{keys}")), &[]).manifest.issuers["main"].clone();
    assert_eq!(settings.roles.to_string(), "realm_access.roles");
    assert_eq!(loaded(&main(keys), &[]).manifest.issuers["main"].roles.to_string(), "roles");
    check(
        &main(&format!("roles = 'a..b'\n{keys}")),
        &["5:9 auth.main.roles: `a..b` names no claim; write it like `roles` or `realm_access.roles`"],
    );
    check(
        &main("keys = { generate = true, ca = 'ca.pem' }"),
        &["5:32 auth.main.keys.ca: is only for an address in `jwks`; remove it"],
    );
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["id.example.com".to_owned()]).unwrap();
    fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let with = |ca: &str| {
        let text = main(&format!("keys = {{ jwks = 'https://id.example.com/jwks', ca = '{ca}' }}"));
        load(folder.path(), &format!("name = 's'\n{text}"), &[])
    };
    let KeySettings::Address { ca, .. } = with("ca.pem").unwrap().manifest.issuers["main"].keys.clone() else {
        panic!()
    };
    assert!(ca.unwrap().ends_with("ca.pem"));
    let found = with("key.pem").err().unwrap().to_string();
    assert!(found.contains("auth.main.keys.ca: `key.pem` holds no certificate"), "{found}");
}

#[test]
fn keys_that_each_host_makes_for_itself_are_a_warning_where_hosts_share_a_redis() {
    let warned = |redis: &str, keys: &str| {
        let text = format!("{redis}[auth.main]\nissuer = 'a'\naudience = 'b'\nkeys = {{ {keys} }}\n");
        let warnings = loaded(&text, &[("SECRET", &"x".repeat(32))]).warnings;
        warnings.iter().filter(|warning| warning.key == "auth.main.keys").map(ToString::to_string).collect::<Vec<_>>()
    };
    let shared = "[redis.main]\nurl = 'redis://db'\n";
    let line = "7:1 auth.main.keys: each host makes keys of its own: several hosts on `redis.main` refuse one another's \
                tokens; with more than one, write `{ generate = true, store = \"redis.main\" }`";
    assert_eq!(warned(shared, "generate = true"), [line]);
    assert!(warned("[redis.main]\n", "generate = true").is_empty(), "nobody else reaches a private one");
    assert!(warned(shared, "hs256 = { env = 'SECRET' }").is_empty());
    assert!(warned(shared, "generate = true, store = 'redis.main'").is_empty());
}

#[test]
fn generated_keys_are_shared_by_a_redis_of_the_manifest() {
    let with = |keys: &str| {
        format!("[redis.main]\nurl = 'redis://db'\n[auth.main]\nissuer = 'a'\naudience = 'b'\nkeys = {{ {keys} }}\n")
    };
    let keys = |text: &str| loaded(text, &[("SECRET", &"x".repeat(32))]).manifest.issuers["main"].keys.clone();
    let store = Some(KeyStore::Redis("main".into()));
    assert_eq!(keys(&with("generate = true, store = 'redis.main'")), KeySettings::Generated { store });
    assert_eq!(keys(&with("generate = true")), KeySettings::Generated { store: None });
    let place = "7:35 auth.main.keys.store:";
    for (written, says) in [
        ("keyvalue.main", "`keyvalue.main` is no store of keys; write `redis.NAME` or `postgres.NAME`, or remove it"),
        ("redis.mian", "there is no `[redis.mian]`; did you mean `main`?"),
        ("postgres.main", "there is no `[postgres.main]`; add it, or remove this line"),
    ] {
        check(&with(&format!("generate = true, store = '{written}'")), &[&format!("{place} {says}")]);
    }
    check(
        &with("jwks = 'https://id.test/keys', store = 'redis.main'"),
        &["7:49 auth.main.keys.store: is only for `generate`: other keys are where they come from; remove it"],
    );
}

#[test]
fn generated_keys_are_shared_by_a_database_that_no_service_reaches() {
    let with = |databases: &str, rest: &str| {
        format!(
            "{databases}[auth.main]\nissuer = 'a'\naudience = 'b'\nkeys = {{ generate = true, store = 'postgres.keys' }}\n{rest}"
        )
    };
    let keys = "[postgres.keys]\nurl = 'postgres://a@db/keys'\n";
    let settings = loaded(&with(keys, ""), &[]).manifest.issuers["main"].keys.clone();
    assert_eq!(settings, KeySettings::Generated { store: Some(KeyStore::Postgres("keys".into())) });
    let place = "7:35 auth.main.keys.store:";
    let private = "`postgres.keys` is private to one host; give it a `url`, or remove this line";
    check(&with("[postgres.keys]\n\n", ""), &[&format!("{place} {private}")]);

    let service = |database: &str| {
        format!("[services.a]\ncomponent = 'a.wasm'\npermissions = {{ postgres = {{ {database} = 'read-write' }} }}\n")
    };
    let other = format!("{keys}[postgres.other]\nurl = 'postgres://a@db/other'\n");
    let same = format!("{keys}[postgres.same]\nurl = 'postgres://a@db/keys'\n");
    loaded(&with(&other, &service("other")), &[]);
    let says = "it keeps the keys of `[auth.main]`, and whoever reads them can sign; give them a database of their own";
    let at = |line: usize, name: &str| format!("{line}:37 services.a.permissions.postgres.{name}: {says}");
    check(&with(keys, &service("keys")), &[&at(10, "keys")]);
    check(&with(&same, &service("same")), &[&at(12, "same")]);
}
