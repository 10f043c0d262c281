//! What of a changed manifest takes effect while the host runs, what only with a restart, and what
//! a manifest that was sent may not say at all.

use std::{collections::BTreeMap, sync::Arc};

use crate::engine::EngineSettings;
use grant::Mode;
use manifest::{
    DatabasePlace, DatabaseSettings, EventSettings, KeySettings, KeyStore, Manifest, RedisSettings, ServiceSettings,
};

/// A manifest that can run now.
pub(super) struct Change {
    /// As wanted, but for what needs a restart: that is as it was.
    pub(super) manifest: Manifest,
    /// The keys that need one.
    pub(super) restart: Vec<String>,
}

/// What can be taken over of `wanted`.
///
/// # Errors
/// Names in `wanted` that lead to something that is only there after a restart.
pub(super) fn live(running: &Manifest, wanted: Manifest) -> Result<Change, String> {
    let mut restart = Vec::new();
    let mut manifest = wanted;
    let mut keep = Keep(&mut restart);
    keep.key("name", &running.name, &mut manifest.name);
    keep.key("gateway.listen", &running.gateway.listen, &mut manifest.gateway.listen);
    keep.key("gateway.tls", &running.gateway.tls, &mut manifest.gateway.tls);
    keep.key("gateway.h2c", &running.gateway.h2c, &mut manifest.gateway.h2c);
    keep.key("admin.listen", &running.admin.listen, &mut manifest.admin.listen);
    keep.key("admin.hosts", &running.admin.hosts, &mut manifest.admin.hosts);
    keep.key("admin.tls", &running.admin.tls, &mut manifest.admin.tls);
    keep.key("admin.tokens", &running.admin.tokens, &mut manifest.admin.tokens);
    keep.key("host.data", &running.host.data, &mut manifest.host.data);
    keep.key("host.trust_store", &running.host.trust_store, &mut manifest.host.trust_store);
    keep.key("host.guest_memory", &running.host.guest_memory_bytes, &mut manifest.host.guest_memory_bytes);
    keep.key("host.redis_memory", &running.host.redis_memory_bytes, &mut manifest.host.redis_memory_bytes);
    databases(&mut keep, &running.databases, &mut manifest.databases);
    servers(&mut keep, &running.redis, &mut manifest.redis);
    events(&mut keep, &running.events, &mut manifest.events);
    reachable(&manifest)?;
    Ok(Change { manifest, restart })
}

/// Puts back what must stay, and names it.
struct Keep<'a>(&'a mut Vec<String>);

impl Keep<'_> {
    fn key<T: PartialEq + Clone>(&mut self, key: &str, running: &T, wanted: &mut T) {
        if running != wanted {
            wanted.clone_from(running);
            self.0.push(key.to_owned());
        }
    }
}

/// New databases are made, and removed ones let go; one that is there stays where it is.
fn databases(
    keep: &mut Keep<'_>,
    running: &BTreeMap<Arc<str>, DatabaseSettings>,
    wanted: &mut BTreeMap<Arc<str>, DatabaseSettings>,
) {
    for (name, running) in running {
        let Some(wanted) = wanted.get_mut(name) else { continue };
        match (&running.place, &mut wanted.place) {
            (
                DatabasePlace::External { url, url_read, schema, .. },
                DatabasePlace::External { url: wanted, url_read: wanted_read, schema: wanted_schema, .. },
            ) => {
                keep.key(&format!("postgres.{name}.url"), url, wanted);
                keep.key(&format!("postgres.{name}.url_read"), url_read, wanted_read);
                keep.key(&format!("postgres.{name}.schema"), schema, wanted_schema);
            }
            (running, wanted) => keep.key(&format!("postgres.{name}.url"), running, wanted),
        }
    }
}

