//! The test guest that sends whole requests: to services of its host and to the outside, by plain values.
//!
//! It tells what it got or how it was refused, in the words of `probe-net`, so that the same tests hold for both.

use sdk::{
    Query,
    answering::{
        self,
        exports::archipel::http::handler::{self, Answer, Guest},
    },
    bindings::{
        archipel::http::client::{self, Error, Options, Request, Response, Scheme},
        wasi::clocks::monotonic_clock,
    },
};
use serde_json::{Value, json};

struct ProbeClient;

answering::export!(ProbeClient with_types_in sdk::answering);

/// Every parameter that some behaviour takes.
const PARAMETERS: [&str; 10] =
    ["url", "method", "headers", "body", "connect", "first", "between", "times", "then", "most"];

/// What a proxy does not pass on.
const OWN: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

impl Guest for ProbeClient {
    fn handle(request: handler::Request) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query = Query::parse(query, &PARAMETERS).expect("a test knows the parameters");
        sdk::answered(match path {
            "/" => sdk::Response::text(200, "probe-client\n"),
            // The plain way: 200 with status and body, or 403 with the error.
            "/fetch" => match sent(&query) {
                Ok(answer) => sdk::Response::text(200, &format!("{} {}", answer.status, text(&answer))),
                Err(error) => sdk::Response::text(403, &format!("{}\n", word(&error))),
            },
            // Everything about each of `times` answers, or its error.
            "/call" => {
                let told: Vec<Value> = (0..number(&query, "times").unwrap_or(1)).map(|_| told(&query)).collect();
                let status = number(&query, "then").unwrap_or(200);
                sdk::Response::json(u16::try_from(status).expect("a status"), json!(told).to_string())
            }
            // Passes the request on and its answer back.
            "/proxy" => return passed(&request, query.get("url").expect("`url`")),
            // Passes the request on to itself.
            "/circle" => {
                let own = std::env::args().next().expect("its own name");
                return passed(&request, &format!("http://{own}.internal/circle"));
            }
            _ => sdk::Response::text(404, "no such behaviour\n"),
        })
    }
}

fn number(query: &Query, name: &str) -> Option<u64> {
    query.get(name).map(|text| text.parse().expect("a number"))
}

fn text(answer: &Response) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// A request to `url`; nothing where that has no scheme of ours.
fn to(url: &str, method: &str, headers: Vec<(String, Vec<u8>)>, body: Vec<u8>) -> Result<Request, Error> {
    let invalid = || Error::InvalidRequest("the scheme".to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
    let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(invalid()),
    };
    let target = if target.is_empty() { "/" } else { target };
    let (method, authority, target) = (method.to_owned(), authority.to_owned(), target.to_owned());
    Ok(Request { method, scheme, authority, target, headers, body })
}

fn sent(query: &Query) -> Result<Response, Error> {
    let headers = query.get("headers").unwrap_or_default().lines().map(|line| {
        let (name, value) = line.split_once(':').expect("a field");
        (name.to_owned(), value.as_bytes().to_vec())
    });
    let body = query.get("body").unwrap_or_default().as_bytes().to_vec();
    let request =
        to(query.get("url").unwrap_or_default(), query.get("method").unwrap_or("GET"), headers.collect(), body)?;
    let waits = ["first", "between"].iter().find_map(|name| number(query, name));
    let timeout_ms = waits.map(|wait| u32::try_from(wait).expect("a time"));
    client::send(&request, Options { timeout_ms, response_bytes_max: number(query, "most") })
}

fn told(query: &Query) -> Value {
    let began = monotonic_clock::now();
    let mut told = match sent(query) {
        Err(error) => json!({ "error": word(&error), "named": format!("{error:?}"), "whole": false }),
        Ok(answer) => {
            let text = String::from_utf8_lossy;
            let headers: Vec<Value> =
                sdk::fields(&answer.fields).map(|(name, value)| json!([text(name), text(value)])).collect();
            json!({ "status": answer.status, "headers": headers, "body": self::text(&answer), "whole": true })
        }
    };
    told["ms"] = ((monotonic_clock::now() - began) / 1_000_000).into();
    told
}

/// The word that `wasi:http` has for it.
fn word(error: &Error) -> String {
    match error {
        Error::Denied(_) => "ErrorCode::HttpRequestDenied".to_owned(),
        Error::InvalidRequest(_) => "ErrorCode::HttpRequestUriInvalid".to_owned(),
        Error::Timeout => "ErrorCode::HttpResponseTimeout".to_owned(),
        Error::TooLarge => "ErrorCode::HttpResponseHeaderSectionSize(None)".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The fields of a block that a proxy passes on.
fn passing(block: &[u8]) -> Vec<(String, Vec<u8>)> {
    let fields = sdk::fields(block).map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    fields.filter(|(name, _)| !OWN.contains(&name.as_str())).collect()
}

fn passed(request: &handler::Request, url: &str) -> Answer {
    let answer = to(url, &request.method, passing(&request.fields), request.body.clone());
    let answer =
        answer.and_then(|request| client::send(&request, Options { timeout_ms: None, response_bytes_max: None }));
    match answer {
        Ok(answer) => {
            let response =
                handler::Response { status: answer.status, headers: passing(&answer.fields), body: answer.body };
            Answer { response, retire: false }
        }
        Err(error) => panic!("{error:?}"),
    }
}
