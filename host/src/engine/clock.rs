//! The engine's time: one ticker advances the epoch that interrupts guests.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use wasmtime::EngineWeak;

/// How often the epoch advances: the resolution of every limit of a running guest.
const TICK: Duration = Duration::from_millis(1);

/// Nanoseconds since the engine was made.
#[derive(Debug)]
pub struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock {
    /// Starts the ticker thread of the first engine.
    pub(super) fn start(engine: EngineWeak) -> io::Result<Arc<Self>> {
        Self::tick(engine)?;
        Ok(Arc::default())
    }

    /// A ticker thread for one engine; it ends by itself when the engine is gone.
    pub(super) fn tick(engine: EngineWeak) -> io::Result<()> {
        thread::Builder::new().name("epoch".into()).spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })?;
        Ok(())
    }

    pub fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The same for a moment; 0 for one before that.
    pub fn at(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.0).as_nanos()).unwrap_or(u64::MAX)
    }

    /// How many ticks of the epoch a duration is, at least one.
    pub fn ticks(duration: Duration) -> u64 {
        u64::try_from(duration.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}
