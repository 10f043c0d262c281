//! The shop: what a user and a profile cost with a token and limits on, in one process and over
//! two HTTP hops.
//!
//! One host answers alone; a second one of the same stands behind a gateway in a process of its
//! own (`proxy`). PostgreSQL is the private one of each host and counts. In the place of
//! the profile's orders is a second look at the user.

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::ValueEnum;

use crate::{
    cores::Cores,
    hello::binary,
    latency::Latencies,
    load::{self, Target},
    process,
    report::{Measured, Report, Round},
    server::{Server, free_address},
};

const WARM_UP: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each subject is measured.
    #[arg(long, default_value = "5")]
    rounds: NonZeroU32,
    /// How long one measurement takes, in seconds.
    #[arg(long, default_value = "3")]
    seconds: NonZeroU32,
    /// Keep-alive connections, each with one request on its way.
    #[arg(long, default_value = "32")]
    connections: NonZeroU32,
    /// Measure only this, in one process.
    #[arg(long)]
    only: Option<Work>,
    /// The host's binary [default: `archipel` beside this one].
    #[arg(long)]
    archipel: Option<PathBuf>,
    /// The component that knows users.
    #[arg(long, default_value = "components/target/wasm32-wasip2/release/users.wasm")]
    component: PathBuf,
    /// The migrations of its database.
    #[arg(long, default_value = "components/users/migrations")]
    migrations: PathBuf,
    /// Print JSON, as into a pipe, on a terminal too.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    /// `GET /api/users/{id}`
    User,
    /// `GET /api/users/{id}/profile`
    Profile,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Profile => "profile",
        }
    }

    fn path(self, shop: &Shop) -> String {
        match self {
            Self::User => format!("/api/users/{}", shop.user),
            Self::Profile => format!("/api/users/{}/profile", shop.user),
        }
    }
}

/// One thing that is measured: where it is asked, and which servers it costs.
struct Subject {
    measured: Measured,
    target: Target,
    servers: Vec<u32>,
}

/// A host with one user in it.
struct Shop {
    server: Server,
    token: String,
    user: String,
}

/// Measures, then prints two tables or JSON documents.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let cores = Cores::split();
    cores.pin_load()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let folder = tempfile::tempdir().context("cannot make a folder for the servers' data")?;
        let alone = Shop::start(options, &cores, folder.path(), "alone").await?;
        let here = [alone.server.pid()];
        let of = async |work: Work| {
            Subject::new(work.name(), alone.server.address, &work.path(&alone), &alone.token, &here).await
        };
        if let Some(work) = options.only {
            let mut subject = of(work).await?;
            subject.rounds(options).await?;
            let measured = [subject.measured];
            return Report::new("shop", "itself", &measured, None, options.connections, options.seconds, &cores)
                .print(options.json);
        }
        let behind = Shop::start(options, &cores, folder.path(), "behind").await?;
        let proxy = start_proxy(&cores, behind.server.address).await?;
        let hops = [behind.server.pid(), proxy.pid()];
        let over =
            async |name, work: Work| Subject::new(name, proxy.address, &work.path(&behind), &behind.token, &hops).await;
        let mut subjects = vec![
            of(Work::User).await?,
            over("user, two hops", Work::User).await?,
            of(Work::Profile).await?,
            over("profile, two hops", Work::Profile).await?,
        ];
        for _ in 0..options.rounds.get() {
            for subject in &mut subjects {
                subject.one_round(options).await?;
            }
        }
        drop((alone, behind, proxy));
        let measured: Vec<Measured> = subjects.into_iter().map(|subject| subject.measured).collect();
        for (bench, pair) in ["shop, user", "shop, profile"].into_iter().zip(measured.chunks(2)) {
            let report =
                Report::new(bench, "one process", pair, pair.first(), options.connections, options.seconds, &cores);
            report.print(options.json)?;
        }
        Ok(())
    })
}

impl Subject {
    async fn new(name: &'static str, to: SocketAddr, path: &str, token: &str, servers: &[u32]) -> anyhow::Result<Self> {
        let target = Target::new(to, path).with_token(token);
        let answer = load::once(&target).await.context(name)?;
        ensure!(answer.status == 200, "{name} answers {}, not 200", answer.status);
        Ok(Self { measured: Measured::new(name, answer.body_bytes), target, servers: servers.to_vec() })
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.servers.iter().map(|pid| process::cpu(*pid)).sum()
    }

    async fn rounds(&mut self, options: &Options) -> anyhow::Result<()> {
        for _ in 0..options.rounds.get() {
            self.one_round(options).await?;
        }
        Ok(())
    }

