//! The products service: the catalogue and its stock. It keeps the database `products` and calls
//! nobody.

mod product;
mod stock;
mod store;

use sdk::{Answer, Reply, Request, Response, Uuid};
use shop::{Page, Routes, Who, listed};

use crate::{
    product::{Changes, NOT_FOUND, NewProduct},
    stock::{Release, Reserve},
    store::Store,
};

sdk::service!(answer);

/// The service that may reserve and release.
const ORDERS: Who = Who::Service("orders");

fn answer(request: Request) -> Response {
    routes().answer(request)
}

fn routes() -> Routes {
    Routes::new()
        .at("/api/products", |path| path.get(Who::AnyUser, list).post(Who::Admin, create))
        .at("/api/products/{id}", |path| {
            path.get(Who::AnyUser, read).put(Who::Admin, change).delete(Who::Admin, delete)
        })
        .at("/api/products/{id}/reserve", |path| path.post(ORDERS, reserve))
        .at("/api/products/{id}/release", |path| path.post(ORDERS, release))
}

fn list(request: &mut Request) -> Answer {
    let query = request.query(&["limit", "offset", "cursor", "q"])?;
    let page = Page::from_query(&query)?;
    listed(&Store::open()?.list(&page, query.get("q"))?)
}

fn create(request: &mut Request) -> Answer {
    let new: NewProduct = request.json()?;
    let product = Store::open()?.insert(new)?;
    Reply::created(format!("/api/products/{}", product.id), &product)
}

fn read(_request: &mut Request, id: Uuid) -> Answer {
    let product = Store::open()?.find(id)?.ok_or(NOT_FOUND)?;
    Reply::ok(&product)
}

fn change(request: &mut Request, id: Uuid) -> Answer {
    let changes: Changes = request.json()?;
    let product = Store::open()?.update(id, changes)?.ok_or(NOT_FOUND)?;
    Reply::ok(&product)
}

fn delete(_request: &mut Request, id: Uuid) -> Answer {
    if !Store::open()?.delete(id)? {
        return Err(NOT_FOUND);
    }
    Reply::no_content()
}

/// Answers with the product as it is now: its price is the order's.
fn reserve(request: &mut Request, id: Uuid) -> Answer {
    let order: Reserve = request.json()?;
    Reply::ok(&Store::open()?.reserve(id, &order)?)
}

fn release(request: &mut Request, id: Uuid) -> Answer {
    let order: Release = request.json()?;
    Reply::ok(&Store::open()?.release(id, &order)?)
}

#[cfg(test)]
mod tests {
    use sdk::openapi::{documented, existing};

    #[test]
    fn the_openapi_document_has_exactly_the_routes_that_exist() {
        assert_eq!(documented(include_str!("../openapi.json")), existing(super::routes().list()));
    }
}
