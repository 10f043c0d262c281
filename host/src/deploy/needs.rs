//! What a component says it needs, against what its manifest grants.

use std::{sync::Arc, time::Duration};

use grant::{
    Grants, Mode, Permissions, SignGrant,
    call::CallScope,
    keyvalue::KeyValueScope,
    net::{NetAllow, NetPermission},
    topic::TopicPattern,
};

/// The lines to add to `services.NAME.permissions`; empty when all needs are granted.
///
/// Needs grant nothing. Keys this host does not know are no needs it can judge: the imports are
/// compared all the same. One that it knows and cannot read is missing as it stands.
pub fn missing_needs(needs: Option<&str>, grants: &Grants) -> Vec<String> {
    let Some(needs) = needs else { return Vec::new() };
    let Ok(mut needs) = needs.parse::<toml::Table>() else { return vec!["needs that are no TOML".to_owned()] };
    if let Some(allow) = needs.get("net").and_then(|net| net.get("allow")).cloned() {
        needs.insert("net".to_owned(), allow);
    }
    let odd: Vec<String> =
        needs.iter().filter(|(key, need)| !is_read(key, need)).map(|(key, need)| format!("{key} = {need}")).collect();
    if !odd.is_empty() {
        return odd;
    }
    let mut lines = databases(&needs, grants);
    lines.extend(stores(&needs, grants));
    lines.extend(needs.get("sign").and_then(|sign| tokens(sign, grants)));
    if needs.get("passwords").and_then(toml::Value::as_bool) == Some(true) && grants.passwords().is_err() {
        lines.push("passwords = true".into());
    }
    let missing = |key: &str, granted: &dyn Fn(&str) -> bool| {
        let all = needs.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        let one = all.filter_map(toml::Value::as_str).filter(|one| !granted(one));
        let list: Vec<String> = one.map(|one| format!("\"{one}\"")).collect();
        (!list.is_empty()).then(|| format!("{key} = [{}]", list.join(", ")))
    };
    lines.extend(missing("call", &|callee| grants.callees().any(|granted| &**granted == callee)));
    lines.extend(calls(&needs, grants));
    lines.extend(missing("net", &|entry| grants.covers(entry)));
    let covered = |granted: &[TopicPattern], topic: &str| {
        topic.parse().is_ok_and(|needed| granted.iter().any(|granted| granted.covers(&needed)))
    };
    lines.extend(missing("publish", &|topic| covered(grants.publishes(), topic)));
    let subscribed = grants.subscription().map(|subscription| subscription.get().topics.clone()).unwrap_or_default();
    lines.extend(missing("subscribe", &|topic| covered(&subscribed, topic)));
    lines
}

/// Those of `lines` that the ceiling would not let any manifest grant.
pub fn beyond_ceiling(lines: &[String], grants: &Grants) -> Vec<String> {
    let is_beyond = |line: &&String| {
        let most = grants.with(most(line, grants));
        missing_needs(Some(line), &most.as_written()).is_empty() && !missing_needs(Some(line), &most).is_empty()
    };
    lines.iter().filter(is_beyond).cloned().collect()
}

/// As much as the manifest could grant of what `line` names; under which prefix, it has said or has not.
fn most(line: &str, grants: &Grants) -> Permissions {
    let needs: toml::Table = line.parse().unwrap_or_default();
    let names = |key: &str| -> Vec<Arc<str>> {
        match needs.get(key) {
            Some(toml::Value::Table(named)) => named.keys().map(|name| name.as_str().into()).collect(),
            Some(toml::Value::Array(listed)) => listed.iter().filter_map(|name| Some(name.as_str()?.into())).collect(),
            _ => Vec::new(),
        }
    };
    let everywhere = || vec!["**".parse().expect("a pattern for every topic")];
    let sign = needs.get("sign").and_then(|sign| {
        let roles = sign.get("roles").and_then(toml::Value::as_array).into_iter().flatten();
        let roles = roles.filter_map(|role| Some(role.as_str()?.into())).collect();
        Some(SignGrant { auth: sign.get("auth")?.as_str()?.into(), roles, ttl_max: Duration::MAX })
    });
    let prefix =
        |store: &str| grants.written().keyvalue.get(store).map_or_else(|| "".into(), |scope| scope.prefix.clone());
    let whole = |store: Arc<str>| (store.clone(), KeyValueScope { prefix: prefix(&store), mode: Mode::ReadWrite });
    Permissions {
        postgres: names("postgres").into_iter().map(|name| (name, Mode::ReadWrite)).collect(),
        sign,
        passwords: true,
        call: names("call").into_iter().map(|name| (name, CallScope::Whole)).collect(),
        net: NetPermission { allow: NetAllow::Everything, ..NetPermission::default() },
        keyvalue: names("keyvalue").into_iter().map(whole).collect(),
        publish: everywhere(),
        subscribe: everywhere(),
        sockets: true,
        ..Permissions::default()
    }
}

