//! End to end: the real host, real guests, a real PostgreSQL, over sockets.
//!
//! One binary for all, one file for each subject. `harness` starts hosts on free ports and speaks
//! HTTP by hand, so that what is on the wire is what is asserted.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failing test may panic, and prints what it measured")]

mod accept;
mod accounts;
mod add;
mod admin;
mod apply;
mod apply_backends;
mod apply_killed;
mod apply_live;
mod audit;
mod backup;
mod bounds;
mod calls;
mod ceiling;
mod certificates;
mod cli;
mod clients;
mod config;
mod cors;
mod crash;
mod denied;
mod descriptors;
mod discovery;
mod doors;
mod edge;
mod embedded;
mod envelope;
mod events;
mod explain;
mod floods;
mod folders;
mod foreign;
mod gather;
mod harness;
mod health;
mod house;
mod http2;
mod image;
mod keyvalue;
mod limits;
mod live;
mod logging;
mod metrics;
mod moving;
mod notifications;
mod openapi;
mod operators;
mod orders;
mod outbound;
mod outbox;
mod overload;
mod pages;
mod postgres;
mod processes;
mod products;
mod profile;
mod project;
mod quick;
mod quick_engine;
mod ramp;
mod redis;
mod refusals;
mod registry;
mod reload;
mod rollout;
mod secrets;
mod serving;
mod shutdown;
mod sockets;
mod stock;
mod supervisor;
mod swap;
mod tls;
mod tokens;
mod traces;
mod typescript;
mod upstreams;
mod users;
mod watch;
mod websockets;
mod who;
