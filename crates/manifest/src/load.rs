//! From a file to a [`Manifest`], or to everything that is wrong with it.
//!
//! In order: the manifest and its includes are read and followed along their schema (`files`),
//! then what they say is checked together (`check`). Reads files; nothing else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    AuthSettings, Confines, DatabaseSettings, Environment, GatewaySettings, KeyValueSettings, Manifest, RedisSettings,
    RouteSettings, ServiceSettings, TrustSettings,
    check::{self, Auths, Check, GatewayAuth, Surroundings},
    files::Files,
    names::{Names, There},
    raw::{Named, RawDatabase, RawInclude, RawManifest, RawRedis, RawRoute, RawService},
};
use document::problem::{Place, Problem, Problems};
use document::schema;
use document::source::{self, Key, Source};
use grant::Permissions;

/// A right manifest and what else its files tell.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub manifest: Manifest,
    /// Right, but probably not what was meant.
    pub warnings: Vec<Problem>,
    /// SHA-256 over the files as they were read, in hex. It covers no value of the environment.
    pub digest: String,
    /// As the user wrote it.
    pub(super) file: PathBuf,
    places: HashMap<String, (PathBuf, Place)>,
}

impl Manifest {
    /// Reads `path` and what it includes.
    ///
    /// # Errors
    /// Every mistake in all of these files.
    pub fn load(path: &Path, env: &Environment) -> Result<Loaded, Problems> {
        let (loaded, problems) = Self::examine(path, env)?;
        if problems.is_empty() { Ok(loaded) } else { Err(problems) }
    }

    /// The manifest `text`, as if it stood in `path`.
    ///
    /// # Errors
    /// Every mistake in it and in what it includes.
    pub fn load_text(path: &Path, text: &str, env: &Environment) -> Result<Loaded, Problems> {
        let files = Files::of(path, text, None).map_err(|problems| Problems::new(path, problems))?;
        let (loaded, problems) = check(files, path, env, None);
        if problems.is_empty() { Ok(loaded) } else { Err(Problems::new(path, problems)) }
    }

    /// The manifest `text`, sent to take the place of the one in `path`, whose folder its paths and
    /// includes start from.
    ///
    /// # Errors
    /// Every mistake in it, and every path outside of `confines`.
    pub fn load_sent(path: &Path, text: &str, env: &Environment, confines: &Confines) -> Result<Loaded, Problems> {
        let files = Files::of(path, text, Some(confines)).map_err(|problems| Problems::new(path, problems))?;
        let (loaded, problems) = check(files, path, env, Some(confines));
        if problems.is_empty() { Ok(loaded) } else { Err(Problems::new(path, problems)) }
    }

    /// What can be made out of `path`, right or not, and every mistake in it: for a tool that
    /// goes on looking. Nothing may run of it unless there are none.
    ///
    /// # Errors
    /// When the manifest itself cannot be read as TOML.
    pub fn examine(path: &Path, env: &Environment) -> Result<(Loaded, Problems), Problems> {
        let files = Files::read(path).map_err(|problems| Problems::new(path, problems))?;
        let (loaded, problems) = check(files, path, env, None);
        Ok((loaded, Problems::new(path, problems)))
    }

    /// The JSON Schema (2020-12) of a manifest, for editors.
    pub fn schema() -> std::sync::Arc<serde_json::Value> {
        schema::of::<RawManifest>()
    }
}

impl Loaded {
    /// A mistake that shows only later, with the place of `key` (`services.users.component`, or
    /// [`RouteSettings::key`]).
    pub fn problem(&self, key: &str, message: impl std::fmt::Display) -> Problem {
        let (file, place) = self.places.get(key).cloned().unzip();
        let file = file.unwrap_or_else(|| self.file.clone());
        Problem { file, place, key: key.into(), message: message.to_string() }
    }

    /// The services whose component file is not there, each with the command that builds it.
    pub fn missing_components(&self) -> Problems {
        let missing = self.manifest.services.values().filter(|service| !service.component.is_file());
        let problem = |service: &ServiceSettings| {
            let file = service.component.display();
            let fix = match (&service.build, &service.remote) {
                (_, Some(remote)) => format!("`archipel pull {}` fetches {remote}", self.file.display()),
                (Some(build), None) => format!("build it with `{build}`"),
                (None, None) => "build it, or correct the path".into(),
            };
            let key = source::child(&format!("services.{}", service.name), "component");
            self.problem(&key, format_args!("there is no file `{file}`; {fix}"))
        };
        Problems::new(&self.file, missing.map(problem).collect())
    }
}

