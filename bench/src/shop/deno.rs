//! A user by id from Deno and Oak: a gateway and a users service as processes of their own, before the PostgreSQL of a
//! shop that rests meanwhile.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::Context;

use super::system::Shop;
use crate::{
    cores::Cores,
    load::Target,
    peers::Place,
    run::Run,
    server::{Server, free_address},
    subject::Subject,
    watch::Charged,
};

/// How the users service asks PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// `pg`: one connection, one statement at a time.
    One,
    /// `postgres`: four connections, statements prepared and sent one behind the other.
    Pool,
}

/// Both processes.
pub(super) struct Deno {
    gateway: Server,
    users: Server,
}

impl Deno {
    /// Nothing where it is not installed.
    pub(super) async fn start(run: &Run, cores: &Cores, shop: &Shop, client: Client) -> anyhow::Result<Option<Self>> {
        let (Some(mut users), Some(mut gateway)) = (part(run, cores)?, part(run, cores)?) else {
            return Ok(None);
        };
        let (_, socket) = shop.postgres()?;
        let driver = if client == Client::One { "pg" } else { "postgres" };
        users.command.env("ROLE", "users").env("DRIVER", driver);
        users.command.env("PGHOST", socket).env("PGUSER", "archipel").env("PGDATABASE", "db_users");
        gateway.command.env("ROLE", "gateway").env("BEHIND", users.listen.to_string());
        let users = Server::start("Deno + Oak, users", users.listen, users.command).await?;
        let gateway = Server::start("Deno + Oak, gateway", gateway.listen, gateway.command).await?;
        Ok(Some(Self { gateway, users }))
    }

    pub(super) async fn user(&self, name: &str, shop: &Shop) -> anyhow::Result<Subject> {
        let (postgres, _) = shop.postgres()?;
        let charged = vec![
            Charged::server("gateway", self.gateway.pid()),
            Charged::server("users", self.users.pid()),
            Charged::server("PostgreSQL", postgres),
        ];
        let path = format!("/api/users/{}", shop.user);
        Subject::get(name, Target::new(self.gateway.address, &path).with_token(&shop.token), charged).await
    }
}

struct Part {
    listen: SocketAddr,
    command: Command,
}

fn part(run: &Run, cores: &Cores) -> anyhow::Result<Option<Part>> {
    let (listen, folder) = (free_address()?, run.folder()?);
    let place = Place { listen, behind: listen, folder: &folder, cores, body: "", component: Path::new("") };
    let command = run.peers.users(&place).context("Deno + Oak")?;
    Ok(command.map(|command| Part { listen, command }))
}
