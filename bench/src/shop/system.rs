//! The shop as it is shipped, on a free port, with a user who has ordered five times.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::client::Client;
use crate::{
    cores::Cores,
    manifest, process,
    progress::say,
    run::Run,
    server::{Server, free_address},
    watch::Charged,
};

const MANIFEST: &str = "manifests/shop.toml";
const ORDERS: usize = 5;

pub(super) struct Shop {
    pub(super) server: Server,
    pub(super) client: Client,
    /// An admin's.
    pub(super) token: String,
    /// Has five orders.
    pub(super) user: String,
    pub(super) product: String,
}

impl Shop {
    /// Private databases go beside the load.
    pub(super) async fn start(run: &Run, cores: &Cores) -> anyhow::Result<Self> {
        say("shop: starting");
        let (binary, address) = (run.archipel()?, free_address()?);
        let file = manifest::write(&run.folder()?, &manifest(Path::new(MANIFEST), address)?)?;
        let mut command = cores.server_command(&binary);
        command.arg("run").arg(&file);
        let server = Server::start("shop", address, command).await?;
        cores.beside(&process::databases(server.pid())?)?;
        let token = sign(&binary, &file)?;
        let client = Client::new(address, &token);
        let new = json!({"name": "Tea", "price": 19.99, "inventory": 1_000_000_000});
        let product = id(&client.post("/api/products", &new).await?)?;
        let new = json!({"email": "ada@example.com", "name": "Ada Lovelace"});
        let user = id(&client.post("/api/users", &new).await?)?;
        let shop = Self { server, client, token, user, product };
        for _ in 0..ORDERS {
            shop.client.post("/api/orders", &shop.order(&shop.user)).await?;
        }
        shop.server.settled().await?;
        Ok(shop)
    }

    /// What `user` orders.
    pub(super) fn order(&self, user: &str) -> Value {
        json!({"userId": user, "items": [{"productId": self.product, "quantity": 2}]})
    }

    pub(super) fn charged(&self) -> Vec<Charged> {
        vec![Charged::server("host", self.server.pid())]
    }
}

pub(super) fn id(record: &Value) -> anyhow::Result<String> {
    Ok(record["id"].as_str().with_context(|| format!("no id in {record}"))?.to_owned())
}

fn sign(binary: &PathBuf, manifest: &Path) -> anyhow::Result<String> {
    let mut sign = std::process::Command::new(binary);
    sign.arg("token").arg("sign").arg(manifest).args(["--sub", "bench", "--role", "admin", "--ttl", "1h"]);
    let signed = sign.output().context("cannot sign a token")?;
    ensure!(signed.status.success(), "cannot sign a token: {}", String::from_utf8_lossy(&signed.stderr));
    Ok(String::from_utf8(signed.stdout)?.trim().to_owned())
}

/// The shipped manifest at a free port, with absolute paths and without a limit.
fn manifest(shipped: &Path, listen: SocketAddr) -> anyhow::Result<String> {
    let text = fs::read_to_string(shipped)
        .with_context(|| format!("cannot read `{}`; run this in the repository's folder", shipped.display()))?;
    let root =
        fs::canonicalize(shipped)?.parent().and_then(Path::parent).context("a manifest in no folder")?.to_owned();
    let own = "listen = { env = \"SHOP_LISTEN\", optional = true }";
    ensure!(text.contains(own), "`{}` does not take its address from SHOP_LISTEN", shipped.display());
    let text = text.replace("\"../", &format!("\"{}/", root.display()));
    let text = text.replace(own, &format!("listen = \"{listen}\"\nlimit = \"off\""));
    Ok(format!("{text}\n[admin]\nlisten = \"{}\"\n", free_address()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_shop_is_only_moved_and_not_limited() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(MANIFEST);
        let ours: toml::Table = manifest(&shipped, "127.0.0.1:4000".parse().unwrap()).unwrap().parse().unwrap();
        let theirs: toml::Table = fs::read_to_string(shipped).unwrap().parse().unwrap();
        assert_eq!(ours["gateway"]["listen"].as_str(), Some("127.0.0.1:4000"));
        assert_eq!(ours["gateway"]["limit"].as_str(), Some("off"));
        assert_eq!(ours["routes"], theirs["routes"]);
        let component = Path::new(ours["services"]["users"]["component"].as_str().unwrap());
        assert!(component.is_absolute() && component.ends_with("components/target/wasm32-wasip2/release/users.wasm"));
    }
}
