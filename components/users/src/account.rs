//! Accounts that somebody can log in to: registering, and proving a password.

use sdk::{
    Body, Created, Data, Error, Fields, FromJson, Request, Timestamp, openapi::Described, passwords, tokens, within,
};
use serde::Serialize;

use crate::{
    attempts::Attempt,
    store::{Account, Store},
    user::{AN_EMAIL, NewUser, TEXT_MAX, User},
};

/// The name of `[auth.main]` in the manifest, and what a token made here says.
const AUTH: &str = "main";
const ROLES: [&str; 1] = ["user"];
const SECONDS: u32 = 3600;

const PASSWORD_MIN: usize = 10;
const PASSWORD_MAX: usize = 128;
/// Verified in place of a text that can be nobody's password, so that it costs the same.
const NOBODYS: &str = "nobody's password";

pub(crate) const WRONG: Error = Error::Unauthorized("Invalid email or password");

/// A user to be, with a password.
// Not `Debug`: a password is never printed.
#[derive(PartialEq, Eq, Described)]
#[described(body)]
pub(crate) struct NewAccount {
    #[json(length = 1..=TEXT_MAX)]
    #[described(json = AN_EMAIL)]
    email: String,
    #[json(length = 1..=TEXT_MAX)]
    name: String,
    #[json(length = PASSWORD_MIN..=PASSWORD_MAX)]
    #[described(json = SECRET)]
    password: String,
}

/// What a document says of a password.
const SECRET: &str = r#""format":"password","pattern":"^[^\\u0000]*$""#;

/// Who says who they are.
#[derive(PartialEq, Eq, Described)]
#[described(body)]
pub(crate) struct Login {
    #[json(length = 1..=usize::MAX)]
    #[described(json = r#""pattern":"^[^\\u0000]*$""#)]
    email: String,
    #[json(length = 1..=usize::MAX)]
    #[described(json = SECRET)]
    password: String,
}

/// What a login is worth.
#[derive(Serialize, Described)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    token: String,
    #[described(json = r#""const":"Bearer""#)]
    token_type: &'static str,
    /// Seconds.
    expires_in: u32,
    user: User,
}

pub(crate) fn register(request: &mut Request, body: Body<NewAccount>) -> Result<Created<User>, Error> {
    let NewAccount { email, name, password } = body.read(request)?;
    let store = Store::open()?;
    store.expect_free(&email)?; // hashing is the dearest thing there is here
    let hash = passwords::hash(&password)?;
    Ok(store.insert(NewUser { email, name }, Some(hash))?.created())
}

/// A failure is counted before it is told, so that leaving early spares nobody one; a success is not counted at
/// any time, so that many at once are no attack. A key that has become full meanwhile refuses the right
/// password too: whoever tries many at the same time learns no more of them than of ten.
pub(crate) fn login(request: &mut Request, body: Body<Login>) -> Result<Data<Session>, Error> {
    let login = body.read(request)?;
    let store = Store::open()?;
    let attempt = Attempt::new(&login.email, request.client(), Timestamp::now());
    let account = store.admit(&attempt)?;
    let outcome = proven(account, &login.password, |password, hash| Ok(passwords::verify(password, hash)?));
    let user = outcome?;
    let Some(user) = user else {
        store.count(&attempt)?;
        store.forget_expired(attempt.now)?;
        return Err(WRONG);
    };
    store.confirm(&attempt)?;
    let token = tokens::sign(AUTH, user.id.to_string(), &ROLES, SECONDS)?;
    let (token, expires_in) = (token.value, token.expires_in_seconds);
    Ok(Data(Session { token, token_type: "Bearer", expires_in, user }))
}

/// The user, if the password is theirs. The host is asked exactly once whoever it is, also for an
/// email that nobody has and an account without a password.
fn proven(
    account: Option<Account>,
    password: &str,
    verify: impl FnOnce(&str, Option<&str>) -> Result<bool, Error>,
) -> Result<Option<User>, Error> {
    let hash = account.as_ref().and_then(|account| account.password_hash.as_deref());
    let right = match is_password(password) {
        true => verify(password, hash)?,
        false => verify(NOBODYS, None)?,
    };
    Ok(account.filter(|account| right && account.password_hash.is_some()).map(|account| account.user))
}

fn is_password(text: &str) -> bool {
    (PASSWORD_MIN..=PASSWORD_MAX).contains(&text.chars().count())
}

impl FromJson for NewAccount {
    const FIELDS: &'static [&'static str] = &["email", "name", "password"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        let missing = || Error::bad_request("Email, name and password are required");
        let given = |name| Ok::<_, Error>(fields.text(name)?.is_some_and(|text| !text.is_empty()));
        let password = fields.verbatim("password")?.filter(|password| !password.is_empty());
        if !given("email")? || !given("name")? {
            return Err(missing());
        }
        let password = within("password", password.ok_or_else(missing)?, PASSWORD_MIN..=PASSWORD_MAX)?;
        let NewUser { email, name } = NewUser::from_json(fields)?;
        Ok(Self { email, name, password })
    }
}

