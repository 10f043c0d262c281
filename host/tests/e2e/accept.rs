//! A build that needs more than its manifest grants, and an operator who accepts that.

use std::fs;

use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, Command, Connection, Host,
        admin::{file, needing, wasm},
        write_manifest,
    },
    swap::version,
};

/// A service that can reach nothing, and one that it may come to need.
fn manifest(permissions: &str) -> String {
    format!(
        "[postgres.shop]\n[services.probe]\ncomponent = \"COMPONENTS/hello.wasm\"\n{permissions}\n\
         [services.other]\ncomponent = \"COMPONENTS/hello.wasm\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\npublic = true\n\
         [[routes]]\nhost = \"other.test\"\npath = \"/{{*rest}}\"\nservice = \"other\"\npublic = true\n"
    )
}

fn select(host: &Host) -> Answer {
    let body = json!({ "database": "shop", "sql": "select 1" }).to_string();
    let mut connection = Connection::open(host.gateway);
    connection.request("POST", "/pg/execute", &[("content-type", "application/json")], body.as_bytes());
    connection.answer(false).expect("an answer")
}

fn accept(host: &Host, wasm: &[u8], more: &str) -> Answer {
    host.admin("POST", &format!("/v1/services/probe/swap?acceptPermissions=true{more}"), wasm)
}

fn accepted(host: &Host) -> Vec<Value> {
    host.admin("GET", "/v1/services/probe", b"").json()["data"]["accepted"].as_array().unwrap().clone()
}

#[test]
fn exactly_what_is_missing_is_accepted_and_told_until_the_manifest_has_it() {
    let host = Host::running(&manifest(""));
    let first = version(&host.get("/"));
    let needs = "postgres = { shop = \"read-write\" }\ncall = [\"other\"]";
    let new = needing(&wasm("probe_pg"), needs);

    let refused = host.swap("probe", &new);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.json()["data"]["permissions"].to_string().contains("postgres"), "{}", refused.text());
    assert_eq!(host.live("probe"), first);
    let silent = accept(&host, &wasm("probe_pg"), "");
    assert_eq!(silent.status, 403, "a build that does not say what it needs is given nothing");
    let ramp = accept(&host, &new, "&ramp=true");
    assert_eq!((ramp.status, ramp.text().contains("ramp")), (403, true), "{}", ramp.text());
    for (unknown, name) in [
        ("postgres = { nobody = \"read\" }", "nobody"),
        ("call = [\"nobody\"]", "nobody"),
        ("passwords = true", "`passwords` can be granted in the manifest only"),
        ("sign = { auth = \"main\", roles = [\"admin\"] }", "`sign` can be granted in the manifest only"),
        ("net = true", "in the manifest only"),
        ("publish = [\"a.b\"]", "in the manifest only"),
        ("subscribe = [\"a.b\"]", "in the manifest only"),
    ] {
        let answer = accept(&host, &needing(&wasm("hello"), unknown), "");
        assert_eq!((answer.status, answer.text().contains(name)), (403, true), "{}", answer.text());
    }
    assert_eq!((host.live("probe"), accepted(&host)), (first, Vec::new()));

    let path = file(&host, "new.wasm", &new);
    let done = host.command(&["swap", "probe", path.to_str().unwrap(), "--accept-permissions"]).json();
    assert_eq!(done["changes"]["needs"]["added"], json!(["call other", "postgres shop (read-write)"]), "{done}");
    assert_eq!(done["accepted"], json!(["postgres = { shop = \"read-write\" }", "call = [\"other\"]"]), "{done}");
    assert_eq!(select(&host).status, 200, "it has its database at once");
    let told = accepted(&host);
    assert_eq!((told.len(), &told[0]["by"]), (2, &json!("local")), "{told:?}");
    let permissions = host.admin("GET", "/v1/services/probe", b"").json()["data"]["permissions"].to_string();
    assert!(permissions.contains("postgres shop") && permissions.contains("call other"), "{permissions}");
    host.log.expect_line("permissions beyond the manifest were accepted");

    // It goes on over an applied manifest and over a restart, until the manifest has it.
    let apply = |host: &Host, permissions: &str| {
        let text = fs::read_to_string(write_manifest(host.folder.path(), &manifest(permissions))).unwrap();
        let answer = host.apply(&text);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    apply(&host, "version = \"2.0.0\"");
    assert_eq!((select(&host).status, accepted(&host).len()), (200, 2));
    let host = Host::running_in(host.killed(), &manifest("version = \"2.0.0\""));
    assert_eq!((select(&host).status, accepted(&host).len()), (200, 2));
    apply(&host, "permissions = { postgres = { shop = \"read-write\" } }");
    assert_eq!((select(&host).status, accepted(&host)[0]["line"].as_str()), (200, Some("call = [\"other\"]")));
    apply(&host, "permissions = { postgres = { shop = \"read-write\" }, call = [\"other\"] }");
    assert_eq!((select(&host).status, accepted(&host)), (200, Vec::new()));
}

#[test]
fn accepting_is_a_right_of_its_own() {
    let folder = crate::harness::place();
    let tokens = ["swapper", "accepter"].map(|name| (name, name.repeat(8)));
    tokens.iter().for_each(|(name, token)| fs::write(folder.path().join(name), token).unwrap());
    let admin = "[admin.tokens]\nswapper = { file = \"swapper\", may = [\"swap\"] }\n\
                 accepter = { file = \"accepter\", may = [\"swap\", \"accept\"] }\n";
    let host = Host::running_in(folder, &(admin.to_owned() + &manifest("")));
    let new = needing(&wasm("hello"), "call = [\"other\"]");
    let first = host.live("probe");
    let swap = |token: &str, query: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/wasm")];
        crate::harness::exchange(host.admin, "POST", &format!("/v1/services/probe/swap{query}"), &headers, &new)
    };
    let [(_, swapper), (_, accepter)] = &tokens;
    let refused = swap(swapper, "?acceptPermissions=true");
    assert_eq!((refused.status, refused.text().contains("add \\\"accept\\\" to")), (403, true), "{}", refused.text());
    assert_eq!(swap(accepter, "").status, 403, "what is not asked for is not accepted");
    assert_eq!((host.live("probe"), accepted(&host)), (first, Vec::new()));
    let done = swap(accepter, "?acceptPermissions=true");
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(accepted(&host)[0]["by"], "accepter");
}

#[test]
fn diff_tells_what_a_build_or_a_manifest_needs_more() {
    let folder = crate::harness::place();
    let write = |name: &str, content: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (old, new) =
        (write("old.wasm", &wasm("hello")), write("new.wasm", &needing(&wasm("probe_pg"), "passwords = true")));
    let told = Command::new(&["diff", &old, &new]).json();
    assert_eq!(told["changes"]["needs"]["added"], json!(["passwords"]), "{told}");
    assert!(told["changes"]["imports"]["added"].to_string().contains("archipel:postgres/client"), "{told}");
    assert!(told["sizeBytes"][1].as_u64() > told["sizeBytes"][0].as_u64(), "{told}");

    let before = write_manifest(folder.path(), &manifest("")).to_str().unwrap().to_owned();
    let after = fs::read_to_string(&before).unwrap().replacen(
        "[services.probe]\n",
        "[services.probe]\npermissions = { call = [\"other\"] }\n",
        1,
    );
    let after = write("after.toml", after.as_bytes());
    let told = Command::new(&["diff", &before, &after]).json();
    assert_eq!(told["changes"], json!({ "permissions of probe": { "added": ["call other"] } }));
    assert!(Command::new(&["diff", &before, &new]).refused().contains("with a manifest"));
}
