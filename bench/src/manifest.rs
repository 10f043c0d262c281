//! Manifests of hosts that are measured: one system, and services each behind one path.

use std::{net::SocketAddr, path::Path};

use anyhow::Context;

/// A host without a rate limit, its data beside the manifest.
pub(crate) fn system(listen: SocketAddr, admin: SocketAddr) -> String {
    format!(
        r#"name = "bench"

[gateway]
listen = "{listen}"
limit = "off"

[admin]
listen = "{admin}"

[host]
data = "data"
"#
    )
}

/// A service that everybody may ask; `lines` are of its table.
pub(crate) fn service(name: &str, component: &Path, path: &str, lines: &str) -> anyhow::Result<String> {
    let component = component.to_str().context("the component's path is not UTF-8")?;
    let component = toml::Value::from(component); // prints itself quoted
    Ok(format!(
        r#"
[services.{name}]
component = {component}
{lines}

[[routes]]
path = "{path}"
service = "{name}"
public = true
"#
    ))
}
