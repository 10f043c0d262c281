//! Keys that hosts make themselves and share, by a Redis and by a PostgreSQL.

use std::thread;

use crate::{
    harness::{Command, Host, Postgres, Redis, Session, until},
    tokens::{get, manifest, sign},
};

/// By what hosts share keys: a server of the test's own that may lose what it has, or be away.
enum Store {
    Redis(Redis),
    Postgres(Postgres),
}

impl Store {
    /// The tables of a manifest that shares its keys by it.
    fn manifest(&self) -> String {
        let (table, store) = match self {
            Self::Redis(redis) => (format!("[redis.main]\nurl = \"{}\"\n", redis.url()), "redis.main"),
            // A host may start without it.
            Self::Postgres(server) => {
                (format!("[postgres.keys]\n{}\noptional = true\n", server.url()), "postgres.keys")
            }
        };
        table + &manifest(&format!("keys = {{ generate = true, store = \"{store}\" }}"))
    }

    fn session(&self) -> Session {
        let Self::Postgres(server) = self else { panic!("it has no sessions") };
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(server.port()).user("shop").dbname("shop");
        Session::open(&config).unwrap()
    }

    fn stored(&self) -> String {
        match self {
            Self::Redis(redis) => redis.command(&["GET", "archipel:{test}:keys:main"]),
            Self::Postgres(_) => self
                .session()
                .text("SELECT coalesce((SELECT keys FROM archipel_keys WHERE name = 'archipel:{test}:keys:main'), '')"),
        }
    }

    fn lose_all(&self) {
        match self {
            Self::Redis(redis) => _ = redis.command(&["FLUSHALL"]),
            Self::Postgres(_) => self.session().run("DELETE FROM archipel_keys"),
        }
    }

    fn go_away(&mut self) {
        match self {
            Self::Redis(redis) => redis.kill(),
            Self::Postgres(server) => server.kill(),
        }
    }

    fn come_back(&mut self) {
        match self {
            Self::Redis(redis) => redis.start_again(),
            Self::Postgres(server) => server.resume(),
        }
    }
}

#[test]
fn hosts_share_the_keys_they_generate_by_a_redis_which_may_lose_them_or_be_away() {
    let redis = Redis::start();
    let secret = redis.secret().to_owned();
    for host in keys_are_shared(Store::Redis(redis)) {
        assert!(!host.log.text().contains(&secret), "a password is in no log");
    }
}

#[test]
fn hosts_share_the_keys_they_generate_by_a_database_which_may_lose_them_or_be_away() {
    for host in keys_are_shared(Store::Postgres(Postgres::start())) {
        assert!(!host.log.text().contains("\"d\":"), "a private key is in no log");
    }
}

#[track_caller]
fn keys_are_shared(mut shared: Store) -> Vec<Host> {
    let text = shared.manifest();
    let start = || Host::running(&text);
    // Neither has a key before, and both make one.
    let mut hosts: Vec<Host> = thread::scope(|scope| {
        let starting = [scope.spawn(start), scope.spawn(start)];
        starting.map(|host| host.join().unwrap()).into()
    });
    let believed = |hosts: &[Host], token: &str| {
        for host in hosts {
            until("a token of any of them is believed", || get(host, "/echo", token).status == 200);
        }
    };
    let mut tokens: Vec<String> = hosts.iter().map(|host| sign(host.folder.path(), &[])).collect();
    tokens.iter().for_each(|token| believed(&hosts, token));
    assert!(shared.stored().contains("\"kid\""), "{}", shared.stored());
    let published = |host: &Host| host.get("/.well-known/jwks.json").json();
    until("they publish the same", || published(&hosts[0]) == published(&hosts[1]));

    let file = hosts[0].folder.path().join("manifest.toml");
    let rotated = Command::new(&["token", "rotate", file.to_str().unwrap()]).json()["kid"].clone();
    tokens.push(sign(hosts[0].folder.path(), &[]));
    believed(&hosts, tokens.last().unwrap());
    until("the other has it too", || published(&hosts[1]).to_string().contains(rotated.as_str().unwrap()));

    shared.lose_all();
    until("who still has them puts them back", || shared.stored().contains(rotated.as_str().unwrap()));
    hosts.push(start());
    tokens.push(sign(hosts[2].folder.path(), &[]));
    tokens.iter().for_each(|token| believed(&hosts, token));

    shared.go_away();
    hosts[0].log.expect_line("keys cannot be shared with other hosts");
    tokens.iter().for_each(|token| believed(&hosts, token));
    let alone = start();
    let own = sign(alone.folder.path(), &[]);
    assert_eq!(get(&alone, "/echo", &own).status, 200, "nobody waits for the others");
    shared.come_back();
    believed(&hosts, &own);
    hosts.push(alone);
    tokens.iter().for_each(|token| believed(&hosts, token));
    hosts[0].log.expect_line("keys are shared with other hosts again");
    hosts
}
