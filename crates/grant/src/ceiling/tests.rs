//! What a manifest and a ceiling allow together, as tables.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use http::Method;

use super::*;
use crate::{
    ANY, Mode, SignGrant,
    call::{Call, CallScope},
    keyvalue::{KeyValue, KeyValueScope},
    net::{Net, NetAllow, Target},
    permission::{passwords::Passwords, postgres::Postgres, publish::Publish, subscribe::Subscribe},
    sign::Sign,
    topic::TopicPattern,
};

fn under(written: Permissions, allowed: Permissions) -> Grants {
    let ceiling = Ceiling::new("/etc/ceiling.toml".into(), allowed);
    Grants::new("orders".into(), "shop.toml".into(), written).under(Arc::new(ceiling))
}

fn net(allow: &[&str], deny: &[&str]) -> Permissions {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let allow = match allow {
        ["everything"] => NetAllow::Everything,
        only => NetAllow::Only(patterns(only)),
    };
    Permissions { net: Net { allow, deny: patterns(deny) }, ..Permissions::default() }
}

/// Whether `target` may be reached when its name, if it is one, resolves to `address`.
#[track_caller]
fn reaches(written: (&[&str], &[&str]), allowed: (&[&str], &[&str]), target: &str, address: &str, expected: bool) {
    let grants = under(net(written.0, written.1), net(allowed.0, allowed.1));
    let to: Target = target.parse().unwrap();
    let address: IpAddr = address.parse().unwrap();
    let admitted = grants.net(&to).and_then(|granted| granted.get().admit(&[address]).map(drop));
    assert_eq!(admitted.is_ok(), expected, "{target} with {written:?} under {allowed:?}: {admitted:?}");
}

const PUBLIC: &str = "93.184.216.34";

#[test]
fn both_lists_must_allow_a_target_and_any_deny_of_either_counts() {
    let api = "https://api.example.com";
    let wild: &[&str] = &["*.example.com:443"];
    let exact: &[&str] = &["api.example.com:443"];
    reaches((exact, &[]), (wild, &[]), api, PUBLIC, true);
    reaches((wild, &[]), (exact, &[]), api, PUBLIC, true);
    reaches((wild, &[]), (exact, &[]), "https://other.example.com", PUBLIC, false);
    reaches((exact, &[]), (&[], &[]), api, PUBLIC, false);
    reaches((&[], &[]), (exact, &[]), api, PUBLIC, false);
    reaches((exact, &[]), (&["api.example.com:80"], &[]), api, PUBLIC, false);
    reaches((exact, &[]), (&["http://api.example.com"], &[]), api, PUBLIC, false);
    reaches((exact, &[]), (&["api.example.com"], &["*.example.com"]), api, PUBLIC, false);
    reaches((exact, &[]), (&["everything"], &["93.184.0.0/16"]), api, PUBLIC, false);
    reaches((exact, &["93.184.0.0/16"]), (&["everything"], &[]), api, PUBLIC, false);
    reaches((&["everything"], &[]), (exact, &[]), api, PUBLIC, true);
    reaches((&["everything"], &[]), (exact, &[]), "https://b.example", PUBLIC, false);
    reaches((exact, &[]), (&["everything"], &[]), api, PUBLIC, true);
}