/// What carries events is settled when there is something; how long they are kept is not.
fn events(keep: &mut Keep<'_>, running: &Option<EventSettings>, wanted: &mut Option<EventSettings>) {
    match (running, &mut *wanted) {
        (Some(running), Some(wanted)) => keep.key("events.redis", &running.redis, &mut wanted.redis),
        (Some(_), None) => keep.key("events", running, wanted),
        (None, _) => {}
    }
}

/// A connection to a Redis is made at the start, and its private server too.
fn servers(
    keep: &mut Keep<'_>,
    running: &BTreeMap<Arc<str>, RedisSettings>,
    wanted: &mut BTreeMap<Arc<str>, RedisSettings>,
) {
    let names: Vec<_> = running.keys().chain(wanted.keys()).cloned().collect();
    for name in names {
        if running.get(&name) != wanted.get(&name) {
            keep.0.push(format!("redis.{name}"));
        }
    }
    keep.0.dedup();
    wanted.clone_from(running);
}

/// What was checked against the manifest as it was written must be there as it runs.
fn reachable(manifest: &Manifest) -> Result<(), String> {
    if let Some(store) = &manifest.gateway.limit_store
        && !manifest.redis.contains_key(store)
    {
        return Err(format!("`gateway.limit_store` names `redis.{store}`, which is only there after a restart"));
    }
    for (name, store) in &manifest.keyvalue {
        if !manifest.redis.contains_key(&store.redis) {
            let redis = &store.redis;
            return Err(format!("`keyvalue.{name}` is in `redis.{redis}`, which is only there after a restart"));
        }
    }
    for (name, settings) in &manifest.issuers {
        if let KeySettings::Generated { store: Some(KeyStore::Redis(store)) } = &settings.keys
            && !manifest.redis.contains_key(store)
        {
            return Err(format!("`auth.{name}.keys` names `redis.{store}`, which is only there after a restart"));
        }
    }
    if let Some(events) = manifest.events.as_ref().filter(|events| !manifest.redis.contains_key(&events.redis)) {
        return Err(format!("`[events]` names `redis.{}`, which is only there after a restart", events.redis));
    }
    manifest.services.values().try_for_each(|service| readable(service, manifest))
}

/// Who may only read a database is never given the role that writes there.
fn readable(service: &ServiceSettings, manifest: &Manifest) -> Result<(), String> {
    let reads = service.grants.databases().filter(|granted| granted.get().mode == Mode::Read);
    for granted in reads {
        let (name, database) = (&service.name, &granted.get().database);
        let place = manifest.databases.get(database).map(|settings| &settings.place);
        if let Some(DatabasePlace::External { url_read: None, .. }) = place {
            return Err(format!(
                "`{name}` may only read `postgres.{database}`, whose `url_read` is only there after a restart"
            ));
        }
    }
    Ok(())
}

/// Limits that the engine has no room for as it was started, each with what it has room for.
pub(super) fn beyond(started: &EngineSettings, wanted: &EngineSettings) -> Vec<String> {
    let instances = (wanted.instances_max > started.instances_max).then(|| {
        let (all, room) = (wanted.instances_max, started.instances_max);
        format!("services.*.limits.concurrency, {all} in all where there is room for {room} instances at once")
    });
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let memory = (wanted.instance_memory_max_bytes > started.instance_memory_max_bytes).then(|| {
        let (most, room) = (mib(wanted.instance_memory_max_bytes), mib(started.instance_memory_max_bytes));
        format!("services.*.limits.memory, {most} MiB where an instance has room for {room} MiB")
    });
    instances.into_iter().chain(memory).collect()
}

