//! The memory, tables and instances of one store.

use wasmtime::ResourceLimiter;

use crate::{
    engine::{MEMORIES_PER_COMPONENT, MODULES_PER_COMPONENT, Reservation, TABLES_PER_COMPONENT},
    telemetry::counts::MemoryLimit,
};

const TABLE_ELEMENTS_MAX: usize = 100_000;
const TABLE_ELEMENT_BYTES: u64 = 8;
const INSTANCES_MAX: usize = MODULES_PER_COMPONENT as usize;
const TABLES_MAX: usize = TABLES_PER_COMPONENT as usize;
const MEMORIES_MAX: usize = MEMORIES_PER_COMPONENT as usize;

/// Who refused memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it asked for more memory than `limits.memory` allows")]
    Instance,
    #[error("all guests together have the memory that `host.guest_memory` allows")]
    Host,
}

/// Counts all linear memories and tables of a store together. A refusal makes `memory.grow` answer -1.
#[derive(Debug)]
pub struct Limiter {
    memory_max: u64,
    reservation: Reservation,
    refusal: Option<Refusal>,
}

impl Limiter {
    pub fn new(memory_max: u64, reservation: Reservation) -> Self {
        Self { memory_max, reservation, refusal: None }
    }

    pub fn begin(&mut self) {
        self.refusal = None;
    }

    pub fn bytes(&self) -> u64 {
        self.reservation.bytes()
    }

    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }
}

impl Limiter {
    /// Takes the growth from both accounts, or from neither.
    fn charge(&mut self, current: usize, desired: usize, bytes_each: u64) -> bool {
        let more = (desired.saturating_sub(current) as u64).saturating_mul(bytes_each);
        let refusal = if self.reservation.bytes().saturating_add(more) > self.memory_max {
            Refusal::Instance
        } else if self.reservation.grow(more) {
            return true;
        } else {
            Refusal::Host
        };
        self.reservation.counts().memory_refused.count(match refusal {
            Refusal::Instance => MemoryLimit::Instance,
            Refusal::Host => MemoryLimit::Host,
        });
        self.refusal = Some(refusal);
        false
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.charge(current, desired, 1))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = maximum.is_none_or(|maximum| desired <= maximum) && desired <= TABLE_ELEMENTS_MAX;
        Ok(allowed && self.charge(current, desired, TABLE_ELEMENT_BYTES))
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
