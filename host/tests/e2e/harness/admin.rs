//! The admin API of a host of one's own.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{Answer, Command, Host, components, exchange, write_manifest};

impl Host {
    pub fn admin_token(&self) -> String {
        fs::read_to_string(self.data().join("admin-token")).unwrap().trim().to_owned()
    }

    /// A request to the admin API with the host's own token.
    #[track_caller]
    pub fn admin(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let authorization = format!("Bearer {}", self.admin_token());
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/wasm")];
        exchange(self.admin, method, path, &headers, body)
    }

    #[track_caller]
    pub fn swap(&self, service: &str, wasm: &[u8]) -> Answer {
        self.admin("POST", &format!("/v1/services/{service}/swap"), wasm)
    }

    /// Its file says this from now on, and that runs when this returns.
    #[track_caller]
    pub fn becomes(&self, manifest: &str) {
        write_manifest(self.folder.path(), manifest);
        let answer = self.admin("POST", "/v1/reload", b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    #[track_caller]
    pub fn apply(&self, manifest: &str) -> Answer {
        let authorization = format!("Bearer {}", self.admin_token());
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/toml")];
        exchange(self.admin, "POST", "/v1/apply", &headers, manifest.as_bytes())
    }

    /// What `archipel apply FILE` says when it succeeds.
    #[track_caller]
    pub fn apply_by_command(&self, manifest: &std::path::Path) -> Value {
        self.command(&["apply", manifest.to_str().unwrap()]).json()
    }

    /// `archipel ARGUMENTS --admin …` against this host.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let url = format!("http://{}", self.admin);
        let arguments = [arguments, &["--admin", &url]].concat();
        Command::with(&arguments, &[("ARCHIPEL_ADMIN_TOKEN", &self.admin_token())])
    }

    /// The version of `service` that is live, by `status`.
    #[track_caller]
    pub fn live(&self, service: &str) -> String {
        let answer = self.admin("GET", &format!("/v1/services/{service}"), b"");
        let data: Value = answer.json()["data"].clone();
        data["version"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }
}

/// A component that was built with the tests.
pub fn wasm(name: &str) -> Vec<u8> {
    fs::read(components().join(format!("{name}.wasm"))).unwrap()
}

/// The same component as another build: it does the same, and its digest differs.
pub fn build(component: &[u8], number: u32) -> Vec<u8> {
    let name = b"build";
    let mut another = component.to_vec();
    another.extend([0, u8::try_from(1 + name.len() + 4).unwrap(), u8::try_from(name.len()).unwrap()]);
    another.extend(name);
    another.extend(number.to_le_bytes());
    another
}

/// The same component, which says that it needs this.
pub fn needing(component: &[u8], permissions: &str) -> Vec<u8> {
    let name = b"archipel:permissions";
    let length = u8::try_from(1 + name.len() + permissions.len()).expect("short needs");
    let mut needing = component.to_vec();
    needing.push(0);
    // One byte of LEB128, or two.
    match length {
        0..0x80 => needing.push(length),
        _ => needing.extend([length & 0x7f | 0x80, 1]),
    }
    needing.push(u8::try_from(name.len()).unwrap());
    needing.extend(name);
    needing.extend(permissions.as_bytes());
    needing
}

/// The component in a file, for commands.
pub fn file(host: &Host, name: &str, wasm: &[u8]) -> PathBuf {
    let file = host.folder.path().join(name);
    fs::write(&file, wasm).unwrap();
    file
}
