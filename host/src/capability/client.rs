//! `archipel:http/client`: a whole request out, a whole answer back.
//!
//! Values become a request of `wasi:http` and go the way that those go, and the answer is gathered where it
//! arrives. Nothing is decided here but what is no request at all, and how long an answer may be.

use std::{
    pin::{Pin, pin},
    time::{Duration, Instant},
};

use http::{
    HeaderMap, Method, Uri,
    header::{CONTENT_LENGTH, HOST},
    response::Parts,
};
use http_body_util::{BodyExt, Full};
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi_http::{Error as WasiError, RequestOptions, WasiBody};

use self::bindings::archipel::http::client::{self, Error, Options, Request, Response, Scheme};
use super::http::{Answering, NotWhole, Outgoing, block, gathered, said};
use backend::memory::{Held, counted};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/quick-client",
        imports: { default: async | trappable },
        require_store_data_send: true,
    });
}

/// Bytes in an answer's body at most, and where its asker does not say.
const ANSWER_MAX_BYTES: u64 = 8 << 20;

struct HasClient;

impl HasData for HasClient {
    type Data<'a> = &'a mut Outgoing;
}

/// What a store must hold for its guest to send whole requests.
pub trait ClientView: Send + 'static {
    fn client(&mut self) -> &mut Outgoing;
}

pub fn add_to_linker<T: ClientView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    client::add_to_linker::<_, HasClient>(linker, T::client)
}

impl client::Host for Outgoing {
    async fn send(&mut self, request: Request, options: Options) -> wasmtime::Result<Result<Response, Error>> {
        self.hold(Held::default());
        let place = request.authority.clone();
        Ok(self.exchanged(request, options).await.map_err(|failed| failed.told(place)))
    }
}

impl Outgoing {
    /// The answer's memory counts until the next one, or until the request that is being served ends.
    async fn exchanged(&mut self, request: Request, options: Options) -> Result<Response, Failed> {
        let request = self.request(request)?;
        let timeout = options.timeout_ms.map(|milliseconds| Duration::from_millis(milliseconds.into()));
        let by = timeout.map(|timeout| Instant::now() + timeout);
        let timeouts = RequestOptions { connect_timeout: timeout, first_byte_timeout: timeout, ..Default::default() };
        let answering = self.started(request, Some(timeouts), by)?;
        let bytes_max = options.response_bytes_max.unwrap_or(ANSWER_MAX_BYTES).min(ANSWER_MAX_BYTES);
        let held = Held::nothing_of(Some(self.account().clone()));
        // In a task of its own: polled here, a callee would run inside of this guest's turn.
        let (head, body, held) = wasmtime_wasi::runtime::spawn(whole(answering, bytes_max, held)).await?;
        self.hold(held);
        Ok(Response { status: head.status.as_u16(), fields: block(&head.headers), body })
    }

    fn request(&mut self, given: Request) -> Result<http::Request<WasiBody>, Failed> {
        let invalid = |what: &str| Failed::Invalid(what.to_owned());
        let method = Method::from_bytes(given.method.as_bytes()).map_err(|_invalid| invalid("the method is none"))?;
        let scheme = match given.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let uri = Uri::builder().scheme(scheme).authority(&*given.authority).path_and_query(given.target).build();
        let uri = uri.map_err(|error| Failed::Invalid(format!("authority or target: {error}")))?;
        let mut headers = said(given.headers, self).map_err(Failed::Invalid)?;
        measured(&mut headers, given.body.len())?;
        let host = given.authority.parse().map_err(|_invalid| invalid("the authority is no header"))?;
        headers.insert(HOST, host);
        let mut held = Held::nothing_of(Some(self.account().clone()));
        if !held.grow(given.body.len() as u64) {
            return Err(Failed::NoRoom);
        }
        let body = Full::new(counted(given.body, held)).map_err(|never| match never {}).boxed_unsync();
        let mut request = http::Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        Ok(request)
    }
}

