//! Reads a query string: each parameter known, once and not empty, or the request is a 400.

use uuid::Uuid;

use crate::{
    Error,
    text::{hyphenated, percent_decode, quoted},
};

/// The parameters of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part after `?`; an `&` too many separates nothing, as the URL standard has it.
    pub fn parse(query: &str, known: &[&str]) -> Result<Self, Error> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !known.contains(&name.as_str()) {
                return Err(Error::bad_request(format!(
                    "Query parameter `{}` is unknown; there are `{}`",
                    quoted(&name),
                    known.join("`, `")
                )));
            }
            if value.is_empty() {
                return Err(Error::bad_request(format!("Query parameter `{name}` is empty")));
            }
            if parameters.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Error::bad_request(format!("Query parameter `{name}` is given twice")));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// A parameter that is an id; 400 if it is no UUID.
    pub fn id(&self, name: &str) -> Result<Option<Uuid>, Error> {
        let id = |text| {
            hyphenated(text).ok_or_else(|| Error::bad_request(format!("Query parameter `{name}` is not a UUID")))
        };
        self.get(name).map(id).transpose()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Undoes percent-encoding and `+`, once.
fn decode(text: &str) -> Result<String, Error> {
    let malformed = || Error::bad_request("The query is not percent-encoded UTF-8");
    percent_decode(&text.replace('+', " ")).filter(|text| !text.contains('\0')).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Option<&[(&str, &str)]>) {
        let expected = expected.map(|pairs| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect());
        let parsed = Query::parse(query, &["limit", "q"]).ok();
        assert_eq!(parsed, expected.map(Query), "{query}");
    }

    #[test]
    fn a_parameter_twice_empty_or_unknown_is_refused() {
        check("", Some(&[]));
        check("limit=5&q=a", Some(&[("limit", "5"), ("q", "a")]));
        check("limit=5&limit=5", None);
        check("limit=5&%6cimit=6", None);
        check("limit=", None);
        check("limit", None);
        check("limit=5&", Some(&[("limit", "5")]));
        check("&&limit=5", Some(&[("limit", "5")]));
        check("&", Some(&[]));
        check("=", None);
        check("other=1", None);
    }

    #[test]
    fn an_id_is_a_uuid_or_a_400() {
        let id = |query: &str| Query::parse(query, &["id"]).unwrap().id("id");
        assert_eq!(id(""), Ok(None));
        assert_eq!(id("id=017f22e2-79b0-7cc3-98c4-dc0c0c07398f").unwrap().unwrap().get_version_num(), 7);
        assert_eq!(id("id=7"), Err(Error::bad_request("Query parameter `id` is not a UUID")));
    }

    #[test]
    fn a_value_is_decoded_once() {
        check("q=a+b%20c%C3%A9%2541", Some(&[("q", "a b cé%41")]));
        check("q=a=b", Some(&[("q", "a=b")]));
        check("q=%", None);
        check("q=%4", None);
        check("q=%zz", None);
        check("q=%+1", None);
        check("q=%ff", None);
        check("q=%00", None);
        check("q=é", Some(&[("q", "é")]));
        check("q=%é", None);
    }
}
