//! Why a `.wasm` file is no component that could run here.

use std::{io, path::PathBuf};

/// A component larger than this is refused unread.
pub const SIZE_MAX_BYTES: u64 = 64 << 20;

/// Why a component cannot be used. Whatever ran before is still running.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("cannot read component `{}`{}", .path.display(), hint(.build.as_deref()))]
    Read {
        path: PathBuf,
        build: Option<String>,
        #[source]
        source: io::Error,
    },

    #[error("`{}` has {size} bytes; a component may have {SIZE_MAX_BYTES}", .path.display())]
    TooLarge { path: PathBuf, size: u64 },

    #[error(
        "`{}` is a core module, not a component; in Rust build it with `--target wasm32-wasip2`, in other languages \
         make a component of it with `wasm-tools component new` and the adapter that their toolchain names", .path.display()
    )]
    CoreModule { path: PathBuf },

    #[error(
        "`{}` is made for WASI 0.3 (`{name}`), which this host does not run yet; build it for WASI 0.2", .path.display()
    )]
    Later { path: PathBuf, name: String },

    #[error("`{}` is no WebAssembly component; it may be truncated or another kind of file: {reason}", .path.display())]
    NotAComponent { path: PathBuf, reason: String },

    #[error("`{}` does not compile: {reason}", .path.display())]
    Compile { path: PathBuf, reason: String },

    #[error("`{}` takes more than 60 s of every core to compile; make it smaller", .path.display())]
    CompileTimeout { path: PathBuf },

    #[error(
        "`{}` does not export `wasi:http/incoming-handler@0.2`, and not `{}` either; it exports {exports}",
        .path.display(),
        super::doors::QUICK
    )]
    NoHandler { path: PathBuf, exports: String },

    #[error(
        "`{}` {has} `{interface}` in another form than this host: it was built for another version of it; build it again \
         with the sdk of this version ({})", .path.display(), env!("CARGO_PKG_VERSION")
    )]
    Outdated { path: PathBuf, has: &'static str, interface: String },

    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
}

fn hint(build: Option<&str>) -> String {
    build.map(|build| format!("; build it with `{build}`")).unwrap_or_default()
}

/// The folder of compiled components cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the artifact cache `{}`; `host.data` must be a folder this user can write to", .path.display())]
pub struct ArtifactsError {
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: io::Error,
}
