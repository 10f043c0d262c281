//! One instantiated component and its store: what it may see, and its bounds.
//!
//! Decides what a guest has in its hands (environment, output, memory, handles, capabilities)
//! and for how long it may run ([`Budget`]). It does not decide when an instance is made, reused
//! or thrown away: that is `service`.

use std::sync::{Arc, atomic::AtomicU64};

use gateway::context::RequestContext;
use span::Source;
use symbols::Lines;
use tokio::sync::Notify;
use wasmtime::{Store, component::ResourceTable};
use wasmtime_wasi::{WasiCtxView, WasiView, sockets::WasiSocketsCtxView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, p2::bindings::Proxy};

use crate::{
    capability::{
        asking::{Asking, Denials},
        client::ClientView,
        config::{ConfigView, ConfigsView, Configuration},
        files::{FilesCtx, FilesView, FolderView, Folders},
        http::{HEADERS_MAX_BYTES, HeadDue, Outgoing, QuickDoor, Ways},
        identity::{IdentitiesView, IdentityView},
        keyvalue::{StoreCtx, StoreView, StoresView},
        logging::LoggingView,
        messaging::{Consumer, MessagingView, ProducerView},
        otel::TracingView,
        outbox::{OutboxCtx, OutboxesView},
        postgres::{DatabaseCtx, DatabaseView, PostgresView},
        sockets::{SocketCtx, SocketView, Sockets, SocketsView},
        stdio::Output,
    },
    engine::{Drawer, Engine, Reservation},
    telemetry::counts::ServiceCounts,
};
use backend::{Backends, memory::Account, secrets::Secrets};
use manifest::ServiceSettings;

mod budget;
mod limiter;
mod wasi;

pub use budget::{Budget, Stopped};
pub use limiter::{Limiter, Refusal};
use wasi::Wasi;

/// Bytes that may be copied into the host in one call of it.
const HOSTCALL_BYTES_MAX: usize = 8 << 20;
/// Also bounds what the host keeps for a guest: a handle may stand for a header map, or for two
/// pieces of a body.
const HANDLES_MAX: usize = 1_000;

/// What the store of every instance holds.
pub struct InstanceState {
    wasi: Wasi,
    http: WasiHttpCtx,
    /// Before the table: see [`Outgoing`].
    outgoing: Outgoing,
    table: ResourceTable,
    limiter: Limiter,
    databases: DatabaseView,
    identities: IdentityView,
    stores: StoreView,
    producer: ProducerView,
    files: FilesView,
    sockets: SocketView,
    config: ConfigView,
    output: Arc<Output>,
    asking: Arc<Asking>,
}

/// A component ready to take requests, one after the other.
pub struct Instance {
    pub store: Store<InstanceState>,
    /// `wasi:http`, for requests of any kind.
    pub proxy: Option<Proxy>,
    /// `archipel:http`, for whole ones.
    pub quick: Option<QuickDoor>,
    /// Of a component that handles events.
    pub consumer: Option<Arc<Consumer>>,
    pub budget: Arc<Budget>,
    pub output: Arc<Output>,
    /// Of its component, for when it fails.
    pub lines: Arc<Lines>,
    /// Requests it has finished.
    pub served: u32,
    /// Its last request left nothing behind that others would miss: no open transaction, no body.
    pub tidy: bool,
    _freed: FreedOnDrop,
}

/// What makes instances of one service differ from those of another.
pub struct Blueprint {
    pub engine: Engine,
    pub settings: Arc<ServiceSettings>,
    pub backends: Arc<Backends>,
    pub counts: Arc<ServiceCounts>,
    env: Arc<[(String, String)]>,
    ways: Arc<Ways>,
    denials: Arc<Denials>,
    folders: Arc<Folders>,
    sockets: Arc<Sockets>,
    config: Arc<Configuration>,
    /// As who its instances are told of: name and label of the build.
    pub source: Arc<Source>,
    lines: Arc<Lines>,
}