/// Whether this is a shape of `key` that is compared with grants.
fn is_read(key: &str, need: &toml::Value) -> bool {
    let texts = || need.as_array().is_some_and(|items| items.iter().all(toml::Value::is_str));
    let mode = |mode: &toml::Value| matches!(mode.as_str(), Some("read" | "read-write"));
    let modes = |of: &dyn Fn(&toml::Value) -> bool| need.as_table().is_some_and(|names| names.values().all(of));
    match key {
        "call" => {
            texts() || modes(&|requests| requests.as_array().is_some_and(|all| all.iter().all(toml::Value::is_str)))
        }
        "net" | "publish" | "subscribe" => texts(),
        "postgres" => modes(&mode),
        "keyvalue" => modes(&|store| mode(store.get("mode").unwrap_or(store)) || store.is_table()),
        "sign" => need.get("auth").is_some_and(toml::Value::is_str),
        "passwords" => need.is_bool(),
        _ => true,
    }
}

fn databases(needs: &toml::Table, grants: &Grants) -> Vec<String> {
    let Some(toml::Value::Table(databases)) = needs.get("postgres") else { return Vec::new() };
    let mut lines = Vec::new();
    for (name, mode) in databases {
        let needed = if mode.as_str() == Some("read") { Mode::Read } else { Mode::ReadWrite };
        let granted = grants.postgres(name).ok().map(|granted| granted.get().mode);
        if granted.is_none_or(|granted| granted < needed) {
            let mode = if needed == Mode::Read { "read" } else { "read-write" };
            lines.push(format!("postgres = {{ {name} = \"{mode}\" }}"));
        }
    }
    lines
}

/// Callees of which only some requests are needed.
fn calls(needs: &toml::Table, grants: &Grants) -> Vec<String> {
    let Some(toml::Value::Table(callees)) = needs.get("call") else { return Vec::new() };
    let covered = |callee: &str, request: &str| request.parse().is_ok_and(|one| grants.covers_call(callee, &one));
    let missing = |(callee, requests): (&String, &toml::Value)| {
        let all = requests.as_array().into_iter().flatten().filter_map(toml::Value::as_str);
        let lacks: Vec<String> = all.filter(|one| !covered(callee, one)).map(|one| format!("{one:?}")).collect();
        (!lacks.is_empty()).then(|| format!("call = {{ {callee} = [{}] }}", lacks.join(", ")))
    };
    callees.iter().filter_map(missing).collect()
}

/// A mode alone, or a mode under the component's own idea of a prefix: that one is the operator's.
fn stores(needs: &toml::Table, grants: &Grants) -> Vec<String> {
    let Some(toml::Value::Table(stores)) = needs.get("keyvalue") else { return Vec::new() };
    let mode = |needed: &toml::Value| {
        let word = needed.get("mode").and_then(toml::Value::as_str).or(needed.as_str());
        if word == Some("read") { Mode::Read } else { Mode::ReadWrite }
    };
    let missing = |(name, needed): (&String, &toml::Value)| {
        let needed = mode(needed);
        let granted = grants.keyvalue(name).ok().map(|granted| granted.get().scope.mode);
        let word = if needed == Mode::Read { "read" } else { "read-write" };
        granted.is_none_or(|granted| granted < needed).then(|| format!("keyvalue = {{ {name} = \"{word}\" }}"))
    };
    stores.iter().filter_map(missing).collect()
}

