//! Stock that orders take and give back: once for each order and product, however often it is said.

use sdk::{
    Error, Fields, FromJson, Timestamp, Uuid,
    openapi::Described,
    params,
    postgres::{self, FromRow, Row, Single, Statements as _},
};

use crate::{
    product::{NOT_FOUND, Product},
    store::Store,
};

/// The lines of one product in one order, together.
const QUANTITY_MAX: i32 = 100_000;

pub(crate) const INSUFFICIENT: Error = Error::Conflict("Insufficient inventory");
pub(crate) const RELEASED: Error = Error::Conflict("The order has released this product");
pub(crate) const OTHER_QUANTITY: Error = Error::Conflict("The order has reserved another quantity of this product");

/// What an order takes.
#[derive(Debug, PartialEq, Eq, Described)]
#[described(body)]
pub(crate) struct Reserve {
    #[json(range = 1..=QUANTITY_MAX as i64)]
    quantity: i32,
    #[json("orderId")]
    order: Uuid,
}

/// The order that gives back what it took.
#[derive(Debug, PartialEq, Eq, Described)]
#[described(body)]
pub(crate) struct Release {
    #[json("orderId")]
    order: Uuid,
}

/// A product, and what is known of one order's share.
struct Found {
    product: Product,
    quantity: Option<i32>,
    released: bool,
}

impl Store {
    /// Takes stock, or changes nothing. One statement, so that it is whole; a twin of the same order
    /// waits for the product's row and then meets the key of the reservations.
    pub(crate) fn reserve(&self, product: Uuid, wanted: &Reserve) -> Result<Product, Error> {
        let sql = "with taken as (
                update products set inventory = inventory - $3,
                    updated_at = greatest($4, updated_at + interval '1 millisecond')
                where id = $1 and inventory >= $3
                    and not exists (select from reservations where product_id = $1 and order_id = $2)
                returning id, name, price, inventory, description, created_at, updated_at
            ), kept as (
                insert into reservations (product_id, order_id, quantity) select id, $2, $3 from taken
            )
            select * from taken";
        let params = params![product, wanted.order, wanted.quantity, Timestamp::now()];
        match self.database().query_optional(sql, params) {
            Ok(Some(product)) => Ok(product),
            Ok(None) => self.as_reserved(product, wanted),
            Err(error) if error.is_unique("reservations_key") => self.as_reserved(product, wanted),
            Err(error) => Err(error.into()),
        }
    }

    /// Why nothing was taken, or the product if it was taken before.
    fn as_reserved(&self, product: Uuid, wanted: &Reserve) -> Result<Product, Error> {
        let sql = "select id, name, price, inventory, description, created_at, updated_at,
                       reservations.quantity, reservations.released_at is not null as released
                   from products left join reservations on product_id = id and order_id = $2 where id = $1";
        let found: Option<Found> = self.database().query_optional(sql, params![product, wanted.order])?;
        let found = found.ok_or(NOT_FOUND)?;
        match found.quantity {
            None => Err(INSUFFICIENT),
            Some(_) if found.released => Err(RELEASED),
            Some(quantity) if quantity == wanted.quantity => Ok(found.product),
            Some(_) => Err(OTHER_QUANTITY),
        }
    }

    /// Gives back what the order took; nothing if it took nothing or has given it back. Either way
    /// the order is remembered, and a reservation that comes later is refused.
    ///
    /// The product's row is locked first, as by [`Store::reserve`], so that the two never wait for
    /// one another.
    pub(crate) fn release(&self, product: Uuid, order: &Release) -> Result<Product, Error> {
        let now = Timestamp::now();
        self.database().transaction(|transaction| {
            let lock = "select id from products where id = $1 for update";
            let Single(product): Single<Uuid> = transaction.query_optional(lock, params![product])?.ok_or(NOT_FOUND)?;
            let release = "insert into reservations as known (product_id, order_id, quantity, released_at)
                           values ($1, $2, 0, $3)
                           on conflict (product_id, order_id) do update set released_at = excluded.released_at
                           where known.released_at is null returning quantity";
            let returned: Option<Single<i32>> =
                transaction.query_optional(release, params![product, order.order, now])?;
            // An operator may have counted the stock anew: it never passes its bound.
            let add = "update products set inventory = least(inventory + $2, 1000000000),
                           updated_at = case when $2 = 0 then updated_at
                               else greatest($3, updated_at + interval '1 millisecond') end
                       where id = $1 returning id, name, price, inventory, description, created_at, updated_at";
            let quantity = returned.map_or(0, |Single(quantity)| quantity);
            Ok(transaction.query_one(add, params![product, quantity, now])?)
        })
    }
}

impl FromRow for Found {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        let (quantity, released) = (row.get("quantity")?, row.get("released")?);
        Ok(Self { product: Product::from_row(row)?, quantity, released })
    }
}

impl FromJson for Reserve {
    const FIELDS: &'static [&'static str] = &["quantity", "orderId"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        match (fields.whole("quantity", 1..=QUANTITY_MAX)?, fields.id("orderId")?) {
            (Some(quantity), Some(order)) => Ok(Self { quantity, order }),
            _ => Err(Error::bad_request("`quantity` and `orderId` are required")),
        }
    }
}

impl FromJson for Release {
    const FIELDS: &'static [&'static str] = &["orderId"];

    fn from_json(fields: &Fields) -> Result<Self, Error> {
        let order = fields.id("orderId")?;
        Ok(Self { order: order.ok_or_else(|| Error::bad_request("`orderId` is required"))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

    fn parse<T: FromJson>(body: &str) -> Result<T, Error> {
        T::from_json(&Fields::parse(body.as_bytes(), T::FIELDS)?)
    }

    #[test]
    fn an_order_takes_1_to_100000() {
        let reserve = |quantity: &str| parse::<Reserve>(&format!(r#"{{"quantity":{quantity},"orderId":"{ORDER}"}}"#));
        assert!(reserve("1").is_ok() && reserve("100000").is_ok());
        for quantity in ["0", "-1", "100001", "1.5", "\"1\"", "null"] {
            assert!(reserve(quantity).is_err(), "{quantity}");
        }
        for body in ["{}", r#"{"quantity":1}"#, &format!(r#"{{"orderId":"{ORDER}"}}"#)] {
            assert_eq!(parse::<Reserve>(body), Err(Error::bad_request("`quantity` and `orderId` are required")));
        }
    }

    #[test]
    fn an_order_is_named_by_its_id() {
        assert!(parse::<Release>(&format!(r#"{{"orderId":"{ORDER}"}}"#)).is_ok());
        assert_eq!(parse::<Release>("{}"), Err(Error::bad_request("`orderId` is required")));
        assert_eq!(parse::<Release>(r#"{"orderId":"7"}"#), Err(Error::bad_request("Field `orderId` is not a UUID")));
    }
}