#[test]
fn a_special_or_private_address_must_be_opened_by_both() {
    for (written, allowed, target, address, expected) in [
        ("127.0.0.1", "0.0.0.0/0", "http://127.0.0.1", "127.0.0.1", false),
        ("0.0.0.0/0", "127.0.0.1", "http://127.0.0.1", "127.0.0.1", false),
        ("127.0.0.1:80", "127.0.0.0/8", "http://127.0.0.1", "127.0.0.1", true),
        ("localhost", "localhost:80", "http://localhost", "127.0.0.1", true),
        ("localhost", "localhost:80", "http://localhost", "169.254.169.254", false),
        ("a.x.example", "*.x.example", "http://a.x.example", "10.0.0.1", false),
        ("*.x.example", "a.x.example", "http://a.x.example", "10.0.0.1", false),
        ("a.x.example", "a.x.example", "http://a.x.example", "10.0.0.1", true),
        ("a.x.example", "*.x.example", "http://a.x.example", PUBLIC, true),
        ("10.0.0.0/8", "10.2.0.0/16", "http://10.2.0.1", "10.2.0.1", true),
        ("10.0.0.0/8", "10.2.0.0/16", "http://10.3.0.1", "10.3.0.1", false),
        ("169.254.169.254", "169.254.0.0/16", "http://169.254.169.254", "169.254.169.254", false),
        ("everything", "a.x.example", "http://a.x.example", "127.0.0.1", false),
        ("127.0.0.1", "everything", "http://127.0.0.1", "127.0.0.1", true),
    ] {
        reaches((&[written], &[]), (&[allowed], &[]), target, address, expected);
    }
}

#[test]
fn what_is_left_is_shown_and_nothing_is_left_of_what_does_not_meet() {
    #[track_caller]
    fn left(written: &[&str], allowed: &[&str], expected: &[&str]) {
        let grants = under(net(written, &[]), net(allowed, &[]));
        let expected: Vec<String> = expected.iter().map(|entry| format!("net {entry}")).collect();
        assert_eq!(grants.words(), expected);
        assert_eq!(grants.has_net(), !expected.is_empty(), "an import that reaches nothing is refused");
    }
    left(&["*.example.com"], &["api.example.com:443", "b.example"], &["api.example.com:443"]);
    left(&["https://*.example.com"], &["*.api.example.com:443"], &["https://*.api.example.com:443"]);
    left(&["a.example:443"], &["a.example:80"], &[]);
    left(&["10.0.0.0/8"], &["10.2.0.0/16:8080", "[fd00::/8]"], &["10.2.0.0/16:8080"]);
    left(&["127.0.0.1"], &["0.0.0.0/0"], &[]);
    left(&["example.com"], &["*.example.com"], &[]);
    left(&["everything"], &["a.example:443"], &["a.example:443"]);
    let both = under(net(&["everything"], &[]), net(&["everything"], &[]));
    assert!(both.is_unrestricted() && !under(net(&["everything"], &[]), net(&["a.example"], &[])).is_unrestricted());
    let cut = under(net(&["a.example", "b.example"], &[]), net(&["a.example"], &[])).cut();
    assert_eq!(cut, ["net b.example"]);
}

#[test]
fn what_a_deny_covers_is_not_left_and_what_the_ceilings_covers_is_cut() {
    #[track_caller]
    fn left(written: (&[&str], &[&str]), allowed: (&[&str], &[&str]), expected: &[&str], cut: &[&str]) {
        let grants = under(net(written.0, written.1), net(allowed.0, allowed.1));
        let word =
            |entry: &&str| if *entry == "everything" { "net: everything".into() } else { format!("net {entry}") };
        let entries = |entries: &[&str]| entries.iter().map(word).collect::<Vec<String>>();
        assert_eq!((grants.words(), grants.cut()), (entries(expected), entries(cut)), "{written:?} under {allowed:?}");
        assert_eq!(grants.has_net(), !expected.is_empty());
    }
    let all: &[&str] = &["everything"];
    left((&["10.1.2.3:8080"], &[]), (all, &["10.0.0.0/8"]), &[], &["10.1.2.3:8080"]);
    left((&["10.1.2.3:8080", "a.example"], &[]), (all, &["10.0.0.0/8"]), &["a.example"], &["10.1.2.3:8080"]);
    left((&["10.1.2.3:8080"], &[]), (&["10.0.0.0/8"], &["10.1.0.0/16:8080"]), &[], &["10.1.2.3:8080"]);
    left((&["10.1.2.3"], &[]), (all, &["10.0.0.0/8:8080"]), &["10.1.2.3"], &[]);
    left(
        (&["*.example.com"], &[]),
        (&["api.example.com", "b.example.com"], &["api.example.com"]),
        &["b.example.com"],
        &["*.example.com"],
    );
    left((&["*.example.com"], &[]), (all, &["api.example.com"]), &["*.example.com"], &[]);
    left((&["a.example", "b.example"], &["a.example"]), (all, &[]), &["b.example"], &[]);
    left((all, &[]), (&["a.example:443", "10.1.2.3"], &["10.0.0.0/8"]), &["a.example:443"], &["everything"]);
    let own = Grants::new("orders".into(), "shop.toml".into(), net(&["a.example", "b.example"], &["*.example"]));
    assert!(own.words().is_empty() && own.cut().is_empty() && !own.has_net());
}

