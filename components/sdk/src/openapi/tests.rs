//! What comes out, and that it is what is served.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Asked, Body, Created, Data, Error, FromJson, NoContent, Parameters, Query, Reply, Request, Timestamp, Uuid,
    openapi::{Described, Form, Guard, Member, Parameter},
    request::test::request,
};

/// A cup of tea,
/// or "two".
#[derive(Serialize, Described)]
#[serde(rename_all = "camelCase")]
struct Cup {
    cup_id: Uuid,
    kind: Kind,
    /// When it was made.
    made_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[allow(dead_code, reason = "only what is said of it counts")]
#[derive(Serialize, Described)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Green,
    EarlGrey,
}

#[allow(dead_code, reason = "only what is said of it counts")]
#[derive(FromJson, Described)]
#[described(body)]
struct NewCup {
    #[json("of", length = 2..=5)]
    kind: String,
    #[json(range = -3..=100)]
    sugar_lumps: Option<i32>,
    for_whom: Vec<Guest>,
}

#[allow(dead_code, reason = "only what is said of it counts")]
#[derive(FromJson, Described)]
#[described(body, name = "Invited")]
struct Guest {
    #[described(json = r#""format":"password""#)]
    name: String,
}

struct Search;

impl Parameters for Search {
    const LIST: &'static [Parameter] = &[
        Parameter::query(Member::new("q", String::SCHEMA).length(1..=usize::MAX).doc("A part of it")).required(),
        Parameter::header(Member::new("If-Match", String::SCHEMA)),
    ];
}

/// As the shop has them: who may is a part of the table.
#[derive(Clone, Copy)]
struct Anyone;

impl Anyone {
    const fn guard(self) -> Guard {
        Guard::Some
    }
}

const FULL: Error = Error::Conflict("The shelf is \"full\"");
const BROKEN: Error = Error::Conflict("It is broken");
const NONE: Error = Error::NotFound("There is no such cup");

crate::routes! {
    "/cups" {
        /// The cups
        ///
        /// The newest first.
        /// All of them.
        get list;
        post create, fails [FULL, BROKEN];
    }
    "/cups/{id}/of/{name}" {
        get one, fails [NONE, Error::Forbidden];
        delete remove;
    }
}

fn list(request: &mut Request, asked: Asked<Search>) -> Result<Data<Vec<Cup>>, Error> {
    let query: Query = asked.query(request)?;
    match query.get("q") {
        Some("tea") => Ok(Data(Vec::new())),
        _ => Err(Error::bad_request("Give `q`")),
    }
}

fn create(request: &mut Request, body: Body<NewCup>) -> Result<Created<Cup>, Error> {
    body.read(request)?;
    Err(FULL)
}

fn one(_request: &mut Request, _id: Uuid, _name: String) -> Result<Reply, Error> {
    Err(NONE)
}

fn remove(_request: &mut Request) -> Result<NoContent, Error> {
    Ok(NoContent)
}

fn document() -> Value {
    serde_json::from_str(OPENAPI).expect("it is JSON")
}

#[test]
fn an_operation_says_what_its_handler_takes_and_answers() {
    let document = document();
    let get = &document["paths"]["/cups"]["get"];
    assert_eq!((&get["summary"], &get["description"]), (&json!("The cups"), &json!("The newest first. All of them.")));
    assert_eq!(get["operationId"], "archipel-sdk.list");
    assert_eq!(
        get["parameters"],
        json!([
            { "name": "q", "in": "query", "required": true, "description": "A part of it",
              "schema": { "type": "string", "minLength": 1 } },
            { "name": "If-Match", "in": "header", "schema": { "type": "string" } },
        ])
    );
    let schema = |answer: &Value| answer["content"]["application/json"]["schema"].clone();
    let cup = json!({ "$ref": "#/components/schemas/Cup" });
    assert_eq!(schema(&get["responses"]["200"]), json!({ "type": "array", "items": cup }));
    let post = &document["paths"]["/cups"]["post"];
    assert_eq!(schema(&post["responses"]["201"]), cup);
    assert_eq!(post["responses"]["201"]["headers"]["Location"]["schema"], json!({ "type": "string" }));
    assert_eq!(schema(&post["requestBody"]), json!({ "$ref": "#/components/schemas/NewCup" }));
    let one = &document["paths"]["/cups/{id}/of/{name}"]["get"];
    let path = |name: &str, schema: Value| json!({ "name": name, "in": "path", "required": true, "schema": schema });
    let id = path("id", json!({ "type": "string", "format": "uuid" }));
    assert_eq!(one["parameters"], json!([id, path("name", json!({ "type": "string" }))]));
    assert!(one["responses"]["2XX"].is_object(), "its type does not say what it answers");
    let delete = &document["paths"]["/cups/{id}/of/{name}"]["delete"];
    assert_eq!(delete["responses"]["204"], json!({ "description": "Done" }));
}

