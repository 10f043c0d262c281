//! How wasmtime is set up: what guests may be made of, and how much room there is for them.

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures};

/// How large the engine must be; worked out from a manifest by `system`.
#[derive(Debug, Clone, Copy)]
pub struct EngineSettings {
    /// Instances that may exist at once, of all services together.
    pub instances_max: u32,
    /// The largest `limits.memory` of any service.
    pub instance_memory_max_bytes: u64,
    /// `host.guest_memory`.
    pub guest_memory_bytes: u64,
    /// Worker threads that run guests.
    pub workers: NonZeroUsize,
}

/// Quickly made code takes more of a stack than the full compiler's, and an interpreter in a guest bounds its own by less:
/// then it is that one's error, with a place, and no trap. Fits into the stack that a fiber has, 2 MiB.
const STACK_MAX_BYTES: usize = 1 << 20;

/// What every engine of ours has in common; decides the compatibility of cached artifacts.
pub(super) fn features() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK_MAX_BYTES)
        // Only WASI 0.3 needs it; off it saves a fifth of a fresh instance.
        .concurrency_support(false)
        .gc_support(false)
        .wasm_features(SWITCHED_OFF, false)
        // A trap's backtrace goes to the log; a deep recursion need not fill it.
        .wasm_backtrace_max_frames(NonZeroUsize::new(16));
    config
}

/// Proposals with no use for services and a history of advisories.
const SWITCHED_OFF: WasmFeatures = WasmFeatures::THREADS
    .union(WasmFeatures::SHARED_EVERYTHING_THREADS)
    .union(WasmFeatures::GC)
    .union(WasmFeatures::EXCEPTIONS)
    .union(WasmFeatures::LEGACY_EXCEPTIONS)
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(WasmFeatures::MEMORY64)
    .union(WasmFeatures::STACK_SWITCHING);

/// Core modules of one component: rustc makes one with code and two or three small adapters, and a
/// component may be composed of several.
pub const MODULES_PER_COMPONENT: u32 = 64;
pub const TABLES_PER_COMPONENT: u32 = 64;
/// A service behind two middlewares, or an engine of a language with a front, and one to spare. Each
/// costs every instance slot about 4 GiB of address space: 2 000 of them take a quarter of what a
/// process has.
pub const MEMORIES_PER_COMPONENT: u32 = 4;
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// What a freed slot may keep of its memory, so that the next instance faults no pages in. Only
/// pages that were written are kept and cleared, where the kernel can tell which (PAGEMAP_SCAN,
/// Linux 6.7).
const KEEP_RESIDENT_MAX_BYTES: u64 = 4 << 20;
/// The same on older kernels, where all of it must be cleared each time.
const KEEP_RESIDENT_BLIND_BYTES: u64 = 64 << 10;
const TABLE_KEEP_RESIDENT_BYTES: usize = 64 << 10;

/// Memory that slots keep between instances. It is guests' memory: at most a quarter of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    slot_bytes: u64,
    pub(super) all_slots_bytes: u64,
}

impl Keep {
    pub(super) const NOTHING: Self = Self { slot_bytes: 0, all_slots_bytes: 0 };

    pub(super) fn of(settings: EngineSettings) -> Self {
        let slots = u64::from(settings.instances_max.max(1) * MEMORIES_PER_COMPONENT);
        let seeing = PoolingAllocationConfig::is_pagemap_scan_available();
        let max = if seeing { KEEP_RESIDENT_MAX_BYTES } else { KEEP_RESIDENT_BLIND_BYTES };
        let slot_bytes = (settings.guest_memory_bytes / 4 / slots).min(max) & !0xfff;
        Self { slot_bytes, all_slots_bytes: slot_bytes * slots }
    }
}

pub(super) fn pooled(settings: EngineSettings, keep: Keep) -> Config {
    let slots = settings.instances_max.max(1);
    let mut pool = PoolingAllocationConfig::new();
    // Whatever one component may have, every instance may: no service takes another's slots.
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(MODULES_PER_COMPONENT))
        .total_memories(slots.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(slots.saturating_mul(TABLES_PER_COMPONENT))
        .total_stacks(slots)
        .max_core_instances_per_component(MODULES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_unused_warm_slots(slots)
        .max_memory_size(usize::try_from(settings.instance_memory_max_bytes).unwrap_or(usize::MAX))
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(usize::try_from(keep.slot_bytes).unwrap_or(0))
        .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    let mut config = features();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
