//! The catalogue in PostgreSQL; what orders take of it is in `stock.rs`. Nothing here knows HTTP.

use sdk::{
    Error, Listing, Start, Timestamp, Uuid, new_id, params,
    postgres::{Database, Single, Statements as _},
};
use shop::Page;

use crate::product::{Changes, NewProduct, Product};

pub(crate) struct Store(Database);

impl Store {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self(Database::open("products")?))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0
    }

    pub(crate) fn insert(&self, new: NewProduct) -> Result<Product, Error> {
        let now = Timestamp::now();
        let sql = "insert into products
                   (id, name, name_key, price, inventory, description, created_at, updated_at)
                   values ($1, $2, $3, $4, $5, $6, $7, $7)
                   returning id, name, price, inventory, description, created_at, updated_at";
        let key = folded(&new.name);
        let params =
            params![new_id(now), new.name, key, new.price, new.inventory, new.description.unwrap_or_default(), now];
        Ok(self.0.query_one(sql, params)?)
    }

    pub(crate) fn find(&self, id: Uuid) -> Result<Option<Product>, Error> {
        let sql = "select id, name, price, inventory, description, created_at, updated_at
                   from products where id = $1";
        Ok(self.0.query_optional(sql, params![id])?)
    }

    /// Newest first: ids sort by time. With `part`, those whose name holds it, whatever the case.
    pub(crate) fn list(&self, page: &Page, part: Option<&str>) -> Result<Listing<Product, Uuid>, Error> {
        let part = part.map(folded);
        let products = match page.start {
            Start::Offset(offset) => self.0.query(
                "select id, name, price, inventory, description, created_at, updated_at from products
                 where $3::text is null or strpos(name_key, $3) > 0 order by id desc limit $1 offset $2",
                params![page.rows(), i64::from(offset), part.as_deref()],
            ),
            Start::After(id) => self.0.query(
                "select id, name, price, inventory, description, created_at, updated_at from products
                 where id < $2 and ($3::text is null or strpos(name_key, $3) > 0) order by id desc limit $1",
                params![page.rows(), id, part.as_deref()],
            ),
        }?;
        let sql = "select count(*) from products where $1::text is null or strpos(name_key, $1) > 0";
        let Single(total) = self.0.query_one(sql, params![part.as_deref()])?;
        Ok(page.listing(products, total, |product: &Product| product.id))
    }

    /// `updated_at` moves by a millisecond at least, the smallest step that a client can see.
    pub(crate) fn update(&self, id: Uuid, changes: Changes) -> Result<Option<Product>, Error> {
        let sql = "update products set name = coalesce($2, name), name_key = coalesce($3, name_key),
                   price = coalesce($4, price), inventory = coalesce($5, inventory),
                   description = coalesce($6, description),
                   updated_at = greatest($7, updated_at + interval '1 millisecond')
                   where id = $1 returning id, name, price, inventory, description, created_at, updated_at";
        let Changes { name, price, inventory, description } = changes;
        let key = name.as_deref().map(folded);
        let params = params![id, name, key, price, inventory, description, Timestamp::now()];
        Ok(self.0.query_optional(sql, params)?)
    }

    /// Whether there was one.
    pub(crate) fn delete(&self, id: Uuid) -> Result<bool, Error> {
        Ok(self.0.execute("delete from products where id = $1", params![id])? > 0)
    }
}

/// What two texts that differ in case only have in common: `STRASSE` is `straße`, `ΟΔΟΣ` is `οδος`.
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_folded_letter_by_letter() {
        for (one, other) in [("Tea", "tEA"), ("STRASSE", "straße"), ("ΟΔΟΣ", "οδος"), ("ÉCLAIR", "éclair")] {
            assert_eq!(folded(one), folded(other));
        }
        assert!(folded("Ein ΟΔΟΣ").contains(&folded("σ")));
        assert_eq!(folded("100 %_\\"), "100 %_\\");
    }
}
