//! Components that somebody must have signed: as cosign signs them, by keys that the manifest names.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SigningKey as _};
use ring::digest::{SHA256, digest};

use super::*;
use crate::harness::exchange;

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(digest(&SHA256, bytes)))
}

impl Registry {
    fn put(&self, method: &str, path: &str, kind: &str, body: &[u8], status: u16) -> Answer {
        let word = format!("Basic {LOGIN}");
        let headers = [("authorization", &*word), ("content-type", kind)];
        let answer = exchange(self.address.parse().unwrap(), method, path, &headers, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        answer
    }

    fn put_blob(&self, blob: &[u8]) {
        let begun = self.put("POST", "/v2/shop/hello/blobs/uploads/", "", b"", 202);
        let place = begun.header("location").unwrap();
        let path = &place[place.find("/v2/").unwrap()..];
        let path = format!("{path}&digest={}", sha256(blob));
        self.put("PUT", &path, "application/octet-stream", blob, 201);
    }

    /// Puts under the signatures of `pinned` one of a statement about `signed`.
    fn sign(&self, pinned: &str, signed: &str, key: &KeyPair) {
        let statement = json!({
            "critical": {
                "identity": { "docker-reference": "registry.example.com/shop/hello" },
                "image": { "docker-manifest-digest": signed },
                "type": "cosign container image signature",
            },
            "optional": null,
        })
        .to_string();
        let signature = STANDARD.encode(key.sign(statement.as_bytes()).unwrap());
        let (statement, config) = (statement.as_bytes(), b"{}");
        let described =
            |kind: &str, blob: &[u8]| json!({ "mediaType": kind, "digest": sha256(blob), "size": blob.len() });
        let mut layer = described("application/vnd.dev.cosign.simplesigning.v1+json", statement);
        layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let config_of = described("application/vnd.oci.image.config.v1+json", config);
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config_of, "layers": [layer] });
        self.put_blob(statement);
        self.put_blob(config);
        let tag = format!("{}.sig", pinned.rsplit('@').next().unwrap().replace(':', "-"));
        self.put("PUT", &format!("/v2/shop/hello/manifests/{tag}"), kind, manifest.to_string().as_bytes(), 201);
    }
}

fn signed_by(component: &str, keys: &[&KeyPair], folder: &Path) -> String {
    let names: Vec<_> = (0..keys.len()).map(|number| format!("signer-{number}.pem")).collect();
    for (name, key) in names.iter().zip(keys) {
        fs::write(folder.join(name), key.public_key_pem()).unwrap();
    }
    format!("[host.import]\nsigned_by = {}\n{}", json!(names), manifest(component))
}

#[test]
fn a_component_runs_only_with_a_signature_by_a_key_that_the_manifest_names() {
    let mut registry = Registry::start();
    let pinned = registry.push(&wasm("hello"), "1");
    let digest = pinned.rsplit('@').next().unwrap().to_owned();
    let ours = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (theirs, other) = (KeyPair::generate_for(&PKCS_ED25519).unwrap(), "sha256:".to_owned() + &"0".repeat(64));
    let folder = place();
    let file = write_manifest(folder.path(), &signed_by(&pinned, &[&ours], folder.path()));
    let file = file.to_str().unwrap();
    let refused = |registry: &Registry, says: &str| {
        let told = registry.command(&["pull", file]).refused();
        assert!(told.contains("signed_by") && told.contains(says), "{told}");
        assert!(!folder.path().join("data/pulled").exists(), "nothing is kept");
    };
    refused(&registry, "has 0 signatures");
    registry.sign(&pinned, &digest, &theirs);
    refused(&registry, "has 1 signatures");
    registry.sign(&pinned, &other, &ours);
    refused(&registry, "has 1 signatures");
    registry.sign(&pinned, &digest, &ours);
    assert_eq!(registry.command(&["pull", file]).json()[0]["fetched"], json!(true));

    // What proved it is kept: a start needs no registry, and a key that is named no longer does not hold.
    registry.stop();
    let environment = [("DOCKER_CONFIG", registry.docker().to_str().unwrap())];
    let text = signed_by(&pinned, &[&theirs, &ours], folder.path());
    let host = Host::start_with(folder, &text, &environment).unwrap_or_else(|failed| panic!("{}", failed.errors));
    answers(&host);
    let file = write_manifest(host.folder.path(), &signed_by(&pinned, &[&theirs], host.folder.path()));
    let text = fs::read_to_string(file).unwrap();
    let told = host.apply(&text);
    assert_eq!(told.status, 409, "{}", told.text());
    answers(&host);
    registry.start_again();
    let told = host.apply(&text);
    assert!(told.status == 409 && told.text().contains("has 1 signatures"), "{}", told.text());
    answers(&host);
}

#[test]
fn check_names_a_key_that_is_none_and_a_component_that_can_have_no_signature() {
    let folder = place();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    fs::write(folder.path().join("private.pem"), key.serialize_pem()).unwrap();
    fs::write(folder.path().join("none.pem"), "none").unwrap();
    let text = format!(
        "[host.import]\nsigned_by = [\"private.pem\", \"none.pem\", \"nowhere.pem\"]\n{}",
        manifest("oci://registry.example.com/hello:1")
    );
    let file = write_manifest(folder.path(), &text);
    let told = Archipel::new(&["check", file.to_str().unwrap()]).refused();
    for says in ["signed_by[0]", "private key", "signed_by[1]", "signed_by[2]", "nowhere.pem"] {
        assert!(told.contains(says), "no `{says}` in {told}");
    }
    let taking = format!(
        "{}[discovery.consul]\nurl = \"http://127.0.0.1:8500\"\ntake_builds = {{ token = \"ops\" }}\n",
        signed_by("oci://registry.example.com/hello:1", &[&key], folder.path())
    );
    let file = write_manifest(folder.path(), &taking);
    let told = Archipel::new(&["check", file.to_str().unwrap()]).refused();
    assert!(told.contains("take_builds") && told.contains("wants signatures"), "{told}");
    let component = format!("https://example.com/hello.wasm@sha256:{}", "0".repeat(64));
    let file = write_manifest(folder.path(), &signed_by(&component, &[&key], folder.path()));
    let told = Archipel::new(&["check", file.to_str().unwrap()]).refused();
    assert!(told.contains("has no signature") && told.contains("oci://"), "{told}");
}
