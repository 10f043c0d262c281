//! What a component can be given, one file each: WIT on one side, a grant in the middle, a
//! backend on the other. No file here opens a socket, keeps a pool or reads a file.
//!
//! [`requirement`] is the one table from imported interfaces to what a manifest must say.

use wasmtime::component::Linker;
use wasmtime_wasi::{
    WasiView,
    cli::{WasiCli, WasiCliView},
    p2::bindings::{cli, random},
    random::{WasiRandom, WasiRandomView},
};
use wasmtime_wasi_http::WasiHttpView;

use self::{
    config::ConfigsView, files::FolderView, identity::IdentitiesView, keyvalue::StoresView, messaging::MessagingView,
    outbox::OutboxesView, postgres::PostgresView, sockets::SocketsView,
};

pub mod asking;
pub mod config;
pub mod files;
pub mod http;
pub mod identity;
pub mod keyvalue;
pub mod messaging;
pub mod outbox;
pub mod postgres;
pub mod sockets;
pub mod stdio;

/// What an imported interface needs before a component may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// Every component has it: clocks, random numbers, its own request.
    Nothing,
    /// At least one database in `permissions.postgres`.
    Postgres,
    /// At least one store in `permissions.keyvalue`.
    KeyValue,
    /// At least one topic in `permissions.publish`.
    Publish,
    /// `permissions.sign`.
    Sign,
    /// `permissions.passwords`.
    Passwords,
    /// Some place outside in `permissions.net`, or some service in `permissions.call`.
    Outgoing,
    /// Some folder in `permissions.read` or `permissions.write`.
    Folders,
    /// `permissions.sockets`.
    Sockets,
    /// Some secret in `permissions.secrets`, or some variable.
    Config,
    /// Nobody here offers it.
    Unknown,
}

impl Requirement {
    /// What a manifest writes to grant it; empty where nothing is needed.
    pub fn permission(self) -> &'static str {
        match self {
            Requirement::Nothing => "",
            Requirement::Postgres => "postgres = { NAME = \"read-write\" }",
            Requirement::KeyValue => "keyvalue = { NAME = \"read-write\" }",
            Requirement::Publish => "publish = [\"TOPIC\"]",
            Requirement::Sign => "sign = { auth = \"NAME\", roles = [\"ROLE\"], ttl_max = \"1h\" }",
            Requirement::Passwords => "passwords = true",
            Requirement::Outgoing => "net = [\"HOST:PORT\"] or call = [\"SERVICE\"]",
            Requirement::Folders => "read = [\"./FOLDER\"] or write = [\"./FOLDER\"]",
            Requirement::Sockets => "sockets = true",
            Requirement::Config => "secrets = [\"NAME\"] or env = [\"NAME\"]",
            Requirement::Unknown => "not offered by this host",
        }
    }
}

/// Whether a component that imports it runs without its grant, and is denied each use: toolchains
/// import interfaces of the standard that nobody calls.
pub fn is_standard(import: &str) -> bool {
    import.starts_with("wasi:")
}

/// What `import` (`wasi:http/types@0.2.4`) needs.
pub fn requirement(import: &str) -> Requirement {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let package = interface.split('/').next().unwrap_or(interface);
    match (package, interface) {
        ("wasi:config", "wasi:config/store") if config::offers(version) => Requirement::Config,
        ("wasi:keyvalue", "wasi:keyvalue/store" | "wasi:keyvalue/atomics" | "wasi:keyvalue/batch")
            if version == "0.2.0-draft" =>
        {
            Requirement::KeyValue
        }
        ("wasi:http", "wasi:http/types") if is_release(version) => Requirement::Nothing,
        ("wasi:http", "wasi:http/outgoing-handler") if is_release(version) => Requirement::Outgoing,
        ("wasi:sockets", _) if is_release(version) => Requirement::Sockets,
        ("wasi:filesystem", _) if is_release(version) => Requirement::Folders,
        ("wasi:cli" | "wasi:io" | "wasi:clocks" | "wasi:random", _) if is_release(version) => Requirement::Nothing,
        (_, "archipel:postgres/client" | "archipel:postgres/types") if version == "0.1.0" => Requirement::Postgres,
        (_, "archipel:keyvalue/store") if version == "0.1.0" => Requirement::KeyValue,
        (_, "archipel:messaging/types") if version == "0.1.0" => Requirement::Nothing,
        (_, "archipel:messaging/producer" | "archipel:messaging/outbox") if version == "0.1.0" => Requirement::Publish,
        (_, "archipel:identity/tokens") if version == "0.1.0" => Requirement::Sign,
        (_, "archipel:identity/passwords") if version == "0.1.0" => Requirement::Passwords,
        _ => Requirement::Unknown,
    }
}