impl Blueprint {
    /// `body_limit_bytes` bounds the bodies of calls to other services; `folders` are those it sees, `lines` those
    /// of its component.
    pub fn new(
        engine: Engine,
        settings: Arc<ServiceSettings>,
        backends: Arc<Backends>,
        body_limit_bytes: Arc<AtomicU64>,
        counts: Arc<ServiceCounts>,
        (source, folders, lines): (Arc<Source>, Arc<Folders>, Arc<Lines>),
    ) -> Self {
        let env: Arc<[_]> = settings.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let (grants, directory) = (settings.grants.clone(), backends.directory.clone());
        let client = backends.outbound.client(grants.clone());
        let (denials, secrets) = (Arc::<Denials>::default(), Arc::new(Secrets::new(&settings.secrets)));
        let own = (denials.clone(), secrets.clone());
        let sockets = Arc::new(Sockets::new(grants.clone(), backends.outbound.lookups()));
        let config = Arc::new(Configuration::new(grants.clone(), secrets, env.clone()));
        let (of, whose) = (counts.clone(), source.clone());
        let ways = Arc::new(Ways::new(whose, grants, directory, client, body_limit_bytes, of, own));
        Self { engine, settings, backends, counts, env, ways, denials, folders, sockets, config, source, lines }
    }

    /// An empty store with all its bounds; nothing has been instantiated in it yet.
    pub fn store(&self) -> Seat {
        let engine = &self.engine;
        let budget = Arc::new(Budget::new(engine.clock.clone(), engine.heavy.clone()));
        let output = Output::new(self.settings.name.clone());
        let asking =
            Asking::new(self.settings.grants.clone(), self.source.clone(), self.counts.clone(), self.denials.clone());
        let sockets = SocketView::new(self.sockets.clone(), asking.clone());
        let drawer = Drawer::new(engine.memory.clone(), self.counts.clone());
        let account: Arc<dyn Account> = Arc::new(drawer.clone());
        let state = InstanceState {
            wasi: Wasi::new(self.settings.name.clone(), self.env.clone()),
            http: http_context(),
            outgoing: Outgoing::new(self.ways.clone(), asking.clone(), account.clone()),
            table: table(),
            limiter: Limiter::new(self.settings.limits.memory_bytes, Reservation::new(drawer)),
            databases: DatabaseView::new(asking.clone(), self.backends.databases.clone(), account.clone()),
            identities: IdentityView::new(asking.clone(), self.backends.identity.clone()),
            stores: StoreView::new(asking.clone(), self.backends.keyvalue.clone(), account),
            producer: ProducerView::new(asking.clone(), self.backends.events.clone()),
            files: FilesView::new(self.folders.clone(), asking.clone()),
            sockets,
            config: ConfigView::new(self.config.clone(), asking.clone()),
            output: output.clone(),
            asking,
        };
        let mut store = Store::new(&engine.wasm, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_epoch_deadline(1);
        let ticking = budget.clone();
        store.epoch_deadline_callback(move |_| ticking.at_tick());
        Seat { store, budget, output, lines: self.lines.clone(), freed: engine.freed.clone() }
    }
}

/// What the host calls of an instance; nothing of what its component does not export.
pub struct Exported {
    pub proxy: Option<Proxy>,
    pub quick: Option<QuickDoor>,
    pub consumer: Option<Consumer>,
}

/// A store that waits for its component.
pub struct Seat {
    pub store: Store<InstanceState>,
    pub budget: Arc<Budget>,
    pub output: Arc<Output>,
    pub lines: Arc<Lines>,
    freed: Arc<Notify>,
}

impl Seat {
    pub fn instance(self, exported: Exported) -> Instance {
        let Self { store, budget, output, lines, freed } = self;
        let Exported { proxy, quick, consumer } = exported;
        let consumer = consumer.map(Arc::new);
        let (served, tidy) = (0, true);
        Instance { store, proxy, quick, consumer, budget, output, lines, served, tidy, _freed: FreedOnDrop(freed) }
    }

