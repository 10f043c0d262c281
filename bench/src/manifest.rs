//! Manifests of hosts that are measured: one system, and services each behind a path.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::run::quoted;

/// What the manifest reference gives a gateway and a service by default. More connections need more.
const REQUESTS_MAX: u32 = 1024;
const CONCURRENCY: u32 = 256;

/// A host without a rate limit, its data beside the manifest, that takes so many requests at once.
pub(crate) fn system(listen: SocketAddr, admin: SocketAddr, requests: u32) -> String {
    let requests_max = REQUESTS_MAX.max(requests * 2);
    format!(
        r#"name = "bench"

[gateway]
listen = "{listen}"
limit = "off"
requests_max = {requests_max}

[admin]
listen = "{admin}"

[host]
data = "data"
"#
    )
}

/// A service that everybody may ask; `lines` are of its table.
pub(crate) fn service(name: &str, component: &Path, path: &str, lines: &str) -> anyhow::Result<String> {
    let component = quoted(component)?;
    Ok(format!("\n[services.{name}]\ncomponent = {component}\n{lines}\n{}", route(path, name)))
}

/// A service that runs elsewhere.
pub(crate) fn remote(name: &str, at: SocketAddr, path: &str, requests: u32) -> String {
    let limits = limits(requests, Reuse::Never);
    format!("\n[services.{name}]\nurl = \"http://{at}\"\n{limits}\n{}", route(path, name))
}

pub(crate) fn route(path: &str, service: &str) -> String {
    format!("\n[[routes]]\npath = \"{path}\"\nservice = \"{service}\"\npublic = true\n")
}

/// How long an instance is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// A fresh one for each request.
    Never,
    /// As the shop's services have it.
    Often,
}

/// The line `limits` of a service that is asked so many things at once.
pub(crate) fn limits(requests: u32, reuse: Reuse) -> String {
    let reuse = match reuse {
        Reuse::Never => "",
        Reuse::Often => r#", reuse = { requests = 128, idle = "10s" }"#,
    };
    format!("limits = {{ concurrency = {}{reuse} }}", CONCURRENCY.max(requests))
}

/// Writes a manifest into a folder of its own.
pub(crate) fn write(folder: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let file = folder.join("bench.toml");
    std::fs::write(&file, text)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn fresh_and_reused_differ_only_in_reuse() {
        let (fresh, mut warm) = (read(&limits(32, Reuse::Never)), read(&limits(32, Reuse::Often)));
        let limits = warm["limits"].as_table_mut().unwrap();
        assert_eq!(limits.remove("reuse").unwrap()["requests"].as_integer(), Some(128));
        assert_eq!(limits["concurrency"].as_integer(), Some(256));
        assert_eq!(fresh, warm);
    }

    #[test]
    fn a_host_has_room_for_every_connection() {
        let at: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let of = |requests| read(&system(at, at, requests))["gateway"]["requests_max"].as_integer();
        assert_eq!((of(32), of(1024)), (Some(1024), Some(2048)));
        assert_eq!(read(&limits(1024, Reuse::Never))["limits"]["concurrency"].as_integer(), Some(1024));
    }

    #[test]
    fn a_path_is_quoted_and_a_remote_service_has_no_component() {
        let service = read(&service("hello", Path::new("/a \"b\"/hello.wasm"), "/{*rest}", "").unwrap());
        assert_eq!(service["services"]["hello"]["component"].as_str(), Some("/a \"b\"/hello.wasm"));
        let remote = read(&remote("far", "127.0.0.1:5000".parse().unwrap(), "/{*rest}", 32));
        assert_eq!(remote["services"]["far"]["url"].as_str(), Some("http://127.0.0.1:5000"));
        assert_eq!(remote["routes"][0]["service"].as_str(), Some("far"));
    }
}
