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
    Asked, Body, Created, Data, Error, Parameters, Request, Response, Uuid,
    messaging::{Delivery, Failure},
    openapi::{Described, Member, Parameter},
};
use shop::{Asker as _, Listed, Page, Who};

use crate::{
    key::Key,
    order::{NewOrder, Order},
    status::{Change, Status},
    store::{Filter, Store, USED},
};

sdk::service!(answer, OPENAPI);
sdk::consumer!(handle);

const NOT_FOUND: Error = Error::NotFound("Order not found");
/// What users and products say of theirs, passed on.
const NO_USER: Error = Error::NotFound("User not found");
const NO_PRODUCT: Error = Error::NotFound("Product not found");
const INSUFFICIENT: Error = Error::Conflict("Insufficient inventory");
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

shop::routes! {
    "/api/orders" {
        /// List orders, newest first
        ///
        /// For the user whose they are and admins; without `userId` for admins.
        get(Who::AnyUser) list, fails [Error::Forbidden];
        /// Order products
        ///
        /// For the user and admins. Prices are those of now, and the stock is reserved.
        post(Who::AnyUser) create, fails [Error::Forbidden, NO_USER, NO_PRODUCT, INSUFFICIENT, USED];
    }
    "/api/orders/{id}" {
        /// Read an order
        ///
        /// For its user and admins.
        get(Who::AnyUser) read, fails [Error::Forbidden, NOT_FOUND];
    }
    "/api/orders/{id}/status" {
        /// Take an order a step further
        ///
        /// `pending` becomes `confirmed`, then `shipped`, then `delivered`; `pending` and `confirmed` become
        /// `cancelled`, which gives the stock back. For admins; to `cancelled` for its user too.
        patch(Who::AnyUser) change, fails [Error::Forbidden, NOT_FOUND, NO_SUCH_STEP];
    }
}

/// Those of a list of orders.
struct Search;

impl Parameters for Search {
    const LIST: &'static [Parameter] = &[
        Page::LIMIT,
        Page::OFFSET,
        Page::CURSOR,
        Parameter::query(Member::new("userId", Uuid::SCHEMA).doc("Whose orders")),
        Parameter::query(Member::new("status", Status::SCHEMA).doc("Only orders with this status")),
    ];
}

fn create(request: &mut Request, body: Body<NewOrder>, _key: Asked<Key>) -> Result<Created<Order>, Error> {
    let new = body.read(request)?;
    request.may_act_for(new.user)?;
    let lines = new.lines?;
    let key = Key::of(request, new.user, &lines)?;
    let order = creation::create(&Store::open()?, new.user, &lines, key.as_ref())?;
    Ok(Created { location: format!("/api/orders/{}", order.id), data: order })
}

fn read(request: &mut Request, id: Uuid) -> Result<Data<Order>, Error> {
    let found = Store::open()?.find(id)?;
    shown(request, found).map(Data)
}

fn list(request: &mut Request, asked: Asked<Search>) -> Result<Listed<Order>, Error> {
    let query = asked.query(request)?;
    let user = query.id("userId")?;
    match user {
        Some(user) => request.may_act_for(user)?,
        None if request.is_admin() => {}
        None => return Err(Error::Forbidden),
    }
    let filter = Filter { user, status: query.get("status").map(Status::parse).transpose()? };
    Ok(Listed(Store::open()?.list(&Page::from_query(&query)?, &filter)?))
}

/// Users may cancel what is theirs; every other step is an admin's.
fn change(request: &mut Request, id: Uuid, body: Body<Change>) -> Result<Data<Order>, Error> {
    let store = Store::open()?;
    let found = store.find(id)?;
    shown(request, found)?;
    let Change { status } = body.read(request)?;
    if status != Status::Cancelled && !request.is_admin() {
        return Err(Error::Forbidden);
    }
    let order = store.step(id, status)?.ok_or(NO_SUCH_STEP)?;
    if status == Status::Cancelled {
        // What fails here is done by the check that the step has published.
        check::check(&store, id).unwrap_or_else(|error| error.log());
    }
    Ok(Data(order))
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
