//! `wasi:logging`: lines with a level, for components whose toolchain speaks it.
//!
//! They go where printed lines go, with the same bounds. Every component has it: whoever may print may log.

use std::sync::Arc;

use tracing::Level;
use wasmtime::component::{ComponentType, Lift, Linker};

use super::stdio::Output;

/// Its draft, and how toolchains name it that write no version.
pub(super) const VERSIONS: [&str; 2] = ["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"];

/// Of the word that says what a line is about.
const CONTEXT_MAX_BYTES: usize = 256;

/// What a store must hold for its guest to log.
pub trait LoggingView: Send + 'static {
    fn output(&self) -> &Arc<Output>;
}

/// In the order of the interface.
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "made by whoever calls")]
enum Said {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl Said {
    fn level(self) -> Level {
        match self {
            Self::Trace => Level::TRACE,
            Self::Debug => Level::DEBUG,
            Self::Info => Level::INFO,
            Self::Warn => Level::WARN,
            Self::Error | Self::Critical => Level::ERROR,
        }
    }
}

pub fn add_to_linker<T: LoggingView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    for version in VERSIONS {
        let mut logging = linker.instance(version)?;
        logging.func_wrap("log", |store, (level, mut context, message): (Said, String, String)| {
            let end = (0..=CONTEXT_MAX_BYTES.min(context.len())).rev().find(|end| context.is_char_boundary(*end));
            context.truncate(end.unwrap_or(0));
            store.data().output().log(level.level(), &context, &message);
            Ok(())
        })?;
    }
    Ok(())
}
