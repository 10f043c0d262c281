//! `Idempotency-Key`: the same request twice makes one order.
//!
//! A key belongs to whoever the token speaks for and is kept for a day. It is written in the
//! transaction that begins the order and goes with an order that fails, so that a failure is not
//! remembered. While its order is in the making, others with the same key wait for it.

use std::fmt::Write;

use sdk::{
    Error, Parameters, Request, Uuid,
    openapi::{Described as _, Member, Parameter},
};

use crate::order::{Line, Order};

/// A client's key and what it was sent with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) asker: String,
    pub(crate) key: String,
    pub(crate) request: String,
}

/// What has become of the first request with a key.
pub(crate) enum First {
    /// The order as it was then.
    Made(Box<Order>),
    OnItsWay,
    /// Whoever made this order is gone.
    Abandoned(Uuid),
}

impl Parameters for Key {
    const LIST: &'static [Parameter] = &[Parameter::header(
        Member::new("Idempotency-Key", String::SCHEMA)
            .length(1..=128)
            .more(r#""pattern":"^[!-~]+$""#)
            .doc("The same key with the same JSON value gives the first answer; kept for 24 h"),
    )];
}

impl Key {
    pub(crate) fn of(request: &mut Request, user: Uuid, lines: &[Line]) -> Result<Option<Self>, Error> {
        let key = request.idempotency_key()?;
        let asker = request.user_id().unwrap_or_default();
        Ok(key.map(|key| Self { asker, key, request: spelled(user, lines) }))
    }
}

/// What is asked for, in one spelling: bodies that are the same JSON value are the same here.
fn spelled(user: Uuid, lines: &[Line]) -> String {
    let mut text = user.to_string();
    for line in lines {
        write!(text, " {}x{}", line.quantity, line.product).expect("a string");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_requests_are_the_same_when_they_ask_for_the_same_lines_in_the_same_order() {
        let line = |product, quantity| Line { product: Uuid::from_u128(product), quantity };
        let spelled = |user, lines: &[Line]| spelled(Uuid::from_u128(user), lines);
        let first = spelled(1, &[line(2, 3), line(4, 5)]);
        assert_eq!(first, spelled(1, &[line(2, 3), line(4, 5)]));
        for other in [
            spelled(2, &[line(2, 3), line(4, 5)]),
            spelled(1, &[line(4, 5), line(2, 3)]),
            spelled(1, &[line(2, 3)]),
            spelled(1, &[line(2, 4), line(4, 5)]),
        ] {
            assert_ne!(first, other);
        }
    }
}
