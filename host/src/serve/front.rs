//! The two listeners: what the admin's shows, and the settings of both.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::{
    auth::Access,
    cors::RouteCors,
    dispatch::Dispatch,
    fixed::Fixed,
    gateway::{Gateway, Settings},
    listener::{self, Admission},
    route::Methods,
    router::{Entry, RouteTable},
    tls::{Files, Tls, TlsError},
};
use http::StatusCode;
use tokio::runtime::Handle;

use crate::{
    admin::{self, Api, EventsApi, LiveApi, Page, Sites, Tokens},
    health::Pages,
    system::{self, Descriptors, System},
    telemetry::Logs,
};
use manifest::GatewaySettings;

const ADMIN_CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// A swap compiles for up to 60 s, and may wait for another one before.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(150);
const ADMIN_BODY_MAX_BYTES: u64 = 64 << 20;

/// The admin listener's pages and its API, for its own `Host` only.
pub(super) fn admin(
    (sites, named): (Sites, &[String]),
    system: &Arc<System>,
    metrics: Arc<dyn Dispatch>,
    logs: &Arc<Logs>,
    tokens: Tokens,
) -> Gateway {
    let mut entries: Vec<Entry> = admin::PAGES
        .into_iter()
        .map(|(path, page)| match page {
            Page::Health(page) => open(path, Arc::new(Pages { health: system.health().clone(), page })),
            Page::Metrics => open(path, metrics.clone()),
        })
        .collect();
    entries.push(open("/health/{*rest}", Arc::new(Fixed(StatusCode::NOT_FOUND)))); // no token for any of them
    let access = Access::Token(Arc::new(tokens));
    let asked = |path, method, dispatch: Arc<dyn Dispatch>| {
        let mut entry = open(path, dispatch);
        entry.route.methods = Methods::Only(vec![method]);
        Entry { exempt: false, access: access.clone(), ..entry }
    };
    let (runtime, started) = (Handle::current(), Instant::now());
    entries.extend(admin::ACTIONS.into_iter().map(|(path, method, action)| {
        let (system, runtime) = (system.clone(), runtime.clone());
        asked(path, method, Arc::new(Api { action, system, sites, runtime, started }))
    }));
    entries.extend(
        admin::EVENT_ACTIONS
            .into_iter()
            .map(|(path, method, action)| asked(path, method, Arc::new(EventsApi { action, system: system.clone() }))),
    );
    entries.extend(admin::LIVE_ACTIONS.into_iter().map(|(path, method, action)| {
        let (recorder, logs) = (system.recorder().clone(), logs.clone());
        let mut entry = asked(path, method, Arc::new(LiveApi { action, recorder, logs }));
        entry.route.timeout = Some(admin::STREAM_MAX);
        entry
    }));
    let settings = Settings {
        hosts: admin::own_hosts(sites.admin, named),
        any_address: sites.admin.ip().is_unspecified(),
        expose_version: false,
        body_limit_bytes: ADMIN_BODY_MAX_BYTES,
        timeout: ADMIN_TIMEOUT,
        requests_max: ADMIN_CONNECTIONS_MAX,
        access,
        limit: None,
        trusted_proxies: Vec::new(),
        trust: None,
        cors: None,
    };
    Gateway::new(RouteTable::new(entries).expect("our own pages do not clash"), settings)
}

/// A page that asks for no token, and is never shed.
fn open(path: &str, dispatch: Arc<dyn Dispatch>) -> Entry {
    Entry { exempt: true, cors: RouteCors::Off, ..system::read_only(path, dispatch) }
}

pub(super) fn listening(settings: &GatewaySettings, tls: Option<Tls>, admission: Admission) -> listener::Settings {
    listener::Settings { tls, h2c: settings.h2c, admission, ..listener::Settings::new(settings.connections_max) }
}

pub(super) fn admin_listening(tls: Option<Tls>, descriptors: Descriptors) -> listener::Settings {
    listener::Settings { tls, ..listener::Settings::new(descriptors.of_admin(ADMIN_CONNECTIONS_MAX)) }
}

pub(super) fn tls(files: Option<&Files>) -> Result<Option<Tls>, TlsError> {
    files.cloned().map(Tls::read).transpose()
}
