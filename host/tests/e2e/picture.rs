//! A shop in several processes that find each other by Consul: the gateway in one, users and orders in a second, products
//! in plain Node.js, notifications in a third. Each is ended, killed and moved while orders are placed, and the gateway
//! killed.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{
    Connection, Consul, End, Host, Postgres, Redis, free,
    shop::{Member, data, email, member, open_folder},
    until, wait,
};

const TEA: &str = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
/// Each with orders of its own: an inbox keeps a thousand.
const BUYERS: usize = 4;
const KEPT: usize = 1000;

/// Everything that the processes share.
struct System {
    consul: Consul,
    postgres: Postgres,
    redis: Redis,
    /// Where the gateway is.
    front: SocketAddr,
}

/// A service of the shop that is reached by Consul, and how the host proves itself to it.
fn elsewhere(name: &str) -> String {
    format!("[services.{name}]\nurl = {{ discover = \"consul:{name}\" }}\ntrust = \"token\"\n")
}

fn route(path: &str, service: &str, more: &str) -> String {
    format!("[[routes]]\npath = \"{path}\"\nservice = \"{service}\"\n{more}\n")
}

impl System {
    fn start() -> Self {
        let (consul, postgres, redis) = (Consul::start(), Postgres::start(), Redis::start());
        Self { consul, postgres, redis, front: free() }
    }

    /// What each of our hosts has: the same issuer, and the shared servers.
    fn common(&self, listen: SocketAddr) -> String {
        let (consul, redis) = (self.consul.settings(), self.redis.url());
        format!(
            "[gateway]\nlisten = \"{listen}\"\nauth = \"main\"\n{consul}\
             [redis.main]\nurl = \"{redis}\"\n\
             [auth.main]\nissuer = \"archipel\"\naudience = \"shop\"\nkeys = {{ generate = true, store = \"redis.main\" }}\n"
        )
    }

    /// The front's word is believed for these.
    fn trusting(&self, services: &str) -> String {
        format!("[trust.test]\nservices = [{services}]\njwks = \"http://{}/.well-known/trust.json\"\n", self.front)
    }

    fn gateway(&self) -> String {
        let public = "methods = [\"POST\"]\npublic = true";
        [
            self.common(self.front),
            elsewhere("users"),
            elsewhere("orders"),
            elsewhere("notifications"),
            "[services.products]\nurl = { discover = \"consul:products\" }\n".to_owned(),
            route("/api/auth/register", "users", public),
            route("/api/auth/login", "users", public),
            route("/api/users/{*rest}", "users", ""),
            route("/api/orders/{*rest}", "orders", ""),
            route("/api/products/{*rest}", "products", ""),
            route("/api/notifications/{*rest}", "notifications", ""),
        ]
        .concat()
    }

    /// Users and orders.
    fn shop(&self, listen: SocketAddr) -> String {
        let migrations =
            |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../components").join(name).join("migrations");
        let database = |name: &str, at: &str| {
            let folder = migrations(name).canonicalize().unwrap();
            format!("[postgres.{name}]\nmigrations = \"{}\"\n{}\n", folder.display(), self.postgres.url_of(at))
        };
        let service = |name: &str, more: &str| {
            format!(
                "[services.{name}]\ncomponent = \"COMPONENTS/{name}.wasm\"\n\
                 limits = {{ reuse = {{ requests = 128, idle = \"10s\" }} }}\n[services.{name}.permissions]\n{more}\n"
            )
        };
        [
            self.common(listen),
            self.trusting("\"users\", \"orders\""),
            database("users", "shop"),
            database("orders", "orders"),
            "[events]\nredis = \"main\"\n[services.products]\nurl = { discover = \"consul:products\" }\n".to_owned(),
            service(
                "users",
                "postgres = { users = \"read-write\" }\npasswords = true\n\
                 sign = { auth = \"main\", roles = [\"user\"], ttl_max = \"1h\" }",
            ),
            service(
                "orders",
                "postgres = { orders = \"read-write\" }\npublish = [\"order.*\", \"orders.check\"]\n\
                 subscribe = [\"orders.check\"]\n\
                 call = { users = [\"GET /api/users/*\"], products = [\"POST /api/products/*/reserve\", \"POST /api/products/*/release\"] }",
            ),
            route("/api/auth/register", "users", "methods = [\"POST\"]\npublic = true"),
            route("/api/auth/login", "users", "methods = [\"POST\"]\npublic = true"),
            route("/api/users/{*rest}", "users", ""),
            route("/api/orders/{*rest}", "orders", ""),
        ]
        .concat()
    }

    fn notifications(&self, listen: SocketAddr) -> String {
        [
            self.common(listen),
            self.trusting("\"notifications\""),
            "[events]\nredis = \"main\"\n[keyvalue.notifications]\nredis = \"main\"\n\
             [services.notifications]\ncomponent = \"COMPONENTS/notifications.wasm\"\n\
             limits = { reuse = { requests = 128, idle = \"10s\" } }\nevents = { timeout = \"3s\" }\n\
             permissions = { subscribe = [\"order.*\"], keyvalue = { notifications = \"read-write\" } }\n"
                .to_owned(),
            route("/api/notifications/{*rest}", "notifications", ""),
        ]
        .concat()
    }

