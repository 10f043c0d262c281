//! A JSON body as fields to be asked for by name; every refusal is a 400 that names the field.

use std::{collections::BTreeMap, ops::RangeInclusive};

use uuid::Uuid;

use crate::{
    Error, Json, decimal,
    json::{self, Refused},
    text::{hyphenated, quoted},
};

/// A type that a JSON body describes.
pub trait FromJson: Sized {
    /// The fields there may be; any other is refused.
    const FIELDS: &'static [&'static str];

    fn from_json(fields: &Fields) -> Result<Self, Error>;
}

/// The members of a JSON object, all of them known.
#[derive(Debug)]
pub struct Fields {
    members: BTreeMap<String, Json>,
    /// Where the object stands in the body, if it is not the body itself: `items[3]`.
    within: Option<String>,
}

impl Fields {
    /// Reads a body whose fields are among `known`.
    pub fn parse(body: &[u8], known: &[&str]) -> Result<Self, Error> {
        let members = match json::parse(body).map_err(refused)? {
            Json::Object(members) => members,
            other => {
                return Err(Error::bad_request(format!("The body must be a JSON object, not {}", other.kind())));
            }
        };
        Self::known(members, None, known)
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.members.get(name)
    }

    /// A string, trimmed; nothing if the field is absent, which `null` is not.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        Ok(self.verbatim(name)?.map(str::trim))
    }

    /// A string with the spaces around it, as a password may have them.
    pub fn verbatim(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(must_be(&self.place(name), "a string", other)),
        }
    }

    /// A whole number within a range, however it is written: `5` and `5.0` are the same.
    pub fn whole(&self, name: &str, range: RangeInclusive<i32>) -> Result<Option<i32>, Error> {
        let (least, most) = range.into_inner();
        let whole = self.whole_64(name, least.into()..=most.into())?;
        Ok(whole.and_then(|whole| whole.try_into().ok()))
    }

    /// The same of at most 18 digits.
    pub fn whole_64(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Error> {
        let (least, most) = (range.start(), range.end());
        let whole = |number: &str| decimal::scaled(number, 0).filter(|whole| range.contains(whole));
        self.number(name, whole, || format!("a whole number from {least} to {most}"))
    }

    /// A number as `read` understands its own digits; where it does not, the field must be what `wanted` says: `a whole
    /// number from 1 to 9`.
    pub fn number<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Option<T>,
        wanted: impl FnOnce() -> String,
    ) -> Result<Option<T>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(number)) => match read(number) {
                Some(number) => Ok(Some(number)),
                None => Err(Error::bad_request(format!("Field `{}` must be {}", self.place(name), wanted()))),
            },
            Some(other) => Err(must_be(&self.place(name), "a number", other)),
        }
    }

    pub fn id(&self, name: &str) -> Result<Option<Uuid>, Error> {
        let wanted = || Error::bad_request(format!("Field `{}` is not a UUID", self.place(name)));
        let id = |text| hyphenated(text).ok_or_else(wanted);
        self.verbatim(name)?.map(id).transpose()
    }

    /// A list of so many objects; a refusal names the field and its place: `items[3].quantity`.
    pub fn list<T: FromJson>(&self, name: &str, length: RangeInclusive<usize>) -> Result<Option<Vec<T>>, Error> {
        let place = self.place(name);
        let items = match self.get(name) {
            None => return Ok(None),
            Some(Json::Array(items)) if length.contains(&items.len()) => items,
            Some(Json::Array(_)) => {
                let (least, most) = length.into_inner();
                return Err(Error::bad_request(format!("Field `{place}` must have {least} to {most} entries")));
            }
            Some(other) => return Err(must_be(&place, "an array", other)),
        };
        let entry = |(at, item): (usize, &Json)| match item {
            Json::Object(members) => {
                T::from_json(&Self::known(members.clone(), Some(format!("{place}[{at}]")), T::FIELDS)?)
            }
            other => Err(must_be(&format!("{place}[{at}]"), "an object", other)),
        };
        items.iter().enumerate().map(entry).collect::<Result<_, _>>().map(Some)
    }

    /// A field as a sentence names it.
    fn place(&self, name: &str) -> String {
        self.within.as_ref().map_or_else(|| name.to_owned(), |within| format!("{within}.{name}"))
    }

    fn known(members: BTreeMap<String, Json>, within: Option<String>, known: &[&str]) -> Result<Self, Error> {
        let fields = Self { members, within };
        match fields.members.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(fields),
            Some(name) => {
                let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                let name = fields.place(&quoted(name));
                Err(Error::bad_request(format!("Field `{name}` is unknown; there are {known}")))
            }
        }
    }
}

fn must_be(name: &str, wanted: &str, other: &Json) -> Error {
    Error::bad_request(format!("Field `{name}` must be {wanted}, not {}", other.kind()))
}

/// The text, if it is so many characters long.
pub fn within(field: &str, text: &str, characters: RangeInclusive<usize>) -> Result<String, Error> {
    if characters.contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    let (least, most) = characters.into_inner();
    Err(Error::bad_request(format!("Field `{field}` must be {least} to {most} characters long")))
}

