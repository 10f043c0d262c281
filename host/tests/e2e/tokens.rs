//! Tokens at the gateway, tokens and passwords for services, and the commands for both.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Answer, Command, Host, archipel, place, upstream::quoted, wait, write_manifest};

const GENERATED: &str = "keys = { generate = true }";

/// A gateway that asks for tokens of `main`, with `probe` behind every path but `/open`.
pub fn manifest(keys: &str) -> String {
    format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
auth = "main"
[auth.main]
issuer = "archipel"
audience = "shop"
{keys}
[services.probe]
component = "COMPONENTS/probe.wasm"
[[routes]]
path = "/open"
service = "probe"
public = true
[[routes]]
path = "/{{*rest}}"
service = "probe"
"#
    )
}

#[track_caller]
pub fn sign(folder: &Path, more: &[&str]) -> String {
    let manifest = folder.join("manifest.toml");
    let arguments = [&["token", "sign", manifest.to_str().unwrap(), "--sub", "7"], more].concat();
    let done = Command::new(&arguments).done();
    assert_eq!((done.code, done.errors.as_str()), (0, ""), "{}", done.output);
    let token = done.output.strip_suffix('\n').expect("one line").to_owned();
    assert_eq!(token.split('.').count(), 3, "{token}");
    token
}

#[track_caller]
pub fn get(host: &Host, path: &str, token: &str) -> Answer {
    host.send("GET", path, &[("authorization", &format!("Bearer {token}"))], b"")
}

/// What the probe was told of a header.
fn told(answer: &Answer, name: &str) -> Option<String> {
    let headers = answer.json()["headers"].as_array().unwrap().clone();
    headers.iter().find(|header| header[0] == name).map(|header| header[1].as_str().unwrap().to_owned())
}

#[test]
fn a_route_asks_for_a_token_and_the_service_learns_whose_it_is() {
    let host = Host::running(&manifest(GENERATED));
    let token = sign(host.folder.path(), &["--role", "admin", "--role", "user", "--ttl", "10m"]);

    let invalid = "Bearer error=\"invalid_token\"";
    for (refused, told) in [
        (host.get("/echo"), "Bearer"),
        (get(&host, "/echo", "canary-no-token"), invalid),
        (get(&host, "/nowhere", "canary-no-token"), invalid),
    ] {
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some(told)));
        assert_eq!(refused.json()["success"], false);
    }
    let echo = get(&host, "/echo", &token);
    assert_eq!(echo.status, 200, "{echo:?}");
    assert_eq!(told(&echo, "x-user-id").as_deref(), Some("7"));
    assert_eq!(told(&echo, "x-user-roles").as_deref(), Some("admin,user"));
    assert_eq!(told(&echo, "authorization"), None);
    assert_eq!(host.get("/open").status, 404, "public: the probe itself does not know it");

    let (head, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    assert_eq!(get(&host, "/echo", &format!("{head}.{first}{}", &signature[1..])).status, 401);
    assert_eq!(get(&host, "/echo", &token).status, 200, "known by now");

    let log = host.log.clone();
    host.stop();
    let log = log.ended();
    for secret in [token.as_str(), head, signature, "canary-no-token"] {
        assert!(!log.contains(secret), "a token in the log");
    }
}