    fn node(&self, port: u16) -> Node {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/picture/products.mjs");
        let mut run = Command::new("node");
        run.arg(script).env("PORT", port.to_string()).env("CONSUL", self.consul.url());
        let child = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let node = Node(child.expect("Node.js is installed by `scripts/setup.sh`"));
        until("it is known", || self.consul.ids().contains(&format!("products-{port}")));
        node
    }
}

/// Ended with the test.
struct Node(Child);

impl Node {
    fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
        assert!(wait(&mut self.0).success(), "ended in order");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        wait(&mut self.0);
    }
}

/// What the buyers have seen.
#[derive(Default)]
struct Seen {
    asked: AtomicUsize,
    failed: Mutex<Vec<Failure>>,
}

/// A request that did not get what it asked for.
#[derive(Debug)]
struct Failure {
    asked: Instant,
    over: Instant,
    #[expect(dead_code, reason = "for whoever reads why a test failed")]
    told: String,
}

impl Seen {
    /// Nothing failed since then.
    #[track_caller]
    fn none_failed(&self, what: &str) {
        let failed = self.failed.lock().unwrap();
        let first = failed.first();
        assert!(first.is_none(), "{what}: {} of {} failed: {first:?}", failed.len(), self.asked.load(Relaxed));
        println!("{what}: none of {} failed", self.asked.swap(0, Relaxed));
    }

    /// At most one of a hundred, and none after two seconds.
    #[track_caller]
    fn few_failed(&self, what: &str, since: Instant) {
        // Enough for a share of them to mean something: each buyer may have asked whoever was killed.
        let enough = 100 * BUYERS;
        until("the load goes on", || since.elapsed() > Duration::from_secs(3) && self.asked.load(Relaxed) > enough);
        let failed = std::mem::take(&mut *self.failed.lock().unwrap());
        let asked = self.asked.swap(0, Relaxed);
        assert!(failed.len() * 100 <= asked, "{what}: {} of {asked} failed: {failed:?}", failed.len());
        let late = failed.iter().find(|failure| failure.asked.duration_since(since) > Duration::from_secs(2));
        assert!(late.is_none(), "{what}: {late:?}");
        println!("{what}: {} of {asked} failed", failed.len());
    }

    /// What failed was under way or begun between these two.
    #[track_caller]
    fn failed_only_between(&self, what: &str, (gone, back): (Instant, Instant)) {
        self.asked.store(0, Relaxed);
        until("the load goes on", || self.asked.load(Relaxed) > 300);
        let failed = std::mem::take(&mut *self.failed.lock().unwrap());
        let odd = failed.iter().find(|failure| failure.over < gone || failure.asked > back);
        assert!(odd.is_none(), "{what}: {odd:?}");
        println!("{what}: away for {:.1?}, {} failed meanwhile", back - gone, failed.len());
    }
}

/// Orders, and looks at products and at what became of the orders, until it is told to stop. Gives the orders that
/// were answered.
fn buyer(front: SocketAddr, buyer: &Member, stop: &AtomicBool, seen: &Seen) -> BTreeSet<String> {
    let user = buyer.path.rsplit('/').next().unwrap();
    let body = json!({ "userId": user, "items": [{ "productId": TEA, "quantity": 1 }] }).to_string();
    let (mut connection, mut orders) = (None, BTreeSet::new());
    for round in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let key = round.to_string();
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &*buyer.authorization),
            ("idempotency-key", &*key),
        ];
        let (product, notifications) =
            (format!("/api/products/{TEA}"), format!("/api/notifications?userId={user}&limit=1"));
        let (method, path, said, expected) = match round % 4 {
            0 => ("POST", "/api/orders", body.as_bytes(), 201),
            1 => ("GET", &*product, &b""[..], 200),
            2 => ("GET", &*buyer.path, &b""[..], 200),
            _ => ("GET", &*notifications, &b""[..], 200),
        };
        let asked = Instant::now();
        // Nobody listens while the gateway itself is away.
        let answer = connection.take().or_else(|| Connection::try_open(front)).and_then(|mut open: Connection| {
            open.request(method, path, &headers, said);
            let answer = open.answer(false);
            connection = Some(open);
            answer
        });
        seen.asked.fetch_add(1, Relaxed);
        match answer {
            Some(answer) if answer.whole && answer.status == expected => {
                // What looks whole is.
                let data = answer.json()["data"].clone();
                assert!(!data.is_null(), "{answer:?}");
                if method == "POST" {
                    orders.insert(data["id"].as_str().unwrap().to_owned());
                }
            }
            other => {
                let told = other.map(|answer| format!("{} {}", answer.status, answer.text()));
                let told = format!("{method} {path}: {told:?}");
                seen.failed.lock().unwrap().push(Failure { asked, over: Instant::now(), told });
                connection = None;
            }
        }
        thread::park_timeout(Duration::from_millis(15));
    }
    orders
}

