//! How an order comes into being: so that no stock is lost, whenever the host is killed.
//!
//! First it is there as `reserving`, and a message to this service that is due in a minute, for it and
//! for those begun around it (`overdue.rs`); then stock is reserved; last it becomes `pending`, if it is
//! still `reserving`. A failure in between gives up the order and releases its stock at once; if even
//! that does not happen, the message does it (`check.rs`).

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use sdk::{Error, Uuid, call::Failure};
use shop::Money;

use crate::{
    check,
    key::{First, Key},
    order::{Draft, Item, Line, Order, merged, total},
    stock,
    store::Store,
};

/// How long a twin waits for the first request with its key: less than a request may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(25);

/// The new order, or the one that the same key has made before.
pub(crate) fn create(store: &Store, user: Uuid, lines: &[Line], key: Option<&Key>) -> Result<Order, Error> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match key.map(|key| store.first(key)).transpose()?.flatten() {
            Some(First::Made(order)) => return Ok(*order),
            Some(First::Abandoned(order)) => check::check(store, order)?,
            Some(First::OnItsWay) => sleep(PAUSE),
            None => {
                stock::user_exists(user)?;
                let draft = Draft::new(user, merged(lines));
                // A twin may have come first meanwhile.
                if store.begin(&draft, key)? {
                    return fill(store, &draft);
                }
            }
        }
    }
    Err(Error::Unavailable("the first request with this idempotency key has not ended".to_owned()))
}

/// Reserves and completes, or gives up and releases.
fn fill(store: &Store, draft: &Draft) -> Result<Order, Error> {
    let mut touched = Vec::new();
    let reserved = {
        let mut span = sdk::span!("reserve stock", lines = draft.lines.len());
        reserve(draft, &mut touched).inspect_err(|error| {
            if error.status() >= 500 {
                span.fail(error.sentence());
            }
        })
    };
    let made = reserved.and_then(|items| {
        let total = total(&items)?;
        store.complete(draft, items, total)
    });
    made.inspect_err(|_| {
        // What fails here is done by the check that is due in a minute.
        check::give_up(store, draft.id, &touched).unwrap_or_else(|error| error.log());
    })
}

/// Takes the stock of every line, product by product in the order of their ids; what may have been
/// taken is in `touched`, also after a failure. A product that is not there counts before one of which
/// there is too little, wherever the two stand.
fn reserve(draft: &Draft, touched: &mut Vec<Uuid>) -> Result<Vec<Item>, Error> {
    let mut sorted: Vec<(usize, &Line)> = draft.lines.iter().enumerate().collect();
    sorted.sort_by_key(|(_, line)| line.product);
    let mut items: Vec<Item> = draft.lines.iter().map(Item::unpriced).collect();
    let mut short = None;
    for (place, line) in sorted {
        touched.push(line.product);
        match stock::reserve(draft.id, line) {
            Ok(price) => items[place].price = price,
            Err(failure) => {
                if is_refusal(&failure) {
                    touched.pop();
                }
                match failure.status() {
                    Some(409) => _ = short.get_or_insert(failure),
                    _ => return Err(failure.passing(&[404])),
                }
            }
        }
    }
    short.map_or(Ok(items), |failure| Err(failure.passing(&[409])))
}

/// Whether certainly nothing was taken.
fn is_refusal(failure: &Failure) -> bool {
    failure.status().is_some_and(|status| (400..500).contains(&status)) || *failure == Failure::Denied
}

impl Item {
    fn unpriced(line: &Line) -> Self {
        Self { product_id: line.product, quantity: line.quantity, price: Money::default() }
    }
}
