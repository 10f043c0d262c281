//! What a user is, and what may be said about one.

use sdk::{Created, Error, Fields, FromJson, Timestamp, Uuid, openapi::Described, postgres::FromRow, within};
use serde::Serialize;

/// A user, as stored and as shown.
#[derive(Debug, Serialize, FromRow, Described)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: Uuid,
    #[json(length = 1..=TEXT_MAX)]
    pub(crate) email: String,
    #[json(length = 1..=TEXT_MAX)]
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A user to be.
#[derive(Debug, PartialEq, Eq, Described)]
#[described(body)]
pub(crate) struct NewUser {
    #[json(length = 1..=TEXT_MAX)]
    #[described(json = AN_EMAIL)]
    pub(crate) email: String,
    #[json(length = 1..=TEXT_MAX)]
    pub(crate) name: String,
}

/// What is to be different; at least one of the two.
#[derive(Debug, PartialEq, Eq, Described)]
#[described(body, some, name = "UserChanges")]
pub(crate) struct Changes {
    #[json(length = 1..=TEXT_MAX)]
    #[described(json = AN_EMAIL)]
    pub(crate) email: Option<String>,
    #[json(length = 1..=TEXT_MAX)]
    pub(crate) name: Option<String>,
}

/// Characters of an email or a name.
pub(crate) const TEXT_MAX: usize = 255;

/// What a document says of an email: see [`is_email`].
pub(crate) const AN_EMAIL: &str = r#""pattern":"^[^\\s@\\u0000-\\u001f\\u007f-\\u009f]+@[^\\s@.\\u0000-\\u001f\\u007f-\\u009f]+(\\.[^\\s@.\\u0000-\\u001f\\u007f-\\u009f]+)+$""#;

impl User {
    pub(crate) fn created(self) -> Created<Self> {
        Created { location: format!("/api/users/{}", self.id), data: self }
    }
}

impl FromJson for NewUser {
    const FIELDS: &'static [&'static str] = &["email", "name"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        match (fields.text("email")?, fields.text("name")?) {
            (Some(given), Some(called)) if !given.is_empty() && !called.is_empty() => {
                Ok(Self { email: email(given)?, name: name(called)? })
            }
            _ => Err(Error::bad_request("Email and name are required")),
        }
    }
}

impl FromJson for Changes {
    const FIELDS: &'static [&'static str] = NewUser::FIELDS;

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        let email = fields.text("email")?.map(email).transpose()?;
        let name = fields.text("name")?.map(name).transpose()?;
        if email.is_none() && name.is_none() {
            return Err(Error::bad_request("There is nothing to change: give `email`, `name` or both"));
        }
        Ok(Self { email, name })
    }
}

fn name(text: &str) -> Result<String, Error> {
    within("name", text, 1..=TEXT_MAX)
}

fn email(text: &str) -> Result<String, Error> {
    let text = within("email", text, 1..=TEXT_MAX)?;
    if is_email(&text) { Ok(text) } else { Err(Error::bad_request("Invalid email format")) }
}

/// Whether mail could go there: something, one `@`, and a domain with a dot, without spaces or
/// control characters. Only a letter sent can tell more.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let labels: Vec<&str> = domain.split('.').collect();
    !local.is_empty()
        && labels.len() > 1
        && labels.iter().all(|label| !label.is_empty())
        && !domain.contains('@')
        && !text.contains(|character: char| character.is_whitespace() || character.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: FromJson>(body: &str) -> Result<T, Error> {
        T::from_json(&Fields::parse(body.as_bytes(), T::FIELDS)?)
    }

    #[track_caller]
    fn refused<T: FromJson + std::fmt::Debug>(body: &str, sentence: &str) {
        assert_eq!(parse::<T>(body).unwrap_err(), Error::bad_request(sentence), "{body}");
    }

    #[test]
    fn a_new_user_has_an_email_and_a_name_trimmed_and_otherwise_as_given() {
        let new = parse::<NewUser>(r#"{"email":" Ada@Example.com ","name":"\tAda Lovelace"}"#);
        assert_eq!(new, Ok(NewUser { email: "Ada@Example.com".to_owned(), name: "Ada Lovelace".to_owned() }));
    }

    #[test]
    fn what_is_missing_is_said_before_what_is_wrong() {
        for body in ["{}", r#"{"email":"a@b.co"}"#, r#"{"name":"A"}"#, r#"{"email":"a@b.co","name":"  "}"#] {
            refused::<NewUser>(body, "Email and name are required");
        }
        refused::<NewUser>(r#"{"email":"ada","name":"Ada"}"#, "Invalid email format");
        refused::<NewUser>(r#"{"email":"a@b.co","name":7}"#, "Field `name` must be a string, not a number");
        refused::<NewUser>(
            r#"{"email":"a@b.co","name":"A","password":"x"}"#,
            "Field `password` is unknown; there are `email`, `name`",
        );
    }

    #[test]
    fn a_text_is_at_most_255_characters() {
        let body = |email: String, name: String| format!(r#"{{"email":"{email}","name":"{name}"}}"#);
        let domain = "@example.com";
        let local = "é".repeat(255 - domain.len());
        assert!(parse::<NewUser>(&body(format!("{local}{domain}"), "é".repeat(255))).is_ok());
        refused::<NewUser>(
            &body(format!("a{local}{domain}"), "A".to_owned()),
            "Field `email` must be 1 to 255 characters long",
        );
        refused::<NewUser>(
            &body("a@b.co".to_owned(), "é".repeat(256)),
            "Field `name` must be 1 to 255 characters long",
        );
    }

    #[test]
    fn a_change_needs_at_least_one_field() {
        refused::<Changes>("{}", "There is nothing to change: give `email`, `name` or both");
        refused::<Changes>(r#"{"name":" "}"#, "Field `name` must be 1 to 255 characters long");
        refused::<Changes>(r#"{"email":"x"}"#, "Invalid email format");
        refused::<Changes>(r#"{"name":null}"#, "Field `name` must be a string, not null");
        assert_eq!(parse::<Changes>(r#"{"name":"A"}"#), Ok(Changes { email: None, name: Some("A".to_owned()) }));
        assert!(parse::<Changes>(r#"{"name":"A","email":"a@b.co"}"#).is_ok());
    }

    #[test]
    fn an_email_is_judged_by_its_shape() {
        for good in ["a@b.co", "first.last+tag@sub.example.com", "Zoë@exämple.org", "o'hara@x.y"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a@b.",
            "a@.co",
            "a@b..co",
            "a@b@c.de",
            "a b@c.de",
            "a@b c.de",
            "a\u{7}@b.co",
            "a@b.co\n",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }
}
