//! The servers that are built with this program: the host, and bare hyper as server and as proxy.

use std::{net::SocketAddr, process::Command};

use anyhow::Context;

use crate::{
    cores::Cores,
    manifest::{self, system},
    run::Run,
    server::{Server, free_address},
    watch::Charged,
};

/// What everybody answers with: what the component says.
pub(crate) const BODY: &str = "hello from archipel\n";

/// Bare hyper that answers itself.
pub(crate) fn native(cores: &Cores, listen: SocketAddr) -> anyhow::Result<Command> {
    Ok(native_by(cores.server_command(&this()?), listen))
}

/// Bare hyper beside the load, for proxies to hand on to.
pub(crate) async fn backend(cores: &Cores) -> anyhow::Result<Server> {
    let listen = free_address()?;
    Server::start("backend", listen, native_by(cores.beside_command(&this()?), listen)).await
}

/// How the CPU time of a backend is told.
pub(crate) fn behind(backend: &Server) -> Charged {
    Charged::beside("backend", backend.pid())
}

/// Bare hyper that hands on.
pub(crate) fn proxy(cores: &Cores, listen: SocketAddr, to: SocketAddr) -> anyhow::Result<Command> {
    let mut command = cores.server_command(&this()?);
    command.args(["proxy", "--listen", &listen.to_string(), "--to", &to.to_string()]);
    Ok(command)
}

/// The host with `services`, which are the rest of its manifest.
pub(crate) fn archipel(
    run: &Run,
    cores: &Cores,
    listen: SocketAddr,
    requests: u32,
    services: &str,
) -> anyhow::Result<Command> {
    let text = system(listen, free_address()?, requests) + services;
    let mut command = cores.server_command(&run.archipel()?);
    command.arg("run").arg(manifest::write(&run.folder()?, &text)?);
    Ok(command)
}

fn native_by(mut command: Command, listen: SocketAddr) -> Command {
    command.args(["native", "--listen", &listen.to_string(), "--body-bytes", &BODY.len().to_string()]);
    command
}

fn this() -> anyhow::Result<std::path::PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}
