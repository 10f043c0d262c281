//! End to end: the real host, real guests, a real PostgreSQL, over sockets.
//!
//! One binary for all, one file for each subject. `harness` starts hosts on free ports and speaks
//! HTTP by hand, so that what is on the wire is what is asserted.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod harness;
mod serving;
