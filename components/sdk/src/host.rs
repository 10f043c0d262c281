//! Where a call of the host goes: to the host in a component, to what stands in for it in a test on the developer's
//! machine (`fake`). Both have the same functions; nothing else of this crate asks which it is.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::archipel::{
    http::client,
    identity::{passwords, tokens},
    keyvalue::store,
    messaging::{outbox, producer},
    postgres::client as postgres,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::fake::{
    http as client,
    identity::{passwords, tokens},
    keyvalue as store,
    messaging::producer,
    outbox, postgres,
};
