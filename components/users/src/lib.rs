//! The users service: who there is, and who is who. It keeps the database `users` and calls nobody.

mod account;
mod attempts;
mod store;
mod user;

use sdk::{Answer, Error, Reply, Request, Response, Uuid};
use shop::{Page, Routes, Who, listed};

use crate::{
    store::Store,
    user::{Changes, NewUser},
};

sdk::service!(answer);

const NOT_FOUND: Error = Error::NotFound("User not found");

fn answer(request: Request) -> Response {
    routes().answer(request)
}

fn routes() -> Routes {
    Routes::new()
        .at("/api/auth/register", |path| path.post(Who::Anyone, account::register))
        .at("/api/auth/login", |path| path.post(Who::Anyone, account::login))
        .at("/api/users", |path| path.get(Who::Admin, list).post(Who::Admin, create))
        .at("/api/users/{id}", |path| {
            path.get(Who::OwnerOrAdmin, read).put(Who::OwnerOrAdmin, change).delete(Who::OwnerOrAdmin, delete)
        })
}

fn list(request: &mut Request) -> Answer {
    let page = Page::of(request)?;
    listed(&Store::open()?.list(&page)?)
}

/// Without a password: nobody can log in as this user.
fn create(request: &mut Request) -> Answer {
    let new: NewUser = request.json()?;
    let user = Store::open()?.insert(new, None)?;
    Reply::created(format!("/api/users/{}", user.id), &user)
}

fn read(_request: &mut Request, id: Uuid) -> Answer {
    let user = Store::open()?.find(id)?.ok_or(NOT_FOUND)?;
    Reply::ok(&user)
}

fn change(request: &mut Request, id: Uuid) -> Answer {
    let changes: Changes = request.json()?;
    let user = Store::open()?.update(id, changes)?.ok_or(NOT_FOUND)?;
    Reply::ok(&user)
}

fn delete(_request: &mut Request, id: Uuid) -> Answer {
    if !Store::open()?.delete(id)? {
        return Err(NOT_FOUND);
    }
    Reply::no_content()
}

#[cfg(test)]
mod tests {
    use sdk::openapi::{documented, existing};

    #[test]
    fn the_openapi_document_has_exactly_the_routes_that_exist() {
        assert_eq!(documented(include_str!("../openapi.json")), existing(super::routes().list()));
    }
}
