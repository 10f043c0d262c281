//! Users in PostgreSQL: every statement of this service, and nothing that knows HTTP.

use sdk::{
    Error, Listing, Start, Timestamp, Uuid, new_id, params,
    postgres::{self, Database, Single, Statements as _},
};
use shop::Page;

use crate::user::{Changes, NewUser, User};

/// The index that keeps an email unique, whatever its case.
const EMAIL_KEY: &str = "users_email_key";

pub(crate) const TAKEN: Error = Error::Conflict("Email already exists");

/// A user, and what is kept of the password; none if there is none.
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) password_hash: Option<String>,
}

pub(crate) struct Store(Database);

impl Store {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self(Database::open("users")?))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0
    }

    pub(crate) fn insert(&self, new: NewUser, password_hash: Option<String>) -> Result<User, Error> {
        let now = Timestamp::now();
        let sql = "insert into users (id, email, email_key, name, password_hash, created_at, updated_at)
                   values ($1, $2, $3, $4, $5, $6, $6) returning id, email, name, created_at, updated_at";
        let key = email_key(&new.email);
        self.0.query_one(sql, params![new_id(now), new.email, key, new.name, password_hash, now]).map_err(taken)
    }

    /// 409 if somebody has this email; [`Store::insert`] decides when two come at once.
    pub(crate) fn expect_free(&self, email: &str) -> Result<(), Error> {
        let sql = "select exists (select from users where email_key = $1) as taken";
        let Single(found) = self.0.query_one(sql, params![email_key(email)])?;
        if found { Err(TAKEN) } else { Ok(()) }
    }

    pub(crate) fn find(&self, id: Uuid) -> Result<Option<User>, Error> {
        let sql = "select id, email, name, created_at, updated_at from users where id = $1";
        Ok(self.0.query_optional(sql, params![id])?)
    }

    /// Newest first: ids sort by time.
    pub(crate) fn list(&self, page: &Page) -> Result<Listing<User, Uuid>, Error> {
        let users = match page.start {
            Start::Offset(offset) => self.0.query(
                "select id, email, name, created_at, updated_at from users order by id desc limit $1 offset $2",
                params![page.rows(), i64::from(offset)],
            ),
            Start::After(id) => self.0.query(
                "select id, email, name, created_at, updated_at from users where id < $2 order by id desc limit $1",
                params![page.rows(), id],
            ),
        }?;
        let Single(total) = self.0.query_one("select count(*) from users", params![])?;
        Ok(page.listing(users, total, |user: &User| user.id))
    }

    /// `updated_at` moves by a millisecond at least, the smallest step that a client can see.
    pub(crate) fn update(&self, id: Uuid, changes: Changes) -> Result<Option<User>, Error> {
        let sql = "update users set email = coalesce($2, email), email_key = coalesce($3, email_key),
                   name = coalesce($4, name), updated_at = greatest($5, updated_at + interval '1 millisecond')
                   where id = $1 returning id, email, name, created_at, updated_at";
        let key = changes.email.as_deref().map(email_key);
        self.0.query_optional(sql, params![id, changes.email, key, changes.name, Timestamp::now()]).map_err(taken)
    }

    /// Whether there was one.
    pub(crate) fn delete(&self, id: Uuid) -> Result<bool, Error> {
        Ok(self.0.execute("delete from users where id = $1", params![id])? > 0)
    }
}

/// What two emails that are the same person's have in common.
pub(crate) fn email_key(email: &str) -> String {
    email.to_lowercase()
}

fn taken(error: postgres::Error) -> Error {
    if error.is_unique(EMAIL_KEY) { TAKEN } else { error.into() }
}