    /// Why memory was refused, if it was.
    pub fn refusal(&self) -> Option<Refusal> {
        self.store.data().limiter.refusal()
    }
}

impl Instance {
    /// The next request is `cx`, within `scope`: its clock starts, its output is its own.
    pub fn begin(&mut self, scope: &Scope, cx: Arc<RequestContext>, head_due: HeadDue) {
        scope.arm(&self.budget);
        self.output.begin(scope.trace_id);
        let state = self.store.data_mut();
        state.asking.begin(cx.clone(), scope.deadline);
        state.outgoing.begin(cx, scope.deadline, head_due);
        state.limiter.begin();
        self.store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
    }

    /// What the request left open ends with it, also in an instance that is reused. One that failed
    /// (`returned` is false) is not: what it was sending must break off with it.
    pub fn end(&mut self, returned: bool) {
        self.output.end();
        let state = self.store.data_mut();
        state.sockets.end(&state.table);
        state.databases.end();
        state.stores.end();
        self.tidy = returned && state.outgoing.end() && !state.databases.has_open_transactions();
        self.served = self.served.saturating_add(1);
    }

    pub fn refusal(&self) -> Option<Refusal> {
        self.store.data().limiter.refusal()
    }

    /// What its guest has asked the host for at last, as far as it is recorded.
    pub fn asked_last(&self) -> Vec<String> {
        self.store.data().asking.asked_last()
    }

    /// What the host holds for its guest takes its memory from this.
    pub fn account(&self) -> &Arc<dyn Account> {
        self.store.data().outgoing.account()
    }

    /// What its memories and tables take: they never shrink.
    pub fn memory_bytes(&self) -> u64 {
        self.store.data().limiter.bytes()
    }
}

impl Scope {
    /// Starts the request's clocks.
    pub fn arm(&self, budget: &Budget) {
        budget.arm(self.cpu, self.deadline);
    }
}

/// What an instance must know of the request it works on.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    pub trace_id: u128,
    pub deadline: std::time::Instant,
    pub cpu: std::time::Duration,
}

/// Wakes those who wait for a slot or for memory. Declared last in its owners, so that the store
/// is gone by then.
struct FreedOnDrop(Arc<Notify>);

impl Drop for FreedOnDrop {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

fn table() -> ResourceTable {
    let mut table = ResourceTable::with_capacity(16);
    table.set_max_capacity(HANDLES_MAX);
    table
}

fn http_context() -> WasiHttpCtx {
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(HEADERS_MAX_BYTES);
    http
}

impl PostgresView for InstanceState {
    fn databases(&mut self) -> DatabaseCtx<'_> {
        self.databases.with(&mut self.table)
    }
}

impl IdentitiesView for InstanceState {
    fn identities(&mut self) -> &mut IdentityView {
        &mut self.identities
    }
}

impl StoresView for InstanceState {
    fn stores(&mut self) -> StoreCtx<'_> {
        self.stores.with(&mut self.table)
    }
}

impl OutboxesView for InstanceState {
    fn outbox(&mut self) -> OutboxCtx<'_> {
        OutboxCtx::new(&mut self.producer, &mut self.table)
    }
}

impl MessagingView for InstanceState {
    fn producer(&mut self) -> &mut ProducerView {
        &mut self.producer
    }
}

impl FolderView for InstanceState {
    fn files(&mut self) -> FilesCtx<'_> {
        self.files.with(&mut self.table)
    }
}

impl SocketsView for InstanceState {
    fn raw_sockets(&mut self) -> SocketCtx<'_> {
        let ctx = self.wasi.context(&self.output, &self.sockets).sockets();
        let wasi = WasiSocketsCtxView { ctx, table: &mut self.table };
        SocketCtx { view: &mut self.sockets, wasi }
    }
}

impl ConfigsView for InstanceState {
    fn config(&self) -> &ConfigView {
        &self.config
    }
}

impl LoggingView for InstanceState {
    fn output(&self) -> &Arc<Output> {
        &self.output
    }
}

impl TracingView for InstanceState {
    fn asking(&self) -> &Arc<Asking> {
        &self.asking
    }
}

impl ClientView for InstanceState {
    fn client(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.wasi.context(&self.output, &self.sockets), table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}
