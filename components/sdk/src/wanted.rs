//! One member of a JSON object as a type, by what is said of it: what `#[derive(FromJson)]` is made of.

use std::ops::RangeInclusive;

use uuid::Uuid;

use crate::{Date, Error, Fields, FromJson, Json, LocalTimestamp, Time, within};

/// A member that is to be read.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub(crate) fields: &'a Fields,
    pub(crate) name: &'a str,
    length: Option<RangeInclusive<usize>>,
    range: Option<RangeInclusive<i64>>,
    missing: Option<&'a str>,
}

/// A type that a member of a JSON object can be read as.
pub trait FromField: Sized {
    /// Nothing if the member is not there.
    ///
    /// # Errors
    /// 400, with the member's name, if it is something else.
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error>;

    /// What it is without the member: most types want it.
    fn absent() -> Option<Self> {
        None
    }
}

impl<'a> Wanted<'a> {
    pub fn of(fields: &'a Fields, name: &'a str) -> Self {
        Self { fields, name, length: None, range: None, missing: None }
    }

    /// Of a text in characters, of a list in entries.
    #[must_use]
    pub fn length(mut self, length: RangeInclusive<usize>) -> Self {
        self.length = Some(length);
        self
    }

    /// Of a whole number.
    #[must_use]
    pub fn range(mut self, range: RangeInclusive<i64>) -> Self {
        self.range = Some(range);
        self
    }

    /// What a client is told that left it away.
    #[must_use]
    pub fn missing(mut self, sentence: &'a str) -> Self {
        self.missing = Some(sentence);
        self
    }

    /// # Errors
    /// 400 if it is missing, or is something else.
    pub fn read<T: FromField>(&self) -> Result<T, Error> {
        T::from_field(self)?.or_else(T::absent).ok_or_else(|| match self.missing {
            Some(sentence) => Error::bad_request(sentence),
            None => Error::bad_request(format!("Field `{}` is required", self.name)),
        })
    }

    /// A number, for a type of one's own: [`Fields::number`].
    ///
    /// # Errors
    /// 400 if `read` does not know it, or it is no number.
    pub fn number<T>(
        &self,
        read: impl FnOnce(&str) -> Option<T>,
        wanted: impl FnOnce() -> String,
    ) -> Result<Option<T>, Error> {
        self.fields.number(self.name, read, wanted)
    }

    fn whole(&self, least: i64, most: i64) -> Result<Option<i64>, Error> {
        self.fields.whole_64(self.name, self.range.clone().unwrap_or(least..=most))
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&self) -> Result<Option<T>, Error> {
        let wrong = |error| Error::bad_request(format!("Field `{}`: {error}", self.name));
        self.fields.text(self.name)?.map(|text| text.parse().map_err(wrong)).transpose()
    }
}

/// `null` is not absent, as it is nowhere in this sdk.
impl<T: FromField> FromField for Option<T> {
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        Ok(T::from_field(wanted)?.map(Some))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// Trimmed. Without a `length` it is not empty and at most 1 000 characters long.
impl FromField for String {
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        let length = wanted.length.clone().unwrap_or(1..=1000);
        let text = wanted.fields.text(wanted.name)?;
        text.map(|text| within(wanted.name, text, length)).transpose()
    }
}

impl FromField for i32 {
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        Ok(wanted.whole(Self::MIN.into(), Self::MAX.into())?.and_then(|number| number.try_into().ok()))
    }
}

/// Of at most 18 digits.
impl FromField for i64 {
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        wanted.whole(-999_999_999_999_999_999, 999_999_999_999_999_999)
    }
}

impl FromField for bool {
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        match wanted.fields.get(wanted.name) {
            None => Ok(None),
            Some(Json::Boolean(boolean)) => Ok(Some(*boolean)),
            Some(_) => Err(Error::bad_request(format!("Field `{}` must be true or false", wanted.name))),
        }
    }
}

impl FromField for Uuid {
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        wanted.fields.id(wanted.name)
    }
}

macro_rules! parsed {
    ($($type:ty),*) => {$(
        impl FromField for $type {
            fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
                wanted.parsed()
            }
        }
    )*};
}

