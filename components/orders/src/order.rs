//! What an order is, and what may be asked for.

use std::collections::BTreeMap;

use sdk::{
    Error, Fields, FromJson, Timestamp, Uuid, new_id,
    openapi::{Described, Member, Object, Schema},
    postgres::{self, FromRow, Row},
};
use serde::Serialize;
use shop::Money;

use crate::status::Status;

/// Entries of one order, as they are given.
const ITEMS_MAX: usize = 100;
/// Of one entry; the lines of a product may be more together.
const QUANTITY_MAX: i32 = 1000;

/// An order.
#[derive(Debug, Serialize, Described)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    #[json(length = 1..=ITEMS_MAX)]
    pub(crate) items: Vec<Item>,
    #[described(json = Money::A_SUM)]
    pub(crate) total: Money,
    pub(crate) status: Status,
    pub(crate) created_at: Timestamp,
}

/// A product in an order, at the price it had then.
#[derive(Debug, Clone, Serialize, Described)]
#[serde(rename_all = "camelCase")]
#[described(name = "OrderItem")]
pub(crate) struct Item {
    pub(crate) product_id: Uuid,
    #[json(range = 1..=(ITEMS_MAX as i64 * QUANTITY_MAX as i64))]
    pub(crate) quantity: i32,
    #[described(json = Money::A_PRICE)]
    pub(crate) price: Money,
}

/// An order to be.
#[derive(Debug)]
pub(crate) struct NewOrder {
    pub(crate) user: Uuid,
    /// Judged by whoever knows that it is the asker's own: somebody else's is refused first.
    pub(crate) lines: Result<Vec<Line>, Error>,
}

/// An order in the making.
pub(crate) struct Draft {
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    pub(crate) lines: Vec<Line>,
    pub(crate) created_at: Timestamp,
}

impl Draft {
    pub(crate) fn new(user: Uuid, lines: Vec<Line>) -> Self {
        let now = Timestamp::now();
        Self { id: new_id(now), user, lines, created_at: now }
    }
}

/// So much of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Described)]
#[described(body, name = "OrderLine")]
pub(crate) struct Line {
    #[json("productId")]
    pub(crate) product: Uuid,
    #[json(range = 1..=QUANTITY_MAX as i64)]
    pub(crate) quantity: i32,
}

impl Described for NewOrder {
    const SCHEMA: &'static Schema = &Schema::Object(&Object {
        name: "NewOrder",
        doc: "An order to be.",
        members: &[
            Member::new("userId", Uuid::SCHEMA),
            Member::new("items", <Vec<Line>>::SCHEMA)
                .length(1..=ITEMS_MAX)
                .doc("Entries of the same product become one"),
        ],
        is_body: true,
        is_some: false,
    });
}

impl FromJson for NewOrder {
    const FIELDS: &'static [&'static str] = &["userId", "items"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        let required = || Error::bad_request("Fields `userId` and `items` are required");
        let user = fields.id("userId")?.ok_or_else(required)?;
        let lines = fields.list("items", 1..=ITEMS_MAX).and_then(|lines| lines.ok_or_else(required));
        Ok(Self { user, lines })
    }
}

impl FromJson for Line {
    const FIELDS: &'static [&'static str] = &["productId", "quantity"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        match (fields.id("productId")?, fields.whole("quantity", 1..=QUANTITY_MAX)?) {
            (Some(product), Some(quantity)) => Ok(Self { product, quantity }),
            _ => Err(Error::bad_request("Each entry of `items` needs `productId` and `quantity`")),
        }
    }
}

/// One line for each product, in the order in which they were first named.
pub(crate) fn merged(lines: &[Line]) -> Vec<Line> {
    let mut places: BTreeMap<Uuid, usize> = BTreeMap::new();
    let mut merged: Vec<Line> = Vec::new();
    for line in lines {
        match places.get(&line.product) {
            Some(place) => merged[*place].quantity += line.quantity,
            None => {
                places.insert(line.product, merged.len());
                merged.push(*line);
            }
        }
    }
    merged
}

/// What all items cost together, to the cent; 400 if that is more than an order can cost.
pub(crate) fn total(items: &[Item]) -> Result<Money, Error> {
    let sum = items.iter().try_fold(Money::default(), |sum, item| sum.plus(item.price.times(item.quantity)?));
    sum.ok_or_else(|| Error::bad_request(format!("The order costs more than {}", Money::MAX)))
}

/// Its items stand in arrays, line by line.
impl FromRow for Order {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        Ok(Self {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            items: items(
                row.get("products")?,
                &row.get::<Vec<i64>>("quantities")?,
                &row.get::<Vec<String>>("prices")?,
            )?,
            total: row.get("total")?,
            status: row.get("status")?,
            created_at: row.get("created_at")?,
        })
    }
}