#[test]
fn a_call_is_made_for_the_user_of_the_request_and_by_the_last_caller() {
    let net = "component = \"COMPONENTS/probe_net.wasm\"";
    let host = Host::running(&format!(
        "{}[[routes]]\npath = \"/proxy\"\nservice = \"first\"\n[[routes]]\npath = \"/call\"\nservice = \"first\"\n\
         [services.first]\n{net}\npermissions = {{ call = [\"second\", \"probe\"] }}\n\
         [services.second]\n{net}\npermissions = {{ call = [\"probe\"] }}\n",
        manifest(GENERATED)
    ));
    let token = sign(host.folder.path(), &["--role", "admin", "--role", "user"]);
    let echo = quoted("http://probe.internal/echo");
    let second = quoted(&format!("http://second.internal/proxy?url={echo}"));
    for (to, last) in [(&echo, "first"), (&second, "second")] {
        let check = |seen: &Answer| {
            assert_eq!(seen.status, 200, "{seen:?}");
            assert_eq!(told(seen, "x-user-id").as_deref(), Some("7"), "{seen:?}");
            assert_eq!(told(seen, "x-user-roles").as_deref(), Some("admin,user"));
            assert_eq!(told(seen, "x-source-service").as_deref(), Some(last));
            assert_eq!(told(seen, "authorization"), None);
        };
        let bearer = format!("Bearer {token}");
        let forged = [("x-user-id", "8"), ("x-user-roles", "root"), ("x-source-service", "probe")];
        let headers = [&[("authorization", bearer.as_str())], &forged[..]].concat();
        check(&host.send("GET", &format!("/proxy?url={to}"), &headers, b""));
        // What the guest makes up counts as little as what the client does.
        let made_up = quoted("x-user-id:8\nx-user-roles:root\nx-source-service:probe");
        let mut answer = get(&host, &format!("/call?url={to}&headers={made_up}"), &token);
        answer.body = answer.json()[0]["body"].as_str().expect("a body").as_bytes().to_vec();
        check(&answer);
        assert_eq!(host.get(&format!("/proxy?url={to}")).status, 401);
    }
}

#[test]
fn a_generated_key_is_its_owners_alone_and_a_second_one_takes_over_while_the_host_runs() {
    let folder = place();
    let manifest_file = write_manifest(folder.path(), &manifest(GENERATED));
    let before = sign(folder.path(), &[]);
    let keys = folder.path().join(".archipel/keys");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keys), mode(&keys.join("main.json"))), (0o700, 0o600));

    let host = Host::running_in(folder, &manifest(GENERATED));
    assert_eq!(get(&host, "/echo", &before).status, 200, "made before the host ran");
    let rotated = Command::new(&["token", "rotate", manifest_file.to_str().unwrap()]).json();
    let after = sign(host.folder.path(), &[]);
    assert_eq!(get(&host, "/echo", &after).status, 200, "found by its name");
    assert_eq!(get(&host, "/echo", &before).status, 200, "the old one goes on verifying");

    let deadline = Instant::now() + Duration::from_secs(20);
    let published = loop {
        let answer = host.get("/.well-known/jwks.json");
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=300")));
        let published = answer.json();
        if published["keys"].as_array().unwrap().len() == 2 {
            break published;
        }
        assert!(Instant::now() < deadline, "{published}");
    };
    assert_eq!(published["keys"][1]["kid"], rotated["kid"]);
    assert!(published["keys"].as_array().unwrap().iter().all(|key| key["d"].is_null()), "public halves only");
    let jwks = host.folder.path().join("published.json");
    fs::write(&jwks, published.to_string()).unwrap();
    assert_eq!(verify(&jwks, &after, &["--issuer", "archipel", "--audience", "shop"]).unwrap()["sub"], "7");
    assert!(verify(&jwks, &after, &["--issuer", "other"]).unwrap_err().contains("issuer"));

    let path = host.folder.path().join(".archipel/keys/main.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Command::new(&["token", "sign", manifest_file.to_str().unwrap(), "--sub", "7"]).refused();
    assert!(refused.contains("others can read") && refused.contains("chmod 600"), "{refused}");
}

#[test]
fn two_who_start_at_once_agree_on_one_key() {
    let folder = place();
    let manifest = write_manifest(folder.path(), &manifest(GENERATED));
    let sign = || Command::new(&["token", "sign", manifest.to_str().unwrap(), "--sub", "7"]);
    let heads: Vec<String> = [sign(), sign(), sign(), sign()]
        .map(|command| command.done().output.split('.').next().unwrap().to_owned())
        .into();
    assert!(heads.iter().all(|head| *head == heads[0] && !head.is_empty()), "{heads:?}");
}

