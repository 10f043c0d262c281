//! A server that another one takes the place of, and connections that nobody has cut.

use super::{operators::Operators, proxy::Proxy, *};

const INSERT: &str = "INSERT INTO items (name) VALUES ($1)";

fn url(port: u16, query: &str) -> Secret {
    Secret::new(format!("postgres://boss:hunter2@localhost:{port}/db_shop{query}"))
}

async fn through(proxy: &Proxy, server: &Operators, settings: DatabaseSettings) -> (Databases, Arc<Pool>) {
    let url = || url(proxy.port, "");
    let databases = server.databases_at(url(), Some(url()), settings).await.unwrap();
    let pool = databases.pool(&grant("writer", "shop", Mode::ReadWrite)).unwrap();
    (databases, pool)
}

/// So many connections that are idle and were used.
async fn warm(pool: &Pool, connections: usize) {
    let sleeping = (0..connections).map(|_| pool.query("SELECT pg_sleep(0.1)", &[], soon()));
    for slept in futures_util::future::join_all(sleeping).await {
        slept.unwrap();
    }
    are_idle(pool, connections).await;
}

/// Waits until so many have come back and are clean.
async fn are_idle(pool: &Pool, connections: usize) {
    let deadline = soon();
    while pool.site.counts().idle < connections as u64 {
        assert!(Instant::now() < deadline, "they do not come back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_to_a_server_that_only_reads_is_not_used_again() {
    let (primary, standby) = Operators::with_standby().await;
    let proxy = Proxy::to(primary.port).await;
    let (databases, pool) = through(&proxy, &primary, settings()).await;
    assert_eq!(pool.execute(INSERT, &[text("first")], soon()).await, Ok(1));
    is_well(&databases).await;

    // The primary is gone, and its address leads to one that stands by.
    proxy.redirect(standby.port);
    proxy.cut();
    let deadline = soon();
    // A connection that broke fails one request.
    while sqlstate_of(&pool.execute(INSERT, &[text("lost")], soon()).await).is_none() {
        assert!(Instant::now() < deadline, "the standby takes no writes");
    }
    assert_eq!(sqlstate(pool.execute(INSERT, &[text("lost")], soon()).await), "25006");
    let told = databases.check("shop").await.unwrap_err().to_string();
    assert!(told.contains("standby"), "{told}");

    // Another primary, while all connections to the standby are alive.
    warm(&pool, 3).await;
    proxy.redirect(primary.port);
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    assert_eq!(tx.execute(INSERT, &[text("second")], soon()).await, Ok(1));
    tx.commit(soon()).await.unwrap();
    warm(&pool, 3).await;
    for name in ["third", "fourth", "fifth", "sixth"] {
        assert_eq!(pool.execute(INSERT, &[text(name)], soon()).await, Ok(1), "{name}");
    }
    // Nor does it matter where a transaction only reads.
    let reading = TxOptions { read_only: true, ..TxOptions::default() };
    let process = pool.one("SELECT pg_backend_pid()").await;
    let tx = pool.begin(reading, soon()).await.unwrap();
    assert_eq!(sqlstate(tx.execute(INSERT, &[text("x")], soon()).await), "25006");
    tx.rollback(soon()).await.unwrap();
    // It is lent again once it has been made clean.
    let deadline = soon();
    let others = || futures_util::future::join_all((0..4).map(|_| pool.one("SELECT pg_backend_pid()")));
    while !others().await.contains(&process) {
        assert!(Instant::now() < deadline, "its connection goes on");
    }
    is_well(&databases).await;
    databases.stop().await;
}

fn sqlstate_of(outcome: &Result<u64, Error>) -> Option<&str> {
    match outcome {
        Err(Error::Db(db)) => Some(&db.sqlstate),
        _ => None,
    }
}

#[tokio::test]
async fn the_first_silent_connection_makes_the_others_prove_that_they_are_alive() {
    let server = Operators::start().await;
    let proxy = Proxy::to(server.port).await;
    let short = DatabaseSettings { statement_timeout: Duration::from_secs(3), ..settings() };
    let (databases, pool) = through(&proxy, &server, short).await;
    warm(&pool, 3).await;
    assert!(proxy.silence() >= 4);
    assert_eq!(pool.query("SELECT 1", &[], soon()).await, Err(Error::Timeout), "the first one has to find out");
    for _ in 0..6 {
        assert_eq!(pool.one("SELECT 1").await, Value::Int32(1));
    }
    databases.stop().await;
}

#[tokio::test]
async fn no_connection_lives_for_longer_than_36_minutes_and_the_next_one_follows_the_address() {
    let (one, other) = (Operators::start().await, Operators::start().await);
    let proxy = Proxy::to(one.port).await;
    let (databases, pool) = through(&proxy, &one, settings()).await;
    let port = "SELECT inet_server_port()";
    let of = |server: &Operators| Value::Int32(server.port.into());
    assert_eq!(pool.one(port).await, of(&one));
    are_idle(&pool, 1).await;
    proxy.redirect(other.port);
    assert_eq!(pool.one(port).await, of(&one), "it is as good as ever");
    are_idle(&pool, 1).await;
    for _ in 0..pool.site.counts().idle {
        let mut lease = pool.site.lend(&pool.role, &pool.share).await.unwrap();
        let left = lease.expires.saturating_duration_since(Instant::now()).as_secs() / 60;
        assert!((29..=36).contains(&left), "{left} min");
        lease.expires = Instant::now();
    }
    assert_eq!(pool.one(port).await, of(&other));
    databases.stop().await;
}

/// Of each connection to a port, which timer the kernel has set: 2 is the keepalive.
fn timers(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let far = format!(":{port:04X}");
    let timer = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_ours = fields[2].ends_with(&far) && fields[3] == "01";
        is_ours.then(|| fields[5].split(':').next().unwrap_or_default().to_owned())
    };
    table.lines().skip(1).filter_map(timer).collect()
}

#[tokio::test]
async fn idle_connections_are_kept_alive_unless_the_url_says_otherwise() {
    let server = Operators::start().await;
    for (query, expected) in [("", "02"), ("?keepalives_idle=7", "02"), ("?keepalives=0", "00")] {
        let endpoint = Endpoint::from_url(&url(server.port, query), TlsMode::Prefer).unwrap();
        let session = endpoint.connect(1 << 20).await.unwrap();
        session.client.batch_execute("SELECT 1").await.unwrap();
        let deadline = soon();
        // Until what was sent is acknowledged, that is what the timer is for.
        while timers(server.port) != [expected] {
            assert!(Instant::now() < deadline, "{query:?}: {:?}", timers(server.port));
            tokio::task::yield_now().await;
        }
        drop(session);
        while !timers(server.port).is_empty() {
            assert!(Instant::now() < deadline, "it stays open");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn of_several_hosts_the_one_that_was_asked_for_is_used() {
    let (primary, standby) = Operators::with_standby().await;
    for (target, port) in [("read-write", primary.port), ("standby", standby.port), ("any", standby.port)] {
        let hosts = format!("localhost:{},localhost:{}", standby.port, primary.port);
        let url = format!("postgres://boss:hunter2@{hosts}/db_shop?target_session_attrs={target}");
        let endpoint = Endpoint::from_url(&Secret::new(url), TlsMode::Prefer).unwrap();
        let session = endpoint.connect(1 << 20).await.unwrap();
        let found: i32 = session.client.query_one("SELECT inet_server_port()", &[]).await.unwrap().get(0);
        assert_eq!(found, i32::from(port), "{target}");
    }
    let nowhere = Endpoint::from_url(&url(standby.port, "?target_session_attrs=primary"), TlsMode::Prefer).unwrap();
    assert_eq!(nowhere.connect(1 << 20).await.err(), Some(ConnectError::OtherServer));
}

#[tokio::test]
async fn each_reason_for_no_session_has_its_own_words() {
    let server = Operators::start().await;
    for (url, tls, words) in [
        (
            format!("postgres://boss:hunter2@nowhere.invalid:{}/db_shop", server.port),
            TlsMode::Prefer,
            "name of its host",
        ),
        (format!("postgres://boss@localhost:{}/db_shop", server.port), TlsMode::Prefer, "the URL has none"),
        (format!("postgres://boss:wrong@localhost:{}/db_shop", server.port), TlsMode::Prefer, "its password is wrong"),
        (format!("postgres://boss:hunter2@localhost:{}/nothing", server.port), TlsMode::Prefer, "no such database"),
        (format!("postgres://boss:hunter2@localhost:{}/db_shop", server.port), TlsMode::Require, "UnknownIssuer"),
        (format!("postgres://boss:hunter2@localhost:{}/db_shop", server.port), TlsMode::Disable, "or not without TLS"),
        ("postgres://boss:hunter2@localhost:1/db_shop".to_owned(), TlsMode::Prefer, "connection refused"),
    ] {
        let endpoint = Endpoint::from_url(&Secret::new(url), tls).unwrap();
        let told = endpoint.connect(1 << 20).await.err().unwrap().to_string();
        assert!(told.contains(words) && !told.contains("hunter2"), "{words}: {told}");
    }
}
