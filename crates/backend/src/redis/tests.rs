//! Promises about the connection to a Redis, kept against real servers: one that becomes a replica, one that
//! hangs, an address that moves.

use std::{
    net::TcpListener as Port,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Instant,
};

use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

/// Well under a minute, which is what a connection that is nobody's once cost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis of a test's own, on a port.
struct Server {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        loop {
            let port = Port::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new("redis-server");
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]).args(options);
            command.args(["--repl-diskless-sync-delay", "0", "--dir"]).arg(folder.path()).stdout(Stdio::null());
            let mut process = command.spawn().unwrap();
            // Somebody else may have taken the port meanwhile.
            while process.try_wait().unwrap().is_none() {
                assert!(began.elapsed() < PATIENCE, "redis-server does not start");
                if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                    return Self { process, port, _folder: folder };
                }
                tokio::task::yield_now().await;
            }
        }
    }

    async fn says(&self, words: &[&str]) -> String {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let config = redis::AsyncConnectionConfig::new();
        let config = config.set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| _ = command.arg(*word));
        command.query_async(&mut connection).await.unwrap()
    }

    /// Stops it without ending it, or lets it go on.
    fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address that leads to whichever server it is told, as a name or a virtual address does. Connections that
/// are there stay where they are.
struct Address {
    port: u16,
    leads_to: Arc<Mutex<u16>>,
    task: JoinHandle<()>,
}