fn items(products: Vec<Uuid>, quantities: &[i64], prices: &[String]) -> Result<Vec<Item>, postgres::Error> {
    let item = |((product_id, quantity), price): ((Uuid, &i64), &String)| {
        Some(Item { product_id, quantity: i32::try_from(*quantity).ok()?, price: Money::parse(price)? })
    };
    let items: Option<Vec<Item>> = products.into_iter().zip(quantities).zip(prices).map(item).collect();
    items.ok_or_else(|| postgres::Error::Other("an item of an order cannot be read".to_owned()))
}

impl FromRow for Line {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        Ok(Self { product: row.get("product_id")?, quantity: row.get("quantity")? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

    fn parse(body: &str) -> Result<NewOrder, Error> {
        NewOrder::from_json(&Fields::parse(body.as_bytes(), NewOrder::FIELDS)?)
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn an_order_is_for_a_user_and_has_1_to_100_entries_of_1_to_1000() {
        let items = |items: &str| parse(&format!(r#"{{"userId":"{ID}","items":{items}}}"#)).unwrap().lines;
        let entry = |quantity: &str| format!(r#"{{"productId":"{ID}","quantity":{quantity}}}"#);
        let line = |quantity| Line { product: ID.parse().unwrap(), quantity };
        assert_eq!(items(&format!("[{},{}]", entry("1"), entry("1e3"))), Ok(vec![line(1), line(1000)]));
        assert_eq!(items(&format!("[{}]", vec![entry("1"); 100].join(","))).unwrap().len(), 100);
        let many = format!("[{}]", vec![entry("1"); 101].join(","));
        let needs = "Each entry of `items` needs `productId` and `quantity`";
        for (body, sentence) in [
            ("[]", "Field `items` must have 1 to 100 entries"),
            (&*many, "Field `items` must have 1 to 100 entries"),
            ("[{}]", needs),
            (r#"[{"quantity":1}]"#, needs),
            (&format!(r#"[{{"productId":"{ID}"}}]"#), needs),
            (&format!("[{}]", entry("0")), "Field `items[0].quantity` must be a whole number from 1 to 1000"),
            (&format!("[{}]", entry("1001")), "Field `items[0].quantity` must be a whole number from 1 to 1000"),
            (&format!("[{}]", entry("1.5")), "Field `items[0].quantity` must be a whole number from 1 to 1000"),
            (r#"[{"productId":"7","quantity":1}]"#, "Field `items[0].productId` is not a UUID"),
            (r#"[{"price":1}]"#, "Field `items[0].price` is unknown; there are `productId`, `quantity`"),
        ] {
            assert_eq!(items(body), Err(Error::bad_request(sentence)), "{body}");
        }
        let required = Error::bad_request("Fields `userId` and `items` are required");
        assert_eq!(parse(r#"{"items":[]}"#).unwrap_err(), required);
        assert_eq!(parse(&format!(r#"{{"userId":"{ID}"}}"#)).unwrap().lines, Err(required));
    }

    #[test]
    fn lines_of_a_product_are_one_and_stand_where_the_first_stood() {
        let line = |product, quantity| Line { product: id(product), quantity };
        let given = [line(2, 1), line(1, 1000), line(2, 5), line(1, 1000)];
        assert_eq!(merged(&given), [line(2, 6), line(1, 2000)]);
    }

    #[test]
    fn a_total_over_what_the_database_holds_is_a_400() {
        let item = |quantity| Item { product_id: id(1), quantity, price: Money::PRICE_MAX };
        assert_eq!(total(&[item(1000)]).unwrap().to_string(), "9999999990");
        assert_eq!(total(&[item(1000), item(1)]), Err(Error::bad_request("The order costs more than 9999999999.99")));
    }

    proptest! {
        #[test]
        fn totals_are_exact(lines in prop::collection::vec((0..=999_999_999_i64, 1..=100_000_i32), 1..=100)) {
            let item = |(cents, quantity): &(i64, i32)| Item {
                product_id: id(1),
                quantity: *quantity,
                price: Money::from_cents(*cents).unwrap(),
            };
            let exact: i128 = lines.iter().map(|(cents, quantity)| i128::from(*cents) * i128::from(*quantity)).sum();
            let items: Vec<Item> = lines.iter().map(item).collect();
            match total(&items) {
                Ok(total) => prop_assert_eq!(i128::from(total.cents()), exact),
                Err(_) => prop_assert!(exact > i128::from(Money::MAX.cents())),
            }
        }

        #[test]
        fn merging_loses_nothing(lines in prop::collection::vec((0..5_u128, 1..=1000_i32), 1..=100)) {
            let lines: Vec<Line> =
                lines.into_iter().map(|(product, quantity)| Line { product: id(product), quantity }).collect();
            let merged = merged(&lines);
            for number in 0..5 {
                let of = |lines: &[Line]| lines.iter().filter(|line| line.product == id(number)).map(|line| line.quantity).sum::<i32>();
                prop_assert_eq!(of(&lines), of(&merged));
                prop_assert!(merged.iter().filter(|line| line.product == id(number)).count() <= 1);
            }
        }
    }
}