#[test]
fn databases_and_stores_are_used_in_the_weaker_way_and_a_star_is_every_other_name() {
    let modes = |all: &[(&str, Mode)]| all.iter().map(|(name, mode)| ((*name).into(), *mode)).collect();
    let written = modes(&[("users", Mode::ReadWrite), ("audit", Mode::ReadWrite), ("stats", Mode::Read)]);
    let allowed = modes(&[(ANY, Mode::ReadWrite), ("audit", Mode::Read)]);
    let postgres = |postgres| Permissions { postgres: Postgres(postgres), ..Permissions::default() };
    let grants = under(postgres(written), postgres(allowed));
    assert_eq!(grants.words(), ["postgres audit (read)", "postgres stats (read)", "postgres users (read-write)"]);
    assert_eq!(grants.cut(), ["postgres audit (read-write)"]);
    let nothing = under(postgres(modes(&[("users", Mode::Read)])), Permissions::default());
    let told = nothing.postgres("users").unwrap_err().to_string();
    assert_eq!(
        told,
        "`orders` may not reach `postgres users`: the operator's ceiling /etc/ceiling.toml does not allow it; to \
         allow it, add `postgres = { users = \"read-write\" }` to `ceiling` in /etc/ceiling.toml"
    );
    let told = nothing.postgres("carts").unwrap_err().to_string();
    assert!(told.ends_with("to `services.orders.permissions` in shop.toml"), "{told}");

    let stores = |store: &str, prefix: &str, mode| {
        let keyvalue = KeyValue(BTreeMap::from([(store.into(), KeyValueScope { prefix: prefix.into(), mode })]));
        Permissions { keyvalue, ..Permissions::default() }
    };
    for (prefix, ceiling, expected) in
        [("app:users:", "app:", true), ("app:", "app:", true), ("", "app:", false), ("other:", "app:", false)]
    {
        let grants = under(stores("cache", prefix, Mode::ReadWrite), stores(ANY, ceiling, Mode::Read));
        let granted = grants.keyvalue("cache").map(|granted| granted.get().scope.clone());
        assert_eq!(granted.is_ok(), expected, "{prefix:?} under {ceiling:?}");
        if let Ok(scope) = granted {
            assert_eq!((&*scope.prefix, scope.mode), (prefix, Mode::Read));
            let denied = grants.keyvalue_write(&grants.keyvalue("cache").unwrap()).unwrap_err().to_string();
            assert!(denied.contains("ceiling /etc/ceiling.toml does not allow it"), "{denied}");
        }
    }
}

