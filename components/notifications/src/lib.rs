//! The notifications service: turns order events into what their users are told. It keeps the store
//! `notifications` and calls nobody.

mod inbox;
mod notification;

use sdk::{
    Asked, Error, Parameters, Query, Request, Response, Uuid,
    messaging::{Delivery, Failure},
    openapi::{Described, Member, Parameter},
};
use shop::{Asker as _, Listed, Page, Who};

use crate::{
    inbox::{Inbox, Stored},
    notification::{Notification, OrderEvent},
};

sdk::service!(answer, OPENAPI);
sdk::consumer!(handle);

fn answer(request: Request) -> Response {
    routes().answer(request)
}

shop::routes! {
    "/api/notifications" {
        /// List a user's notifications, newest first
        ///
        /// For that user and admins. The last 1000 are kept.
        get(Who::AnyUser) list, fails [Error::Forbidden];
    }
}

/// Those of a list of notifications.
struct Search;

impl Parameters for Search {
    const LIST: &'static [Parameter] = &[
        Parameter::query(Member::new("userId", Uuid::SCHEMA).doc("Whose")).required(),
        Page::LIMIT,
        Page::OFFSET,
        Page::CURSOR,
    ];
}

/// Done when it is stored. The event's id is the notification's: a second delivery, also at the same
/// time and on another host, finds it there.
fn handle(delivery: &Delivery) -> Result<(), Failure> {
    let event: OrderEvent = delivery.json()?;
    let notification = Notification::new(delivery.id(), delivery.topic(), &event, delivery.published_at());
    Inbox::open()?.store(&notification)?;
    Ok(())
}

fn list(request: &mut Request, asked: Asked<Search>) -> Result<Listed<Stored>, Error> {
    let query = asked.query(request)?;
    let user = user(&query)?;
    request.may_act_for(user)?;
    let page = Page::from_query(&query)?;
    Ok(Listed(Inbox::open()?.list(user, &page)?))
}

fn user(query: &Query) -> Result<Uuid, Error> {
    query.id("userId")?.ok_or_else(|| Error::bad_request("Query parameter `userId` is required"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
