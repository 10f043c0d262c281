//! The shop of `manifests/shop.toml`, on data of its own, and what its contract says of every
//! answer.

use std::{
    fs::{Permissions, set_permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Host, cluster, until::until_within};

/// The users part of the shop, asked by its operator. `gateway` and `database` are lines for their
/// tables of the manifest.
#[track_caller]
pub fn shop(gateway: &str, database: &str) -> Host {
    with_compiled(|folder| Host::running_in(folder, &manifest(gateway, database))).for_admin()
}

/// Users and products, asked by the operator; the lines are for the databases of each.
#[track_caller]
pub fn with_products(users: &str, products: &str) -> Host {
    let manifest = format!("{}{}", manifest("", users), products_part(products));
    Host::running_in(open_folder(), &manifest).for_admin()
}

pub fn manifest(gateway: &str, database: &str) -> String {
    format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
auth = "main"
{gateway}

[auth.main]
issuer = "archipel"
audience = "shop"
keys = {{ generate = true }}

[postgres.users]
migrations = "{}"
{database}

[services.users]
component = "{users}"
version = "1.0.0"
limits = {{ memory = "{memory}", reuse = {{ requests = 128, idle = "10s" }} }}
permissions = {{ {GRANTS} }}

[[routes]]
path = "/api/auth/register"
methods = ["POST"]
service = "users"
public = true

[[routes]]
path = "/api/auth/login"
methods = ["POST"]
service = "users"
public = true

[[routes]]
path = "/api/users/{{id}}/profile"
methods = ["GET"]
gather = {{ user = "users:/api/users/{{id}}", orders = {{ from = "users:/api/orders?userId={{id}}&limit=100", default = [] }} }}

[[routes]]
path = "/api/users/{{*rest}}"
service = "users"
"#,
        migrations("users"),
        users = users(),
        memory = if is_in_typescript() { "128MiB" } else { "64MiB" },
    )
}

/// The users service, in Rust or as in manifests/shop-ts.toml.
fn users() -> String {
    if is_in_typescript() { super::in_typescript("users_ts") } else { "COMPONENTS/users.wasm".to_owned() }
}

/// Whether these tests are of the users service in TypeScript: with `ARCHIPEL_USERS=typescript`.
fn is_in_typescript() -> bool {
    match std::env::var("ARCHIPEL_USERS").as_deref() {
        Ok("typescript") => true,
        Ok(other) => panic!("ARCHIPEL_USERS is `{other}`; there is `typescript`"),
        Err(_) => false,
    }
}

/// An engine of a language takes a quiet processor a quarter of a minute.
const COMPILED_WITHIN: Duration = Duration::from_secs(240);

/// What a start has compiled is there for the next one: a component of an engine takes seconds.
pub fn with_compiled(start: impl FnOnce(TempDir) -> Host) -> Host {
    let folder = open_folder();
    if !is_in_typescript() {
        return start(folder);
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    let copy = |from: &Path, to: &Path| {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(status.success());
    };
    // Of tests that start at once, one replaces what another copies just now.
    static KEPT: Mutex<()> = Mutex::new(());
    let alone = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let copying = alone();
    if kept.is_dir() {
        let data = folder.path().join(".archipel");
        copy(&kept, &data.join("artifacts"));
        set_permissions(&data, Permissions::from_mode(0o711)).unwrap();
    }
    drop(copying);
    let host = start(folder);
    let ready = |service: &serde_json::Value| service["cached"] == true && service["compiler"] == "cranelift";
    if !host.report["services"].as_array().unwrap().iter().all(ready) {
        // What every start after this one would compile again beside its test.
        until_within(COMPILED_WITHIN, "the full compilation", || {
            let services = host.admin("GET", "/v1/status", b"").json()["data"]["services"].clone();
            services.as_array().unwrap().iter().all(|service| service["compiler"] == "cranelift")
        });
        let new = kept.with_extension(host.id().to_string());
        copy(&host.data().join("artifacts"), &new);
        // Two may have started at once: either's will do.
        let _replacing = alone();
        let _ = std::fs::remove_dir_all(&kept);
        let _ = std::fs::rename(&new, &kept);
    }
    host
}

/// What the users service needs.
pub const GRANTS: &str = r#"postgres = { users = "read-write" }, passwords = true, sign = { auth = "main", roles = ["user"], ttl_max = "1h" }"#;

/// The manifest of [`with_products`], on private servers.
pub fn with_products_manifest() -> String {
    format!("{}{}", manifest("", ""), products_part(""))
}

fn products_part(database: &str) -> String {
    format!(
        r#"
[postgres.products]
migrations = "{}"
{database}

[services.products]
component = "COMPONENTS/products.wasm"
version = "1.0.0"
limits = {{ memory = "64MiB", reuse = {{ requests = 128, idle = "10s" }} }}
permissions = {{ postgres = {{ products = "read-write" }} }}

[[routes]]
path = "/api/products/{{*rest}}"
service = "products"
"#,
        migrations("products")
    )
}

/// Users, products and orders on private servers, asked by the operator.
#[track_caller]
pub fn with_orders() -> Host {
    Host::running_in(open_folder(), &with_orders_manifest(["", "", "", ""])).for_admin()
}

/// The lines are for the databases of users, products and orders, and for the Redis.
pub fn with_orders_manifest([users, products, orders, redis]: [&str; 4]) -> String {
    let users = with_its_orders(&manifest("", users));
    format!("{users}{}{}{}", products_part(products), events_part(redis), orders_part(orders, ""))
}

/// All of the shop on private servers; `orders` are lines of the service of that name.
pub fn whole_manifest(orders: &str) -> String {
    let (products, events) = (products_part(""), events_part(""));
    format!("{}{products}{events}{}{NOTIFICATIONS}", with_its_orders(&manifest("", "")), orders_part("", orders))
}

/// The profile's orders are asked of who has them.
fn with_its_orders(manifest: &str) -> String {
    manifest.replace("from = \"users:/api/orders", "from = \"orders:/api/orders")
}

/// Notifications, and what carries events to it; `redis` is a line for the Redis of both.
pub fn notifications_part(redis: &str) -> String {
    format!("{}{NOTIFICATIONS}", events_part(redis))
}

fn events_part(redis: &str) -> String {
    format!(
        r#"
[redis.main]
{redis}

[events]
redis = "main"

"#
    )
}

const NOTIFICATIONS: &str = r#"
[keyvalue.notifications]
redis = "main"

[services.notifications]
component = "COMPONENTS/notifications.wasm"
version = "1.0.0"
limits = { memory = "64MiB", reuse = { requests = 128, idle = "10s" } }
permissions = { subscribe = ["order.*"], keyvalue = { notifications = "read-write" } }

[[routes]]
path = "/api/notifications/{*rest}"
service = "notifications"
"#;

fn orders_part(database: &str, lines: &str) -> String {
    format!(
        r#"
[postgres.orders]
migrations = "{}"
{database}

[services.orders]
component = "COMPONENTS/orders.wasm"
version = "1.0.0"
limits = {{ memory = "64MiB", reuse = {{ requests = 128, idle = "10s" }} }}
{lines}

[services.orders.permissions]
postgres = {{ orders = "read-write" }}
publish = ["order.*", "orders.check"]
subscribe = ["orders.check"]
env = ["CHECK_AFTER_MS"]

[services.orders.permissions.call]
users = ["GET /api/users/*"]
products = ["POST /api/products/*/reserve", "POST /api/products/*/release"]

[[routes]]
path = "/api/orders/{{*rest}}"
service = "orders"
"#,
        migrations("orders")
    )
}

fn migrations(component: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components").join(component).join("migrations");
    folder.canonicalize().unwrap().display().to_string()
}

/// A folder that other accounts can pass through: PostgreSQL does not run as root.
pub fn open_folder() -> TempDir {
    let folder = empty_folder();
    cluster::fill(folder.path());
    folder
}

/// The same without anything in it.
pub fn empty_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    folder
}

