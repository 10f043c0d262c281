//! Every type that the sdk reads and writes, sent and read back by it.

use sdk::{
    Date, Interval, LocalTimestamp, Time, Timestamp, Uuid,
    postgres::{Database, Error, FromRow, FromValue, Statements as _, Value},
};
use serde_json::{Value as Json, json};

/// What came back, and how PostgreSQL itself writes what was sent.
#[derive(FromRow)]
struct Back<T: FromValue> {
    back: T,
    text: String,
}

struct Trip(Database);

impl Trip {
    fn of<T: Into<Value> + FromValue + PartialEq + Clone>(&self, kind: &str, value: T) -> Result<Json, Error> {
        let sql = format!("select $1::{kind} as back, ($1::{kind})::text as text");
        let Back { back, text } = self.0.query_one::<Back<T>>(&sql, &[value.clone().into()])?;
        Ok(json!({ "type": kind, "same": back == value, "text": text }))
    }
}

pub(crate) fn told(database: &str) -> Result<Json, Error> {
    let trip = Trip(Database::open(database)?);
    let span = Interval { months: 14, days: -3, micros: 1_500_000 };
    let (day, hour) = (Date::from_days(20_455), Time::from_micros(11_045_000_006));
    let hour = hour.ok_or_else(|| Error::Other("no time of a day".to_owned()))?;
    let (local, moment) = (LocalTimestamp::new(day, hour), Timestamp::from_micros(-1));
    Ok(Json::Array(vec![
        trip.of("interval", span)?,
        trip.of("date", day)?,
        trip.of("time", hour)?,
        trip.of("timestamp", local)?,
        trip.of("timestamptz", moment)?,
        trip.of("interval[]", vec![Some(span), None])?,
        trip.of("date[]", vec![day, Date::from_days(-1)])?,
        trip.of("time[]", vec![hour])?,
        trip.of("timestamp[]", vec![Some(local), None])?,
        trip.of("timestamptz[]", vec![moment])?,
        trip.of("bool[]", vec![Some(true), None, Some(false)])?,
        trip.of("float4[]", vec![0.1_f32])?,
        trip.of("float8[]", vec![0.1_f64, -1e300])?,
        trip.of("int2[]", vec![i16::MIN])?,
        trip.of("int4[]", vec![Some(i32::MAX), None])?,
        trip.of("int8[]", vec![i64::MIN])?,
        trip.of("text[]", vec!["Zoë".to_owned(), "a\"b".to_owned()])?,
        trip.of("uuid[]", vec![Uuid::nil()])?,
        trip.of("date[]", Vec::<Date>::new())?,
    ]))
}
