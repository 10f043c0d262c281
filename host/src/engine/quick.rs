//! The engine of the quick compiler, Winch: it makes code in a sixth of Cranelift's time, which is slower.
//!
//! Code of one compiler does not run in an engine of the other, so it has its own: with the same settings and bounds,
//! made when the first component needs it, gone with the last one. Components that Winch does not know enough for, and
//! processors that it makes no good code for, are left to Cranelift.

use std::sync::{Mutex, PoisonError};

use wasmtime::{Config, EngineWeak, Strategy};

use super::{
    clock::Clock,
    config::{EngineSettings, Keep, features, pooled},
};

/// The quick engine, where it is needed.
pub struct Quick {
    settings: EngineSettings,
    made: Mutex<Option<EngineWeak>>,
}

impl Quick {
    /// Instances of as much room as those of the engine of `settings`.
    pub fn new(settings: EngineSettings) -> Self {
        Self { settings, made: Mutex::default() }
    }

    /// The engine, as long as anybody has it; none where there cannot be one.
    pub fn engine(&self) -> Option<wasmtime::Engine> {
        // Only there it is as well tried as Cranelift.
        if !cfg!(target_arch = "x86_64") {
            return None;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = made.as_ref().and_then(EngineWeak::upgrade) {
            return Some(engine);
        }
        let engine = self.make().inspect_err(|error| {
            tracing::debug!(error = %format!("{error:#}"), "no quick compiler here; everything is compiled by the full one");
        });
        let engine = engine.ok()?;
        *made = Some(engine.weak());
        Some(engine)
    }

    fn make(&self) -> anyhow::Result<wasmtime::Engine> {
        // Nothing is kept of its slots: their share of the guests' memory is the other engine's.
        let pooled = wasmtime::Engine::new(winch(&mut pooled(self.settings, Keep::NOTHING)));
        let engine = pooled.or_else(|_no_room| wasmtime::Engine::new(winch(&mut features())))?;
        Clock::tick(engine.weak())?;
        Ok(engine)
    }
}

fn winch(config: &mut Config) -> &Config {
    config.strategy(Strategy::Winch)
}