#[test]
fn a_shared_secret_and_a_private_pem_sign_and_verify() {
    let folder = place();
    fs::write(folder.path().join("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    for (alg, kind) in [("EdDSA", &rcgen::PKCS_ED25519), ("ES256", &rcgen::PKCS_ECDSA_P256_SHA256)] {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        fs::write(folder.path().join(format!("{alg}.pem")), pair.serialize_pem()).unwrap();
    }
    let mut folder = Some(folder);
    for (keys, published) in [
        ("keys = { hs256 = { file = \"secret\" } }", 0),
        ("keys = { pem = \"EdDSA.pem\", alg = \"EdDSA\" }", 1),
        ("keys = { pem = \"ES256.pem\", alg = \"ES256\" }", 1),
    ] {
        let host = Host::running_in(folder.take().unwrap(), &manifest(keys));
        let token = sign(host.folder.path(), &[]);
        assert_eq!(get(&host, "/echo", &token).status, 200, "{keys}");
        assert_eq!(host.get("/.well-known/jwks.json").json()["keys"].as_array().unwrap().len(), published, "{keys}");
        folder = Some(host.stop());
    }
}

#[test]
fn keys_of_others_come_from_a_file_or_an_address_and_without_them_nobody_comes_in() {
    let issuer = place();
    write_manifest(issuer.path(), &manifest(GENERATED));
    let token = sign(issuer.path(), &[]);
    let jwks = public(issuer.path());

    let folder = place();
    fs::write(folder.path().join("jwks.json"), &jwks).unwrap();
    let host = Host::running_in(folder, &manifest("keys = { jwks = \"jwks.json\" }"));
    assert_eq!(get(&host, "/echo", &token).status, 200);
    let manifest_file = host.folder.path().join("manifest.toml");
    let refused = Command::new(&["token", "sign", manifest_file.to_str().unwrap(), "--sub", "7"]).refused();
    assert!(refused.contains("only verify"), "{refused}");
    drop(host);

    let server = KeyServer::answering("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
    let host = Host::running(&manifest(&format!("keys = {{ jwks = \"http://{}/jwks\" }}", server.address)));
    for _ in 0..3 {
        let answer = get(&host, "/echo", &token);
        assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{answer:?}");
    }
    assert_eq!(server.asked(), 1, "once in ten seconds");
    drop(host);

    let elsewhere = format!("HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", server.address);
    let redirecting = KeyServer::answering(&elsewhere);
    let host = Host::running(&manifest(&format!("keys = {{ jwks = \"http://{}/\" }}", redirecting.address)));
    assert_eq!(get(&host, "/echo", &token).status, 503);
    assert_eq!((redirecting.asked(), server.asked()), (1, 1), "redirects are not followed");
    drop(host);

    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{jwks}", jwks.len());
    let server = KeyServer::answering(&answer);
    let host = Host::running(&manifest(&format!("keys = {{ jwks = \"http://{}/jwks\" }}", server.address)));
    for _ in 0..3 {
        assert_eq!(get(&host, "/echo", &token).status, 200);
    }
    let stranger = place();
    write_manifest(stranger.path(), &manifest(GENERATED));
    assert_eq!(get(&host, "/echo", &sign(stranger.path(), &[])).status, 401);
    assert_eq!(server.asked(), 1, "cached, and an unknown key asks again after ten seconds only");
}

#[test]
fn roles_are_taken_from_the_claim_that_the_manifest_names() {
    let host = Host::running(&manifest(&format!("roles = \"realm_access.roles\"\n{GENERATED}")));
    let token = sign(host.folder.path(), &["--role", "admin", "--role", "user"]);
    let answer = get(&host, "/echo", &token);
    assert_eq!(told(&answer, "x-user-roles").as_deref(), Some("admin,user"));
    // A token of the usual form has no roles here.
    let usual = place();
    write_manifest(usual.path(), &manifest(GENERATED));
    fs::create_dir_all(usual.path().join(".archipel/keys")).unwrap();
    fs::copy(host.data().join("keys/main.json"), usual.path().join(".archipel/keys/main.json")).unwrap();
    let answer = get(&host, "/echo", &sign(usual.path(), &["--role", "admin"]));
    assert_eq!((answer.status, told(&answer, "x-user-roles")), (200, None));
}

/// The public key set of the generated keys in `folder`.
fn public(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join(".archipel/keys/main.json")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    for key in document["keys"].as_array_mut().unwrap() {
        let key = key.as_object_mut().unwrap();
        key.remove("d");
        key.remove("created");
    }
    document.to_string()
}

/// Answers each connection with the same bytes, and counts them.
struct KeyServer {
    address: SocketAddr,
    asked: Arc<Mutex<u32>>,
}

impl KeyServer {
    fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(0)));
        let (answer, count) = (answer.to_owned(), asked.clone());
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                *count.lock().unwrap() += 1;
                let mut head = [0; 1024];
                // Whatever it asks, this is the answer; a client that is gone is no failure.
                let _ = stream.read(&mut head).and_then(|_| stream.write_all(answer.as_bytes()));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }
}