fn refused(refused: Refused) -> Error {
    Error::BadRequest(match refused {
        Refused::Encoding => "The body is not valid UTF-8".to_owned(),
        Refused::Syntax { expected, at } => {
            format!("The body is not valid JSON: expected {expected} at byte {at}")
        }
        Refused::Duplicate(name) => format!("Field `{}` is given twice", quoted(&name)),
        Refused::Nul { field: Some(name) } => {
            format!("Field `{}` holds a NUL character", quoted(&name))
        }
        Refused::Nul { field: None } => "The body holds a NUL character".to_owned(),
        Refused::Depth => "The body is nested more than 32 levels deep".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &[u8], sentence: &str) {
        let error = Fields::parse(body, &["email", "name"]).and_then(|fields| {
            fields.text("email")?;
            fields.text("name").map(|_| ())
        });
        assert_eq!(error, Err(Error::bad_request(sentence)));
    }

    #[test]
    fn a_refused_body_is_a_400_that_names_the_field() {
        check(b"", "The body is not valid JSON: expected a value at byte 0");
        check(b"{\"email\"}", "The body is not valid JSON: expected `:` at byte 8");
        check(b"[]", "The body must be a JSON object, not an array");
        check(b"null", "The body must be a JSON object, not null");
        check(br#"{"nmae":"x"}"#, "Field `nmae` is unknown; there are `email`, `name`");
        check(br#"{"name":"x","name":"y"}"#, "Field `name` is given twice");
        check(br#"{"name":7}"#, "Field `name` must be a string, not a number");
        check(br#"{"email":null}"#, "Field `email` must be a string, not null");
        check(br#"{"name":"a\u0000"}"#, "Field `name` holds a NUL character");
        check(b"{\"name\":\"\xc3\"}", "The body is not valid UTF-8");
        check("[".repeat(40).as_bytes(), "The body is nested more than 32 levels deep");
        let long = format!("{{\"{}\":1}}", "é".repeat(1000));
        check(long.as_bytes(), &format!("Field `{}` is unknown; there are `email`, `name`", "é".repeat(40)));
    }

    #[test]
    fn numbers_and_ids_are_read_exactly_or_refused() {
        let fields = |value: &str| Fields::parse(format!("{{\"n\":{value}}}").as_bytes(), &["n"]).unwrap();
        for same in ["20", "20.0", "2e1"] {
            assert_eq!(fields(same).whole("n", 0..=20), Ok(Some(20)));
        }
        for refused in ["21", "-1", "0.5", "1e99", "99999999999", "\"5\"", "null", "[5]", "true"] {
            assert!(fields(refused).whole("n", 0..=20).is_err(), "{refused}");
        }
        assert_eq!(fields("\"7\"").id("n"), Err(Error::bad_request("Field `n` is not a UUID")));
        assert!(fields("\"017f22e2-79b0-7cc3-98c4-dc0c0c07398f\"").id("n").unwrap().is_some());
        assert_eq!(fields("1").whole("other", 0..=20), Ok(None));
        assert_eq!(fields("\" a \"").verbatim("n"), Ok(Some(" a ")));
    }

    #[derive(Debug, PartialEq)]
    struct Line(i32);

    impl FromJson for Line {
        const FIELDS: &'static [&'static str] = &["n", "id"];

        fn from_json(fields: &Fields) -> Result<Self, Error> {
            fields.id("id")?;
            Ok(Self(fields.whole("n", 1..=9)?.unwrap_or_default()))
        }
    }

    #[test]
    fn a_list_s_refusal_names_the_entry() {
        let list = |json: &str| {
            let body = format!("{{\"lines\":{json}}}");
            Fields::parse(body.as_bytes(), &["lines"]).and_then(|fields| fields.list::<Line>("lines", 1..=2))
        };
        assert_eq!(list(r#"[{"n":1},{"n":2}]"#), Ok(Some(vec![Line(1), Line(2)])));
        for (json, sentence) in [
            ("[]", "Field `lines` must have 1 to 2 entries"),
            ("[{},{},{}]", "Field `lines` must have 1 to 2 entries"),
            ("{}", "Field `lines` must be an array, not an object"),
            ("[{},7]", "Field `lines[1]` must be an object, not a number"),
            (r#"[{"m":1}]"#, "Field `lines[0].m` is unknown; there are `n`, `id`"),
            (r#"[{"n":1},{"n":0}]"#, "Field `lines[1].n` must be a whole number from 1 to 9"),
            (r#"[{"n":"1"}]"#, "Field `lines[0].n` must be a number, not a string"),
            (r#"[{"id":"1"}]"#, "Field `lines[0].id` is not a UUID"),
        ] {
            assert_eq!(list(json), Err(Error::bad_request(sentence)), "{json}");
        }
        let none = Fields::parse(b"{}", &["lines"]).unwrap();
        assert_eq!(none.list::<Line>("lines", 1..=2), Ok(None));
    }

    #[test]
    fn a_text_is_trimmed_and_counted_in_characters() {
        let fields = Fields::parse("{\"name\":\" \\u3000Zoë \\n\"}".as_bytes(), &["name"]).unwrap();
        assert_eq!(fields.text("name"), Ok(Some("Zoë")));
        assert_eq!(fields.text("email"), Ok(None));
        assert_eq!(within("name", &"é".repeat(255), 1..=255), Ok("é".repeat(255)));
        assert!(within("name", &"é".repeat(256), 1..=255).is_err());
        assert_eq!(
            within("name", "", 1..=255),
            Err(Error::bad_request("Field `name` must be 1 to 255 characters long"))
        );
    }
}
