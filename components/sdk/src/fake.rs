//! What stands in for the host in a test on the developer's machine: what a test has set up, and what was asked of it.
//!
//! It is the thread's own, as a test is: tests that run beside each other do not meet. Where nothing is set up a call
//! panics, and says what to write. People use it by `testing`.

pub(crate) mod http;
pub(crate) mod identity;
pub(crate) mod keyvalue;
pub(crate) mod messaging;
pub(crate) mod outbox;
pub(crate) mod postgres;
pub(crate) mod turn;
