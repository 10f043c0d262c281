//! A method as spans name it (OpenTelemetry's conventions for HTTP): a closed list, for clients invent methods.

use http::Method;

/// `GET`, or `_OTHER` for what is none of the standard ones.
pub fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