/// What a manifest that was sent may not change: it comes from the machine. `file` is the one on the
/// machine, as it is now.
pub(super) fn refused(running: &Manifest, wanted: &Manifest, file: Option<&Manifest>) -> Vec<String> {
    let mut refused = Vec::new();
    for (key, is_changed) in [
        ("listen", running.admin.listen != wanted.admin.listen),
        ("hosts", running.admin.hosts != wanted.admin.hosts),
        ("tls", running.admin.tls != wanted.admin.tls),
        ("tokens", running.admin.tokens != wanted.admin.tokens),
    ] {
        if is_changed {
            refused.push(format!("`admin.{key}` is changed; edit the manifest's file and restart"));
        }
    }
    // It holds a token, and says whose word is believed about where requests go.
    let is_known =
        |consul: &Option<_>| [Some(running), file].into_iter().flatten().any(|known| known.consul == *consul);
    if !is_known(&wanted.consul) {
        refused.push("`discovery.consul` is changed; edit the manifest's file and apply that".to_owned());
    }
    if ![Some(running), file].into_iter().flatten().any(|known| known.dns.servers == wanted.dns.servers) {
        refused.push("`discovery.dns.servers` is changed; edit the manifest's file and apply that".to_owned());
    }
    // Whoever is believed says in whose name requests are.
    if ![Some(running), file].into_iter().flatten().any(|known| known.trust == wanted.trust) {
        refused.push("`[trust]` is changed; edit the manifest's file and apply that".to_owned());
    }
    for (name, service) in &wanted.services {
        let known = [Some(running), file].into_iter().flatten().filter_map(|manifest| manifest.services.get(name));
        let running = running.services.get(name);
        let may = match running {
            Some(running) => running.build == service.build,
            None => service.build.is_none() || known.into_iter().any(|known| known.build == service.build),
        };
        if !may {
            refused.push(format!(
                "`services.{name}.build` is another command than in the manifest's file here; edit that file and restart"
            ));
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroUsize};

    use super::*;
    use manifest::Environment;

    fn manifest(text: &str) -> Manifest {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.toml");
        fs::write(&file, format!("name = \"shop\"\n{text}")).unwrap();
        let loaded = Manifest::load(&file, &Environment::default());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        // Two tests' folders are no change.
        Manifest { file: "shop.toml".into(), ..loaded.manifest }
    }

    /// What can run of `wanted`, and what it names.
    #[track_caller]
    fn check(running: &str, wanted: &str, restart: &[&str]) -> Manifest {
        let mut wanted = manifest(wanted);
        let running = manifest(running);
        wanted.host.data.clone_from(&running.host.data);
        let change = live(&running, wanted).unwrap();
        assert_eq!(change.restart, restart);
        change.manifest
    }

    const A: &str = "[postgres.a]\nurl = \"postgres://u@a.test/a\"\n";

    #[test]
    fn where_a_database_is_needs_a_restart_and_nothing_else_of_it_does() {
        let all = "connections_max = 3\nwait = \"2s\"\nstatement_timeout = \"1s\"\nrows_max = 5\nbytes_max = \"1MiB\"\noptional = true\n";
        let embedded = check("[postgres.a]\n", &format!("[postgres.a]\n{all}"), &[]);
        assert_eq!(embedded.databases["a"].rows_max, 5);
        check("", "[postgres.a]\n", &[]);
        check("[postgres.a]\n", "", &[]);
        let strict = check(A, &format!("{A}tls = \"require\"\n{all}"), &[]);
        assert!(matches!(strict.databases["a"].place, DatabasePlace::External { tls: manifest::TlsMode::Require, .. }));

        let moved = check(A, &format!("{}{all}", A.replace("a.test", "b.test")), &["postgres.a.url"]);
        let DatabasePlace::External { url, .. } = &moved.databases["a"].place else { panic!("it is elsewhere") };
        assert_eq!((url.reveal(), moved.databases["a"].rows_max), ("postgres://u@a.test/a", 5));
        check(A, &format!("{A}url_read = \"postgres://r@a.test/a\"\n"), &["postgres.a.url_read"]);
        check(A, &format!("{A}schema = \"ours\"\n"), &["postgres.a.schema"]);
        let kept = check("[postgres.a]\n", A, &["postgres.a.url"]);
        assert_eq!(kept.databases["a"].place, DatabasePlace::Embedded);
        check(A, "[postgres.a]\n", &["postgres.a.url"]);
    }

    #[test]
    fn a_service_that_may_only_read_never_gets_the_role_that_writes() {
        let reader = "[services.r]\ncomponent = \"r.wasm\"\npermissions = { postgres = { a = \"read\" } }\n";
        let (reading, private) =
            (format!("{A}url_read = \"postgres://r@a.test/a\"\n{reader}"), format!("[postgres.a]\n{reader}"));
        for wanted in [&reading, &private] {
            let refused = live(&manifest(A), manifest(wanted)).err().unwrap();
            assert!(refused.contains("`r` may only read `postgres.a`") && refused.contains("restart"), "{refused}");
        }
        check(&reading, &reading, &[]);
    }

    #[test]
    fn events_come_and_are_kept_otherwise_but_do_not_move_or_go() {
        let stores = "[redis.main]\n[redis.other]\n";
        let events = |lines: &str| format!("{stores}[events]\n{lines}\n");
        assert!(check(stores, &events("redis = \"main\""), &[]).events.is_some());
        let kept = check(&events("redis = \"main\""), &events("redis = \"main\"\nretain = \"1h\""), &[]);
        assert_eq!(kept.events.unwrap().retain.as_secs(), 3600);
        let moved = events("redis = \"other\"\nretain_bytes = \"2MiB\"");
        let moved = check(&events("redis = \"main\""), &moved, &["events.redis"]).events.unwrap();
        assert_eq!((&*moved.redis, moved.retain_bytes), ("main", 2 << 20));
        assert!(check(&events("redis = \"main\""), stores, &["events"]).events.is_some());
        let nowhere = live(&manifest("[redis.main]\n"), manifest(&events("redis = \"other\""))).err().unwrap();
        assert!(nowhere.contains("`redis.other`") && nowhere.contains("restart"), "{nowhere}");
    }

    #[test]
    fn what_the_reference_does_not_call_live_is_named_and_stays() {
        let gateway = "[gateway]\nlisten = \"127.0.0.1:3000\"\n";
        let more = "connections_max = 7\nrequests_max = 7\nexpose_version = false\n";
        assert_eq!(check(gateway, &format!("{gateway}{more}"), &[]).gateway.connections_max.get(), 7);
        let kept =
            check(gateway, "[gateway]\nlisten = \"127.0.0.1:3001\"\nh2c = false\n", &["gateway.listen", "gateway.h2c"]);
        assert_eq!(kept.gateway.listen[0].port(), 3000);
        check("", "[host]\nguest_memory = \"1GiB\"\ndrain = \"1s\"\n", &["host.guest_memory"]);
        check("", "[host]\ntrust_store = \"redis.main\"\n[redis.main]\n", &["host.trust_store", "redis.main"]);
        check("", "[host]\nredis_memory = \"1GiB\"\n", &["host.redis_memory"]);
        check("[redis.a]\n", "[redis.a]\n[redis.b]\n", &["redis.b"]);
    }

    #[test]
    fn limits_that_the_engine_has_no_room_for_are_named() {
        let started = EngineSettings {
            instances_max: 512,
            instance_memory_max_bytes: 1 << 30,
            guest_memory_bytes: 1 << 30,
            workers: NonZeroUsize::MIN,
        };
        assert!(beyond(&started, &started).is_empty());
        let fewer = EngineSettings { instances_max: 10, instance_memory_max_bytes: 1, ..started };
        assert!(beyond(&started, &fewer).is_empty());
        let named = beyond(&started, &EngineSettings { instances_max: 513, ..started });
        assert_eq!(named, ["services.*.limits.concurrency, 513 in all where there is room for 512 instances at once"]);
        let named = beyond(&started, &EngineSettings { instance_memory_max_bytes: (1 << 30) + 1, ..started });
        assert_eq!(named, ["services.*.limits.memory, 1025 MiB where an instance has room for 1024 MiB"]);
    }
}
