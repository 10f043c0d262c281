//! Starting and stopping, in order.
//!
//! Start: addresses, data folder, the system; only then is anything accepted. Stop, the other way
//! round: not ready, listeners, requests in flight, what services reach, the admin listener last.
//! Nothing else in the host knows this order. What runs, and how it changes, is `system`'s.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::{
    listener::{self, Listeners},
    tls::Tls,
};
use otlp::Sender;
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    admin::{Sites, Tokens},
    deploy::Watch,
    system::{self, Certificates, Ground, System},
    telemetry::{Logs, Lost},
};
use backend::embedded::DataFolder;
use manifest::Manifest;

mod announcing;
mod edit;
mod error;
mod front;
mod listening;
mod metrics;
mod report;

use announcing::Announcing;
pub use edit::Rebuilt;
pub use error::StartError;
use listening::Listening;
use metrics::Metrics;
pub use report::Report;

/// Everything a start needs from outside; read once.
pub struct Surroundings {
    pub of_system: system::Surroundings,
    /// The digest of what the manifest's file said.
    pub digest: String,
    pub watch: Arc<dyn Watch>,
    /// Log lines that nobody will read.
    pub lost: Lost,
    /// The log as it can be followed and changed.
    pub logs: Arc<Logs>,
    /// When the command was given.
    pub began: Instant,
}

/// A host that accepts requests.
pub struct Running {
    system: Arc<System>,
    /// Where the token is that the host made itself.
    admin_token: Option<PathBuf>,
    gateway: Listening,
    admin: Listening,
    /// What goes on beside requests, until we stop.
    housekeeping: [JoinHandle<()>; 2],
    announcing: Announcing,
    /// Sends metrics to a collector that wants them.
    metering: Sender,
    began: Instant,
}

/// Metrics to where the manifest that runs says.
fn measure(system: &Arc<System>, metrics: &Arc<Metrics>) -> Sender {
    let (metrics, exporting) = (metrics.clone(), system.exporting());
    let snapshot = move || -> Pin<Box<dyn Future<Output = _> + Send>> {
        let metrics = metrics.clone();
        Box::pin(async move { metrics.measured().await })
    };
    let own = system.recorder().own().clone();
    Sender::metrics(own, Box::new(snapshot), exporting.metering.clone(), exporting.metrics())
}

/// Starts everything `manifest` describes, or nothing.
pub async fn start(manifest: Manifest, surroundings: Surroundings) -> Result<Running, StartError> {
    let sockets = Sockets::bind(&manifest)?;
    let certificates = Certificates::new([("gateway", sockets.tls.clone()), ("admin", sockets.admin_tls.clone())]);
    let ground = Ground::open(&manifest, surroundings.of_system, certificates)?;
    let descriptors = ground.descriptors;
    let token = Token::of(&sockets, ground.data())?;
    let tokens = Tokens::new(&manifest.admin, token.as_ref().map(|token| &*token.text));
    let named = manifest.admin.hosts.clone();
    let gateway = sockets.gateway.addresses().next().expect("one address was bound");
    let sites = Sites { gateway, admin: sockets.admin_address, is_encrypted: sockets.admin_tls.is_some() };
    let own = sites.front(manifest.consul.as_ref());
    let system = System::start(ground, manifest, surroundings.digest, &own, &surroundings.watch).await?;
    let mut settings = front::listening(&system.current().manifest.gateway, sockets.tls, system.admission.clone());
    settings.times.idle = system.keep_alive.clone();
    let metrics = Metrics::new(system.clone(), settings.counts.clone(), surroundings.lost, Handle::current());
    let metrics = Arc::new(metrics);
    let metering = measure(&system, &metrics);
    let admin = front::admin((sites, &named), &system, metrics, &surroundings.logs, tokens);
    let admin = match listening::apart(
        sockets.admin,
        Arc::new(admin),
        front::admin_listening(sockets.admin_tls, descriptors),
    ) {
        Ok(admin) => admin,
        Err(error) => {
            system.stop_consuming(Duration::ZERO).await;
            system.stop(tokio::time::Instant::now() + system::BROKEN_OFF).await;
            return Err(StartError::Thread(error));
        }
    };
    let gateway = listening::here(sockets.gateway, system.gateway.clone(), settings);
    Ok(Running {
        admin,
        announcing: Announcing::start(system.clone(), sites),
        gateway,
        housekeeping: [tokio::spawn(housekeeping(system.clone())), tokio::spawn(follow_certificates(system.clone()))],
        admin_token: token.map(|token| token.file),
        metering,
        system,
        began: surroundings.began,
    })
}

/// What is bound before anything is started: an address in use is found out at once.
struct Sockets {
    gateway: Listeners,
    admin: Listeners,
    admin_address: std::net::SocketAddr,
    tls: Option<Tls>,
    admin_tls: Option<Tls>,
}

impl Sockets {
    fn bind(manifest: &Manifest) -> Result<Self, StartError> {
        let gateway = listener::bind(&manifest.gateway.listen)?;
        let admin = listener::bind(&[manifest.admin.listen])?;
        let admin_address = admin.addresses().next().expect("one address was bound");
        let tls = front::tls(manifest.gateway.tls.as_ref())?;
        let admin_tls = front::tls(manifest.admin.tls.as_ref())?;
        Ok(Self { gateway, admin, admin_address, tls, admin_tls })
    }
}

/// The file of the admin API's own token, in the data folder.
const ADMIN_TOKEN: &str = "admin-token";

/// The admin API's own token: whoever may read its file may use it.
struct Token {
    file: PathBuf,
    text: String,
}

impl Token {
    /// None where others than this machine's users can reach the listener.
    fn of(sockets: &Sockets, data: &DataFolder) -> Result<Option<Self>, StartError> {
        if !sockets.admin_address.ip().is_loopback() {
            return Ok(None);
        }
        let text = data.secret(ADMIN_TOKEN).map_err(StartError::AdminToken)?;
        Ok(Some(Self { file: data.path().join(ADMIN_TOKEN), text }))
    }
}

/// What everything may take that comes after `host.drain`: with what a killed server takes and the log's
/// last lines, the host ends within a second of it.
const LAST: Duration = Duration::from_millis(500);

impl Running {
    /// Stops everything in order; returns how many connections had to be cut.
    pub async fn stop(self) -> usize {
        self.system.health().start_draining();
        let now = self.system.current();
        let (linger, drain) = (now.linger(), now.manifest.host.drain);
        drop(now);
        let until = tokio::time::Instant::now() + linger + drain + LAST;
        self.announcing.stop().await;
        tokio::time::sleep(linger).await;
        let (stragglers, ()) = tokio::join!(self.gateway.stop(drain), self.system.stop_consuming(drain));
        self.housekeeping.iter().for_each(JoinHandle::abort);
        tokio::join!(self.metering.stop(LAST), self.system.stop(until));
        self.admin.stop(Duration::ZERO).await;
        stragglers
    }
}

/// How often what goes on beside requests is looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

async fn housekeeping(system: Arc<System>) {
    let mut round = tokio::time::interval(HOUSEKEEPING);
    loop {
        round.tick().await;
        system.tend();
    }
}

async fn follow_certificates(system: Arc<System>) {
    system.follow_certificates().await;
}
