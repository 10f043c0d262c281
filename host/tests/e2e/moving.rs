//! A private database goes over to a server of the operator's own.

use serde_json::{Value, json};

use crate::harness::{Command, Host, Server, place, write_manifest};

fn manifest(database: &str) -> String {
    format!(
        "[postgres.shop]\nmigrations = \"migrations\"\n{database}\n\
         [services.probe]\ncomponent = \"COMPONENTS/probe_pg.wasm\"\npermissions = {{ postgres = {{ shop = \"read-write\" }} }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\npublic = true\n"
    )
}

fn asked(host: &Host, sql: &str) -> Value {
    let told = host.json("POST", "/pg/query", &json!({ "database": "shop", "sql": sql })).json();
    assert!(told["error"].is_null(), "{told}");
    told["rows"].clone()
}

const ROWS: &str = "select id, name from items order by id";

#[test]
fn a_private_database_moves_as_a_whole_and_its_service_goes_on_there() {
    let server = Server::start();
    let url = server.url("plain", "?sslmode=require&sslrootcert=ROOTS");
    let folder = place();
    std::fs::create_dir(folder.path().join("migrations")).unwrap();
    let schema = "create table items (id int generated always as identity primary key, name text not null);";
    std::fs::write(folder.path().join("migrations/1.sql"), schema).unwrap();
    let moved = |file: &std::path::Path, url: &str| {
        let arguments = ["move-database", file.to_str().unwrap(), "shop", "--to", "SHOP_URL"];
        Command::with(&arguments, &[("SHOP_URL", url)])
    };
    let refused = |file: &std::path::Path, url: &str, says: &str| {
        let told = moved(file, url).refused();
        assert!(told.contains(says), "no `{says}` in {told}");
        let [password, _port] = server.secrets();
        assert!(!told.contains(&password), "{told}");
    };

    let host = Host::running_in(folder, &manifest(""));
    let file = host.folder.path().join("manifest.toml");
    assert_eq!(
        asked(&host, "insert into items (name) values ('tea'), ('déjà \u{1f600}') returning id")
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let before = asked(&host, ROWS);
    refused(&file, &url, "another host");
    let folder = host.stop();

    let wrong = url.replace("canary-password", "wrong-password");
    refused(&file, &wrong, "password authentication failed");
    refused(&file, &url.replace("roots.pem", "others.pem"), "certificate");
    let told = moved(&file, &url).json();
    assert_eq!((&told["database"], &told["add"]), (&json!("shop"), &json!("url = { env = \"SHOP_URL\" }")));
    assert!(told["tables"].as_u64().unwrap() >= 2 && told["rows"].as_u64().unwrap() >= 3, "{told}");
    refused(&file, &url, "tables already");

    // The same folder, now with the URL: nothing is migrated again, and what was there is there.
    write_manifest(folder.path(), &manifest("url = { env = \"SHOP_URL\" }"));
    refused(&file, &url, "has a `url` already");
    let host = Host::start_with(folder, &manifest("url = { env = \"SHOP_URL\" }"), &[("SHOP_URL", &url)]);
    let host = host.unwrap_or_else(|failed| panic!("{}", failed.errors));
    assert_eq!(asked(&host, ROWS), before);
    assert_eq!(asked(&host, "insert into items (name) values ('more') returning id"), json!([[{ "int32": 3 }]]));
    assert_eq!(server.session("shop").count("select count(*) from items"), 3);
}