/// `0.2.N`, not a draft of it: those are other contracts.
fn is_release(version: &str) -> bool {
    version
        .strip_prefix("0.2.")
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A linker with everything the host offers. What a component may reach of it is decided at each call.
///
/// `T` is what a store holds; `instance` supplies the views that the capabilities ask for.
pub fn linker<
    T: WasiView
        + WasiHttpView
        + PostgresView
        + IdentitiesView
        + StoresView
        + MessagingView
        + OutboxesView
        + FolderView
        + SocketsView
        + ConfigsView,
>(
    engine: &wasmtime::Engine,
) -> wasmtime::Result<Linker<T>> {
    let mut linker = Linker::new(engine);
    everyones(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    sockets::add_to_linker(&mut linker)?;
    config::add_to_linker(&mut linker)?;
    postgres::add_to_linker(&mut linker)?;
    identity::add_to_linker(&mut linker)?;
    keyvalue::add_to_linker(&mut linker)?;
    messaging::add_to_linker(&mut linker)?;
    outbox::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// What every component has. Files and sockets are not among it: those are ours.
fn everyones<T: WasiView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<T, WasiRandom>(linker, WasiRandomView::random)?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(linker, WasiRandomView::random)?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)
}

/// The same linker, with an empty place for each of these interfaces that nobody offers: they have
/// nothing but types, of which there is nothing to offer.
pub fn with_empty<'a, T: 'static>(
    linker: &Linker<T>,
    interfaces: impl IntoIterator<Item = &'a str>,
) -> wasmtime::Result<Linker<T>> {
    let mut linker = linker.clone();
    for interface in interfaces {
        linker.instance(interface)?;
    }
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rusts_standard_library_always_imports_needs_nothing_but_a_folder() {
        for import in ["wasi:cli/environment@0.2.3", "wasi:io/poll@0.2.0", "wasi:cli/terminal-stdout@0.2.12"] {
            assert_eq!(requirement(import), Requirement::Nothing, "{import}");
        }
        assert_eq!(requirement("wasi:filesystem/preopens@0.2.6"), Requirement::Folders);
        assert!(is_standard("wasi:filesystem/preopens@0.2.6") && !is_standard("archipel:postgres/client@0.1.0"));
    }

    #[test]
    fn an_interface_nobody_offers_is_unknown_and_so_is_another_version() {
        for import in [
            "acme:robots/arms@1.0.0",
            "wasi:http/types@0.3.0",
            "wasi:sockets/tcp@0.3.0",
            "wasi:io/poll@0.2.0-rc-2023-11-10",
            "wasi:keyvalue/store@0.1.0",
            "wasi:config/store@0.2.0",
            "wasi:config/runtime@0.2.0-draft",
        ] {
            assert_eq!(requirement(import), Requirement::Unknown, "{import}");
        }
        assert_eq!(requirement("wasi:sockets/tcp@0.2.0"), Requirement::Sockets);
        assert_eq!(requirement("wasi:config/store@0.2.0-rc.1"), Requirement::Config);
        assert_eq!(requirement("wasi:config/store@0.2.0-draft-2024-09-27"), Requirement::Config);
        assert_eq!(requirement("archipel:postgres/client@0.1.0"), Requirement::Postgres);
        assert_eq!(requirement("wasi:keyvalue/store@0.2.0-draft"), Requirement::KeyValue);
    }
}
