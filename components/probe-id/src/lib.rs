//! The test guest for tokens and passwords: asks for what it is told and answers what came back.
//!
//! A success is 200. What the host refused is 409 with the variant of the error, so that a test
//! sees what a guest sees.

use sdk::{
    Method, Request, Response,
    bindings::archipel::identity::{passwords, tokens},
};
use serde_json::{Value, json};

sdk::handler!(answer);

fn answer(mut request: Request) -> Response {
    let path = request.path();
    if request.method() != Method::Post {
        return Response::text(200, "probe-id: POST to /sign, /hash or /verify\n");
    }
    let Some(order) = request.body().ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok()) else {
        return Response::text(400, "no JSON\n");
    };
    let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
    let told = match path.as_ref() {
        "/sign" => sign(&order),
        "/hash" => passwords::hash(&text("password")).map(|hash| json!({ "hash": hash })).map_err(password_error),
        "/verify" => passwords::verify(&text("password"), order["hash"].as_str())
            .map(|matches| json!({ "matches": matches }))
            .map_err(password_error),
        _ => return Response::text(404, "no such behaviour\n"),
    };
    match told {
        Ok(told) => Response::json(200, told.to_string()),
        Err(refused) => Response::json(409, refused.to_string()),
    }
}

/// `{auth, subject, roles, ttl}`.
fn sign(order: &Value) -> Result<Value, Value> {
    let roles = order["roles"].as_array().into_iter().flatten();
    let claims = tokens::Claims {
        subject: order["subject"].as_str().unwrap_or_default().into(),
        roles: roles.map(|role| role.as_str().unwrap_or_default().into()).collect(),
        ttl_seconds: order["ttl"].as_u64().and_then(|ttl| ttl.try_into().ok()).unwrap_or(0),
    };
    let signed = tokens::sign(order["auth"].as_str().unwrap_or_default(), &claims);
    signed.map(|token| json!({ "token": token.value, "expiresIn": token.expires_in_seconds })).map_err(|error| {
        match error {
            tokens::Error::AccessDenied(what) => json!({ "error": "access-denied", "what": what }),
            tokens::Error::Invalid(why) => json!({ "error": "invalid", "what": why }),
            tokens::Error::Overloaded => json!({ "error": "overloaded" }),
            tokens::Error::Other(what) => json!({ "error": "other", "what": what }),
        }
    })
}

fn password_error(error: passwords::Error) -> Value {
    match error {
        passwords::Error::AccessDenied(what) => json!({ "error": "access-denied", "what": what }),
        passwords::Error::Invalid(why) => json!({ "error": "invalid", "what": why }),
        passwords::Error::Overloaded => json!({ "error": "overloaded" }),
        passwords::Error::Other(what) => json!({ "error": "other", "what": what }),
    }
}
