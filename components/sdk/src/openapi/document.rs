//! The document of a service, in JSON: where each part stands in it.

mod names;
mod responses;
mod schemas;

use super::{
    operation::{Api, Guard, Operation, Parameter, Path, Place, Taken},
    schema::{Schema, same},
    writer::Writer,
};
use names::Names;

/// How long the document is.
#[doc(hidden)]
pub const fn length(api: &Api) -> usize {
    let mut writer = Writer::<0>::new();
    document(&mut writer, api);
    writer.length
}

/// The document, of its own length.
#[doc(hidden)]
pub const fn written<const N: usize>(api: &Api) -> [u8; N] {
    let mut writer = Writer::<N>::new();
    document(&mut writer, api);
    writer.bytes
}

const fn document<const N: usize>(to: &mut Writer<N>, api: &Api) {
    to.raw(r#"{"openapi":"3.1.0","info":{"title":"#);
    to.text(api.title);
    to.raw(r#","version":"#);
    to.text(api.version);
    if !api.description.is_empty() {
        to.raw(r#","description":"#);
        to.text(api.description);
    }
    to.raw(r#"},"paths":{"#);
    let mut at = 0;
    while at < api.paths.len() {
        is_new(api.paths, at);
        to.comma(at);
        path(to, api, &api.paths[at]);
        at += 1;
    }
    to.raw(r#"},"components":{"#);
    if is_guarded(api) {
        to.raw(r#""securitySchemes":{"bearer":{"type":"http","scheme":"bearer","bearerFormat":"JWT"}},"#);
    }
    responses::shared(to);
    to.raw(r#","schemas":{"#);
    schemas::platform(to, api.form);
    let names = Names::of(api);
    let mut at = 0;
    while at < names.count {
        to.raw(",");
        schemas::named(to, names.schema(at));
        at += 1;
    }
    to.raw("}}}");
}

const fn path<const N: usize>(to: &mut Writer<N>, api: &Api, path: &Path) {
    to.text(path.path);
    to.raw(":{");
    let mut at = 0;
    while at < path.operations.len() {
        to.comma(at);
        operation(to, api, path.path, &path.operations[at]);
        at += 1;
    }
    to.raw("}");
}

const fn operation<const N: usize>(to: &mut Writer<N>, api: &Api, path: &str, operation: &Operation) {
    to.text(operation.method);
    to.raw(r#":{"operationId":""#);
    to.escaped(api.title);
    to.raw(".");
    to.escaped(last(operation.handler));
    to.raw(r#"","tags":["#);
    to.text(api.title);
    to.raw("]");
    docs(to, operation.docs);
    match operation.guard {
        None => {}
        Some(Guard::Open) => to.raw(r#","security":[]"#),
        Some(Guard::Token | Guard::Some) => to.raw(r#","security":[{"bearer":[]}]"#),
    }
    parameters(to, path, operation.takes);
    let mut at = 0;
    while at < operation.takes.len() {
        if let Taken::Body(schema) = operation.takes[at] {
            to.raw(r#","requestBody":{"required":true,"content":{"application/json":{"schema":"#);
            schemas::schema(to, schema);
            to.raw("}}}");
        }
        at += 1;
    }
    to.raw(r#","responses":{"#);
    responses::of(to, api.form, operation);
    to.raw("}}");
}

/// The first line is the summary, the others describe it.
const fn docs<const N: usize>(to: &mut Writer<N>, lines: &[&str]) {
    let (mut at, mut count) = (0, 0);
    while at < lines.len() {
        let line = lines[at].trim_ascii();
        at += 1;
        if line.is_empty() {
            continue;
        }
        to.raw(match count {
            0 => r#","summary":""#,
            1 => r#"","description":""#,
            _ => " ",
        });
        to.escaped(line);
        count += 1;
    }
    if count > 0 {
        to.raw("\"");
    }
}

/// Those of the path by their order, then those of the query and of headers.
const fn parameters<const N: usize>(to: &mut Writer<N>, path: &str, takes: &[Taken]) {
    to.raw(r#","parameters":["#);
    let (mut rest, mut segments, mut count) = (path.as_bytes(), 0, 0);
    while let Some((name, after)) = braced(rest) {
        to.comma(count);
        to.raw(r#"{"name":"#);
        to.text(name);
        to.raw(r#","in":"path","required":true,"schema":"#);
        schemas::schema(to, segment(takes, segments));
        to.raw("}");
        (rest, segments, count) = (after, segments + 1, count + 1);
    }
    let mut at = 0;
    while at < takes.len() {
        if let Taken::Parameters(list) = takes[at] {
            let mut each = 0;
            while each < list.len() {
                to.comma(count);
                parameter(to, &list[each]);
                (each, count) = (each + 1, count + 1);
            }
        }
        at += 1;
    }
    to.raw("]");
}

const fn parameter<const N: usize>(to: &mut Writer<N>, parameter: &Parameter) {
    to.raw(r#"{"name":"#);
    to.text(parameter.member.name);
    to.raw(match parameter.place {
        Place::Query => r#","in":"query""#,
        Place::Header => r#","in":"header""#,
    });
    if parameter.is_required {
        to.raw(r#","required":true"#);
    }
    if !parameter.member.doc.is_empty() {
        to.raw(r#","description":"#);
        to.text(parameter.member.doc);
    }
    to.raw(r#","schema":"#);
    schemas::bounded(to, &parameter.member, false, "");
    to.raw("}");
}

/// What the handler parses the path's parameter of this place as; a text where it takes none.
const fn segment(takes: &[Taken], place: usize) -> &'static Schema {
    let (mut at, mut count) = (0, 0);
    while at < takes.len() {
        if let Taken::Segment(schema) = takes[at] {
            if count == place {
                return schema;
            }
            count += 1;
        }
        at += 1;
    }
    &Schema::Text
}

/// The first name in braces, and what stands after it.
const fn braced(path: &[u8]) -> Option<(&str, &[u8])> {
    let mut open = 0;
    while open < path.len() && path[open] != b'{' {
        open += 1;
    }
    let mut end = open;
    while end < path.len() && path[end] != b'}' {
        end += 1;
    }
    if end >= path.len() {
        return None;
    }
    let (before, after) = path.split_at(end);
    match core::str::from_utf8(before.split_at(open + 1).1) {
        Ok(name) => Some((name, after.split_at(1).1)),
        Err(_) => panic!("a path is a text"),
    }
}

/// `register` of `account::register`, as a macro writes it: `account :: register`.
const fn last(path: &str) -> &str {
    let bytes = path.as_bytes();
    let mut from = bytes.len();
    while from > 0 && bytes[from - 1] != b':' && bytes[from - 1] != b' ' {
        from -= 1;
    }
    match core::str::from_utf8(bytes.split_at(from).1) {
        Ok(name) => name,
        Err(_) => panic!("a handler's name is a text"),
    }
}

const fn is_guarded(api: &Api) -> bool {
    let mut at = 0;
    while at < api.paths.len() {
        let mut each = 0;
        while each < api.paths[at].operations.len() {
            if matches!(api.paths[at].operations[each].guard, Some(Guard::Token | Guard::Some)) {
                return true;
            }
            each += 1;
        }
        at += 1;
    }
    false
}

const fn is_new(paths: &[Path], place: usize) {
    let mut at = 0;
    while at < place {
        assert!(!same(paths[at].path, paths[place].path), "a path stands twice in the table of routes");
        at += 1;
    }
}
