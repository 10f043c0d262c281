//! The orders service: what users have ordered, from the reservation of stock to delivery. It keeps
//! the database `orders`, asks users and products, and publishes `order.*`.

mod check;
mod creation;
mod event;
mod key;
mod order;
mod overdue;
mod status;
mod stock;
mod store;

use sdk::{
    Answer, Error, Reply, Request, Response, Uuid,
    messaging::{Delivery, Failure},
};
use shop::{Asker as _, Page, Routes, Who, listed};

use crate::{
    key::Key,
    order::{NewOrder, Order},
    status::{Change, Status},
    store::{Filter, Store},
};

sdk::service!(answer);
sdk::consumer!(handle);

const NOT_FOUND: Error = Error::NotFound("Order not found");
const NO_SUCH_STEP: Error = Error::Conflict("The order's status does not allow this step");

fn answer(request: Request) -> Response {
    routes().answer(request)
}

/// What this service has told itself: to look at an order again, or which are overdue.
fn handle(delivery: &Delivery) -> Result<(), Failure> {
    let event::Check { order_id, begun } = delivery.json()?;
    let store = Store::open()?;
    if let Some(order) = order_id {
        check::check(&store, order)?;
    }
    if let Some(begun) = begun {
        store.pass_on(begun)?;
    }
    Ok(())
}

fn routes() -> Routes {
    Routes::new()
        .at("/api/orders", |path| path.get(Who::AnyUser, list).post(Who::AnyUser, create))
        .at("/api/orders/{id}", |path| path.get(Who::AnyUser, read))
        .at("/api/orders/{id}/status", |path| path.patch(Who::AnyUser, change))
}

fn create(request: &mut Request) -> Answer {
    let new: NewOrder = request.json()?;
    request.may_act_for(new.user)?;
    let lines = new.lines?;
    let key = Key::of(request, new.user, &lines)?;
    let order = creation::create(&Store::open()?, new.user, &lines, key.as_ref())?;
    Reply::created(format!("/api/orders/{}", order.id), &order)
}

fn read(request: &mut Request, id: Uuid) -> Answer {
    let found = Store::open()?.find(id)?;
    Reply::ok(&shown(request, found)?)
}

fn list(request: &mut Request) -> Answer {
    let query = request.query(&["limit", "offset", "cursor", "userId", "status"])?;
    let user = query.id("userId")?;
    match user {
        Some(user) => request.may_act_for(user)?,
        None if request.is_admin() => {}
        None => return Err(Error::Forbidden),
    }
    let filter = Filter { user, status: query.get("status").map(Status::parse).transpose()? };
    listed(&Store::open()?.list(&Page::from_query(&query)?, &filter)?)
}

/// Users may cancel what is theirs; every other step is an admin's.
fn change(request: &mut Request, id: Uuid) -> Answer {
    let store = Store::open()?;
    let found = store.find(id)?;
    shown(request, found)?;
    let Change { status } = request.json()?;
    if status != Status::Cancelled && !request.is_admin() {
        return Err(Error::Forbidden);
    }
    let order = store.step(id, status)?.ok_or(NO_SUCH_STEP)?;
    if status == Status::Cancelled {
        // What fails here is done by the check that the step has published.
        check::check(&store, id).unwrap_or_else(|error| error.log());
    }
    Reply::ok(&order)
}

/// The order, for its user and admins. Only they learn that there is none: for anybody else an order
/// that does not exist is somebody else's.
fn shown(request: &mut Request, found: Option<Order>) -> Result<Order, Error> {
    match found {
        Some(order) => request.may_act_for(order.user_id).map(|()| order),
        None if request.is_admin() => Err(NOT_FOUND),
        None => Err(Error::Forbidden),
    }
}

#[cfg(test)]
mod tests {
    use sdk::openapi::{documented, existing};

    #[test]
    fn the_openapi_document_has_exactly_the_routes_that_exist() {
        assert_eq!(documented(include_str!("../openapi.json")), existing(super::routes().list()));
    }
}
