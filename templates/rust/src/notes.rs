//! Notes, kept in PostgreSQL.

use sdk::{
    Body, Created, Data, Error, FromJson, Request, Timestamp,
    openapi::Described,
    params,
    postgres::{Database, FromRow, Statements as _},
};
use serde::Serialize;

/// A note.
#[derive(Serialize, FromRow, Described)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    id: i64,
    text: String,
    made_at: Timestamp,
}

/// A note to be.
#[derive(FromJson, Described)]
#[described(body)]
pub(crate) struct NewNote {
    #[json(length = 1..=1000, missing = "Give the note's `text`")]
    text: String,
}

pub(crate) fn list(_request: &mut Request) -> Result<Data<Vec<Note>>, Error> {
    let sql = "select id, text, made_at from notes order by id desc limit 100";
    Ok(Data(Database::open("main")?.query(sql, params![])?))
}

pub(crate) fn create(request: &mut Request, body: Body<NewNote>) -> Result<Created<Note>, Error> {
    let new = body.read(request)?;
    let sql = "insert into notes (text) values ($1) returning id, text, made_at";
    let note: Note = Database::open("main")?.query_one(sql, params![new.text])?;
    Ok(Created { location: format!("/notes/{}", note.id), data: note })
}

#[cfg(test)]
mod tests {
    use sdk::testing::{self, Fake};

    use super::*;
    use crate::routes;

    /// What is answered to a body that is sent.
    fn posted(body: &str) -> sdk::Response {
        routes().answer(testing::post("/notes").body("application/json", body.as_bytes()).into())
    }

    #[test]
    fn a_note_is_kept_and_given_back() {
        let fake = Fake::new();
        let main = fake.postgres("main");
        let made_at = Timestamp::from_micros(0);
        main.on("insert into notes").row(["id", "text", "made_at"], params![7_i64, "tea", made_at]);
        let response = posted(r#"{"text":" tea "}"#);
        assert_eq!(response.status, 201);
        assert_eq!(testing::json(&response)["id"], 7);
        assert_eq!(main.statements()[0].parameter::<String>(1), "tea");
    }

    #[test]
    fn a_note_without_a_text_is_refused_and_no_database_is_asked() {
        let response = posted("{}");
        assert_eq!((response.status, testing::json(&response)["error"].as_str()), (400, Some("Give the note's `text`")));
    }
}
