//! End to end: the real host, real guests, a real PostgreSQL, over sockets.
//!
//! One binary for all, one file for each subject. `harness` starts hosts on free ports and speaks
//! HTTP by hand, so that what is on the wire is what is asserted.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failing test may panic, and prints what it measured")]

mod accept;
mod accounts;
mod apply;
mod apply_backends;
mod apply_live;
