//! The test guest that dials out: over WASI HTTP.
//!
//! It tells what it got or how it was refused; whether it may is the host's to say.

use sdk::{
    Query, Request, Response,
    bindings::wasi::http::{
        outgoing_handler,
        types::{ErrorCode, Fields, IncomingResponse, Method, OutgoingRequest, Scheme},
    },
};

sdk::handler!(answer);

fn answer(request: Request) -> Response {
    let Ok(query) = request.query(&["url"]) else {
        return Response::text(400, "the parameter is `url`\n");
    };
    let told = match request.path().as_str() {
        "/" => Ok("probe-net\n".to_owned()),
        "/fetch" => fetch(&query),
        _ => return Response::text(404, "no such behaviour\n"),
    };
    match told {
        Ok(text) => Response::text(200, &text),
        Err(refused) => Response::text(403, &format!("{refused:?}\n")),
    }
}

/// Gets `url` and tells status and body.
fn fetch(query: &Query) -> Result<String, ErrorCode> {
    let (scheme, rest) =
        query.get("url").and_then(|url| url.split_once("://")).ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(&Method::Get).map_err(invalid)?;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(invalid)?;

    let pending = outgoing_handler::handle(request, None)?;
    pending.subscribe().block();
    let response = pending.get().expect("it is ready").expect("taken once")?;
    Ok(format!("{} {}", response.status(), body(&response)))
}

/// As much of the body as arrives.
fn body(response: &IncomingResponse) -> String {
    let body = response.consume().expect("taken once");
    let stream = body.stream().expect("taken once");
    let mut bytes = Vec::new();
    while let Ok(more) = stream.blocking_read(65_536) {
        bytes.extend(more);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