/// The length of a body is told, and told truly.
fn measured(headers: &mut HeaderMap, length: usize) -> Result<(), Failed> {
    let told = headers.get(CONTENT_LENGTH).map(|told| told.to_str().ok().and_then(|told| told.parse().ok()));
    match told {
        Some(told) if told != Some(length) => {
            Err(Failed::Invalid(format!("its `content-length` is not that of its body, {length}")))
        }
        None if length > 0 => {
            headers.insert(CONTENT_LENGTH, length.into());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The answer's head, its body, and what that takes of the account.
async fn whole(answering: Answering, bytes_max: u64, mut held: Held) -> Result<(Parts, Vec<u8>, Held), Failed> {
    let (response, work) = Pin::from(answering).await?;
    let (head, body) = response.into_parts();
    let mut work = Pin::from(work);
    let body = {
        let mut gathering = pin!(gathered::<WasiBody>(body, bytes_max, &mut held));
        // The work is what moves the body; what it ends with, the body says, too.
        tokio::select! {
            body = &mut gathering => body,
            _moved = &mut work => gathering.await,
        }?
    };
    Ok((head, body, held))
}

/// Why there is no answer.
#[derive(Debug)]
enum Failed {
    Invalid(String),
    TooLong,
    NoRoom,
    Sent(WasiError),
}

impl From<WasiError> for Failed {
    fn from(error: WasiError) -> Self {
        Self::Sent(error)
    }
}

impl From<NotWhole<WasiError>> for Failed {
    fn from(not_whole: NotWhole<WasiError>) -> Self {
        match not_whole {
            NotWhole::Broken(error) => Self::Sent(error),
            NotWhole::TooLong => Self::TooLong,
            NotWhole::NoRoom => Self::NoRoom,
        }
    }
}

impl Failed {
    /// In the words of the contract; `place` is where it was to go.
    fn told(self, place: String) -> Error {
        use WasiError as Wasi;
        match self {
            Self::Invalid(what) => Error::InvalidRequest(what),
            Self::TooLong => Error::TooLarge,
            Self::NoRoom => Error::Overloaded,
            Self::Sent(error) => match error {
                Wasi::HttpRequestDenied => Error::Denied(place),
                Wasi::DnsTimeout
                | Wasi::ConnectionTimeout
                | Wasi::HttpResponseTimeout
                | Wasi::ConnectionReadTimeout => Error::Timeout,
                Wasi::HttpResponseBodySize(_) | Wasi::HttpResponseHeaderSectionSize(_) => Error::TooLarge,
                Wasi::HttpRequestMethodInvalid => Error::InvalidRequest("the method may not be sent".to_owned()),
                Wasi::HttpRequestUriInvalid => {
                    Error::InvalidRequest("the authority or the target is not valid".to_owned())
                }
                Wasi::ConnectionLimitReached => Error::Overloaded,
                other => Error::Unreachable(other.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(says: Option<&str>, length: usize, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        says.map(|says| headers.insert(CONTENT_LENGTH, says.parse().expect("a value")));
        let measured = measured(&mut headers, length).is_ok().then(|| headers.get(CONTENT_LENGTH));
        let told = measured.map(|told| told.map(|told| told.to_str().expect("text")));
        assert_eq!(told, expected.map(|text| (!text.is_empty()).then_some(text)), "{says:?} of {length}");
    }

    #[test]
    fn a_length_is_told_where_there_is_a_body_and_a_false_one_is_no_request() {
        check(None, 0, Some(""));
        check(None, 7, Some("7"));
        check(Some("7"), 7, Some("7"));
        check(Some("0"), 0, Some("0"));
        check(Some("8"), 7, None);
        check(Some("7x"), 7, None);
        check(Some("1"), 0, None);
    }

    #[test]
    fn a_failure_has_one_name_in_the_contract() {
        let told = |error: WasiError| format!("{:?}", Failed::from(error).told("a.test".to_owned()));
        assert!(told(WasiError::HttpRequestDenied).contains("Denied(\"a.test\")"));
        assert!(told(WasiError::ConnectionReadTimeout).contains("Timeout"));
        assert!(told(WasiError::HttpResponseHeaderSectionSize(None)).contains("TooLarge"));
        assert!(told(WasiError::HttpRequestUriInvalid).contains("InvalidRequest"));
        assert!(told(WasiError::ConnectionRefused).contains("Unreachable"));
        let many = Failed::from(NotWhole::NoRoom).told(String::new());
        assert!(matches!(many, Error::Overloaded), "{many:?}");
    }
}
