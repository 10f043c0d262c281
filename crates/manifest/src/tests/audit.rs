//! Promises about `run --audit`.

use std::sync::Mutex;

use super::*;
use crate::Audits;

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn an_audit_lets_through_tells_once_and_makes_the_least_manifest() {
    let text = format!(
        "[redis.main]\n[events]\nredis = 'main'\n[postgres.users]\n[keyvalue.cache]\nredis = 'main'\n\
         {SERVICE}permissions = {{ publish = ['order.*'], net = {{ allow = ['unused.example:443'], deny = ['10.0.0.0/8'] }}, \
         env = ['TZ'] }}\n"
    );
    let audits = Audits::new(|denied| TOLD.lock().unwrap().push(denied.to_string()));
    let loaded = loaded(&text, &[]).audited(&audits);
    let grants = &loaded.manifest.services["a"].grants;
    for _twice in 0..2 {
        assert!(grants.postgres("users").is_ok() && grants.passwords().is_ok());
        let cache = grants.keyvalue("cache").unwrap();
        assert!(grants.keyvalue_write(&cache).is_ok());
        assert!(grants.publish("order.created".parse().unwrap()).is_ok());
        assert!(grants.call("a", &http::Method::GET, "/users/018f1c5e-0000-7000-8000-000000000000/x").is_ok());
        assert!(grants.net(&"api.example.com:443".parse().unwrap()).is_ok());
        assert!(grants.net(&"10.1.2.3:80".parse().unwrap()).is_err(), "a deny stays");
        let hour = Duration::from_secs(3600);
        assert!(grants.sign("main", vec!["user".to_owned()], hour).is_ok());
        assert!(grants.postgres("nobody").is_err(), "what is not there cannot be let through");
    }
    assert_eq!(
        audits.least(&loaded.manifest),
        "[services.a.permissions]\n\
         postgres = { users = \"read-write\" }\n\
         keyvalue = { cache = \"read-write\" }\n\
         publish = [\"order.created\"]\n\
         call = { a = [\"GET /users/*/x\"] }\n\
         net = [\"api.example.com:443\"]\n\
         env = [\"TZ\"]\n\
         sign = { auth = \"main\", roles = [\"user\"], ttl_max = \"1h\" }\n\
         passwords = true\n\n"
    );
    let told = TOLD.lock().unwrap();
    assert_eq!(told.iter().filter(|line| line.contains("`postgres users (read-write)`")).count(), 1, "{told:#?}");
    assert!(!told.iter().any(|line| line.contains("publish")), "granted, so not told: {told:#?}");
    assert!(told.iter().any(|line| line.contains("add `net = [\"api.example.com:443\"]`")), "{told:#?}");
}

#[test]
fn grants_that_nobody_used_are_known() {
    let loaded = loaded(
        &format!(
            "[postgres.users]\n[postgres.audit]\n{SERVICE}permissions = {{ postgres = {{ users = 'read', audit = 'read' }}, net = ['a.example:443', '*.b.example:443'], passwords = true, env = ['TZ'] }}\n"
        ),
        &[],
    );
    let grants = &loaded.manifest.services["a"].grants;
    let all =
        ["postgres audit (read)", "postgres users (read)", "net a.example:443", "net *.b.example:443", "passwords"];
    assert_eq!(grants.unused().0, all);
    grants.postgres("users").unwrap();
    grants.net(&"x.b.example:443".parse().unwrap()).unwrap();
    assert!(grants.postgres("other").is_err());
    assert_eq!(grants.unused().0, ["postgres audit (read)", "net a.example:443", "passwords"]);
}