/// Checks the contents of all files together. The manifest's own source is the first.
fn check(files: Files, path: &Path, env: &Environment, confines: Option<&Confines>) -> (Loaded, Vec<Problem>) {
    let Files { sources, raw, includes, folder, whole, digest, problems, warnings } = files;
    let included: Vec<PathBuf> = sources[1..].iter().filter_map(|source| source.file.canonicalize().ok()).collect();
    let reserved = confines.map(Confines::reserved).unwrap_or_default();
    let named = included.iter().cloned().collect();
    let mut check = Check { env, folder, confines, named, whole, reserved, problems, warnings };
    let root = sources[0].root();
    let name = check.system_name(&root.child("name"), raw.name);
    let redis_names = written_names(&sources, "redis");
    let gateway = GatewaySettings {
        cors: raw.cors.and_then(|raw| check::cors(&mut check, &root.child("cors"), raw)),
        ..check::gateway(&mut check, &root.child("gateway"), raw.gateway, &redis_names)
    };
    let admin = check::admin(&mut check, &root.child("admin"), raw.admin, &gateway);
    let (auth_root, auth_key) = (root.child("auth"), root.child("gateway").child("auth"));
    let host = check::host(&mut check, &root.child("host"), raw.host, &redis_names);

    let own = RawInclude { postgres: raw.postgres, redis: raw.redis, services: raw.services, routes: raw.routes };
    let parts = Parts::new(&mut check, &sources, std::iter::once(own).chain(includes));
    // Issuers and databases first: they say which variables no service may see.
    let auth_names = written_names(&sources[..1], "auth");
    let postgres_names = written_names(&sources, "postgres");
    let stores = check::StoreNames { redis: &redis_names, postgres: &postgres_names };
    let issuers: BTreeMap<Arc<str>, AuthSettings> = (raw.auth.into_iter())
        .filter_map(|(name, raw)| {
            Some((name.as_str().into(), check::auth(&mut check, &auth_root.child(&name), raw, stores)?))
        })
        .collect();
    let auths = Auths { settings: &issuers, names: &auth_names };
    let gateway_auth = match gateway.auth.clone() {
        None if auth_key.is_written() => GatewayAuth::Wrong,
        None => GatewayAuth::None,
        Some(name) => match auths.of_gateway(&mut check, &auth_key, Some(name.to_string())) {
            Some(name) => GatewayAuth::Named(name),
            None => GatewayAuth::Wrong,
        },
    };
    let databases: BTreeMap<Arc<str>, DatabaseSettings> = (parts.databases.into_iter())
        .map(|(name, (key, raw))| (name, check::database(&mut check, &key, raw)))
        .collect();
    let redis: BTreeMap<Arc<str>, RedisSettings> =
        (parts.redis.into_iter()).map(|(name, (key, raw))| (name, check::redis(&mut check, &key, raw))).collect();
    check::redis_count(&mut check, &root.child("redis"), &redis);
    check::own_keys(&mut check, &auth_root, &issuers, &redis, &databases);
    let secrets = check::secrets(&mut check, &root.child("secrets"), raw.secrets);
    let store_root = root.child("keyvalue");
    let keyvalue: BTreeMap<Arc<str>, KeyValueSettings> = (raw.keyvalue.into_iter())
        .filter_map(|(name, raw)| {
            let settings = check::keyvalue(&mut check, &store_root.child(&name), raw, &redis_names)?;
            Some((name.as_str().into(), settings))
        })
        .collect();
    let consul_key = root.child("discovery").child("consul");
    let consul =
        raw.discovery.consul.and_then(|raw| check::consul(&mut check, &consul_key, raw, (&gateway, &admin, &host)));
    let dns_key = root.child("discovery").child("dns");
    let dns = check::dns(&mut check, &dns_key, raw.discovery.dns.unwrap_or_default());
    let has_events = raw.events.is_some();
    let events = raw.events.and_then(|raw| check::events(&mut check, &root.child("events"), raw, &redis_names));
    let names = written_names(&sources, "services");
    let there = There {
        databases: &databases,
        issuers: &issuers,
        names: Names {
            postgres: postgres_names.clone(),
            keyvalue: written_names(&sources[..1], "keyvalue"),
            auth: auth_names.clone(),
            services: names.clone(),
            secrets: written_names(&sources[..1], "secrets"),
        },
        has_events,
        whole: check.whole,
    };
    let trust_root = root.child("trust");
    let trust: BTreeMap<Arc<str>, TrustSettings> = (raw.trust.into_iter())
        .filter_map(|(name, raw)| {
            Some((name.as_str().into(), check::trust(&mut check, &trust_root.child(&name), raw, &names)?))
        })
        .collect();
    let telemetry = check::telemetry(&mut check, &root.child("telemetry"), raw.telemetry);
    let set_root = root.child("permission-sets");
    let sets: BTreeMap<Arc<str>, Permissions> = (raw.permission_sets.into_iter())
        .map(|(name, raw)| {
            let set = check::set(&mut check, &set_root.child(&name), raw, host.allow_unrestricted);
            (name.into(), set)
        })
        .collect();
    let around = Surroundings { host: &host, there: &there, sets: &sets, secrets: &secrets };
    let service_keys: Vec<Key<'_>> = parts.services.values().map(|(key, _)| key.clone()).collect();
    let (mut services, mut upstreams) = (BTreeMap::new(), BTreeMap::new());
    let guides = check::Guides { consul: consul.as_ref(), dns: &dns };
    let mut component_keys = Vec::new();
    for (name, (key, mut raw)) in parts.services {
        match raw.url.take() {
            Some(url) => _ = upstreams.insert(name, check::upstream(&mut check, &key, (url, guides), raw)),
            // It has been reported.
            None if key.child("url").is_written() => {}
            None => {
                services.insert(name, check::service(&mut check, &key, raw, &around));
                component_keys.push(key);
            }
        }
    }
    check::own_trust_key(&mut check, &root.child("host").child("trust_store"), &host, &upstreams, &redis);
    let by_key: Vec<_> = component_keys.into_iter().zip(services.values()).collect();
    check::apart(&mut check, &by_key);
    let routes: Vec<(Key<'_>, RouteSettings)> = (parts.routes.into_iter())
        .filter_map(|(key, raw)| {
            let route = check::route(
                &mut check,
                &key,
                label(&sources[0], key.file(), key.path()),
                raw,
                &names,
                (&auths, &gateway_auth),
            )?;
            Some((key, route))
        })
        .collect();
    check::conflicts(&mut check, &routes);
    check::unused(&mut check, &service_keys, &services, &routes);

    let Check { folder, problems, warnings, named, reserved, .. } = check;
    let file = path.file_name().map_or(folder.clone(), |name| folder.join(name));
    let routes = routes.into_iter().map(|(_, route)| route).collect();
    let manifest = Manifest {
        name,
        file: file.clone(),
        gateway,
        admin,
        host,
        issuers,
        databases,
        redis,
        keyvalue,
        consul,
        dns,
        trust,
        events,
        telemetry,
        secrets,
        services,
        upstreams,
        routes,
        files: included.into_iter().chain([file.clone()]).collect(),
        named,
        reserved,
    };
    let warnings = Problems::new(path, warnings).iter().cloned().collect();
    (Loaded { manifest, warnings, digest, file: path.into(), places: places(&sources) }, problems)
}

/// The tables of all files together, by name.
struct Parts<'a> {
    databases: BTreeMap<Arc<str>, (Key<'a>, RawDatabase)>,
    redis: BTreeMap<Arc<str>, (Key<'a>, RawRedis)>,
    services: BTreeMap<Arc<str>, (Key<'a>, RawService)>,
    routes: Vec<(Key<'a>, RawRoute)>,
}

impl<'a> Parts<'a> {
    fn new(check: &mut Check<'_>, sources: &'a [Source], files: impl Iterator<Item = RawInclude>) -> Self {
        let mut parts =
            Self { databases: BTreeMap::new(), redis: BTreeMap::new(), services: BTreeMap::new(), routes: Vec::new() };
        for (source, file) in sources.iter().zip(files) {
            let root = source.root();
            add(check, &mut parts.databases, &root.child("postgres"), file.postgres);
            add(check, &mut parts.redis, &root.child("redis"), file.redis);
            add(check, &mut parts.services, &root.child("services"), file.services);
            let routes = file.routes.into_iter().enumerate();
            parts.routes.extend(routes.map(|(index, raw)| (root.child("routes").item(index), raw)));
        }
        parts
    }
}

/// A name twice is an error: neither file shows which of the two would count.
fn add<'a, T>(check: &mut Check<'_>, all: &mut BTreeMap<Arc<str>, (Key<'a>, T)>, table: &Key<'a>, of_file: Named<T>) {
    for (name, raw) in of_file {
        let key = table.child(&name);
        match all.get(name.as_str()) {
            Some((other, _)) => {
                check.wrong(&key, format_args!("is already in {}; rename one of the two", other.position()))
            }
            None => _ = all.insert(name.into(), (key, raw)),
        }
    }
}

/// All names in a table, also those whose own table was too wrong to go on with.
fn written_names(sources: &[Source], table: &str) -> BTreeSet<Arc<str>> {
    sources.iter().flat_map(|source| source.names_in(table)).collect()
}

/// A key for messages beside the manifest's own: those of an include start with its file.
fn label(main: &Source, file: &Path, path: &str) -> String {
    if file == main.file {
        return path.into();
    }
    let folder = main.file.parent().unwrap_or(Path::new(""));
    format!("{}: {path}", file.strip_prefix(folder).unwrap_or(file).display())
}

/// Every key of every file. A name stands in one file only, routes have their label.
fn places(sources: &[Source]) -> HashMap<String, (PathBuf, Place)> {
    let mut places = HashMap::new();
    for source in sources {
        for (path, place) in source.places() {
            let key = if path.starts_with("routes") { label(&sources[0], &source.file, path) } else { path.into() };
            places.entry(key).or_insert_with(|| (source.file.clone(), place));
        }
    }
    places
}
