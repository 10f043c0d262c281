//! Two hosts on one PostgreSQL, one of them behind PgBouncer, and on one Redis, and something between that breaks: how long until
//! both do all of their work again, and that nothing which was acknowledged is lost and no answer is another's.
//!
//! Both are in use all the time: each turn of a client writes a row with its event, reads it by statements that are
//! its own, and keeps a value. How long it took is printed for each fault.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Bouncer, Connection, End, Host, Postgres, Proxy, Redis, Session, place, until};

/// What is right again later than that was not mended by the host: a statement's time, a connection's, and the
/// Redis' two seconds, each twice. On a quiet machine it is 3 s at most.
const RIGHT_AGAIN: Duration = Duration::from_secs(20);
/// A fault is there at least so long.
const LASTS: Duration = Duration::from_millis(800);
/// Turns of each host in a row after which all is well.
const WELL: usize = 5;
const PAUSE: Duration = Duration::from_millis(10);

const SERVICES: [(&str, &str, &str); 4] = [
    ("writer", "probe_outbox", r#"postgres = { shop = "read-write" }, publish = ["order.*"]"#),
    ("reader", "probe_pg", r#"postgres = { shop = "read-write" }"#),
    ("keeper", "probe_kv", r#"keyvalue = { kept = "read-write" }"#),
    ("consumer", "probe_events", r#"publish = ["never"], subscribe = ["order.*"]"#),
];

/// What is between the hosts and their servers, and the servers that are there at the moment.
struct World {
    hosts: [Host; 2],
    postgres: Postgres,
    bouncer: Bouncer,
    redis: Redis,
    /// From the first host to PgBouncer, from there and from the second to PostgreSQL, from both to Redis.
    to_bouncer: Proxy,
    to_postgres: Proxy,
    to_redis: Proxy,
    /// Servers that were left, alive.
    left: (Vec<Postgres>, Vec<Redis>),
}

/// What clients did and were told.
#[derive(Default)]
struct Clients {
    next: AtomicUsize,
    /// Rows that were acknowledged, with their events.
    kept: Mutex<BTreeSet<u64>>,
    /// Turns of each host that went well since the last that did not.
    well: [AtomicUsize; 2],
    over: AtomicBool,
}

/// A name, what breaks, and what mends it.
type Fault = (&'static str, fn(&mut World), fn(&mut World));

const FAULTS: [Fault; 10] = [
    ("connections to the pooler are cut", |world| world.to_bouncer.cut(), |_| {}),
    ("connections to the pooler carry nothing any more", |world| world.to_bouncer.silence(), |_| {}),
    ("connections to PostgreSQL are cut", |world| world.to_postgres.cut(), |_| {}),
    ("connections to PostgreSQL carry nothing any more", |world| world.to_postgres.silence(), |_| {}),
    ("all is slow", |world| world.slow(Duration::from_millis(40)), |world| world.slow(Duration::ZERO)),
    ("PostgreSQL hangs", |world| world.postgres.freeze(true), |world| world.postgres.freeze(false)),
    ("PostgreSQL fails over, and the old one lives", World::postgres_fails, World::postgres_moves),
    ("connections to Redis carry nothing any more", |world| world.to_redis.silence(), |_| {}),
    ("Redis hangs", |world| world.redis.freeze(true), |world| world.redis.freeze(false)),
    ("Redis fails over, and the old one lives", World::redis_fails, World::redis_moves),
];

#[test]
fn two_hosts_are_right_again_after_every_fault_and_nothing_is_lost_or_mixed_up() {
    let mut world = World::open();
    let (gateways, clients) = (world.hosts.each_ref().map(|host| host.gateway), Clients::default());
    let mut wrong = Vec::new();
    thread::scope(|scope| {
        let _end = End(&clients.over);
        for (number, gateway) in gateways.into_iter().enumerate() {
            let clients = &clients;
            scope.spawn(move || clients.run(number, gateway));
        }
        assert!(clients.are_well(|| ()).is_some(), "at first");
        for (name, breaks, mends) in FAULTS {
            breaks(&mut world);
            thread::park_timeout(LASTS);
            mends(&mut world);
            match clients.are_well(|| world.bouncer.watch()) {
                Some(after) => println!("{name}: right again after {after:?}"),
                None => wrong.push(name),
            }
        }
    });
    world.has_all(&clients.kept.lock().unwrap());
    assert!(wrong.is_empty(), "not right again after {RIGHT_AGAIN:?}: {wrong:?}");
}

impl World {
    fn open() -> Self {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        let (to_postgres, to_redis) = (Proxy::to(postgres.port()), Proxy::to(redis.port()));
        let bouncer = Bouncer::before(to_postgres.port, "session");
        let to_bouncer = Proxy::to(bouncer.port);
        let redis_url = redis.url_by(to_redis.port);
        let start = |postgres: &Proxy| {
            let folder = place();
            fs::create_dir(folder.path().join("migrations")).unwrap();
            fs::write(folder.path().join("migrations/1.sql"), "create table rows (n bigint primary key)").unwrap();
            Host::running_in(folder, &manifest(postgres.port, &redis_url))
        };
        let (hosts, left) = ([start(&to_bouncer), start(&to_postgres)], Default::default());
        Self { hosts, postgres, bouncer, redis, to_bouncer, to_postgres, to_redis, left }
    }

    fn slow(&self, by: Duration) {
        [&self.to_bouncer, &self.to_redis].into_iter().for_each(|proxy| proxy.delay(by));
    }

    /// The address leads to one that only reads, for a while.
    fn postgres_fails(&mut self) {
        let new = self.postgres.failed_over();
        self.left.0.push(std::mem::replace(&mut self.postgres, new));
    }

    fn postgres_moves(&mut self) {
        self.to_postgres.redirect(self.postgres.port());
        self.bouncer.watch();
        // It would lend those that lead to the old server for some more seconds.
        self.bouncer.reconnect();
    }

    fn redis_fails(&mut self) {
        let new = self.redis.failed_over();
        self.left.1.push(std::mem::replace(&mut self.redis, new));
    }

    fn redis_moves(&mut self) {
        self.to_redis.redirect(self.redis.port());
    }

    /// Every acknowledged row is there, and each row's event was handled, and no other.
    #[track_caller]
    fn has_all(&self, kept: &BTreeSet<u64>) {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.postgres.port()).user("shop").dbname("shop");
        let look = Session::open(&config).unwrap();
        let there = look.text("select coalesce(string_agg(n::text, ',' order by n), '') from rows");
        let there: BTreeSet<u64> = there.split(',').map(|number| number.parse().unwrap()).collect();
        let lost: Vec<_> = kept.difference(&there).collect();
        assert!(lost.is_empty() && kept.len() > 100, "{lost:?} of {} are lost", kept.len());
        until("every row's event is handled", || {
            let handled: BTreeSet<u64> = self.hosts.iter().flat_map(handled).collect();
            let invented: Vec<_> = handled.difference(&there).collect();
            assert!(invented.is_empty(), "events of nothing: {invented:?}");
            handled == there
        });
        println!("{} rows were acknowledged, of {} that are there", kept.len(), there.len());
        let _alive = (&self.bouncer, &self.left);
    }
}

/// Numbers of the events that a host's consumer has handled.
fn handled(host: &Host) -> Vec<u64> {
    let number = |line: &str| {
        let line: Value = serde_json::from_str(line).ok().filter(|line: &Value| line["service"] == "consumer")?;
        let told: Value = serde_json::from_str(line["message"].as_str()?.strip_prefix("handled ")?).ok()?;
        told["key"].as_str()?.parse().ok()
    };
    host.log.text().lines().filter_map(number).collect()
}

fn manifest(postgres: u16, redis: &str) -> String {
    let head = format!(
        "[postgres.shop]\nurl = \"postgres://shop@127.0.0.1:{postgres}/shop\"\ntls = \"disable\"\nmigrations = \"migrations\"\n\
         statement_timeout = \"1s\"\nconnections_max = 8\n[redis.main]\nurl = \"{redis}\"\n[events]\nredis = \"main\"\n\
         [keyvalue.kept]\nredis = \"main\"\n"
    );
    let service = |(name, component, permissions): &(&str, &str, &str)| {
        format!(
            "[services.{name}]\ncomponent = \"COMPONENTS/{component}.wasm\"\npermissions = {{ {permissions} }}\n\
             [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
        )
    };
    head + &SERVICES.iter().map(service).collect::<String>()
}

impl Clients {
    fn run(&self, host: usize, gateway: std::net::SocketAddr) {
        while !self.over.load(Relaxed) {
            let number = self.next.fetch_add(1, Relaxed) as u64;
            let client = Client { gateway, number };
            let is_kept = client.writes();
            if is_kept {
                self.kept.lock().unwrap().insert(number);
            }
            // All of them, whatever became of the first.
            let went = [is_kept, client.reads(), client.keeps()];
            match went.iter().all(|well| *well) {
                true => _ = self.well[host].fetch_add(1, Relaxed),
                false => self.well[host].store(0, Relaxed),
            }
            thread::park_timeout(PAUSE);
        }
    }

    /// How long it takes until each host does all of its work, from now on; `meanwhile` is done again and again.
    fn are_well(&self, mut meanwhile: impl FnMut()) -> Option<[Duration; 2]> {
        let began = Instant::now();
        self.well.iter().for_each(|well| well.store(0, Relaxed));
        let mut after = [None; 2];
        while after.contains(&None) {
            if began.elapsed() > RIGHT_AGAIN {
                return None;
            }
            meanwhile();
            thread::park_timeout(Duration::from_millis(2));
            for (host, after) in after.iter_mut().enumerate() {
                let is_well = self.well[host].load(Relaxed) >= WELL;
                *after = after.or_else(|| is_well.then(|| began.elapsed()));
            }
        }
        Some(after.map(Option::unwrap_or_default))
    }
}

/// One turn of a client at one host.
struct Client {
    gateway: std::net::SocketAddr,
    number: u64,
}

impl Client {
    fn post(&self, service: &str, path: &str, order: &Value) -> (u16, Value) {
        let mut connection = Connection::open(self.gateway);
        let body = order.to_string();
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {service}.test\r\ncontent-length: {length}\r\n\r\n{body}");
        connection.write(head.as_bytes());
        let answer = connection.answer(false).expect("the host answers, whatever its servers do");
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Whether the row and its event are acknowledged.
    fn writes(&self) -> bool {
        let number = self.number;
        let row = json!({ "sql": format!("insert into rows values ({number})") });
        let event = json!({ "topic": "order.placed", "key": number.to_string(), "body": {} });
        let (status, told) = self.post("writer", "/", &json!({ "database": "shop", "steps": [row, event] }));
        status == 200 && told[0]["changed"] == 1 && told[1]["id"].is_string()
    }

    /// Whether it got an answer, which is its own: by a statement that nobody else sends, and by one that all send.
    fn reads(&self) -> bool {
        let number = self.number;
        let own = json!({ "database": "shop", "sql": format!("select {number}::int8, 'row {number}'") });
        let same = json!({ "database": "shop", "sql": "select $1::int8", "params": [{ "int64": number }] });
        let expected =
            [json!([[{ "int64": number }, { "text": format!("row {number}") }]]), json!([[{ "int64": number }]])];
        let is_read = |(order, expected): (&Value, &Value)| {
            let (status, told) = self.post("reader", "/pg/query", order);
            assert!(status != 200 || told["rows"] == *expected, "another's answer: {told}");
            status == 200
        };
        [(&own, &expected[0]), (&same, &expected[1])].into_iter().all(is_read)
    }

    /// Whether a value was kept and found.
    fn keeps(&self) -> bool {
        let (key, value) = (format!("k{}", self.number), format!("v{}", self.number));
        let set = json!({ "store": "kept", "key": key, "value": value, "ttl": 60_000 });
        if self.post("keeper", "/kv/set", &set).0 != 200 {
            return false;
        }
        let (status, told) = self.post("keeper", "/kv/get", &json!({ "store": "kept", "key": key }));
        assert!(status != 200 || told["value"] == *value, "another's value: {told}");
        status == 200
    }
}
