//! Carries a whole request in by the quick door, and a response out: values, and no call of the host.

use std::mem;

use crate::{
    Error, Method, Request, Response, Source,
    answering::exports::archipel::http::handler::{self, Answer},
};

/// A request as it came from the host.
pub fn whole(request: handler::Request) -> Request {
    Request::new(Whole { request, is_read: false })
}

/// A response as the host takes it. One that is no valid HTTP it answers as 502.
pub fn answered(response: Response) -> Answer {
    let Response { status, headers, body } = response;
    Answer { response: handler::Response { status, headers, body }, retire: false }
}

/// Names, in lower case, and values of a block of header fields.
pub fn fields(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r")?;
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii_start()))
    })
}

struct Whole {
    request: handler::Request,
    is_read: bool,
}

impl Source for Whole {
    fn method(&self) -> Method {
        match &*self.request.method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => Method::Other,
        }
    }

    fn target(&self) -> String {
        self.request.target.clone()
    }

    fn header(&mut self, name: &str) -> Vec<Vec<u8>> {
        let named = fields(&self.request.fields).filter(|(own, _)| *own == name.as_bytes());
        named.map(|(_, value)| value.to_vec()).collect()
    }

    fn body(&mut self, bytes_max: usize) -> Result<Vec<u8>, Error> {
        if mem::replace(&mut self.is_read, true) {
            return Err(Error::internal("the body was read twice"));
        }
        let body = mem::take(&mut self.request.body);
        if body.len() > bytes_max { Err(Error::TooLarge) } else { Ok(body) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str) -> Request {
        whole(handler::Request {
            method: method.to_owned(),
            scheme: handler::Scheme::Http,
            authority: "shop.test".to_owned(),
            target: "/api/users?limit=7".to_owned(),
            fields: b"accept: a/b\r\nx-one: 1\r\nx-empty: \r\naccept: c:d\r\n".to_vec(),
            body: b"body".to_vec(),
        })
    }

    #[test]
    fn a_request_of_plain_values_is_a_request_like_any_other() {
        let mut post = request("POST");
        assert_eq!((post.method(), post.path()), (Method::Post, "/api/users".to_owned()));
        assert_eq!(post.query(&["limit"]).map(|query| query.get("limit").map(str::to_owned)), Ok(Some("7".to_owned())));
        assert_eq!((post.header("x-one"), post.header("accept")), (Some("1".to_owned()), None), "once, or not at all");
        assert_eq!((post.header("x-empty"), post.header("x-on")), (Some(String::new()), None));
        assert_eq!(post.body(), Ok(b"body".to_vec()));
        assert!(matches!(post.body(), Err(Error::Internal(_))), "once");
        assert_eq!(request("PURGE").method(), Method::Other);
    }

    #[test]
    fn an_answer_is_the_same_values() {
        let Answer { response, retire } = answered(Response::text(404, "no").header("x-one", "1"));
        assert!(!retire, "it may be asked again");
        assert_eq!((response.status, response.body.as_slice()), (404, &b"no"[..]));
        assert_eq!(response.headers.last(), Some(&("x-one".to_owned(), b"1".to_vec())));
    }
}
