//! The notifications service: turns order events into what their users are told. It keeps the store
//! `notifications` and calls nobody.

mod inbox;
mod notification;

use sdk::{
    Answer, Error, Query, Request, Response, Uuid,
    messaging::{Delivery, Failure},
};
use shop::{Asker as _, Page, Routes, Who, listed};

use crate::{
    inbox::Inbox,
    notification::{Notification, OrderEvent},
};

sdk::service!(answer);
sdk::consumer!(handle);

fn answer(request: Request) -> Response {
    routes().answer(request)
}

fn routes() -> Routes {
    Routes::new().at("/api/notifications", |path| path.get(Who::AnyUser, list))
}

/// Done when it is stored. The event's id is the notification's: a second delivery, also at the same
/// time and on another host, finds it there.
fn handle(delivery: &Delivery) -> Result<(), Failure> {
    let event: OrderEvent = delivery.json()?;
    let notification = Notification::new(delivery.id(), delivery.topic(), &event, delivery.published_at());
    Inbox::open()?.store(&notification)?;
    Ok(())
}

fn list(request: &mut Request) -> Answer {
    let [limit, offset, cursor] = Page::PARAMETERS;
    let query = request.query(&["userId", limit, offset, cursor])?;
    let user = user(&query)?;
    request.may_act_for(user)?;
    let page = Page::from_query(&query)?;
    listed(&Inbox::open()?.list(user, &page)?)
}

fn user(query: &Query) -> Result<Uuid, Error> {
    query.id("userId")?.ok_or_else(|| Error::bad_request("Query parameter `userId` is required"))
}

#[cfg(test)]
mod tests {
    use sdk::openapi::{documented, existing};

    use super::*;

    #[test]
    fn the_openapi_document_has_exactly_the_routes_that_exist() {
        assert_eq!(documented(include_str!("../openapi.json")), existing(routes().list()));
    }

    #[test]
    fn a_list_is_one_users() {
        let user = |query: &str| user(&Query::parse(query, &["userId"]).unwrap()).map_err(|error| error.status());
        let id = "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";
        assert_eq!(user(&format!("userId={id}")), Ok(Uuid::try_parse(id).unwrap()));
        assert_eq!(user("userId=0190B5A2-7C3E-7D4F-8A1B-2C3D4E5F6071"), Ok(Uuid::try_parse(id).unwrap()));
        for refused in ["", "userId=7", "userId=0190b5a27c3e7d4f8a1b2c3d4e5f6071"] {
            assert_eq!(user(refused), Err(400), "{refused}");
        }
    }
}
