//! Users and stock, which other services know.

use sdk::{
    Error, Uuid,
    call::{self, Failure},
};
use serde::{Deserialize, Serialize};
use shop::{Enveloped as _, Money};

use crate::order::Line;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reserve {
    quantity: i32,
    order_id: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Release {
    order_id: Uuid,
}

#[derive(Deserialize)]
struct Product {
    price: Money,
}

/// Something that is there; what it is does not matter.
#[derive(Deserialize)]
struct Known {}

/// 404 `User not found` if there is none.
pub(crate) fn user_exists(user: Uuid) -> Result<(), Error> {
    let asked = call::get("users", format!("/api/users/{user}")).answer::<Known>();
    asked.map(drop).map_err(|failure| failure.passing(&[404]))
}

/// Takes stock for an order and gives back the product's price. The same again takes nothing more.
pub(crate) fn reserve(order: Uuid, line: &Line) -> Result<Money, Failure> {
    let body = Reserve { quantity: line.quantity, order_id: order };
    let reserved = call::post("products", format!("/api/products/{}/reserve", line.product), &body).key(order);
    reserved.answer::<Product>().map(|product| product.price)
}

/// Gives back what an order has taken, if it has; after that it can take no more. A product that is
/// gone has no stock.
pub(crate) fn release(order: Uuid, product: Uuid) -> Result<(), Error> {
    let body = Release { order_id: order };
    let released = call::post("products", format!("/api/products/{product}/release"), &body).key(order);
    match released.answer::<Known>() {
        Ok(Known {}) => Ok(()),
        Err(failure) if failure.status() == Some(404) => Ok(()),
        Err(failure) => Err(failure.into()),
    }
}
