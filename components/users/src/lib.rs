//! The users service: who there is, and who is who. It keeps the database `users` and calls nobody.

mod account;
mod attempts;
mod store;
mod user;

use sdk::{Asked, Body, Created, Data, Error, NoContent, Request, Response, Uuid};
use shop::{Listed, Page, Who};

use crate::{
    store::{Store, TAKEN},
    user::{Changes, NewUser, User},
};

sdk::service!(answer, OPENAPI);

const NOT_FOUND: Error = Error::NotFound("User not found");

fn answer(request: Request) -> Response {
    routes().answer(request)
}

shop::routes! {
    "/api/auth/register" {
        /// Register with a password
        post(Who::Anyone) account::register, fails [TAKEN];
    }
    "/api/auth/login" {
        /// Get a token for an hour
        ///
        /// 10 failed logins of an address or an account in 15 minutes, and it is 429 for both.
        post(Who::Anyone) account::login, fails [account::WRONG, attempts::TOO_MANY];
    }
    "/api/users" {
        /// List users, newest first
        ///
        /// For admins.
        get(Who::Admin) list;
        /// Create a user without a password
        ///
        /// For admins. Nobody can log in as this user.
        post(Who::Admin) create, fails [TAKEN];
    }
    "/api/users/{id}" {
        /// Read a user
        ///
        /// For that user and for admins.
        get(Who::OwnerOrAdmin) read, fails [NOT_FOUND];
        /// Change a user's name, email or both
        ///
        /// For that user and for admins.
        put(Who::OwnerOrAdmin) change, fails [NOT_FOUND, TAKEN];
        /// Delete a user
        ///
        /// For that user and for admins. Tokens of the user stay valid until they expire.
        delete(Who::OwnerOrAdmin) delete, fails [NOT_FOUND];
    }
}

fn list(request: &mut Request, asked: Asked<Page>) -> Result<Listed<User>, Error> {
    let page = Page::from_query(&asked.query(request)?)?;
    Ok(Listed(Store::open()?.list(&page)?))
}

/// Without a password: nobody can log in as this user.
fn create(request: &mut Request, body: Body<NewUser>) -> Result<Created<User>, Error> {
    let user = Store::open()?.insert(body.read(request)?, None)?;
    Ok(user.created())
}

fn read(_request: &mut Request, id: Uuid) -> Result<Data<User>, Error> {
    Store::open()?.find(id)?.map(Data).ok_or(NOT_FOUND)
}

fn change(request: &mut Request, id: Uuid, body: Body<Changes>) -> Result<Data<User>, Error> {
    let changes = body.read(request)?;
    Store::open()?.update(id, changes)?.map(Data).ok_or(NOT_FOUND)
}

fn delete(_request: &mut Request, id: Uuid) -> Result<NoContent, Error> {
    if !Store::open()?.delete(id)? {
        return Err(NOT_FOUND);
    }
    Ok(NoContent)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    /// The service in TypeScript has the same contract, and a file of it.
    #[test]
    fn both_users_services_say_the_same_of_themselves() {
        let json = |text| serde_json::from_str::<Value>(text).unwrap();
        let other = json(include_str!("../../users-ts/openapi.json"));
        let own = json(super::OPENAPI);
        for part in ["paths", "components"] {
            assert_eq!(other[part], own[part], "write `users::OPENAPI` into users-ts/openapi.json");
        }
    }
}