/// The signer and the roles; how long tokens may be valid is the operator's own choice.
fn tokens(needed: &toml::Value, grants: &Grants) -> Option<String> {
    let auth = needed.get("auth").and_then(toml::Value::as_str)?;
    let listed = needed.get("roles").and_then(toml::Value::as_array);
    let roles: Vec<&str> = listed.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let granted = grants.signs().is_some_and(|granted| {
        *granted.auth == *auth && roles.iter().all(|role| granted.roles.iter().any(|granted| **granted == **role))
    });
    if granted {
        return None;
    }
    let roles: Vec<String> = roles.iter().map(|role| format!("{role:?}")).collect();
    Some(format!("sign = {{ auth = {auth:?}, roles = [{}], ttl_max = \"1h\" }}", roles.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use grant::{Ceiling, env::EnvGrant};

    #[track_caller]
    fn check(needs: &str, granted: &[(&str, Mode)], lines: &[&str]) {
        let postgres: BTreeMap<_, _> = granted.iter().map(|(name, mode)| ((*name).into(), *mode)).collect();
        let grants =
            Grants::new("users".into(), "shop.toml".into(), Permissions { postgres, ..Permissions::default() });
        assert_eq!(missing_needs(Some(needs), &grants), lines);
    }

    #[test]
    fn exactly_what_is_missing_is_named() {
        let needs = "postgres = { users = \"read-write\", audit = \"read\" }";
        check(needs, &[("users", Mode::ReadWrite), ("audit", Mode::ReadWrite)], &[]);
        check(needs, &[("users", Mode::Read), ("audit", Mode::Read)], &["postgres = { users = \"read-write\" }"]);
        check(needs, &[("users", Mode::ReadWrite)], &["postgres = { audit = \"read\" }"]);
        check("", &[], &[]);
        check(
            "call = [\"products\"]\nnet = [\"a.example:443\", \"*.b.example:443\"]",
            &[],
            &["call = [\"products\"]", "net = [\"a.example:443\", \"*.b.example:443\"]"],
        );
    }

    #[test]
    fn every_shape_of_a_need_is_judged_and_what_cannot_be_is_missing() {
        let call = "call = { products = [\"GET /products\"] }";
        check(call, &[], &[call]);
        let only = |request: &str| {
            let scope = CallScope::Only(vec![request.parse().unwrap()]);
            let call = BTreeMap::from([("products".into(), scope)]);
            Grants::new("a".into(), "a.toml".into(), Permissions { call, ..Permissions::default() })
        };
        assert_eq!(missing_needs(Some(call), &only("GET /*")), Vec::<String>::new());
        assert_eq!(missing_needs(Some(call), &only("POST /products")), [call]);
        check("net = { allow = [\"a.example:443\"] }", &[], &["net = [\"a.example:443\"]"]);
        check("passwords = \"yes\"", &[], &["passwords = \"yes\""]);
        check("net = true", &[], &["net = true"]);
        check("postgres = { users = \"all\" }", &[("users", Mode::ReadWrite)], &["postgres = { users = \"all\" }"]);
        check("call = [1]", &[], &["call = [1]"]);
        check("no toml", &[], &["needs that are no TOML"]);
        check("env = [\"LOG\"]", &[], &[]);
    }

    #[test]
    fn a_need_to_dial_is_met_by_the_same_entry_or_by_one_that_allows_its_host() {
        let allow = ["*.example.com:443", "10.0.0.0/8"].map(|entry| entry.parse().unwrap());
        let net = NetPermission { allow: NetAllow::Only(allow.into()), ..NetPermission::default() };
        let grants = Grants::new("a".into(), "a.toml".into(), Permissions { net, ..Permissions::default() });
        let needs = "net = [\"api.example.com:443\", \"*.example.com:443\", \"api.example.com:80\", \"10.0.0.0/8\"]";
        assert_eq!(missing_needs(Some(needs), &grants), ["net = [\"api.example.com:80\"]"]);
    }

    #[test]
    fn tokens_and_passwords_are_needs_too() {
        let needs = "sign = { auth = \"main\", roles = [\"user\"] }\npasswords = true";
        let lines = ["sign = { auth = \"main\", roles = [\"user\"], ttl_max = \"1h\" }", "passwords = true"];
        check(needs, &[], &lines);
        let grants = |roles: &[&str]| {
            let roles = roles.iter().map(|role| (*role).into()).collect();
            let sign = SignGrant { auth: "main".into(), roles, ttl_max: Duration::from_secs(60) };
            let permissions = Permissions { sign: Some(sign), passwords: true, ..Permissions::default() };
            Grants::new("users".into(), "shop.toml".into(), permissions)
        };
        assert_eq!(missing_needs(Some(needs), &grants(&["user", "admin"])), Vec::<String>::new());
        assert_eq!(missing_needs(Some(needs), &grants(&["admin"])), lines[..1]);
    }

    #[test]
    fn a_line_is_beyond_the_ceiling_when_no_manifest_could_grant_it() {
        let allowed = Permissions {
            postgres: BTreeMap::from([("*".into(), Mode::Read)]),
            call: BTreeMap::from([("products".into(), CallScope::Whole)]),
            publish: vec!["order.*".parse().unwrap()],
            net: NetPermission { allow: NetAllow::Everything, deny: ["10.0.0.0/8".parse().unwrap()].into() },
            ..Permissions::default()
        };
        let ceiling = Arc::new(Ceiling::new("c.toml".into(), allowed, EnvGrant::default()));
        let grants = Grants::new("a".into(), "a.toml".into(), Permissions::default()).under(ceiling, Vec::new());
        for (line, expected) in [
            ("postgres = { users = \"read\" }", false),
            ("postgres = { users = \"read-write\" }", true),
            ("call = [\"products\"]", false),
            ("call = { products = [\"GET /a\"] }", false),
            ("call = [\"users\"]", true),
            ("publish = [\"order.created\"]", false),
            ("publish = [\"user.created\"]", true),
            ("passwords = true", true),
            ("net = [\"a.example:443\"]", false),
            ("net = [\"10.1.2.3:8080\"]", true),
            ("net = [\"a.example:443\", \"10.1.2.3:8080\"]", true),
            ("sign = { auth = \"main\", roles = [\"user\"] }", true),
            ("keyvalue = { cache = \"read\" }", true),
            // No manifest could say it, with a ceiling or without.
            ("net = true", false),
            ("no toml", false),
        ] {
            let beyond = !beyond_ceiling(&[line.to_owned()], &grants).is_empty();
            assert_eq!(beyond, expected, "{line}");
            assert!(beyond_ceiling(&[line.to_owned()], &grants.as_written()).is_empty(), "{line}");
        }
    }
}