/// An email that no other test has.
pub fn email(who: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{who}{}@example.com", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Creates a user and gives back its `data`.
#[track_caller]
pub fn user(host: &Host, email: &str, name: &str) -> Value {
    let answer = host.json("POST", "/api/users", &json!({"email": email, "name": name}));
    data(&answer, 201)
}

/// Somebody who has registered and logged in.
pub struct Member {
    /// The path of the user.
    pub path: String,
    /// `Bearer …`.
    pub authorization: String,
}

pub const PASSWORD: &str = "correct horse battery";

/// Registers and logs in.
#[track_caller]
pub fn member(host: &Host, email: &str) -> Member {
    let new = json!({"email": email, "name": "Member", "password": PASSWORD});
    let user = data(&host.json("POST", "/api/auth/register", &new), 201);
    let session = data(&login(host, email, PASSWORD), 200);
    Member {
        path: format!("/api/users/{}", user["id"].as_str().unwrap()),
        authorization: format!("Bearer {}", session["token"].as_str().unwrap()),
    }
}

#[track_caller]
pub fn login(host: &Host, email: &str, password: &str) -> Answer {
    host.json("POST", "/api/auth/login", &json!({"email": email, "password": password}))
}

/// The `data` of a success of this status, whose envelope is right.
#[track_caller]
pub fn data(answer: &Answer, status: u16) -> Value {
    let mut envelope = envelope(answer, status);
    assert_eq!(envelope["success"], true);
    envelope["data"].take()
}

/// An error of this status with exactly this sentence, whose envelope is right.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, sentence: &str) {
    assert_eq!(envelope(answer, status)["error"], sentence);
}

/// The envelope of an answer, checked against every promise that holds for all of them.
#[track_caller]
pub fn envelope(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.whole);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let envelope = answer.json();
    let success = status < 400;
    let fields: Vec<&str> = envelope.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut expected = vec![if success { "data" } else { "error" }, "success", "timestamp", "traceId"];
    expected.sort_unstable();
    assert_eq!(fields, expected, "{envelope}");
    assert_eq!(envelope["success"], success);
    if !success {
        let sentence = envelope["error"].as_str().expect("a sentence");
        assert!(sentence.starts_with(|first: char| first.is_uppercase()), "{sentence}");
        for inside in ["select ", "insert ", "update ", "sqlstate", "panicked", "/work", "/tmp", ".rs", "wasm"] {
            assert!(!sentence.to_lowercase().contains(inside), "`{inside}` in `{sentence}`");
        }
    }
    let age = Timestamp::now().duration_since(moment(&envelope["timestamp"])).as_secs();
    assert!((-5..60).contains(&age), "{envelope}");
    assert_eq!(envelope["traceId"].as_str(), Some(trace_id(answer)));
    envelope
}

/// The trace id of an answer's head: 32 digits in lower case, not all zero.
#[track_caller]
pub fn trace_id(answer: &Answer) -> &str {
    let id = answer.header("x-trace-id").expect("a trace id");
    let digits = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(id.len() == 32 && digits && id.bytes().any(|byte| byte != b'0'), "{id}");
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{answer:?}");
    id
}

/// A time as the contract writes it: RFC 3339, UTC, milliseconds, `Z`.
#[track_caller]
pub fn moment(text: &Value) -> Timestamp {
    let text = text.as_str().expect("a time");
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
    text.parse().unwrap()
}
