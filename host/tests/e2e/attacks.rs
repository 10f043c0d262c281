//! Components that were let in with a small grant and mean harm: their neighbours answer, what they make others hold
//! stays within its bounds, and nothing of another service stops.
//!
//! One host for all attacks, one after another, while its other services are asked and leave events. How long the
//! slowest neighbour took is printed.

use std::{
    any::Any,
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    apply::{applied, status},
    harness::{Answer, Connection, End, Host, Session, Streams, children, exchange, place, postmaster, until},
};

/// The bar on a quiet machine is 250 ms, which is printed against; in a suite that runs beside this one a neighbour
/// may wait for the processor.
const WORST_BESIDE_OTHER_TESTS: Duration = Duration::from_secs(2);
/// `host.guest_memory` here.
const GUEST_MEMORY_MIB: u64 = 256;
/// What the host takes for itself while it is busy.
const HOST_MIB: u64 = 44;
/// What a process of the private PostgreSQL may have for itself, and what one has without a statement.
const PROCESS_MIB: u64 = 64 + 16;
/// Between two questions of a neighbour.
const PAUSE: Duration = Duration::from_millis(5);

/// What is done to the world, or in it.
type Named = (&'static str, fn(&World));

fn guest(name: &str, component: &str, lines: &str) -> String {
    format!(
        "[services.{name}]\ncomponent = \"COMPONENTS/{component}.wasm\"\n{lines}\n\
         [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
    )
}

/// `third` are lines for the database of that name.
fn manifest(third: &str) -> String {
    let databases = "[postgres.shop]\nmigrations = \"migrations\"\nconnections_max = 8\nstatement_timeout = \"6s\"\n";
    let redis = "[redis.main]\n[events]\nredis = \"main\"\n[keyvalue.theirs]\nredis = \"main\"\n\
                 [keyvalue.small]\nredis = \"main\"\nmemory = \"1MiB\"\n";
    [
        format!("[host]\nguest_memory = \"{GUEST_MEMORY_MIB}MiB\"\n{databases}[postgres.third]\n{third}{redis}"),
        guest(
            "attacker",
            "probe_pg",
            "permissions = { postgres = { shop = \"read\" } }\nlimits = { timeout = \"8s\" }",
        ),
        guest("forger", "probe_pg", "permissions = { postgres = { third = \"read-write\" } }"),
        guest("hoarder", "probe_kv", "permissions = { keyvalue = { small = \"read-write\" } }"),
        guest("neighbour", "probe_kv", "permissions = { keyvalue = { theirs = \"read-write\" } }"),
        guest("tenant", "probe_pg", "permissions = { postgres = { shop = \"read\" } }"),
        guest(
            "publisher",
            "probe_outbox",
            "permissions = { postgres = { shop = \"read-write\" }, publish = [\"order.*\"] }",
        ),
        guest("consumer", "probe_events", "permissions = { publish = [\"never\"], subscribe = [\"order.*\"] }"),
    ]
    .concat()
}

struct World {
    host: Host,
    look: Session,
    streams: Streams,
    /// Events that the publisher was told are kept.
    published: AtomicUsize,
}

impl World {
    fn open() -> Self {
        let folder = place();
        for (name, sql) in [
            ("migrations", "create table items (id serial primary key, name text)"),
            ("third", "create table things (id int); select pg_sleep(0.5)"),
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("1.sql"), sql).unwrap();
        }
        let host = Host::running_in(folder, &manifest(""));
        let (look, streams) = (Session::inside(&host, "shop"), Streams::inside(&host));
        Self { host, look, streams, published: AtomicUsize::new(0) }
    }

    fn post(&self, service: &str, path: &str, order: &Value) -> Answer {
        let mut connection = Connection::open(self.host.gateway);
        let body = order.to_string();
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {service}.test\r\ncontent-length: {length}\r\n\r\n{body}");
        connection.write(head.as_bytes());
        connection.answer(false).expect("an answer")
    }

    fn query(&self, service: &str, database: &str, sql: &str) -> Value {
        self.post(service, "/pg/query", &json!({ "database": database, "sql": sql })).json()
    }

    /// What `attack` costs the others, who are asked all the while.
    #[track_caller]
    fn under(&self, name: &str, attack: fn(&Self)) {
        let (before, over) = (self.host.memory_peak_mib(), AtomicBool::new(false));
        let over = &over;
        let (worst, stood): (Vec<(&str, Duration)>, Duration) = thread::scope(|scope| {
            let neighbours: [Named; 4] =
                [("plain", Self::plain), ("tenant", Self::tenant), ("store", Self::store), ("outbox", Self::publish)];
            let asking = neighbours.map(|(name, ask)| {
                let asked = move || {
                    let mut worst = Duration::ZERO;
                    while !over.load(Relaxed) {
                        let began = Instant::now();
                        ask(self);
                        worst = worst.max(began.elapsed());
                        thread::park_timeout(PAUSE);
                    }
                    (name, worst)
                };
                scope.spawn(asked)
            });
            // Who asks nobody is as late as the machine makes them.
            let standing = scope.spawn(move || {
                let mut worst = Duration::ZERO;
                while !over.load(Relaxed) {
                    let began = Instant::now();
                    thread::park_timeout(PAUSE);
                    worst = worst.max(began.elapsed());
                }
                worst
            });
            let ended = scope.spawn(|| attack(self)).join();
            over.store(true, Relaxed);
            let worst = asking.into_iter().map(|asked| asked.join().unwrap_or_else(|panic| resume_unwind(panic)));
            let worst = worst.collect();
            ended.unwrap_or_else(|panic| resume_unwind(panic));
            (worst, standing.join().unwrap())
        });
        // What the kernel gives as the peak may also become a little less.
        let growth = self.host.memory_peak_mib().saturating_sub(before);
        println!("{name}: neighbours at worst {worst:?} (bar 250 ms), the host + {growth} MiB");
        for (neighbour, worst) in worst {
            assert!(worst < WORST_BESIDE_OTHER_TESTS + stood, "{name}, {neighbour}: {worst:?}, {stood:?} nobody's");
        }
        assert!(growth < GUEST_MEMORY_MIB + HOST_MIB, "{name}: + {growth} MiB");
        self.events_go_on(name);
    }

    fn plain(&self) {
        let mut connection = Connection::open(self.host.gateway);
        connection.write(b"GET / HTTP/1.1\r\nhost: forger.test\r\n\r\n");
        assert_eq!(connection.answer(false).expect("an answer").status, 200);
    }

    fn tenant(&self) {
        assert_eq!(self.query("tenant", "shop", "select 7")["rows"], json!([[{ "int32": 7 }]]));
    }

    /// A Redis has 100 ms to answer, which a busy machine may take; then the same is asked again.
    fn store(&self) {
        let order = json!({ "store": "theirs", "key": "k", "value": "v" });
        until("the neighbour's store takes a value", || self.post("neighbour", "/kv/set", &order).status == 200);
    }

    fn publish(&self) {
        let number = self.published.load(Relaxed);
        let event = json!({ "topic": "order.placed", "key": "k", "body": { "number": number } });
        let answer = self.post("publisher", "/", &json!({ "database": "shop", "steps": [event] }));
        let told = answer.text();
        assert!(answer.status == 200 && answer.json()[0]["id"].is_string(), "{told}");
        self.published.fetch_add(1, Relaxed);
    }

    /// All that was published is carried on and handled, in order.
    #[track_caller]
    fn events_go_on(&self, name: &str) {
        let published = self.published.load(Relaxed);
        let numbers: Vec<usize> = (0..published).collect();
        let carried = || {
            let events = self.streams.of("order.placed");
            let found: Vec<usize> =
                events.iter().map(|event| event["body"]["number"].as_u64().unwrap() as usize).collect();
            found == numbers
        };
        until(&format!("{name}: {published} events carried on in order"), carried);
        // One may be handled again.
        let handled = |line: &str| {
            let line: Value = serde_json::from_str(line).ok().filter(|line: &Value| line["service"] == "consumer")?;
            let event: Value = serde_json::from_str(line["message"].as_str()?.strip_prefix("handled ")?).ok()?;
            event["id"].as_str().map(str::to_owned)
        };
        until(&format!("{name}: {published} events handled"), || {
            self.host.log.text().lines().filter_map(handled).collect::<BTreeSet<_>>().len() == published
        });
    }

    fn health(&self, service: &str) -> Value {
        exchange(self.host.admin, "GET", &format!("/health/services/{service}"), &[], b"").json()
    }
}

