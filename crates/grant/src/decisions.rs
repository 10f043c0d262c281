//! Every kind of permission's whole decision in one table: what is granted, what is asked for, and the
//! operator's line where the answer is no. docs/permissions.md shows no other lines than these.

use std::{fmt::Display, fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http::Method;

use crate::{
    Ceiling, Denied, Grants,
    sockets::LookupError,
    testing::{ceiling, permissions},
};

type Asked = Result<(), Denied>;
/// The permissions of a service, the question, and the rest of the refusal after "may not reach";
/// nothing where it may.
type Row = (&'static str, fn(&Grants) -> Asked, &'static str);

fn grants(service: &str, text: &str) -> Grants {
    Grants::new(service.into(), "manifests/shop.toml".into(), permissions(text))
}

fn net(grants: &Grants, target: &str) -> Asked {
    let granted = grants.net(&target.parse().unwrap())?;
    let addresses: Vec<_> = target.parse::<SocketAddr>().map(|to| to.ip()).into_iter().collect();
    if addresses.is_empty() { Ok(()) } else { granted.get().admit(&addresses).map(drop) }
}

fn lookup(grants: &Grants, name: &str) -> Asked {
    match grants.lookup(name) {
        Ok(_) => Ok(()),
        Err(LookupError::Denied(denied)) => Err(*denied),
        Err(LookupError::Invalid) => panic!("{name} is a name"),
    }
}

fn keyvalue_write(grants: &Grants, store: &str) -> Asked {
    grants.keyvalue_write(&grants.keyvalue(store)?)
}

fn sign(grants: &Grants, auth: &str, role: &str, hours: u64) -> Asked {
    grants.sign(auth, vec![role.into()], Duration::from_secs(hours * 3600)).map(drop)
}

const NET: &str = "net = { allow = [\"*.acme.test\"], deny = [\"admin.acme.test\"] }";
const CALL: &str = "call = { users = true, products = [\"POST /api/products/*/reserve\"] }";
const SOCKETS: &str = "sockets = true\nnet = [\"db.test:5432\", \"https://only.test\"]";

const ORDERS: &[Row] = &[
    (NET, |g| net(g, "api.acme.test:443"), ""),
    (
        NET,
        |g| net(g, "admin.acme.test:443"),
        "`admin.acme.test:443`: denied by \"admin.acme.test\" of `net.deny`; a deny wins over every allow",
    ),
    (
        NET,
        |g| net(g, "api.example.com:443"),
        "`api.example.com:443`: no entry of `net` allows it; to allow it, add `net = [\"api.example.com:443\"]` to MANIFEST",
    ),
    (
        "net = [\"0.0.0.0/0\"]",
        |g| net(g, "169.254.169.254:80"),
        "`169.254.169.254:80`: 169.254.169.254 is special (cloud metadata), so only an entry for that very address or range opens it; to allow it, add `net = [\"169.254.169.254:80\"]` to MANIFEST",
    ),
    (
        "net = [\"0.0.0.0/0\"]",
        |g| net(g, "127.0.0.1:80"),
        "`127.0.0.1:80`: 127.0.0.1 is special (loopback), so only an entry for that very address or range opens it; to allow it, add `net = [\"127.0.0.1:80\"]` to MANIFEST",
    ),
    ("net = [\"127.0.0.1:80\"]", |g| net(g, "127.0.0.1:80"), ""),
    (CALL, |g| g.call("users", &Method::GET, "/api/users/7").map(drop), ""),
    (CALL, |g| g.call("products", &Method::POST, "/api/products/7/reserve").map(drop), ""),
    (
        CALL,
        |g| g.call("products", &Method::GET, "/other/7").map(drop),
        "`GET http://products.internal/other/7`: `call` covers other requests to `products`; to allow it, add `call = { products = [\"GET /other/7\"] }` to MANIFEST",
    ),
    (
        "",
        |g| g.call("users", &Method::GET, "/api/users/7").map(drop),
        "`GET http://users.internal/api/users/7`: `call` does not name `users`; to allow it, add `call = [\"users\"]` to MANIFEST",
    ),
    (SOCKETS, |g| g.sockets("TCP sockets").map(drop), ""),
    (
        "",
        |g| g.sockets("TCP sockets").map(drop),
        "`TCP sockets`: `sockets` is not granted; to allow it, add `sockets = true` to MANIFEST",
    ),
    (
        "",
        |g| g.sockets("UDP sockets").map(drop),
        "`UDP sockets`: `sockets` is not granted; to allow it, add `sockets = true` to MANIFEST",
    ),
    (SOCKETS, |g| lookup(g, "db.test"), ""),
    (
        "",
        |g| lookup(g, "mail.test"),
        "`the look-up of mail.test`: `sockets` is not granted; to allow it, add `sockets = true` to MANIFEST",
    ),
    (
        SOCKETS,
        |g| lookup(g, "mail.test"),
        "`the look-up of mail.test`: no entry of `net` allows it to sockets; to allow it, add `net = [\"mail.test:PORT\"]` to MANIFEST",
    ),
    (
        SOCKETS,
        |g| lookup(g, "only.test"),
        "`the look-up of only.test`: no entry of `net` allows it to sockets; to allow it, add `net = [\"only.test:PORT\"]` to MANIFEST",
    ),
    (
        SOCKETS,
        |g| lookup(g, "users.internal"),
        "`the look-up of users.internal`: it is a service of this host, which no socket reaches; call a service of this host over HTTP, at `http://NAME.internal/`",
    ),
    (
        SOCKETS,
        |g| g.sockets_connect("192.0.2.1:25".parse().unwrap(), []).map(drop),
        "`192.0.2.1:25`: no entry of `net` allows it; to allow it, add `net = [\"192.0.2.1:25\"]` to MANIFEST",
    ),
    (SOCKETS, |g| g.sockets_bind("0.0.0.0:0".parse().unwrap()), ""),
    (
        SOCKETS,
        |g| g.sockets_bind("127.0.0.1:0".parse().unwrap()),
        "`127.0.0.1:0 to bind to`: a component has no address of its own; bind to `0.0.0.0:0` or `[::]:0`: the system chooses the address to send from",
    ),
    (
        SOCKETS,
        |g| Err(g.no_listening()),
        "`a port to listen on`: no permission lets a component listen; a component is reached through the gateway; it does not listen",
    ),
    (
        "",
        |g| Err(g.no_folder()),
        "`the file system`: it sees no folder; to allow it, add `read = [\"./FOLDER\"]` to MANIFEST",
    ),
    (
        "read = [{ host = \"shop/templates\", guest = \"/templates\" }]",
        |g| Err(g.no_changing("/templates")),
        "`write /templates`: it is there to be read only; to allow it, add `write = [{ host = \"/srv/shop/templates\", guest = \"/templates\" }]` to MANIFEST",
    ),
    ("secrets = [\"MAIL_KEY\"]", |g| g.secret("MAIL_KEY").map(drop), ""),
    (
        "secrets = [\"MAIL_KEY\"]",
        |g| g.secret("OTHER").map(drop),
        "`secrets OTHER`: `secrets` does not name `OTHER`; to allow it, add `secrets = [\"OTHER\"]` to MANIFEST",
    ),
    (
        "",
        |g| Err(g.no_secrets()),
        "`its configuration`: no secret and no variable is granted; to allow it, add `secrets = [\"NAME\"]` to MANIFEST",
    ),
    ("postgres = { orders = \"read\" }", |g| g.postgres("orders").map(drop), ""),
    (
        "postgres = { orders = \"read\" }",
        |g| g.postgres("carts").map(drop),
        "`postgres carts`: `postgres` does not name `carts`; to allow it, add `postgres = { carts = \"read-write\" }` to MANIFEST",
    ),
    ("keyvalue = { cache = \"read\" }", |g| g.keyvalue("cache").map(drop), ""),
    (
        "keyvalue = { cache = \"read\" }",
        |g| g.keyvalue("carts").map(drop),
        "`keyvalue carts`: `keyvalue` does not name `carts`; to allow it, add `keyvalue = { carts = \"read-write\" }` to MANIFEST",
    ),
    ("keyvalue = { cache = \"read-write\" }", |g| keyvalue_write(g, "cache"), ""),
    (
        "keyvalue = { cache = \"read\" }",
        |g| keyvalue_write(g, "cache"),
        "`keyvalue cache (read-write)`: `keyvalue` grants it for reading; to allow it, add `keyvalue = { cache = \"read-write\" }` to MANIFEST",
    ),
    ("publish = [\"order.*\"]", |g| g.publish("order.created".parse().unwrap()).map(drop), ""),
    (
        "publish = [\"order.*\"]",
        |g| g.publish("order.item.added".parse().unwrap()).map(drop),
        "`publish order.item.added`: `publish` does not cover it; to allow it, add `publish = [\"order.item.added\"]` to MANIFEST",
    ),
    (
        "",
        |g| g.publish("invoice.paid".parse().unwrap()).map(drop),
        "`publish invoice.paid`: `publish` does not cover it; to allow it, add `publish = [\"invoice.paid\"]` to MANIFEST",
    ),
];

const SIGN: &str = "sign = { auth = \"main\", roles = [\"user\"], ttl_max = \"1h\" }";

const USERS: &[Row] = &[
    (SIGN, |g| sign(g, "main", "user", 1), ""),
    (
        SIGN,
        |g| sign(g, "main", "admin", 1),
        "`sign main (admin)`: `sign` does not cover it; to allow it, add `sign = { auth = \"main\", roles = [\"user\", \"admin\"], ttl_max = \"1h\" }` to MANIFEST",
    ),
    (
        SIGN,
        |g| sign(g, "main", "user", 2),
        "`sign main (valid for 7200 s)`: `sign` does not cover it; to allow it, add `sign = { auth = \"main\", roles = [\"user\"], ttl_max = \"2h\" }` to MANIFEST",
    ),
    (
        SIGN,
        |g| g.sign("other", vec!["user".into()], Duration::from_secs(600)).map(drop),
        "`sign other`: `sign` does not cover it; to allow it, add `sign = { auth = \"other\", roles = [\"user\"], ttl_max = \"10m\" }` to MANIFEST",
    ),
    ("passwords = true", |g| g.passwords().map(drop), ""),
    (
        "",
        |g| g.passwords().map(drop),
        "`passwords`: `passwords` is not `true`; to allow it, add `passwords = true` to MANIFEST",
    ),
];

/// The whole line that a row says is logged, for this service.
fn line(service: &str, row: &Row) -> Option<String> {
    let table = format!("`services.{service}.permissions` in manifests/shop.toml");
    (!row.2.is_empty()).then(|| format!("`{service}` may not reach {}", row.2.replace("MANIFEST", &table)))
}

fn text(asked: Asked) -> Option<String> {
    asked.err().map(|denied| denied.to_string())
}

#[test]
fn each_kind_lets_through_what_is_granted_and_refuses_the_rest_with_the_line_to_add() {
    for (service, rows) in [("orders", ORDERS), ("users", USERS)] {
        for row in rows {
            assert_eq!(text(row.1(&grants(service, row.0))), line(service, row), "{}", row.0);
        }
    }
}

#[test]
fn under_a_ceiling_that_allows_nothing_each_kind_refuses_what_it_grants_in_the_ceilings_name() {
    let nothing: Arc<Ceiling> = ceiling("");
    for (service, rows) in [("orders", ORDERS), ("users", USERS)] {
        // What nobody has to grant, like an address to send from, is no permission's.
        let is_granted = |row: &&Row| row.2.is_empty() && row.1(&grants(service, "")).is_err();
        for row in rows.iter().filter(is_granted) {
            let told = text(row.1(&grants(service, row.0).under(nothing.clone()))).expect("refused");
            assert!(told.contains("the operator's ceiling c.toml does not allow it"), "{told}");
            assert!(told.ends_with("to `ceiling` in c.toml"), "{told}");
        }
    }
}

#[test]
fn the_page_shows_the_lines_as_they_are() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/permissions.md");
    let page = fs::read_to_string(page).unwrap();
    let of = |service: &'static str, rows: &'static [Row]| rows.iter().filter_map(move |row| line(service, row));
    let mail = ORDERS.iter().filter_map(|row| line("mail", row));
    let mut told: Vec<String> = of("orders", ORDERS).chain(of("users", USERS)).chain(mail).collect();
    let under = grants("kv", "keyvalue = { cache = \"read-write\" }");
    let ceiling = Arc::new(Ceiling::new("ceiling.toml".into(), permissions("keyvalue = { cache = \"read\" }")));
    told.extend(text(keyvalue_write(&under.under(ceiling), "cache")));
    let shown: Vec<&str> =
        page.lines().filter(|line| line.starts_with('`') && line.contains("may not reach")).collect();
    assert!(shown.len() > 20, "the page has its lines where they were");
    for line in shown {
        assert!(told.iter().any(|told| told == line), "no decision is told like this: {line}\n{}", near(&told, line));
    }
}

/// What is told of the same target.
fn near(told: &[String], line: &str) -> impl Display {
    let target = |line: &str| line.split("`: ").next().map(str::to_owned);
    told.iter().filter(|told| target(told) == target(line)).cloned().collect::<Vec<_>>().join("\n")
}
