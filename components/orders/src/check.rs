//! An order that should have no stock gives it back: one that was never completed, and one that was
//! cancelled. Everything here may happen any number of times, by several at once.

use sdk::{Error, Uuid};

use crate::{
    stock,
    store::{Stage, Store},
};

/// Looks at an order and does what is left to do.
pub(crate) fn check(store: &Store, order: Uuid) -> Result<(), Error> {
    match store.stage(order)? {
        // Somebody completed it or gave it up meanwhile: it is `reserving` only once, so look again.
        Some(Stage::Reserving) if !store.give_up(order)? => check(store, order),
        Some(Stage::Reserving | Stage::Failed) => {
            release(order, &store.products(order)?)?;
            store.forget(order)
        }
        Some(Stage::Cancelled) => {
            release(order, &store.products(order)?)?;
            store.released(order)
        }
        Some(Stage::Settled) | None => Ok(()),
    }
}

/// Ends an order in the making, unless it is complete after all: an answer of the database may have
/// been lost.
pub(crate) fn give_up(store: &Store, order: Uuid, touched: &[Uuid]) -> Result<(), Error> {
    if !store.give_up(order)? {
        return Ok(());
    }
    release(order, touched)?;
    store.forget(order)
}

/// All are tried, whatever becomes of one.
fn release(order: Uuid, products: &[Uuid]) -> Result<(), Error> {
    let results: Vec<_> = products.iter().map(|product| stock::release(order, *product)).collect();
    results.into_iter().collect()
}