#[test]
fn failures_are_those_of_the_types_of_the_host_and_of_the_table() {
    let document = document();
    let statuses = |path: &str, method: &str| {
        let responses = document["paths"][path][method]["responses"].as_object().expect("responses");
        responses.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(statuses("/cups", "get"), ["200", "400", "429", "500", "502", "503", "504"]);
    assert_eq!(statuses("/cups", "post"), ["201", "400", "409", "413", "415", "429", "500", "502", "503", "504"]);
    let one = "/cups/{id}/of/{name}";
    assert_eq!(statuses(one, "get"), ["2XX", "400", "403", "404", "429", "500", "502", "503", "504"]);
    assert_eq!(statuses(one, "delete"), ["204", "429", "500", "502", "503", "504"]);
    let said = |status: &str, method: &str, path: &str| {
        document["paths"][path][method]["responses"][status]["description"].clone()
    };
    assert_eq!(said("409", "post", "/cups"), "The shelf is \"full\"; or: It is broken");
    assert_eq!(said("404", "get", one), "There is no such cup");
    let forbidden = &document["paths"][one]["get"]["responses"]["403"];
    assert_eq!(forbidden, &json!({ "$ref": "#/components/responses/Forbidden" }));
}

#[test]
fn a_type_is_described_by_what_serde_writes_or_what_a_body_is_read_by() {
    let schemas = &document()["components"]["schemas"];
    assert_eq!(
        schemas["Cup"],
        json!({
            "type": "object", "description": "A cup of tea, or \"two\".", "required": ["cupId", "kind", "madeAt"],
            "properties": {
                "cupId": { "type": "string", "format": "uuid" },
                "kind": { "$ref": "#/components/schemas/Kind" },
                "madeAt": { "anyOf": [
                    { "type": "string", "format": "date-time", "description": "When it was made." }, { "type": "null" },
                ] },
                "note": { "type": "string" },
            },
        })
    );
    assert_eq!(schemas["Kind"], json!({ "type": "string", "enum": ["green", "earl-grey"] }));
    let saying = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$";
    assert_eq!(
        schemas["NewCup"],
        json!({
            "type": "object", "additionalProperties": false, "required": ["of", "forWhom"],
            "properties": {
                "of": { "type": "string", "minLength": 2, "maxLength": 5, "pattern": saying },
                "sugarLumps": { "type": "integer", "minimum": -3, "maximum": 100 },
                "forWhom": { "type": "array", "items": { "$ref": "#/components/schemas/Invited" },
                    "minItems": 1, "maxItems": 100 },
            },
        })
    );
    let name = json!({ "type": "string", "minLength": 1, "maxLength": 1000, "format": "password" });
    assert_eq!(schemas["Invited"]["properties"]["name"], name);
    assert_eq!(schemas["Error"]["properties"]["success"], json!({ "const": false }));
}

#[test]
fn what_is_described_is_what_answers() {
    let answered = |method, target: &'static str| routes().answer(Request::new(request(method, target))).status;
    assert_eq!(answered(crate::Method::Get, "/cups?q=tea"), 200);
    assert_eq!(answered(crate::Method::Get, "/cups?tea=q"), 400);
    assert_eq!(answered(crate::Method::Post, "/cups"), 415);
    assert_eq!(answered(crate::Method::Get, "/cups/7/of/a"), 400);
    assert_eq!(answered(crate::Method::Delete, "/cups/7/of/a"), 204);
}

mod guarded {
    use super::*;

    /// A table whose methods name who may, as the shop's do.
    struct Routes(crate::Routes);

    struct Paths(crate::PathRoutes);

    impl Routes {
        fn new() -> Self {
            Self(crate::Routes::new())
        }

        fn at(self, path: &'static str, methods: impl FnOnce(Paths) -> Paths) -> Self {
            Self(self.0.at(path, |routes| methods(Paths(routes)).0))
        }
    }

    impl Paths {
        fn get<P>(self, _who: Anyone, handler: impl crate::Handler<P>) -> Self {
            Self(self.0.get(handler))
        }
    }

    const FORM: Form = Form { around: Some(("Success", r#"{"type":"object"}"#)) };

    crate::described_routes! {
        [Routes] [FORM]
        "/cups" {
            get(Anyone) cups;
        }
    }

    fn cups(_request: &mut Request) -> Result<Data<u32>, Error> {
        Ok(Data(7))
    }

    #[test]
    fn a_guard_and_a_form_of_ones_own_are_in_the_document() {
        let document: Value = serde_json::from_str(OPENAPI).expect("it is JSON");
        let get = &document["paths"]["/cups"]["get"];
        assert_eq!(get["security"], json!([{ "bearer": [] }]));
        assert!(get["responses"]["401"].is_object() && get["responses"]["403"].is_object());
        let all = &get["responses"]["200"]["content"]["application/json"]["schema"]["allOf"];
        assert_eq!(all[0], json!({ "$ref": "#/components/schemas/Success" }));
        assert_eq!(all[1]["properties"]["data"], json!({ "type": "integer", "minimum": 0 }));
        assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
        assert_eq!(routes().0.list().count(), 1);
    }
}