/// The orders that the buyer was notified of.
fn notified(front: &Host, buyer: &Member) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), String::new());
    let user = buyer.path.rsplit('/').next().unwrap();
    loop {
        let answer = front.get(&format!("/api/notifications?userId={user}&limit=100{next}"));
        let page = data(&answer, 200);
        let ids = page.as_array().unwrap().iter().map(|one: &Value| one["orderId"].as_str().unwrap().to_owned());
        found.extend(ids);
        match answer.header("x-next-cursor") {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return found,
        }
    }
}

/// Whether the gateway has heard of two of each.
fn knows_all(front: &Host) -> bool {
    ["users", "orders", "products", "notifications"].iter().all(|name| {
        let status = front.admin("GET", &format!("/v1/services/{name}"), b"").json()["data"].clone();
        status["addresses"].as_array().is_some_and(|addresses| addresses.len() == 2)
    })
}

#[test]
fn a_shop_in_several_processes_loses_nothing_when_each_of_them_ends_is_killed_or_moves() {
    let system = System::start();
    let front = Host::running_in(open_folder(), &system.gateway()).for_admin();
    let places: Vec<SocketAddr> = (0..6).map(|_| free()).collect();
    let shop = |at: usize| Host::running_in(open_folder(), &system.shop(places[at]));
    let notifications = |at: usize| Host::running_in(open_folder(), &system.notifications(places[at]));
    let (mut shops, mut notifying) = ((shop(0), shop(1)), (notifications(2), notifications(3)));
    let spare = |at: usize| Host::running_in(open_folder(), &system.common(places[at]));
    let spares = (spare(4), spare(5));
    let ports: Vec<u16> = (0..3).map(|_| free().port()).collect();
    let mut nodes = (system.node(ports[0]), system.node(ports[1]));
    until("all are known", || system.consul.ids().len() == 2 + 2 + 2 + 2);
    until("the gateway knows them", || knows_all(&front));
    let who: Vec<Member> = (0..BUYERS).map(|number| member(&front, &email(&format!("buyer{number}")))).collect();

    let (stop, seen) = (AtomicBool::new(false), Seen::default());
    let (placed, front): (Vec<BTreeSet<String>>, Host) = thread::scope(|scope| {
        let stopping = End(&stop);
        let (stop, seen) = (&stop, &seen);
        let buying = who.iter().map(|who| scope.spawn(move || buyer(system.front, who, stop, seen)));
        let buyers: Vec<_> = buying.collect();
        until("the load is on", || seen.asked.load(Relaxed) > 50);
        seen.none_failed("at rest");

        // Each is ended in order and another one begins in its place.
        nodes.0.stop();
        nodes.0 = system.node(ports[0]);
        shops.0 = Host::running_in(shops.0.stop(), &system.shop(places[0]));
        notifying.0 = Host::running_in(notifying.0.stop(), &system.notifications(places[2]));
        until("all are known again", || knows_all(&front));
        seen.none_failed("each ended in order");

        // Each moves to where nothing was: it comes there, and then it goes where it was.
        let node = system.node(ports[2]);
        nodes.1.stop();
        spares.0.becomes(&system.shop(places[4]));
        shops.1.becomes(&system.common(places[1]));
        spares.1.becomes(&system.notifications(places[5]));
        notifying.1.becomes(&system.common(places[3]));
        until("all are known again", || knows_all(&front));
        seen.none_failed("each moved");

        // And each is killed.
        let mut began = Instant::now();
        drop(nodes.0);
        seen.few_failed("Node.js killed", began);
        let again = system.node(ports[0]);
        began = Instant::now();
        let folder = shops.0.killed();
        seen.few_failed("users and orders killed", began);
        let _shop = Host::spawned_again(folder);
        began = Instant::now();
        let folder = notifying.0.killed();
        seen.few_failed("notifications killed", began);
        let _notifying = Host::spawned_again(folder);
        // The gateway, too: nobody answers until it is back and has heard where all are.
        let gone = Instant::now();
        let front = Host::spawned_again(front.killed()).for_admin();
        until("the gateway knows them again", || knows_all(&front));
        seen.failed_only_between("the gateway killed", (gone, Instant::now()));
        drop(stopping);
        let placed = buyers.into_iter().map(|buyer| buyer.join().unwrap()).collect();
        drop((node, again));
        (placed, front)
    });

    for (who, placed) in who.iter().zip(&placed) {
        assert!((1..KEPT).contains(&placed.len()), "{} orders of one buyer", placed.len());
        until("a notification for each order", || notified(&front, who).len() >= placed.len());
        let notified = notified(&front, who);
        let each: BTreeSet<&String> = notified.iter().collect();
        assert_eq!(each.len(), notified.len(), "one each");
        assert!(placed.iter().all(|order| each.contains(order)), "of every order that was answered");
        println!("{} orders, {} notifications", placed.len(), notified.len());
    }
}