#[test]
fn a_component_with_a_small_grant_stops_nobody() {
    let world = World::open();
    let attacks: [Named; 7] = [
        ("answers that grow in the host", large_answers),
        ("a session left dirty", dirty_sessions),
        ("turns that the host takes", held_turns),
        ("statements that a server keeps", kept_statements),
        ("events in another's name", forged_events),
        ("all connections of a database", all_connections),
        ("all memory of a Redis", full_store),
    ];
    // Each is tried, whatever became of the one before.
    let tried = attacks.map(|(name, attack)| {
        let tried = catch_unwind(AssertUnwindSafe(|| world.under(name, attack)));
        tried.map_err(|panic| format!("{name}: {}", words(&*panic)))
    });
    let succeeded: Vec<String> = tried.into_iter().filter_map(Result::err).collect();
    assert!(succeeded.is_empty(), "attacks that hurt somebody: {succeeded:#?}");
}

/// Does it so many times at once, and panics as the first that does.
fn at_once(times: usize, act: impl Fn(usize) + Sync) {
    let act = &act;
    thread::scope(|scope| {
        let acting: Vec<_> = (0..times).map(|number| scope.spawn(move || act(number))).collect();
        acting.into_iter().for_each(|acted| acted.join().unwrap_or_else(|panic| resume_unwind(panic)));
    });
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Ten bytes that print 131 072 digits, and four bytes that become an item of a list.
fn large_answers(world: &World) {
    let numbers = format!("select {} from generate_series(1, 20)", vec!["1e131071::numeric"; 1600].join(", "));
    let nothings = "select array_fill(null::text, array[4000000])".to_owned();
    at_once(4, |number| {
        let sql = [&numbers, &nothings][number % 2];
        for _ in 0..3 {
            let told = world.query("attacker", "shop", sql);
            assert_eq!(told["error"]["variant"], "too-large", "{told}");
        }
    });
}

fn dirty_sessions(world: &World) {
    let session = "select current_setting('search_path'), current_setting('statement_timeout'), \
                   coalesce(current_setting('my.own', true), ''), \
                   (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())";
    let clean = world.query("attacker", "shop", session);
    for dirt in [
        "select (1::bigint).pg_advisory_lock",
        "select ('select set_config(''my.own'', ''x'', false)::tsvector'::text).ts_stat",
        "select set_config('search_path', 'pg_temp', false), set_config('statement_timeout', '0', false)",
        "select x.pg_advisory_lock from unnest(array[2::bigint]) x",
    ] {
        let told = world.query("attacker", "shop", dirt);
        assert!(told["error"].is_null(), "{dirt}: {told}");
        // Whichever of its connections it had.
        at_once(8, |_| assert_eq!(world.query("attacker", "shop", session), clean, "{dirt}"));
    }
    world.look.becomes("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0);
}

/// Whatever a role may lock keeps neither events nor migrations waiting.
fn held_turns(world: &World) {
    for refused in [
        "select * from archipel_turns for update",
        "select * from archipel_migrations for update",
        "update archipel_turns set what = what",
    ] {
        let told = world.query("attacker", "shop", refused);
        // Who only reads is told that first.
        assert!(["25006", "42501"].iter().any(|state| told["error"]["sqlstate"] == *state), "{refused}: {told}");
    }
    let locks = "select count(pg_advisory_lock(n)), count(pg_advisory_lock(n, n)) from generate_series(0, 300) n";
    let order = json!({ "database": "shop", "items": [{ "sql": locks }] });
    thread::scope(|scope| {
        let holding = scope.spawn(|| world.post("attacker", "/pg/begin-and-hang", &order).status);
        world.look.becomes("SELECT least(count(*), 600) FROM pg_locks WHERE locktype = 'advisory'", 600);
        fs::write(world.host.folder.path().join("migrations/2.sql"), "alter table items add column price int").unwrap();
        applied(&world.host, &manifest(""));
        assert_eq!(world.look.count("SELECT count(*) FROM information_schema.columns WHERE column_name = 'price'"), 1);
        let held = world.look.count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
        assert!(held >= 600 && !holding.is_finished(), "it was migrated while {held} locks were held");
        assert_eq!(holding.join().unwrap(), 504);
    });
}

/// Of each process of the private PostgreSQL, in MiB: what it has for itself.
fn processes(host: &Host) -> Vec<u64> {
    let of = |pid: &String| {
        let rollup = fs::read_to_string(PathBuf::from("/proc").join(pid).join("smaps_rollup")).unwrap_or_default();
        let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        rollup.lines().filter(|line| line.starts_with("Private_")).filter_map(kib).sum::<u64>() / 1024
    };
    children(postmaster(&host.data())[0].parse().unwrap()).iter().map(of).collect()
}

fn kept_statements(world: &World) {
    at_once(4, |thread| {
        for number in 0..12 {
            let joined = format!(
                "select length(string_agg(repeat('x', 1000), '{thread} {number}')) from generate_series(1, 30000)"
            );
            let long = format!("select '{number}{}', {thread}", "x".repeat(900_000));
            for sql in [joined, long] {
                let told = world.query("attacker", "shop", &sql);
                assert!(told["error"].is_null(), "{}", told["error"]);
            }
        }
    });
    until("no process keeps what it was given", || processes(&world.host).into_iter().all(|mib| mib <= PROCESS_MIB));
}

/// While a place for events is being made, nobody who may write its database may write there.
fn forged_events(world: &World) {
    let insert = "insert into archipel_outbox (id, publisher, topic, headers, body) \
                  values (gen_random_uuid(), 'late', 'late.forged', '[]', convert_to('{}', 'UTF8'))";
    let (over, refused) = (AtomicBool::new(false), Mutex::new(Vec::<String>::new()));
    let count = |sqlstate: &str| refused.lock().unwrap().iter().filter(|found| *found == sqlstate).count();
    thread::scope(|scope| {
        let _end = End(&over);
        let forging = scope.spawn(|| {
            while !over.load(Relaxed) {
                let order = json!({ "database": "third", "sql": insert });
                let told = world.post("forger", "/pg/execute", &order).json();
                if told["error"]["variant"] == "timeout" {
                    continue; // nothing was written, as is seen in the end
                }
                let sqlstate = told["error"]["sqlstate"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
                refused.lock().unwrap().push(sqlstate);
            }
        });
        // No such table, and then no right.
        until("it is refused before", || count("42P01") > 0);
        let lines = "permissions = { postgres = { third = \"read-write\" }, publish = [\"late.*\"] }";
        let late = manifest("migrations = \"third\"\n") + &guest("late", "probe_outbox", lines);
        applied(&world.host, &late);
        let event = json!({ "topic": "late.real", "key": "k", "body": { "number": 1 } });
        world.post("late", "/", &json!({ "database": "third", "steps": [event] }));
        world.streams.until("late.real", 1);
        until("and after", || count("42501") > 0 || forging.is_finished());
        over.store(true, Relaxed);
        forging.join().unwrap_or_else(|panic| resume_unwind(panic));
    });
    let all = refused.lock().unwrap().len();
    assert_eq!(count("42P01") + count("42501"), all, "{refused:?}");
    assert!(world.streams.of("late.forged").is_empty());
    applied(&world.host, &manifest("migrations = \"third\"\n"));
}

/// A role has its share of them, others find the rest, and health and `status` say what is short.
fn all_connections(world: &World) {
    thread::scope(|scope| {
        let sleeping: Vec<_> =
            (0..16).map(|_| scope.spawn(|| world.query("attacker", "shop", "select pg_sleep(2.5)"))).collect();
        until("health says that a service waits in vain", || {
            let check = world.health("tenant")["checks"]["postgres.shop"].clone();
            check["status"] == "degraded" && check["message"].as_str().is_some_and(|text| text.contains("in vain"))
        });
        let pools = status(&world.host)["pools"].clone();
        let shop = pools.as_array().unwrap().iter().find(|pool| pool["database"] == "shop").unwrap();
        assert!(shop["full"] == true && shop["refused"].as_u64() > Some(0) && shop["max"] == 8, "{shop}");
        let told: Vec<Value> = sleeping.into_iter().map(|asked| asked.join().unwrap()).collect();
        let slept = told.iter().filter(|told| told["error"].is_null()).count();
        assert!((1..16).contains(&slept), "{slept} of 16");
    });
    until("health forgets it", || world.health("tenant")["checks"]["postgres.shop"]["status"] == "healthy");
}

/// A store is refused what it may not hold, with words; what it deletes is room again.
fn full_store(world: &World) {
    let set = |key: usize| {
        let order = json!({ "store": "small", "key": format!("{key}"), "size": 100_000 });
        until("Redis answers in time", || {
            let told = world.post("hoarder", "/kv/set", &order);
            let is_late = told.status != 200 && told.json()["error"] != "other";
            (!is_late).then_some(told)
        })
    };
    let told: Vec<Answer> = (0..30).map(set).collect();
    let taken = told.iter().filter(|answer| answer.status == 200).count();
    assert!((9..=12).contains(&taken), "{taken} values of 100 kB fit into 1 MiB");
    let last = told.last().unwrap().json();
    assert!(last["what"].as_str().unwrap().starts_with("the store holds as much as it may, 1048576 bytes"), "{last}");
    world.host.log.expect_line("a Redis refuses what a key-value store asks");
    until("health says that it is full", || {
        assert_ne!(set(31).status, 200);
        let check = world.health("hoarder")["checks"]["keyvalue.small"].clone();
        check["status"] == "degraded" && check["message"] == "it holds as much as it may"
    });
    let stores = status(&world.host)["stores"].clone();
    let small = stores.as_array().unwrap().iter().find(|store| store["store"] == "small").unwrap();
    assert!(
        small["full"] == true && small["maxBytes"] == 1 << 20 && small["bytes"].as_u64() > Some(900_000),
        "{small}"
    );
    for key in 0..5 {
        let order = json!({ "store": "small", "key": format!("{key}") });
        until("Redis deletes in time", || world.post("hoarder", "/kv/delete", &order).status == 200);
    }
    until("there is room again", || set(100).status == 200);
}