#[test]
fn a_call_must_be_one_that_both_allow() {
    let call = |patterns: &[&str]| match patterns {
        ["whole"] => CallScope::Whole,
        only => CallScope::Only(only.iter().map(|text| text.parse().unwrap()).collect()),
    };
    let permissions = |name: &str, patterns: &[&str]| Permissions {
        call: Call(BTreeMap::from([(name.into(), call(patterns))])),
        ..Permissions::default()
    };
    for (written, allowed, request, expected) in [
        (&["whole"][..], &["whole"][..], "POST /a", true),
        (&["whole"], &["GET /a/*"], "GET /a/7", true),
        (&["whole"], &["GET /a/*"], "POST /a/7", false),
        (&["GET /a/*"], &["whole"], "GET /a/7", true),
        (&["GET /*/x"], &["GET /a/*"], "GET /a/x", true),
        (&["GET /*/x"], &["GET /a/*"], "GET /b/x", false),
        (&["GET /*/x"], &["GET /a/*"], "GET /a/y", false),
        (&["GET /a"], &["HEAD /a"], "HEAD /a", true),
        (&["GET /a"], &["HEAD /a"], "GET /a", false),
        (&["GET /a/"], &["GET /a/*"], "GET /a/", false),
        (&["GET /"], &["GET /"], "GET /", true),
    ] {
        let grants = under(permissions("users", written), permissions(ANY, allowed));
        let (method, path) = request.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let called = grants.call("users", &method, path);
        assert_eq!(called.is_ok(), expected, "{request} with {written:?} under {allowed:?}");
    }
    let grants = under(permissions("users", &["whole"]), permissions("products", &["whole"]));
    assert_eq!(grants.callees().count(), 0);
    let told = grants.call("users", &Method::GET, "/a").unwrap_err().to_string();
    assert!(
        told.contains("ceiling.toml does not allow it; to allow it, add `call = { users = [\"GET /a\"] }`"),
        "{told}"
    );
}

#[test]
fn topics_are_those_that_both_match() {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<TopicPattern>>();
    for (written, allowed, expected) in [
        (&["order.*"][..], &["**"][..], &["order.*"][..]),
        (&["**"], &["order.*", "user.**"], &["order.*", "user.**"]),
        (&["order.**"], &["*.created"], &["order.created"]),
        (&["order.*"], &["order.created", "user.created"], &["order.created"]),
        (&["a.**"], &["*.b.**"], &["a.b.**"]),
        (&["a.**"], &["*.*.c"], &["a.*.c"]),
        (&["a.**"], &["a"], &[]),
        (&["a.*"], &["a.*.*"], &[]),
        (&["a.b"], &["a.b", "**"], &["a.b"]),
        (&["a"], &[], &[]),
    ] {
        let (publish, subscribe) = (Publish(patterns(written)), Subscribe(patterns(written)));
        let written = Permissions { publish, subscribe, ..Permissions::default() };
        let (publish, subscribe) = (Publish(patterns(allowed)), Subscribe(patterns(allowed)));
        let grants = under(written, Permissions { publish, subscribe, ..Permissions::default() });
        assert_eq!(grants.publishes(), patterns(expected));
        let heard = grants.subscription().map(|subscription| subscription.get().topics.clone()).unwrap_or_default();
        assert_eq!(heard, patterns(expected), "nothing else is delivered either");
    }
    let publish = |texts: &[&str]| Permissions { publish: Publish(patterns(texts)), ..Permissions::default() };
    let grants = under(publish(&["order.*"]), publish(&["order.created"]));
    assert!(grants.publish("order.created".parse().unwrap()).is_ok());
    let told = grants.publish("order.paid".parse().unwrap()).unwrap_err().to_string();
    assert!(told.contains("add `publish = [\"order.paid\"]` to `ceiling` in /etc/ceiling.toml"), "{told}");
}

