//! The shop as it is shipped, on a free port, with a user who has ordered five times.
//!
//! Its users service is the one in Rust or the one in TypeScript, which has two engines.

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

const ORDERS: usize = 5;

/// What the users service is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    /// On StarlingMonkey.
    TypeScript,
    /// On the quick engine.
    Quick,
}

pub(super) struct Shop {
    pub(super) server: Server,
    /// Its manifest and its data.
    folder: PathBuf,
    pub(super) client: Client,
    /// An admin's.
    pub(super) token: String,
    /// Has five orders.
    pub(super) user: String,
    pub(super) product: String,
}

impl Shop {
    /// Private databases go beside the load.
    pub(super) async fn start(run: &Run, cores: &Cores, language: Language) -> anyhow::Result<Self> {
        say(&format!("shop: starting, users in {language:?}"));
        let (binary, address, folder) = (run.archipel()?, free_address()?, run.folder()?);
        let file = manifest::write(&folder, &manifest(Path::new(""), language, address)?)?;
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
        let shop = Self { server, folder, client, token, user, product };
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

    /// The private PostgreSQL's process, and the folder of its socket.
    pub(super) fn postgres(&self) -> anyhow::Result<(u32, String)> {
        let file = self.folder.join(".archipel/postgres/postmaster.pid");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        postmaster(&text).with_context(|| format!("{} is not as PostgreSQL writes it", file.display()))
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

/// Its first line is the process, its fifth the folder of the socket.
fn postmaster(text: &str) -> Option<(u32, String)> {
    let mut lines = text.lines();
    Some((lines.next()?.trim().parse().ok()?, lines.nth(3)?.to_owned()))
}

/// The shipped manifest of the repository in `root` at a free port, with absolute paths and without a limit.
fn manifest(root: &Path, language: Language, listen: SocketAddr) -> anyhow::Result<String> {
    let shipped = root.join(language.manifest());
    let text = fs::read_to_string(&shipped)
        .with_context(|| format!("cannot read `{}`; run this in the repository's folder", shipped.display()))?;
    let root =
        fs::canonicalize(&shipped)?.parent().and_then(Path::parent).context("a manifest in no folder")?.to_owned();
    let (before, own) =
        text.split_once("\nlisten = ").with_context(|| format!("`{}` does not listen", shipped.display()))?;
    let after = own.split_once('\n').map_or("", |(_, after)| after);
    let text = format!("{before}\nlisten = \"{listen}\"\nlimit = \"off\"\n{after}");
    let text = text.replace("\"../", &format!("\"{}/", root.display()));
    let text = if language == Language::Quick { text.replace("users_ts.wasm", "users_ts_quick.wasm") } else { text };
    Ok(format!("{text}\n[admin]\nlisten = \"{}\"\n", free_address()?))
}

impl Language {
    fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "manifests/shop.toml",
            Self::TypeScript | Self::Quick => "manifests/shop-ts.toml",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_shop_is_only_moved_and_not_limited() {
        check(Language::Rust, "components/target/wasm32-wasip2/release/users.wasm");
        check(Language::TypeScript, "target/foreign/users_ts.wasm");
        check(Language::Quick, "target/foreign/users_ts_quick.wasm");
    }

    #[track_caller]
    fn check(language: Language, users: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let shipped = fs::read_to_string(root.join(language.manifest())).unwrap();
        let mut ours: toml::Table =
            manifest(&root, language, "127.0.0.1:4000".parse().unwrap()).unwrap().parse().unwrap();
        let mut theirs: toml::Table = shipped.parse().unwrap();
        let component = Path::new(ours["services"]["users"]["component"].as_str().unwrap());
        assert!(component.is_absolute() && component.ends_with(users), "{}", component.display());
        let gateway = ours["gateway"].as_table_mut().unwrap();
        assert_eq!(gateway.insert("listen".to_owned(), "anywhere".into()), Some("127.0.0.1:4000".into()));
        assert_eq!(gateway.remove("limit"), Some("off".into()));
        theirs["gateway"].as_table_mut().unwrap().insert("listen".to_owned(), "anywhere".into());
        assert_eq!(ours["gateway"], theirs["gateway"]);
        assert_eq!(ours["routes"], theirs["routes"]);
    }

    #[test]
    fn a_private_postgres_is_found_by_what_it_writes_down() {
        let text = "4711\n/data\n1790000000\n5432\n/tmp/archipel-1\n\n  163842\nready\n";
        assert_eq!(postmaster(text), Some((4711, "/tmp/archipel-1".to_owned())));
        assert_eq!(postmaster("4711\n/data\n"), None);
    }
}