const PROBE_ID: &str = r#"
[auth.main]
issuer = "archipel"
audience = "shop"
keys = { generate = true }
[auth.other]
issuer = "other"
audience = "shop"
keys = { generate = true }
[services.probe]
component = "COMPONENTS/probe_id.wasm"
PERMISSIONS
[[routes]]
path = "/{*rest}"
service = "probe"
public = true
"#;

#[test]
fn a_service_has_tokens_signed_within_its_grant_and_no_others() {
    let grant = "permissions = { sign = { auth = \"main\", roles = [\"user\"], ttl_max = \"1h\" } , passwords = true }";
    let host = Host::running(&PROBE_ID.replace("PERMISSIONS", grant));
    let ask = |auth: &str, subject: &str, roles: &[&str], ttl: u64| {
        let order = json!({ "auth": auth, "subject": subject, "roles": roles, "ttl": ttl });
        let answer = host.json("POST", "/sign", &order);
        (answer.status, answer.json())
    };
    let (status, signed) = ask("main", "7", &["user"], 3600);
    assert_eq!((status, &signed["expiresIn"]), (200, &json!(3600)));
    let jwks = host.folder.path().join("jwks.json");
    fs::write(&jwks, host.get("/.well-known/jwks.json").body).unwrap();
    let claims = verify(&jwks, signed["token"].as_str().unwrap(), &["--issuer", "archipel"]).unwrap();
    assert_eq!((&claims["sub"], &claims["aud"], &claims["roles"]), (&json!("7"), &json!("shop"), &json!(["user"])));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 36);

    for (auth, roles, ttl, line) in [
        ("main", &["user", "admin"][..], 60, "`sign main (admin)`"),
        ("main", &["user"], 3601, "(valid for 3601 s)"),
        ("other", &["user"], 60, "`sign other`"),
        ("nobody", &["user"], 60, "`sign nobody`"),
    ] {
        let (status, refused) = ask(auth, "7", roles, ttl);
        assert_eq!((status, &refused["error"]), (409, &json!("access-denied")), "{refused}");
        let logged = host.log.expect_line(line);
        assert!(logged.contains("sign = {") && logged.contains("services.probe.permissions"), "{logged}");
    }
    for (subject, ttl) in [("", 60), ("a b", 60), ("a\r\nb", 60), ("7", 0)] {
        assert_eq!(ask("main", subject, &[], ttl).1["error"], "invalid", "{subject:?} {ttl}");
    }
}

#[test]
fn passwords_are_hashed_and_compared_in_the_host_and_never_logged() {
    let host = Host::running(
        &PROBE_ID.replace("PERMISSIONS", "permissions = { sign = { auth = \"main\" }, passwords = true }"),
    );
    let ask = |path: &str, order: Value| host.json("POST", path, &order);
    let hash =
        |password: &str| ask("/hash", json!({ "password": password })).json()["hash"].as_str().map(str::to_owned);
    let matches =
        |password: &str, hash: Option<&str>| ask("/verify", json!({ "password": password, "hash": hash })).json();
    let (first, second) = (hash("canary-password").unwrap(), hash("canary-password").unwrap());
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    assert_ne!(first, second, "each has a salt of its own");
    assert_eq!(matches("canary-password", Some(&first))["matches"], true);
    assert_eq!(matches("canary-passwore", Some(&first))["matches"], false);
    assert_eq!(matches("canary-password", None)["matches"], false);
    for wrong in [
        "",
        "x",
        "$argon2id$v=19$m=1048576,t=2,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=19456,t=4000000000,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=17,r=8,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        &format!("{first}{}", "A".repeat(512)),
    ] {
        assert_eq!(matches("canary-password", Some(wrong))["error"], "invalid", "{wrong}");
    }
    assert_eq!(ask("/hash", json!({ "password": "" })).json()["error"], "invalid");
    assert_eq!(ask("/hash", json!({ "password": "x".repeat(1025) })).json()["error"], "invalid");

    // More at once than run and wait: each is answered, whole or with a word to come back.
    let gateway = host.gateway;
    let body = json!({ "password": "canary-password", "hash": null }).to_string();
    let asking: Vec<_> = (0..48)
        .map(|_| {
            let body = body.clone();
            let headers = [("content-type", "application/json")];
            thread::spawn(move || {
                crate::harness::exchange(gateway, "POST", "/verify", &headers, body.as_bytes()).json()
            })
        })
        .collect();
    for answer in asking.into_iter().map(|asking| asking.join().unwrap()) {
        assert!(answer["matches"] == false || answer["error"] == "overloaded", "{answer}");
    }
    let log = host.log.clone();
    host.stop();
    assert!(!log.ended().contains("canary-pass"));
}