impl Address {
    async fn of(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, leads_to) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(server.port)));
        let leading = leads_to.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let port = *leading.lock().unwrap();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        Self { port, leads_to, task }
    }

    fn moves_to(&self, server: &Server) {
        *self.leads_to.lock().unwrap() = server.port;
    }

    fn client(&self) -> Client {
        let info = format!("redis://127.0.0.1:{}", self.port).into_connection_info().unwrap();
        Client::open(info.set_tcp_settings(tcp())).unwrap()
    }

    fn store(&self) -> Store {
        Store::new("main".into(), self.client(), "shop")
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const PRIVATE: Private = Private { fsync_always: false, memory_max_bytes: 8 << 20 };

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// As a request would.
async fn sets(store: &Store, value: &str) -> Result<(), AskError> {
    let set = async |mut redis| redis::cmd("SET").arg("k").arg(value).query_async::<()>(&mut redis).await;
    store.ask(Share { service: "a", places: 1 }, soon(), set).await
}

/// Sets until it is done.
async fn set_again(store: &Store, value: &str) {
    let began = Instant::now();
    while let Err(error) = sets(store, value).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_left_for_the_one_that_its_address_leads_to() {
    let (one, other) = (Server::start(&[]).await, Server::start(&[]).await);
    let address = Address::of(&one).await;
    let store = address.store();
    set_again(&store, "before").await;
    // The old connection stays alive: the server itself says that it takes no writes any more.
    one.says(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]).await;
    let refused = sets(&store, "lost").await;
    assert!(matches!(refused, Err(AskError::Away(_) | AskError::Late(_))), "{refused:?}");
    assert!(store.check().await.is_err(), "health is told while nothing can be written");
    address.moves_to(&other);
    set_again(&store, "after").await;
    assert!(store.check().await.is_ok());
    assert_eq!(other.says(&["GET", "k"]).await, "after");
}

#[tokio::test]
async fn a_replica_is_noticed_although_nobody_asks() {
    let (one, other) = (Server::start(&[]).await, Server::start(&[]).await);
    let address = Address::of(&one).await;
    let store = address.store();
    set_again(&store, "before").await;
    one.says(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]).await;
    address.moves_to(&other);
    let began = Instant::now();
    while store.connection_number() < 2 {
        assert!(began.elapsed() < PATIENCE, "it is not noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let first = sets(&store, "after").await;
    assert!(matches!(first, Ok(()) | Err(AskError::Late(_))), "{first:?}");
    set_again(&store, "after").await;
    assert_eq!(other.says(&["GET", "k"]).await, "after");
}

#[tokio::test]
async fn a_server_that_hangs_is_left_for_another_and_used_again_when_it_goes_on() {
    let (one, other) = (Server::start(&[]).await, Server::start(&[]).await);
    let address = Address::of(&one).await;
    let store = address.store();
    set_again(&store, "before").await;
    one.freeze(true);
    address.moves_to(&other);
    set_again(&store, "elsewhere").await;
    assert_eq!(other.says(&["GET", "k"]).await, "elsewhere");

    other.freeze(true);
    let check = tokio::time::timeout(Duration::from_secs(1), store.check());
    assert!(!matches!(check.await, Ok(Ok(()))), "health is not well while it hangs");
    other.freeze(false);
    set_again(&store, "again").await;
    assert_eq!(other.says(&["GET", "k"]).await, "again");
    one.freeze(false);
}

#[tokio::test]
async fn an_address_that_moves_is_followed_when_the_connection_is_old() {
    let (one, other) = (Server::start(&[]).await, Server::start(&[]).await);
    let address = Address::of(&one).await;
    let link = Link::open("main".into(), address.client(), "alive".to_owned(), Duration::from_millis(300));
    let store = Store { link, ..address.store() };
    set_again(&store, "one").await;
    address.moves_to(&other);
    let began = Instant::now();
    while one.says(&["PING"]).await == "PONG" && store.connection_number() < 3 {
        assert!(sets(&store, "on its way").await != Err(AskError::Away("main".into())), "there is no gap");
        assert!(began.elapsed() < PATIENCE, "it grows older and older");
    }
    set_again(&store, "other").await;
    assert_eq!(other.says(&["GET", "k"]).await, "other");
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_at_the_start_and_a_server_that_is_away_is_not() {
    let (node, folder) = (Server::start(&["--cluster-enabled", "yes"]).await, tempfile::tempdir().unwrap());
    let data = DataFolder::open(folder.path()).unwrap();
    let at = |port: u16| {
        let place = RedisPlace::External { url: manifest::Secret::new(format!("redis://127.0.0.1:{port}")) };
        BTreeMap::from([(Arc::from("main"), RedisSettings { place })])
    };
    let started = Stores::start(&at(node.port), &data, &Environment::default(), PRIVATE, "shop").await;
    let refused = started.err().expect("nothing of it can be used").to_string();
    assert!(refused.starts_with("`redis.main.url` leads to a node of a Redis Cluster"), "{refused}");
    let nobody = Port::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(Stores::start(&at(nobody), &data, &Environment::default(), PRIVATE, "shop").await.is_ok());
}

#[tokio::test]
async fn a_full_server_keeps_its_connection_and_health_says_what_it_refuses() {
    let server = Server::start(&[]).await;
    let address = Address::of(&server).await;
    let store = address.store();
    set_again(&store, "1").await;
    let number = store.connection_number();
    server.says(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let check = store.check().await.unwrap_err().to_string();
    assert!(check.contains("OOM"), "{check}");
    server.says(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(store.check().await.is_ok());
    assert_eq!(store.connection_number(), number);
}

#[tokio::test]
async fn the_private_server_holds_no_more_than_it_may_and_health_says_that_it_is_full() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let data = DataFolder::open(&folder.path().join("data")).unwrap();
    let environment = Environment { path: std::env::var_os("PATH"), ..Environment::default() };
    let settings = BTreeMap::from([(Arc::from("main"), RedisSettings { place: RedisPlace::Embedded })]);
    let stores = Stores::start(&settings, &data, &environment, PRIVATE, "shop").await.unwrap();
    let (store, began) = (stores.get("main").unwrap(), Instant::now());
    assert!(store.check().await.is_ok());
    // Whole MiBs, and what room is left in small pieces.
    for bytes in [1 << 20, 1 << 10] {
        let (value, mut written) = ("x".repeat(bytes), 0);
        loop {
            let set = async |mut redis| {
                redis::cmd("SET").arg(format!("{bytes} {written}")).arg(&value).query_async::<()>(&mut redis).await
            };
            match store.ask(Share { service: "a", places: 1 }, soon(), set).await {
                Err(AskError::Refused { reason, .. }) if reason.contains("OOM") => break,
                Ok(()) => written += 1,
                // On a busy machine it may be late.
                Err(_) => {}
            }
            assert!(began.elapsed() < PATIENCE && written * bytes <= 8 << 20, "{written} of {bytes} bytes");
        }
    }
    while store.check().await.is_ok() {
        let set =
            async |mut redis| redis::cmd("APPEND").arg("k").arg("x".repeat(100)).query_async::<()>(&mut redis).await;
        let _ = store.ask(Share { service: "a", places: 1 }, soon(), set).await;
        assert!(began.elapsed() < PATIENCE, "health does not say that it is full");
    }
    assert!(store.check().await.unwrap_err().to_string().contains("OOM"));
    stores.stop().await;
}
