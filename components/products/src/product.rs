//! What a product is, and what may be said about one.

use std::ops::RangeInclusive;

use sdk::{
    Error, Fields, FromJson, Timestamp, Uuid, Wanted,
    openapi::Described,
    postgres::{self, FromRow, Row},
    within,
};
use serde::Serialize;
use shop::Money;

pub(crate) const NOT_FOUND: Error = Error::NotFound("Product not found");

/// A product, as stored and as shown.
#[derive(Debug, Serialize, Described)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Product {
    pub(crate) id: Uuid,
    #[json(length = NAME)]
    pub(crate) name: String,
    #[described(json = Money::A_PRICE)]
    pub(crate) price: Money,
    #[json(range = INVENTORY)]
    pub(crate) inventory: i32,
    #[json(length = DESCRIPTION)]
    pub(crate) description: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A product to be.
#[derive(Debug, PartialEq, Eq, Described)]
#[described(body)]
pub(crate) struct NewProduct {
    #[json(length = NAME)]
    pub(crate) name: String,
    #[described(json = Money::A_PRICE)]
    pub(crate) price: Money,
    #[json(range = INVENTORY)]
    pub(crate) inventory: i32,
    #[json(length = DESCRIPTION)]
    pub(crate) description: Option<String>,
}

/// What is to be different; at least one of them.
#[derive(Debug, PartialEq, Eq, Described)]
#[described(body, some, name = "ProductChanges")]
pub(crate) struct Changes {
    #[json(length = NAME)]
    pub(crate) name: Option<String>,
    #[described(json = Money::A_PRICE)]
    pub(crate) price: Option<Money>,
    #[json(range = INVENTORY)]
    pub(crate) inventory: Option<i32>,
    #[json(length = DESCRIPTION)]
    pub(crate) description: Option<String>,
}

const NAME: RangeInclusive<usize> = 1..=255;
const DESCRIPTION: RangeInclusive<usize> = 0..=4000;
const INVENTORY: RangeInclusive<i64> = 0..=1_000_000_000;

impl FromRow for Product {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            price: row.get("price")?,
            inventory: row.get("inventory")?,
            description: row.get("description")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

impl FromJson for NewProduct {
    const FIELDS: &'static [&'static str] = &["name", "price", "inventory", "description"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        let Changes { name, price, inventory, description } = read(fields)?;
        match (name, price, inventory) {
            (Some(name), Some(price), Some(inventory)) => Ok(Self { name, price, inventory, description }),
            _ => Err(Error::bad_request("Name, price and inventory are required")),
        }
    }
}

impl FromJson for Changes {
    const FIELDS: &'static [&'static str] = NewProduct::FIELDS;

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        let changes = read(fields)?;
        if changes == (Self { name: None, price: None, inventory: None, description: None }) {
            let sentence = "There is nothing to change: give `name`, `price`, `inventory` or `description`";
            return Err(Error::bad_request(sentence));
        }
        Ok(changes)
    }
}

/// The fields that are there, each judged.
fn read(fields: &Fields) -> Result<Changes, Error> {
    let text = |field, characters| fields.text(field)?.map(|text| within(field, text, characters)).transpose();
    Ok(Changes {
        name: text("name", NAME)?,
        price: Wanted::of(fields, "price").read()?,
        inventory: Wanted::of(fields, "inventory").range(INVENTORY).read()?,
        description: text("description", DESCRIPTION)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: FromJson>(body: &str) -> Result<T, Error> {
        T::from_json(&Fields::parse(body.as_bytes(), T::FIELDS)?)
    }

    #[track_caller]
    fn refused<T: FromJson + std::fmt::Debug>(body: &str, sentence: &str) {
        assert_eq!(parse::<T>(body).unwrap_err(), Error::bad_request(sentence), "{body}");
    }

    #[test]
    fn a_new_product_has_a_name_a_price_and_a_stock() {
        let new = parse::<NewProduct>(r#"{"name":" Tea ","price":19.90,"inventory":5}"#).unwrap();
        let price = Money::parse("19.9").unwrap();
        let expected = NewProduct { name: "Tea".to_owned(), price, inventory: 5, description: None };
        assert_eq!(new, expected);
        for body in ["{}", r#"{"name":"Tea","price":1}"#, r#"{"price":1,"inventory":1}"#] {
            refused::<NewProduct>(body, "Name, price and inventory are required");
        }
    }

    #[test]
    fn each_field_has_its_bounds() {
        refused::<Changes>(r#"{"name":" "}"#, "Field `name` must be 1 to 255 characters long");
        refused::<Changes>(
            &format!(r#"{{"description":"{}"}}"#, "é".repeat(4001)),
            "Field `description` must be 0 to 4000 characters long",
        );
        for inventory in ["-1", "1000000001", "1.5", "1e10"] {
            let body = format!(r#"{{"inventory":{inventory}}}"#);
            refused::<Changes>(&body, "Field `inventory` must be a whole number from 0 to 1000000000");
        }
        for price in ["-0.01", "19.999", "1e99", "10000000"] {
            let body = format!(r#"{{"price":{price}}}"#);
            refused::<Changes>(&body, "Field `price` must be an amount from 0 to 9999999.99 with at most two decimals");
        }
        refused::<Changes>(r#"{"price":"19.99"}"#, "Field `price` must be a number, not a string");
        assert!(parse::<Changes>(r#"{"price":9999999.99,"inventory":1000000000}"#).is_ok());
    }

    #[test]
    fn a_change_needs_at_least_one_field() {
        let sentence = "There is nothing to change: give `name`, `price`, `inventory` or `description`";
        refused::<Changes>("{}", sentence);
        assert!(parse::<Changes>(r#"{"description":""}"#).is_ok());
    }
}