#[test]
fn tokens_are_for_the_roles_and_the_time_that_both_allow_and_passwords_need_both() {
    let sign = |auth: &str, roles: &[&str], minutes: u64| {
        let roles = roles.iter().map(|role| (*role).into()).collect();
        SignGrant { auth: auth.into(), roles, ttl_max: Duration::from_secs(60 * minutes) }
    };
    let permissions =
        |sign| Permissions { sign: Sign(Some(sign)), passwords: Passwords(true), ..Permissions::default() };
    let grants = under(permissions(sign("main", &["user", "admin"], 60)), permissions(sign(ANY, &["user", "x"], 10)));
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let signed = |role: &str, ttl| grants.sign("main", vec![role.to_owned()], ttl);
    assert!(signed("user", minutes(10)).is_ok() && grants.passwords().is_ok());
    assert_eq!(grants.cut(), ["sign main (user, admin)", "sign main for more than 600 s"]);
    for (role, ttl, line) in [
        (
            "admin",
            minutes(10),
            "`sign = { auth = \"*\", roles = [\"user\", \"x\", \"admin\"], ttl_max = \"10m\" }` to `ceiling`",
        ),
        ("user", minutes(11), "`sign = { auth = \"*\", roles = [\"user\", \"x\"], ttl_max = \"11m\" }` to `ceiling`"),
        (
            "x",
            minutes(10),
            "`sign = { auth = \"main\", roles = [\"user\", \"admin\", \"x\"], ttl_max = \"1h\" }` to `services",
        ),
    ] {
        let told = signed(role, ttl).unwrap_err().to_string();
        assert!(told.contains(line), "{told}");
    }
    let other = under(permissions(sign("main", &[], 60)), permissions(sign("other", &[], 60)));
    assert!(other.signs().is_none() && other.sign("main", Vec::new(), minutes(1)).is_err());
    let nothing = under(permissions(sign("main", &[], 60)), Permissions::default());
    assert!(nothing.signs().is_none() && nothing.passwords().is_err());
}

#[test]
fn a_wider_manifest_stays_under_the_ceiling() {
    let grants = under(net(&["a.example"], &[]), net(&["a.example", "b.example"], &[]));
    let wider = grants.with(net(&["a.example", "b.example", "c.example"], &[]).clone());
    assert_eq!(
        (wider.words(), wider.cut()),
        (vec!["net a.example".into(), "net b.example".into()], vec!["net c.example".into()])
    );
    assert_eq!(wider.written().words().len(), 3);
}

#[test]
fn what_no_manifest_could_be_granted_is_beyond_the_ceiling() {
    let ceiling = crate::testing::ceiling(
        "postgres = { \"*\" = \"read\" }\ncall = [\"products\"]\npublish = [\"order.*\"]\n\
         net = { allow = [\"*\"], deny = [\"10.0.0.0/8\"] }\nenv = [\"*\"]",
    );
    let bare = crate::testing::grants("a", "");
    let held = bare.clone().under(ceiling);
    for (line, beyond) in [
        ("postgres = { users = \"read\" }", ""),
        ("postgres = { users = \"read-write\" }", "postgres = { users = \"read-write\" }"),
        ("call = [\"products\"]", ""),
        ("call = { products = [\"GET /a\"] }", ""),
        ("call = [\"users\"]", "call = [\"users\"]"),
        ("publish = [\"order.created\"]", ""),
        ("publish = [\"user.created\", \"order.created\"]", "publish = [\"user.created\"]"),
        ("passwords = true", "passwords = true"),
        ("net = [\"a.example:443\"]", ""),
        ("net = [\"a.example:443\", \"10.1.2.3:8080\"]", "net = [\"10.1.2.3:8080\"]"),
        (
            "sign = { auth = \"main\", roles = [\"user\"] }",
            "sign = { auth = \"main\", roles = [\"user\"], ttl_max = \"1h\" }",
        ),
        ("keyvalue = { cache = \"read\" }", "keyvalue = { cache = \"read\" }"),
        ("env = [\"LOG_LEVEL\"]", ""),
        ("secrets = [\"KEY\"]", "secrets = [\"KEY\"]"),
        ("net = true", ""),
    ] {
        let needs = Permissions::needs(line).unwrap();
        let lacking = held.lacking(&needs);
        assert_eq!(held.beyond_ceiling(&lacking).lines().join("\n"), beyond, "{line}");
        assert_eq!(bare.beyond_ceiling(&bare.lacking(&needs)), Permissions::default(), "{line}");
    }
}
