//! What a component can be given, one file each: WIT on one side, a grant in the middle, a
//! backend on the other. No file here opens a socket, keeps a pool or reads a file.
//!
//! [`requirement`] is the one table from imported interfaces to what a manifest must say.

use wasmtime::component::Linker;
use wasmtime_wasi::WasiView;
use wasmtime_wasi_http::WasiHttpView;

use self::{
    identity::IdentitiesView, keyvalue::StoresView, messaging::MessagingView, outbox::OutboxesView,
    postgres::PostgresView,
};

pub mod http;
pub mod identity;
pub mod keyvalue;
pub mod messaging;
pub mod outbox;
pub mod postgres;
pub mod stdio;

/// What an imported interface needs before a component that imports it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// Every component has it: clocks, random numbers, its own request, empty files.
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
    /// A permission that this version of the host cannot grant yet.
    NotYet { permission: &'static str },
    /// Nobody here offers it.
    Unknown,
}

impl Requirement {
    /// What a manifest writes to grant it; empty where nothing is needed.
    pub fn permission(self) -> String {
        match self {
            Requirement::Nothing => String::new(),
            Requirement::Postgres => "postgres = { NAME = \"read-write\" }".into(),
            Requirement::KeyValue => "keyvalue = { NAME = \"read-write\" }".into(),
            Requirement::Publish => "publish = [\"TOPIC\"]".into(),
            Requirement::Sign => "sign = { auth = \"NAME\", roles = [\"ROLE\"], ttl_max = \"1h\" }".into(),
            Requirement::Passwords => "passwords = true".into(),
            Requirement::Outgoing => "net = [\"HOST:PORT\"] or call = [\"SERVICE\"]".into(),
            Requirement::NotYet { permission } => format!("{permission}: not yet supported"),
            Requirement::Unknown => "not offered by this host".into(),
        }
    }
}

/// What `import` (`wasi:http/types@0.2.4`) needs.
pub fn requirement(import: &str) -> Requirement {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let package = interface.split('/').next().unwrap_or(interface);
    match (package, interface) {
        ("wasi:http", _) | ("wasi:sockets", _) if !version.starts_with("0.2.") => Requirement::Unknown,
        (_, "wasi:http/types") => Requirement::Nothing,
        (_, "wasi:http/outgoing-handler") => Requirement::Outgoing,
        ("wasi:sockets", _) => Requirement::NotYet { permission: "sockets" },
        ("wasi:cli" | "wasi:io" | "wasi:clocks" | "wasi:filesystem" | "wasi:random", _)
            if version.starts_with("0.2.") =>
        {
            Requirement::Nothing
        }
        (_, "archipel:postgres/client" | "archipel:postgres/types") if version == "0.1.0" => Requirement::Postgres,
        (_, "archipel:keyvalue/store") if version == "0.1.0" => Requirement::KeyValue,
        (_, "archipel:messaging/types") if version == "0.1.0" => Requirement::Nothing,
        (_, "archipel:messaging/producer" | "archipel:messaging/outbox") if version == "0.1.0" => Requirement::Publish,
        (_, "wasi:keyvalue/store" | "wasi:keyvalue/atomics" | "wasi:keyvalue/batch") if version == "0.2.0-draft" => {
            Requirement::KeyValue
        }
        (_, "archipel:identity/tokens") if version == "0.1.0" => Requirement::Sign,
        (_, "archipel:identity/passwords") if version == "0.1.0" => Requirement::Passwords,
        (_, "wasi:config/store") => Requirement::NotYet { permission: "secrets" },
        _ => Requirement::Unknown,
    }
}

/// A linker with everything the host offers. What a component may use of it was decided before,
/// by comparing its imports with its grants; what it may reach is decided at each call.
///
/// `T` is what a store holds; `instance` supplies the views that the capabilities ask for.
pub fn linker<
    T: WasiView + WasiHttpView + PostgresView + IdentitiesView + StoresView + MessagingView + OutboxesView,
>(
    engine: &wasmtime::Engine,
) -> wasmtime::Result<Linker<T>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    postgres::add_to_linker(&mut linker)?;
    identity::add_to_linker(&mut linker)?;
    keyvalue::add_to_linker(&mut linker)?;
    messaging::add_to_linker(&mut linker)?;
    outbox::add_to_linker(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rusts_standard_library_always_imports_needs_nothing() {
        for import in ["wasi:cli/environment@0.2.3", "wasi:io/poll@0.2.0", "wasi:filesystem/preopens@0.2.6"] {
            assert_eq!(requirement(import), Requirement::Nothing, "{import}");
        }
    }

    #[test]
    fn an_interface_nobody_offers_is_unknown_and_a_future_one_says_so() {
        assert_eq!(requirement("acme:robots/arms@1.0.0"), Requirement::Unknown);
        assert_eq!(requirement("wasi:http/types@0.3.0"), Requirement::Unknown);
        assert_eq!(requirement("wasi:sockets/tcp@0.2.0"), Requirement::NotYet { permission: "sockets" });
        assert_eq!(requirement("archipel:postgres/client@0.1.0"), Requirement::Postgres);
        assert_eq!(requirement("wasi:keyvalue/store@0.2.0-draft"), Requirement::KeyValue);
        assert_eq!(requirement("wasi:keyvalue/store@0.1.0"), Requirement::Unknown);
    }
}