    async fn one_round(&mut self, options: &Options) -> anyhow::Result<()> {
        let (target, body_bytes) = (self.target.clone(), self.measured.body_bytes);
        let load = |duration| load::run(&target, options.connections, duration, body_bytes);
        load(WARM_UP).await?;
        let before = self.cpu()?;
        let outcome = load(Duration::from_secs(options.seconds.get().into())).await?;
        let cpu = self.cpu()? - before;
        let requests = outcome.latencies.total();
        self.measured.rounds.push(Round {
            cpu_us: cpu.as_secs_f64() * 1e6 / requests as f64,
            requests_per_second: requests as f64 / outcome.took.as_secs_f64(),
        });
        self.measured.latencies.get_or_insert_with(Latencies::new).add(&outcome.latencies);
        self.measured.pss_bytes =
            self.servers.iter().map(|pid| process::pss_bytes(*pid)).sum::<anyhow::Result<u64>>()?;
        Ok(())
    }
}

impl Shop {
    async fn start(options: &Options, cores: &Cores, folder: &Path, name: &'static str) -> anyhow::Result<Self> {
        let binary = binary(options.archipel.as_deref())?;
        let address = free_address()?;
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        let file = folder.join("shop.toml");
        fs::write(&file, manifest(options, address)?)?;
        let mut command = cores.server_command(&binary);
        command.arg("run").arg(&file);
        let server = Server::start(name, address, command).await?;
        let mut sign = std::process::Command::new(&binary);
        sign.arg("token").arg("sign").arg(&file).args(["--sub", "bench", "--role", "admin", "--ttl", "1h"]);
        let signed = sign.output().context("cannot sign a token")?;
        ensure!(signed.status.success(), "cannot sign a token: {}", String::from_utf8_lossy(&signed.stderr));
        let token = String::from_utf8(signed.stdout)?.trim().to_owned();
        let user = create(address, &token).await?;
        Ok(Self { server, token, user })
    }
}

/// Creates the user that is read, and gives back its id.
async fn create(to: SocketAddr, token: &str) -> anyhow::Result<String> {
    use http_body_util::{BodyExt, Full};
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let body = Full::<bytes::Bytes>::from(r#"{"email":"ada@example.com","name":"Ada Lovelace"}"#);
    let request = hyper::Request::post(format!("http://{to}/api/users"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body)?;
    let answer = client.request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status == 201, "creating a user answers {status}: {}", String::from_utf8_lossy(&body));
    let envelope: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(envelope["data"]["id"].as_str().context("a user without an id")?.to_owned())
}

async fn start_proxy(cores: &Cores, to: SocketAddr) -> anyhow::Result<Server> {
    let (this, listen) = (std::env::current_exe()?, free_address()?);
    let mut command = cores.server_command(&this);
    command.args(["proxy", "--listen", &listen.to_string(), "--to", &to.to_string()]);
    Server::start("proxy", listen, command).await
}

/// The limit is on, and so high that it refuses nobody.
fn manifest(options: &Options, listen: SocketAddr) -> anyhow::Result<String> {
    let absolute = |path: &Path, made: &str| -> anyhow::Result<toml::Value> {
        let path = fs::canonicalize(path).with_context(|| format!("`{}` is missing; {made}", path.display()))?;
        Ok(toml::Value::from(path.to_str().context("a path is not UTF-8")?))
    };
    let component = absolute(&options.component, "`just component users` builds it")?;
    let migrations = absolute(&options.migrations, "run this in the repository's folder")?;
    let admin = free_address()?;
    Ok(format!(
        r#"name = "bench"

[gateway]
listen = "{listen}"
auth = "main"
limit = "1000000/s"

[admin]
listen = "{admin}"

[host]
data = "data"

[auth.main]
issuer = "bench"
audience = "bench"
keys = {{ generate = true }}

[postgres.users]
migrations = {migrations}

[services.users]
component = {component}
limits = {{ reuse = {{ requests = 128, idle = "10s" }} }}
permissions = {{ postgres = {{ users = "read-write" }}, sign = {{ auth = "main", roles = ["user"], ttl_max = "1h" }}, passwords = true }}

[[routes]]
path = "/api/users/{{id}}/profile"
methods = ["GET"]
gather = {{ user = "users:/api/users/{{id}}", orders = {{ from = "users:/api/users/{{id}}", default = [] }} }}

[[routes]]
path = "/api/users/{{*rest}}"
service = "users"
"#
    ))
}