#[test]
fn a_component_that_imports_them_without_a_grant_does_not_start() {
    for (permissions, line) in [
        ("", "add `passwords = true`"),
        ("permissions = { passwords = true }", "add `sign = { auth = \"NAME\""),
        ("permissions = { sign = { auth = \"mian\" }, passwords = true }", "did you mean `main`?"),
    ] {
        let Err(failed) = Host::start(place(), &PROBE_ID.replace("PERMISSIONS", permissions)) else {
            panic!("it started with `{permissions}`")
        };
        assert!(failed.errors.contains(line), "{}", failed.errors);
    }
}

/// What `archipel token verify` prints: claims, or why not.
fn verify(keys: &Path, token: &str, more: &[&str]) -> Result<Value, String> {
    let mut command = archipel();
    command.args(["token", "verify", "--keys", keys.to_str().unwrap()]).args(more);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    // One that has refused already may not read to the end.
    let _ = child.stdin.take().unwrap().write_all(token.as_bytes());
    let (mut output, mut errors) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    match wait(&mut child).code() {
        Some(0) => Ok(serde_json::from_str(&output).expect("claims")),
        code => {
            assert_eq!((code, output.as_str()), (Some(1), ""), "{errors}");
            Err(errors)
        }
    }
}

/// Payloads of the vectors are no claims that count today, so a vector counts as accepted when
/// only its claims are refused: its form, its key and its signature are right then.
/// Vectors that are right, and that are refused all the same: there is no payload, and so no claims;
/// the next two hold a `?`, which is no base64url (RFC 7515 section 2).
const STRICTER: [u64; 3] = [259, 372, 373];

#[test]
fn no_published_vector_is_accepted_wrongly_and_every_right_one_of_ours_is() {
    let (mut right, mut other, mut wrong, mut same) = (0, 0, 0, 0);
    for vectors in [include_str!("vectors/wycheproof.json"), include_str!("vectors/rfc.json")] {
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for group in vectors["testGroups"].as_array().unwrap() {
            let keys = folder.path().join("key.json");
            fs::write(&keys, group["key"].to_string()).unwrap();
            let tests = group["tests"].as_array().unwrap();
            let is_ours = !matches!(&group["key"]["alg"], Value::String(alg) if !ACCEPTED.contains(&alg.as_str()));
            let valid: Vec<&Value> =
                tests.iter().filter(|test| test["result"] == "valid").map(|test| &test["jws"]).collect();
            for test in tests {
                let refused = verify(&keys, test["jws"].as_str().unwrap(), &[]).expect_err("none is valid today");
                let is_accepted = refused.contains("the signature is right, but");
                let is_valid = test["result"] == "valid";
                let is_stricter = test["tcId"].as_u64().is_some_and(|id| STRICTER.contains(&id));
                let count = match (is_valid, is_ours && !is_stricter) {
                    (true, true) => &mut right,
                    (true, false) => &mut other,
                    // Two of the wrong ones are, letter by letter, a right one.
                    (false, _) if valid.contains(&&test["jws"]) => &mut same,
                    (false, _) => &mut wrong,
                };
                *count += 1;
                let expected = is_valid && is_ours && !is_stricter || !is_valid && valid.contains(&&test["jws"]);
                assert_eq!(is_accepted, expected, "{} {}: {refused}", group["comment"], test);
            }
        }
    }
    assert_eq!((right, other, wrong, same), (21, 29, 354, 2));
}

const ACCEPTED: [&str; 4] = ["EdDSA", "ES256", "HS256", "RS256"];
