//! Notes, kept in PostgreSQL.

use sdk::{
    Answer, Error, Fields, FromJson, Reply, Request, Timestamp, params,
    postgres::{self, Database, FromRow, Row, Statements as _},
    within,
};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    id: i64,
    text: String,
    made_at: Timestamp,
}

struct NewNote {
    text: String,
}

pub(crate) fn list(_request: &mut Request) -> Answer {
    let sql = "select id, text, made_at from notes order by id desc limit 100";
    let notes: Vec<Note> = Database::open("main")?.query(sql, params![])?;
    Reply::ok(&notes)
}

pub(crate) fn create(request: &mut Request) -> Answer {
    let new: NewNote = request.json()?;
    let sql = "insert into notes (text) values ($1) returning id, text, made_at";
    let note: Note = Database::open("main")?.query_one(sql, params![new.text])?;
    Reply::created(format!("/notes/{}", note.id), &note)
}

impl FromRow for Note {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        Ok(Self { id: row.get("id")?, text: row.get("text")?, made_at: row.get("made_at")? })
    }
}

impl FromJson for NewNote {
    const FIELDS: &'static [&'static str] = &["text"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        let text = fields.text("text")?.ok_or_else(|| Error::bad_request("Give the note's `text`"))?;
        Ok(Self { text: within("text", text, 1..=1000)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_a_text() {
        let read = |body: &str| NewNote::from_json(&Fields::parse(body.as_bytes(), NewNote::FIELDS)?).map(|new| new.text);
        assert_eq!(read(r#"{"text":" tea "}"#), Ok("tea".to_owned()));
        assert_eq!(read("{}"), Err(Error::bad_request("Give the note's `text`")));
    }
}
