//! What a handler answers with, and how it goes out: data as JSON, a failure in the platform's form, which is also the
//! gateway's.

use serde::Serialize;

use crate::{Error, Response, Timestamp, error::log};

/// What a handler returns.
pub type Answer = Result<Reply, Error>;

/// A success: status, headers, and data that goes out as JSON; or a response as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Empty,
    /// JSON.
    Data(String),
    /// As it is.
    Raw(Response),
}

impl Reply {
    /// 200.
    pub fn ok(data: &impl Serialize) -> Answer {
        Self::with(200, data)
    }

    /// 201, with the path of what was made.
    pub fn created(location: String, data: &impl Serialize) -> Answer {
        Ok(Self::with(201, data)?.header("location", location))
    }

    /// 204.
    pub fn no_content() -> Answer {
        Ok(Self { status: 204, headers: Vec::new(), body: Body::Empty })
    }

    /// A response as it is: a page, a picture, somebody else's format.
    pub fn raw(response: Response) -> Answer {
        Ok(Self { status: response.status, headers: Vec::new(), body: Body::Raw(response) })
    }

    /// Adds a header; `name` is lower case.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with other JSON, where there is some: for an API that has a form of its own for every answer.
    #[must_use]
    pub fn map_json(mut self, to: impl FnOnce(String) -> String) -> Self {
        self.body = match self.body {
            Body::Data(data) => Body::Data(to(data)),
            other => other,
        };
        self
    }

    fn with(status: u16, data: &impl Serialize) -> Answer {
        let data = serde_json::to_string(data).map_err(|error| Error::internal(format!("no JSON: {error}")))?;
        Ok(Self { status, headers: Vec::new(), body: Body::Data(data) })
    }
}

/// The answer as it goes out. What a client is not told goes to the log.
pub fn respond(answer: Answer, trace_id: &str, now: Timestamp) -> Response {
    match answer {
        Ok(reply) => {
            let response = match reply.body {
                Body::Empty => Response::empty(reply.status),
                Body::Raw(response) => response,
                Body::Data(data) => Response::json(reply.status, data),
            };
            reply.headers.iter().fold(response, |response, (name, value)| response.header(name, value))
        }
        Err(error) => {
            if let Some(reason) = error.reason() {
                log(&format!("{}: {reason}", error.status()));
            }
            let sentence = serde_json::Value::from(error.sentence());
            let response = Response::json(
                error.status(),
                format!(r#"{{"success":false,"error":{sentence},"timestamp":"{now}","traceId":"{trace_id}"}}"#),
            );
            error.header().into_iter().fold(response, |response, (name, value)| response.header(name, &value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn sent(answer: Answer) -> (u16, Vec<(String, String)>, String) {
        let response = respond(answer, TRACE, Timestamp::from_micros(0));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let headers = response.headers.into_iter().map(|(name, value)| (name, text(value))).collect();
        (response.status, headers, text(response.body))
    }

    #[test]
    fn a_success_is_its_data_in_json() {
        let (status, headers, body) = sent(Reply::created("/api/users/7".to_owned(), &["a"]));
        assert_eq!(status, 201);
        assert_eq!(body, r#"["a"]"#);
        assert!(headers.contains(&("location".to_owned(), "/api/users/7".to_owned())));
        assert!(headers.contains(&("content-type".to_owned(), "application/json".to_owned())));
        assert!(headers.contains(&("content-length".to_owned(), body.len().to_string())));
    }

    #[test]
    fn an_error_carries_a_sentence_and_no_data() {
        let (status, headers, body) = sent(Err(Error::bad_request("Say \"please\"")));
        assert_eq!((status, headers.len()), (400, 2));
        assert_eq!(
            body,
            format!(
                r#"{{"success":false,"error":"Say \"please\"","timestamp":"1970-01-01T00:00:00.000Z","traceId":"{TRACE}"}}"#
            )
        );
    }

    #[test]
    fn a_raw_reply_is_what_it_is() {
        let (status, headers, body) =
            sent(Reply::raw(Response::text(203, "tea")).map(|reply| reply.header("etag", "7".to_owned())));
        assert_eq!((status, &*body), (203, "tea"));
        assert_eq!(headers.last(), Some(&("etag".to_owned(), "7".to_owned())));
    }

    #[test]
    fn an_api_may_have_a_form_of_its_own_for_data_and_for_nothing_else() {
        let form = |data| format!("{{\"data\":{data}}}");
        let (_, headers, body) = sent(Reply::ok(&7).map(|reply| reply.map_json(form)));
        assert_eq!((&*body, headers[1].1.as_str()), ("{\"data\":7}", "10"));
        assert_eq!(sent(Reply::no_content().map(|reply| reply.map_json(form))).2, "");
        assert_eq!(sent(Reply::raw(Response::text(200, "tea")).map(|reply| reply.map_json(form))).2, "tea");
    }

    #[test]
    fn a_deletion_has_neither_body_nor_headers() {
        assert_eq!(sent(Reply::no_content()), (204, vec![], String::new()));
    }
}
