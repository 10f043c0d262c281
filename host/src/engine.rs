//! The engine all components share: its settings, its instance slots, its clock.
//!
//! Decides how wasmtime is configured and nothing about any one component. Everything here is
//! made once at start. Figures come from measurements described in ARCHITECTURE.md, "Engine".

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{Notify, Semaphore};

mod clock;
mod compilers;
mod config;
mod idle;
mod memory;
mod quick;

pub use clock::Clock;
pub use compilers::{Compilers, Turn};
pub use config::{EngineSettings, MEMORIES_PER_COMPONENT, MODULES_PER_COMPONENT, TABLES_PER_COMPONENT};
pub use idle::{GiveUp, IdleInstances};
pub use memory::{Drawer, GuestMemory, Reservation};
pub use quick::Quick;

use config::{Keep, features, pooled};

/// A wasmtime engine for WASI 0.2 components, with what all its instances share.
#[derive(Clone)]
pub struct Engine {
    pub wasm: wasmtime::Engine,
    pub clock: Arc<Clock>,
    pub memory: Arc<GuestMemory>,
    /// Permits for guests that have used more than a short turn of CPU: fewer than there are
    /// workers, so that a worker is always free for short requests.
    pub heavy: Arc<Semaphore>,
    /// Told whenever an instance is dropped, for those who wait for a slot or for memory.
    pub freed: Arc<Notify>,
    /// Instances that wait for their next request; given up when others need the room.
    pub idle: Arc<IdleInstances>,
}

/// The host could not set up its engine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the WebAssembly engine on this machine")]
pub struct EngineError(#[source] anyhow::Error);

impl Engine {
    /// Builds the engine and starts its clock.
    ///
    /// Slots are reserved as address space, not as memory. Where the address space is too
    /// small (a `ulimit -v`, a small virtual machine) instances are allocated one by one
    /// instead, which costs several times the CPU a request; the log says so.
    pub fn new(settings: EngineSettings) -> Result<Self, EngineError> {
        let keep = Keep::of(settings);
        let wasm = match wasmtime::Engine::new(&pooled(settings, keep)) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(
                    error = %format!("{error:#}"),
                    "cannot reserve instance slots; falling back to on-demand allocation, which is several times slower: raise the address space limit (ulimit -v)"
                );
                let fallback = wasmtime::Engine::new(&features());
                fallback.map_err(|error| EngineError(error.into()))?
            }
        };
        let clock = Clock::start(wasm.weak()).map_err(|error| EngineError(error.into()))?;
        Ok(Self {
            wasm,
            clock,
            memory: Arc::new(GuestMemory::new(settings.guest_memory_bytes - keep.all_slots_bytes)),
            heavy: Arc::new(Semaphore::new((settings.workers.get() / 2).max(1))),
            freed: Arc::new(Notify::new()),
            idle: Arc::default(),
        })
    }

    /// The same for code of another of our engines: what all instances share is shared with its too.
    pub fn of(&self, wasm: &wasmtime::Engine) -> Self {
        Self { wasm: wasm.clone(), ..self.clone() }
    }
}

/// For components of which no manifest says how much they may have: all that one can ask for.
pub const ANY_MEMORY: u64 = 4 << 30;

/// Engines for looking at components without running them (`check`, `inspect`). They have room for one
/// instance, and say no to whatever the engines of `run` say no to.
pub struct Lookers {
    pub full: wasmtime::Engine,
    pub quick: Quick,
}

impl Lookers {
    pub fn new(instance_memory_max_bytes: u64) -> Result<Self, EngineError> {
        let settings = EngineSettings {
            instances_max: 1,
            instance_memory_max_bytes,
            guest_memory_bytes: instance_memory_max_bytes,
            workers: NonZeroUsize::MIN,
        };
        let pooled = wasmtime::Engine::new(&pooled(settings, Keep::of(settings)));
        // Where there is no address space for one, `run` allocates on demand too.
        let engine = pooled.or_else(|_no_room| wasmtime::Engine::new(&features()));
        let full = engine.map_err(|error| EngineError(error.into()))?;
        Ok(Self { full, quick: Quick::new(settings) })
    }
}
