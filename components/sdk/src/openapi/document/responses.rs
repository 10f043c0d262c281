//! Answers: the success that a handler's type says, and every failure that it may come to.

use super::schemas;
use crate::{
    Error,
    openapi::{
        operation::{Content, Form, Guard, Operation, Success, Taken},
        writer::Writer,
    },
};

/// A failure that is told in the same words wherever it comes from.
struct Standard {
    status: u16,
    name: &'static str,
    description: &'static str,
    header: &'static str,
}

const SECONDS: &str = r#","headers":{"Retry-After":{"description":"Seconds","schema":{"type":"integer"}}}"#;
const BEARER: &str = r#","headers":{"WWW-Authenticate":{"description":"`Bearer`","schema":{"type":"string"}}}"#;

const STANDARD: [Standard; 12] = [
    standard(400, "BadRequest", "Malformed, or a field fails validation", ""),
    standard(401, "Unauthorized", "No token, or one that is not valid", BEARER),
    standard(403, "Forbidden", "The token does not allow this", ""),
    standard(404, "NotFound", "There is nothing at this path", ""),
    standard(409, "Conflict", "What is there does not allow it", ""),
    standard(413, "TooLarge", "The body is over the limit", ""),
    standard(415, "NotJson", "The body is not `application/json`", ""),
    standard(429, "TooManyRequests", "Over a rate limit", SECONDS),
    standard(500, "Failed", "The service failed", ""),
    standard(502, "BadAnswer", "The service trapped or gave no valid answer", ""),
    standard(503, "Unavailable", "Not available now", SECONDS),
    standard(504, "TimedOut", "The service did not finish in time", ""),
];

const fn standard(status: u16, name: &'static str, description: &'static str, header: &'static str) -> Standard {
    Standard { status, name, description, header }
}

/// What operations refer to.
pub(super) const fn shared<const N: usize>(to: &mut Writer<N>) {
    to.raw(r#""responses":{"#);
    let mut at = 0;
    while at < STANDARD.len() {
        to.comma(at);
        to.text(STANDARD[at].name);
        to.raw(r#":{"description":"#);
        to.text(STANDARD[at].description);
        failed(to, STANDARD[at].header);
        at += 1;
    }
    to.raw("}");
}

/// Those of an operation, the success first.
pub(super) const fn of<const N: usize>(to: &mut Writer<N>, form: Form, operation: &Operation) {
    success(to, form, operation.answers);
    let mut at = 0;
    while at < STANDARD.len() {
        let standard = &STANDARD[at];
        let (is_plain, is_own) = (is_plain(operation, standard.status), is_own(operation.fails, standard.status));
        if is_plain || is_own {
            to.raw(",\"");
            to.number(standard.status as i64);
            to.raw("\":");
            match is_own {
                true => own(to, standard, operation.fails, is_plain),
                false => {
                    to.raw(r##"{"$ref":"#/components/responses/"##);
                    to.raw(standard.name);
                    to.raw("\"}");
                }
            }
        }
        at += 1;
    }
}

/// With the sentences of the failures that the table names.
const fn own<const N: usize>(to: &mut Writer<N>, standard: &Standard, fails: &'static [Error], is_plain: bool) {
    to.raw(r#"{"description":""#);
    if is_plain {
        to.escaped(standard.description);
    }
    let (mut at, mut count) = (0, is_plain as usize);
    while at < fails.len() {
        if let Some(sentence) = fails[at].own_sentence()
            && fails[at].status() == standard.status
        {
            to.raw(if count > 0 { "; or: " } else { "" });
            to.escaped(sentence);
            count += 1;
        }
        at += 1;
    }
    to.raw("\"");
    failed(to, standard.header);
}

/// The rest of a failure's answer.
const fn failed<const N: usize>(to: &mut Writer<N>, header: &str) {
    to.raw(r##","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}"##);
    to.raw(header);
    to.raw("}");
}

/// Whether one of the failures has this status and a sentence of its own.
const fn is_own(fails: &'static [Error], status: u16) -> bool {
    let mut at = 0;
    while at < fails.len() {
        if fails[at].status() == status && fails[at].own_sentence().is_some() {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether it may be answered without anything that the service says: for its guard, for what it takes, by the host.
const fn is_plain(operation: &Operation, status: u16) -> bool {
    let by_itself = match status {
        400 => !operation.takes.is_empty(),
        401 => matches!(operation.guard, Some(Guard::Token | Guard::Some)),
        403 => matches!(operation.guard, Some(Guard::Some)),
        413 | 415 => has_body(operation.takes),
        429 | 500 | 502 | 503 | 504 => true,
        _ => false,
    };
    let mut is_named = false;
    let mut at = 0;
    while at < operation.fails.len() {
        is_named |= operation.fails[at].status() == status && operation.fails[at].own_sentence().is_none();
        at += 1;
    }
    by_itself || is_named
}

const fn has_body(takes: &[Taken]) -> bool {
    let mut at = 0;
    while at < takes.len() {
        if matches!(takes[at], Taken::Body(_)) {
            return true;
        }
        at += 1;
    }
    false
}

const fn success<const N: usize>(to: &mut Writer<N>, form: Form, success: &Success) {
    to.raw("\"");
    match success.content {
        Content::Unknown => to.raw("2XX"),
        _ => to.number(success.status as i64),
    }
    to.raw(r#"":{"description":"#);
    match &success.content {
        Content::Json(schema) if !schema.doc().is_empty() => to.text(schema.doc()),
        Content::None => to.text("Done"),
        _ => to.text("A success"),
    }
    let mut at = 0;
    while at < success.headers.len() {
        let header = &success.headers[at];
        to.raw(if at == 0 { r#","headers":{"# } else { "," });
        to.text(header.name);
        to.raw(r#":{"description":"#);
        to.text(header.doc);
        to.raw(r#","schema":"#);
        schemas::schema(to, header.schema);
        to.raw("}");
        at += 1;
    }
    if at > 0 {
        to.raw("}");
    }
    if let Some(schema) = success.content.schema() {
        to.raw(r#","content":{"application/json":{"schema":"#);
        match form.around {
            None => schemas::schema(to, schema),
            Some((name, _)) => {
                to.raw(r##"{"allOf":[{"$ref":"#/components/schemas/"##);
                to.escaped(name);
                to.raw(r#""},{"type":"object","required":["data"],"properties":{"data":"#);
                schemas::schema(to, schema);
                to.raw("}}]}");
            }
        }
        to.raw("}}");
    }
    to.raw("}");
}
