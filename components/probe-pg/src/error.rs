//! An error as JSON: `{"error": {"variant": "db", …}}`, the variant by its name in the WIT.

use sdk::bindings::archipel::postgres::types::Error;
use serde_json::json;

pub(crate) fn tell(error: &Error) -> serde_json::Value {
    let told = match error {
        Error::AccessDenied(text) => json!({ "variant": "access-denied", "text": text }),
        Error::Refused(text) => json!({ "variant": "refused", "text": text }),
        Error::Unavailable(text) => json!({ "variant": "unavailable", "text": text }),
        Error::Timeout => json!({ "variant": "timeout" }),
        Error::Overloaded => json!({ "variant": "overloaded" }),
        Error::Parameter((at, text)) => json!({ "variant": "parameter", "at": at, "text": text }),
        Error::Db(db) => json!({
            "variant": "db",
            "sqlstate": db.sqlstate,
            "severity": db.severity,
            "message": db.message,
            "detail": db.detail,
            "hint": db.hint,
            "schema": db.schema,
            "table": db.table,
            "column": db.column,
            "constraint": db.constraint,
            "position": db.position,
        }),
        Error::TooLarge(limit) => json!({ "variant": "too-large", "limit": limit }),
        Error::Closed => json!({ "variant": "closed" }),
        Error::Other(text) => json!({ "variant": "other", "text": text }),
    };
    json!({ "error": told })
}
