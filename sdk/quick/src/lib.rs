//! The quick engine for services in TypeScript: QuickJS, the web's types, and the host's interfaces, in one module. The
//! sdk's build evaluates a service in it and makes a component of what the memory holds then, so that an instance
//! begins where the module's own code has ended.
//!
//! Start at `engine.rs`; `doors.rs` has how requests and events come in, `js/` what scripts find.

mod building;
mod bytes;
mod depth;
mod doors;
mod engine;
mod host;
mod outside;
mod rejections;
mod web;
mod world;

/// The clock of the JavaScript engine: microseconds since 1970.
#[allow(unsafe_code, reason = "the engine's C asks for it by this name")]
#[unsafe(no_mangle)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    web::wall_micros()
}