impl FromJson for Login {
    const FIELDS: &'static [&'static str] = &["email", "password"];

    /// Nothing is said about the form of either: a text that no account has is a wrong one.
    fn from_json(fields: &Fields) -> Result<Self, Error> {
        match (fields.text("email")?, fields.verbatim("password")?) {
            (Some(email), Some(password)) if !email.is_empty() && !password.is_empty() => {
                Ok(Self { email: email.to_owned(), password: password.to_owned() })
            }
            _ => Err(Error::bad_request("Email and password are required")),
        }
    }
}

#[cfg(test)]
mod tests {
    use sdk::Uuid;

    use super::*;

    const RIGHT: &str = "correct horse";
    const HASH: &str = "hash of correct horse";

    fn account(password_hash: Option<&str>) -> Account {
        let moment = Timestamp::from_micros(0);
        let user = User {
            id: Uuid::from_u128(7),
            email: "ada@example.com".to_owned(),
            name: "Ada".to_owned(),
            created_at: moment,
            updated_at: moment,
        };
        Account { user, password_hash: password_hash.map(str::to_owned) }
    }

    /// What the host was asked, and whether it let the user in.
    #[track_caller]
    fn check(account: Option<Account>, password: &str, asked: (&str, Option<&str>), admitted: bool) {
        let mut calls = Vec::new();
        let user = proven(account, password, |password, hash| {
            calls.push((password.to_owned(), hash.map(str::to_owned)));
            Ok(password == RIGHT && hash == Some(HASH))
        });
        assert_eq!(user.unwrap().is_some(), admitted);
        assert_eq!(calls, [(asked.0.to_owned(), asked.1.map(str::to_owned))]);
    }

    #[test]
    fn a_login_asks_the_host_once_whether_the_email_exists_or_not() {
        check(Some(account(Some(HASH))), RIGHT, (RIGHT, Some(HASH)), true);
        check(Some(account(Some(HASH))), "wrong horse", ("wrong horse", Some(HASH)), false);
        check(Some(account(None)), RIGHT, (RIGHT, None), false);
        check(None, RIGHT, (RIGHT, None), false);
        let long = "x".repeat(129);
        check(Some(account(Some(HASH))), "short", (NOBODYS, None), false);
        check(None, &long, (NOBODYS, None), false);
    }

    #[test]
    fn nobody_without_a_password_is_let_in_whatever_the_host_says() {
        for account in [None, Some(account(None))] {
            assert!(proven(account, RIGHT, |_, _| Ok(true)).unwrap().is_none());
        }
    }

    fn parse<T: FromJson>(body: &str) -> Result<T, Error> {
        T::from_json(&Fields::parse(body.as_bytes(), T::FIELDS)?)
    }

    fn new_account(password: &str) -> Result<String, Error> {
        let body = format!(r#"{{"email":" a@b.co ","name":"A","password":"{password}"}}"#);
        parse::<NewAccount>(&body).map(|new| new.password)
    }

    #[test]
    fn a_password_is_10_to_128_characters_as_they_are_given() {
        for good in ["1234567890", "é234567890", "          ", &"é".repeat(128)] {
            assert_eq!(new_account(good), Ok(good.to_owned()));
        }
        for bad in ["123456789", "é23456789", &"é".repeat(129)] {
            let sentence = "Field `password` must be 10 to 128 characters long";
            assert_eq!(new_account(bad), Err(Error::bad_request(sentence)));
        }
    }

    #[test]
    fn an_account_needs_all_three_and_each_is_judged() {
        let refused = |body| parse::<NewAccount>(body).err();
        for body in [
            "{}",
            r#"{"email":"a@b.co","name":"A"}"#,
            r#"{"email":"a@b.co","name":"A","password":""}"#,
            r#"{"email":"a@b.co","password":"1234567890"}"#,
            r#"{"email":" ","name":"A","password":"1234567890"}"#,
        ] {
            assert_eq!(refused(body), Some(Error::bad_request("Email, name and password are required")), "{body}");
        }
        let body = r#"{"email":"ada","name":"A","password":"1234567890"}"#;
        assert_eq!(refused(body), Some(Error::bad_request("Invalid email format")));
        let body = r#"{"email":"a@b.co","name":"A","password":1234567890}"#;
        assert_eq!(refused(body), Some(Error::bad_request("Field `password` must be a string, not a number")));
    }

    #[test]
    fn a_login_says_nothing_about_the_form_of_what_is_given() {
        assert!(parse::<Login>(r#"{"email":"ada","password":"x"}"#).is_ok());
        for body in ["{}", r#"{"email":"a@b.co"}"#, r#"{"email":" ","password":"x"}"#, r#"{"email":"a","password":""}"#]
        {
            let error = parse::<Login>(body).err();
            assert_eq!(error, Some(Error::bad_request("Email and password are required")), "{body}");
        }
        assert!(parse::<Login>(r#"{"email":"a","password":7}"#).is_err());
    }
}
