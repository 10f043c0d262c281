//! The products service: the catalogue and its stock. It keeps the database `products` and calls
//! nobody.

mod product;
mod stock;
mod store;

use sdk::{
    Asked, Body, Created, Data, Error, NoContent, Parameters, Request, Response, Uuid,
    openapi::{Described, Member, Parameter},
};
use shop::{Listed, Page, Who};

use crate::{
    product::{Changes, NOT_FOUND, NewProduct, Product},
    stock::{INSUFFICIENT, OTHER_QUANTITY, RELEASED, Release, Reserve},
    store::Store,
};

sdk::service!(answer, OPENAPI);

/// The service that may reserve and release.
const ORDERS: Who = Who::Service("orders");

fn answer(request: Request) -> Response {
    routes().answer(request)
}

shop::routes! {
    "/api/products" {
        /// List products, newest first
        ///
        /// For any token.
        get(Who::AnyUser) list;
        /// Create a product
        ///
        /// For admins.
        post(Who::Admin) create;
    }
    "/api/products/{id}" {
        /// Read a product
        ///
        /// For any token.
        get(Who::AnyUser) read, fails [NOT_FOUND];
        /// Change any of a product's fields
        ///
        /// For admins.
        put(Who::Admin) change, fails [NOT_FOUND];
        /// Delete a product
        ///
        /// For admins.
        delete(Who::Admin) delete, fails [NOT_FOUND];
    }
    "/api/products/{id}/reserve" {
        /// Take stock for an order
        ///
        /// For the service `orders` only. The same again changes nothing more.
        post(ORDERS) reserve, fails [NOT_FOUND, INSUFFICIENT, RELEASED, OTHER_QUANTITY];
    }
    "/api/products/{id}/release" {
        /// Give back the stock of an order
        ///
        /// For the service `orders` only. The same again changes nothing more; a reservation that comes later is refused.
        post(ORDERS) release, fails [NOT_FOUND];
    }
}

/// Those of a list of products.
struct Search;

impl Parameters for Search {
    const LIST: &'static [Parameter] = &[
        Page::LIMIT,
        Page::OFFSET,
        Page::CURSOR,
        Parameter::query(
            Member::new("q", String::SCHEMA)
                .length(1..=usize::MAX)
                .more(r#""pattern":"^[^\\u0000]+$""#)
                .doc("A part of the name, whatever the case; no character stands for another"),
        ),
    ];
}

fn list(request: &mut Request, asked: Asked<Search>) -> Result<Listed<Product>, Error> {
    let query = asked.query(request)?;
    let page = Page::from_query(&query)?;
    Ok(Listed(Store::open()?.list(&page, query.get("q"))?))
}

fn create(request: &mut Request, body: Body<NewProduct>) -> Result<Created<Product>, Error> {
    let new = body.read(request)?;
    let product = Store::open()?.insert(new)?;
    Ok(Created { location: format!("/api/products/{}", product.id), data: product })
}

fn read(_request: &mut Request, id: Uuid) -> Result<Data<Product>, Error> {
    Store::open()?.find(id)?.map(Data).ok_or(NOT_FOUND)
}

fn change(request: &mut Request, id: Uuid, body: Body<Changes>) -> Result<Data<Product>, Error> {
    let changes = body.read(request)?;
    Store::open()?.update(id, changes)?.map(Data).ok_or(NOT_FOUND)
}

fn delete(_request: &mut Request, id: Uuid) -> Result<NoContent, Error> {
    if !Store::open()?.delete(id)? {
        return Err(NOT_FOUND);
    }
    Ok(NoContent)
}

/// Answers with the product as it is now: its price is the order's.
fn reserve(request: &mut Request, id: Uuid, body: Body<Reserve>) -> Result<Data<Product>, Error> {
    let order = body.read(request)?;
    Ok(Data(Store::open()?.reserve(id, &order)?))
}

fn release(request: &mut Request, id: Uuid, body: Body<Release>) -> Result<Data<Product>, Error> {
    let order = body.read(request)?;
    Ok(Data(Store::open()?.release(id, &order)?))
}
