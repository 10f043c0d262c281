//! What a component can be given, one file each: WIT on one side, a grant in the middle, a
//! backend on the other. No file here opens a socket, keeps a pool or reads a file.
//!
//! Which imports ask for which permission is said by the permissions themselves; [`Needed`] adds what every
//! component has.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{
    WasiView,
    cli::{WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    p2::bindings::{cli, clocks, io, random},
    random::{WasiRandom, WasiRandomView},
};
use wasmtime_wasi_http::WasiHttpView;

use grant::{Import, Kind, Permissions};

use self::{
    client::ClientView, config::ConfigsView, files::FolderView, identity::IdentitiesView, keyvalue::StoresView,
    logging::LoggingView, messaging::MessagingView, otel::TracingView, outbox::OutboxesView, postgres::PostgresView,
    sockets::SocketsView,
};

pub mod asking;
pub mod client;
pub mod config;
pub mod exception;
pub mod files;
pub mod http;
pub mod identity;
pub mod keyvalue;
pub mod logging;
pub mod messaging;
pub mod otel;
pub mod outbox;
pub mod postgres;
mod said;
pub mod sockets;
pub mod stdio;

/// What an imported interface needs before a component may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// Every component has it: clocks, random numbers, its own request.
    Nothing,
    /// Something of one of these kinds.
    SomeOf(Vec<Kind>),
    /// Nobody here offers it.
    Unknown,
}

impl Needed {
    /// What `import` (`wasi:http/types@0.2.4`) needs.
    pub fn of(import: &str) -> Self {
        let kinds = Permissions::asked_by(import);
        if !kinds.is_empty() {
            return Self::SomeOf(kinds);
        }
        if logging::VERSIONS.contains(&import) || [otel::VERSION, otel::TYPES].contains(&import) {
            return Self::Nothing;
        }
        let of = Import::from(import);
        let everyones = ["wasi:cli", "wasi:io", "wasi:clocks", "wasi:random"].contains(&of.package());
        let free = everyones || of.interface == "wasi:http/types";
        let types = import == "archipel:messaging/types@0.1.0";
        match free && of.is_release() || types {
            true => Self::Nothing,
            false => Self::Unknown,
        }
    }

    /// What a manifest writes to grant it; empty where nothing is needed.
    pub fn permission(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::SomeOf(kinds) => grant::examples(kinds),
            Self::Unknown => "not offered by this host".to_owned(),
        }
    }
}

/// Whether a component that imports it runs without its grant, and is denied each use: toolchains
/// import interfaces of the standard that nobody calls.
pub fn is_standard(import: &str) -> bool {
    import.starts_with("wasi:")
}

/// A linker with everything the host offers. What a component may reach of it is decided at each call.
///
/// `T` is what a store holds; `instance` supplies the views that the capabilities ask for.
pub fn linker<
    T: WasiView
        + WasiHttpView
        + ClientView
        + PostgresView
        + IdentitiesView
        + StoresView
        + MessagingView
        + OutboxesView
        + FolderView
        + SocketsView
        + ConfigsView
        + LoggingView
        + TracingView,
>(
    engine: &wasmtime::Engine,
) -> wasmtime::Result<Linker<T>> {
    let mut linker = Linker::new(engine);
    everyones(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    client::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    sockets::add_to_linker(&mut linker)?;
    config::add_to_linker(&mut linker)?;
    logging::add_to_linker(&mut linker)?;
    otel::add_to_linker(&mut linker)?;
    postgres::add_to_linker(&mut linker)?;
    identity::add_to_linker(&mut linker)?;
    keyvalue::add_to_linker(&mut linker)?;
    messaging::add_to_linker(&mut linker)?;
    outbox::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// What every component has. Files and sockets are not among it: those are ours. Streams need nothing but the
/// table, so that WASI's own context need not be made for them.
fn everyones<T: WasiView + WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<T, HasTable>(linker, |state| state.http().table)?;
    io::poll::add_to_linker::<T, HasTable>(linker, |state| state.http().table)?;
    io::streams::add_to_linker::<T, HasTable>(linker, |state| state.http().table)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(linker, WasiClocksView::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(linker, WasiClocksView::clocks)?;
    random::random::add_to_linker::<T, WasiRandom>(linker, WasiRandomView::random)?;
    random::insecure::add_to_linker::<T, WasiRandom>(linker, WasiRandomView::random)?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(linker, WasiRandomView::random)?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, WasiCliView::cli)
}

/// Handles of streams and what they wait for.
struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rusts_standard_library_always_imports_needs_nothing_but_a_folder() {
        for import in ["wasi:cli/environment@0.2.3", "wasi:io/poll@0.2.0", "wasi:cli/terminal-stdout@0.2.12"] {
            assert_eq!(Needed::of(import), Needed::Nothing, "{import}");
        }
        let folder = Needed::of("wasi:filesystem/preopens@0.2.6").permission();
        assert_eq!(folder, "read = [\"./FOLDER\"] or write = [\"./FOLDER\"]");
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
            assert_eq!(Needed::of(import), Needed::Unknown, "{import}");
        }
    }
}