parsed!(Date, Time, LocalTimestamp);

/// Of objects. Without a `length`, 1 to 100.
impl<T: FromJson> FromField for Vec<T> {
    fn from_field(wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        wanted.fields.list(wanted.name, wanted.length.clone().unwrap_or(1..=100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Interval,
        postgres::{FromRow, Row, Value, column},
    };

    #[derive(Debug, PartialEq, crate::FromJson)]
    struct Line {
        product_id: Uuid,
        #[json(range = 1..=100)]
        quantity: i32,
    }

    #[derive(Debug, PartialEq, crate::FromJson)]
    struct NewOrder {
        #[json("user", length = 2..=5, missing = "Say who you are: `user`")]
        name: String,
        on: Option<Date>,
        is_gift: Option<bool>,
        #[json(length = 1..=2)]
        lines: Vec<Line>,
    }

    fn read(body: &str) -> Result<NewOrder, String> {
        let fields = Fields::parse(body.as_bytes(), NewOrder::FIELDS);
        fields.and_then(|fields| NewOrder::from_json(&fields)).map_err(|error| error.sentence().to_owned())
    }

    const LINE: &str = r#"{"productId":"017f22e2-79b0-7cc3-98c4-dc0c0c07398f","quantity":7}"#;

    #[test]
    fn a_body_is_read_by_the_fields_of_a_struct() {
        let line = || Line { product_id: Uuid::from_u128(0x017f_22e2_79b0_7cc3_98c4_dc0c_0c07_398f), quantity: 7 };
        let order = read(&format!(r#"{{"user":" Ada ","on":"2026-11-29","isGift":true,"lines":[{LINE},{LINE}]}}"#));
        let on = Date::new(2026, 11, 29);
        let lines = vec![line(), line()];
        assert_eq!(order, Ok(NewOrder { name: "Ada".to_owned(), on, is_gift: Some(true), lines }));
        let order = read(&format!(r#"{{"user":"Ada","lines":[{LINE}]}}"#)).unwrap();
        assert_eq!((order.on, order.is_gift), (None, None));
        assert_eq!(
            (NewOrder::FIELDS, Line::FIELDS),
            (&["user", "on", "isGift", "lines"][..], &["productId", "quantity"][..])
        );
    }

    #[test]
    fn what_is_missing_or_something_else_is_told_by_its_name() {
        let table = [
            (r#"{"lines":[]}"#.to_owned(), "Say who you are: `user`"),
            (format!(r#"{{"user":"A","lines":[{LINE}]}}"#), "Field `user` must be 2 to 5 characters long"),
            (r#"{"user":"Ada"}"#.to_owned(), "Field `lines` is required"),
            (r#"{"user":"Ada","lines":[]}"#.to_owned(), "Field `lines` must have 1 to 2 entries"),
            (
                format!(r#"{{"user":"Ada","on":"today","lines":[{LINE}]}}"#),
                "Field `on`: a date is written `2026-11-29`",
            ),
            (format!(r#"{{"user":"Ada","isGift":1,"lines":[{LINE}]}}"#), "Field `isGift` must be true or false"),
            (
                format!(r#"{{"user":"Ada","lines":[{}]}}"#, LINE.replace('7', "0")),
                "Field `lines[0].quantity` must be a whole number from 1 to 100",
            ),
        ];
        for (body, sentence) in table {
            assert_eq!(read(&body), Err(sentence.to_owned()), "{body}");
        }
    }

    #[derive(Debug, PartialEq, FromRow)]
    struct Booking {
        id: i64,
        #[row("made_on")]
        on: Date,
        lasts: Option<Interval>,
    }

    #[test]
    fn a_row_is_read_by_the_fields_of_a_struct() {
        assert_eq!(Booking::COLUMNS, "id, made_on, lasts");
        let columns = [column("lasts"), column("made_on"), column("id")];
        let values = [Value::Null, Value::Date(7), Value::Int64(1)];
        let booking = Booking::from_row(&Row::of(&columns, &values)).unwrap();
        assert_eq!(booking, Booking { id: 1, on: Date::from_days(7), lasts: None });
    }
}
