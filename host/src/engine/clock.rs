//! One ticker for the engine: it advances the epoch that interrupts guests, and counts.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use wasmtime::EngineWeak;

/// The length of one tick; also the resolution of every CPU and wall-clock limit of a guest.
const TICK: Duration = Duration::from_millis(1);

/// Counts ticks since the engine was made. Reading it costs one load.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// Starts the ticker thread; it ends by itself when the engine is gone.
    pub(super) fn start(engine: EngineWeak) -> io::Result<Arc<Self>> {
        let clock = Arc::new(Self::default());
        let ticking = clock.clone();
        thread::Builder::new().name("epoch".into()).spawn(move || {
            loop {
                thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                ticking.0.fetch_add(1, Ordering::Relaxed);
                engine.increment_epoch();
            }
        })?;
        Ok(clock)
    }

    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// How many ticks a duration is, at least one.
    pub fn ticks(duration: Duration) -> u64 {
        u64::try_from(duration.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}
