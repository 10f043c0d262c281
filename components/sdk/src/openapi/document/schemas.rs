//! Schemas in JSON.

use crate::openapi::{
    operation::Form,
    schema::{Member, Object, Schema},
    writer::Writer,
};

/// What a failure looks like: the platform's form, which is the gateway's too.
const FAILURE: &str = r#""Error":{"type":"object","required":["success","error","timestamp","traceId"],"properties":{"success":{"const":false},"error":{"type":"string"},"timestamp":{"type":"string","format":"date-time"},"traceId":{"type":"string","pattern":"^[0-9a-f]{32}$"}}}"#;

/// What a text of a body may be: no body has a NUL, and bounds are those of a text without the spaces around it.
const TEXT: &str = r#","pattern":"^[^\\u0000]*$""#;
const SAYING_TEXT: &str = r#","pattern":"^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$""#;

/// Those of every service.
pub(super) const fn platform<const N: usize>(to: &mut Writer<N>, form: Form) {
    to.raw(FAILURE);
    if let Some((name, schema)) = form.around {
        to.raw(",");
        to.text(name);
        to.raw(":");
        to.raw(schema);
    }
}

/// A type under its name.
pub(super) const fn named<const N: usize>(to: &mut Writer<N>, schema: &Schema) {
    match schema {
        Schema::Words(words) => {
            to.text(words.name);
            to.raw(r#":{"type":"string","enum":["#);
            let mut at = 0;
            while at < words.words.len() {
                to.comma(at);
                to.text(words.words[at]);
                at += 1;
            }
            to.raw("]");
            described(to, words.doc);
            to.raw("}");
        }
        Schema::Object(object) => {
            to.text(object.name);
            to.raw(":");
            self::object(to, object);
        }
        _ => panic!("only words and objects have names"),
    }
}

const fn object<const N: usize>(to: &mut Writer<N>, object: &Object) {
    to.raw(r#"{"type":"object""#);
    let (mut at, mut count) = (0, 0);
    while at < object.members.len() {
        if is_required(object, &object.members[at]) {
            to.raw(if count == 0 { r#","required":["# } else { "," });
            to.text(object.members[at].name);
            count += 1;
        }
        at += 1;
    }
    to.raw(if count > 0 { "]" } else { "" });
    to.raw(r#","properties":{"#);
    let mut at = 0;
    while at < object.members.len() {
        let member = &object.members[at];
        to.comma(at);
        to.text(member.name);
        to.raw(":");
        bounded(to, member, object.is_body, member.doc);
        at += 1;
    }
    to.raw("}");
    if object.is_body {
        to.raw(r#","additionalProperties":false"#);
    }
    if object.is_some {
        to.raw(r#","minProperties":1"#);
    }
    described(to, object.doc);
    to.raw("}");
}

const fn is_required(object: &Object, member: &Member) -> bool {
    let may_be_left_away = object.is_body && matches!(member.schema, Schema::Optional(_));
    !(member.may_be_absent || may_be_left_away)
}

/// A member's schema with all that is said of it.
pub(super) const fn bounded<const N: usize>(to: &mut Writer<N>, member: &Member, is_body: bool, doc: &str) {
    let mut inner = member.schema;
    if let Schema::Optional(of) = inner {
        let may_be_null = !is_body && !member.may_be_absent;
        if may_be_null {
            to.raw(r#"{"anyOf":["#);
            bounded(to, &Member { schema: of, ..*member }, is_body, doc);
            return to.raw(r#",{"type":"null"}]}"#);
        }
        inner = of;
    }
    to.raw("{");
    members(to, inner);
    if let Some((least, most)) = length(member, inner, is_body) {
        let is_list = matches!(inner, Schema::List(_));
        to.raw(if is_list { r#","minItems":"# } else { r#","minLength":"# });
        to.number(least as i64);
        if most < usize::MAX {
            to.raw(if is_list { r#","maxItems":"# } else { r#","maxLength":"# });
            to.number(most as i64);
        }
        if is_body && matches!(inner, Schema::Text) && member.more.is_empty() {
            to.raw(if least > 0 { SAYING_TEXT } else { TEXT });
        }
    }
    if let Some((least, most)) = member.range {
        to.raw(r#","minimum":"#);
        to.number(least);
        to.raw(r#","maximum":"#);
        to.number(most);
    }
    if !member.more.is_empty() {
        to.raw(",");
        to.raw(member.more);
    }
    described(to, doc);
    to.raw("}");
}

/// What is said of it, or what `FromJson` takes where nothing is.
const fn length(member: &Member, schema: &Schema, is_body: bool) -> Option<(usize, usize)> {
    match (member.length, schema) {
        (Some(length), _) => Some(length),
        (None, Schema::Text) if is_body => Some((1, 1000)),
        (None, Schema::List(_)) if is_body => Some((1, 100)),
        (None, _) => None,
    }
}

/// By its name, or as it is.
pub(super) const fn schema<const N: usize>(to: &mut Writer<N>, schema: &Schema) {
    to.raw("{");
    members(to, schema);
    to.raw("}");
}

const fn members<const N: usize>(to: &mut Writer<N>, schema: &Schema) {
    match schema {
        Schema::Plain(members) => to.raw(members),
        Schema::Text => to.raw(r#""type":"string""#),
        Schema::List(of) => {
            to.raw(r#""type":"array","items":"#);
            self::schema(to, of);
        }
        Schema::Optional(of) => {
            to.raw(r#""anyOf":["#);
            self::schema(to, of);
            to.raw(r#",{"type":"null"}]"#);
        }
        Schema::Words(words) => named_reference(to, words.name),
        Schema::Object(object) => named_reference(to, object.name),
    }
}

const fn named_reference<const N: usize>(to: &mut Writer<N>, name: &str) {
    to.raw(r##""$ref":"#/components/schemas/"##);
    to.escaped(name);
    to.raw("\"");
}

const fn described<const N: usize>(to: &mut Writer<N>, doc: &str) {
    if !doc.is_empty() {
        to.raw(r#","description":"#);
        to.text(doc);
    }
}
