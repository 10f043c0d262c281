//! Makes an Archipel service pleasant to write: routes, JSON and its validation, PostgreSQL, key-value stores, events, calls,
//! tokens and passwords; and its unit tests, without a host ([`testing`]).
//!
//! A service is one function from [`Request`] to [`Response`], exported by [`service!`]. What it may reach is the host's to
//! decide, and what its users may is its own: this crate has no rules of any one system.
//!
//! Start at [`Routes`].

mod argument;
mod calendar;
pub mod call;
mod dates;
pub mod decimal;
mod error;
mod export;
#[cfg(not(target_family = "wasm"))]
mod fake;
pub mod fetch;
mod fields;
mod handler;
mod host;
mod id;
mod identity;
mod json;
pub mod keyvalue;
mod listing;
pub mod log;
pub mod messaging;
pub mod openapi;
pub mod passwords;
pub mod postgres;
mod query;
mod quick;
mod random;
mod replies;
mod reply;
mod request;
mod response;
mod routes;
mod segment;
mod spans;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod text;
mod time;
pub mod tokens;
mod trace;
mod wanted;

// What is derived names this crate.
extern crate self as sdk;

/// The bindings of `archipel:service/service`, for what this crate has no word for.
#[allow(unsafe_code, unreachable_pub, reason = "generated from wit/")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "service",
        path: "wit",
        pub_export_macro: true,
        default_bindings_module: "sdk::bindings",
        generate_all,
    });
}

/// The bindings of `archipel:service/consumer`, which [`consumer!`] exports.
#[doc(hidden)]
#[allow(unsafe_code, unreachable_pub, reason = "generated from wit/")]
pub mod consuming {
    wit_bindgen::generate!({
        world: "consumer",
        path: "wit",
        pub_export_macro: true,
        default_bindings_module: "sdk::consuming",
        with: { "archipel:messaging/types@0.1.0": crate::bindings::archipel::messaging::types },
    });
}

/// The bindings of `archipel:service/quick-door`, which [`service!`] and [`handler!`] export.
#[doc(hidden)]
#[allow(unsafe_code, unreachable_pub, reason = "generated from wit/")]
pub mod answering {
    wit_bindgen::generate!({
        world: "quick-door",
        path: "wit",
        pub_export_macro: true,
        default_bindings_module: "sdk::answering",
    });
}

/// The bindings of `wasi:otel`, which only a component imports that makes spans.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, unreachable_pub, reason = "generated from wit/")]
mod tracing {
    wit_bindgen::generate!({
        world: "wasi:otel/imports",
        path: "wit",
        with: { "wasi:clocks/wall-clock@0.2.12": crate::bindings::wasi::clocks::wall_clock },
        generate_all,
    });
}

pub use argument::{Argument, Asked, Body, Parameters};
pub use dates::{Date, Interval, LocalTimestamp, Time};
pub use error::Error;
pub use export::{receive, send};
pub use fields::{Fields, FromJson, within};
pub use handler::Handler;
pub use id::new_id;
pub use json::Json;
pub use listing::{Listing, Start};
pub use query::Query;
pub use quick::{answered, fields, whole};
pub use replies::{Created, Data, NoContent, Replies};
pub use reply::{Answer, Reply, respond};
pub use request::{Method, Request, Source};
pub use response::Response;
pub use routes::{PathRoutes, Routes};
pub use sdk_derive::FromJson;
pub use segment::FromSegment;
pub use spans::{Span, span};
pub use time::Timestamp;
pub use uuid::Uuid;
pub use wanted::{FromField, Wanted};
