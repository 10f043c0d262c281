//! Orders in PostgreSQL, and what is published together with their changes. Nothing here knows HTTP.

mod keys;
mod overdue;

use sdk::{
    Error, Listing, Start, Timestamp, Uuid, params,
    postgres::{self, Database, FromRow, Row, Single, Statements as _, Value},
};
use shop::{Money, Page};

use crate::{
    event,
    key::Key,
    order::{Draft, Item, Order},
    overdue::Slot,
    status::Status,
};

pub(crate) use keys::USED;

pub(crate) struct Store(Database);

/// Which orders are listed; none given is all.
pub(crate) struct Filter {
    pub(crate) user: Option<Uuid>,
    pub(crate) status: Option<Status>,
}

/// Where an order stands, for whoever looks after its stock.
pub(crate) enum Stage {
    Reserving,
    Failed,
    /// Its stock may not have been given back yet.
    Cancelled,
    /// There is nothing to do.
    Settled,
}

/// Also the condition of an index.
const SHOWN: &str = "status not in ('reserving', 'failed')";
/// An order as it is read.
const COLUMNS: &str = "id, user_id, status, total, created_at, products, quantities, prices::text[] as prices";

impl Store {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self(Database::open("orders")?))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0
    }

    /// Writes the order down as `reserving`, and with it a message that looks at it later, unless one
    /// is on its way already. False if another request has the key: then nothing has happened.
    pub(crate) fn begin(&self, draft: &Draft, key: Option<&Key>) -> Result<bool, Error> {
        let sql = match key {
            None => {
                "insert into orders (id, user_id, status, created_at, products, quantities)
                 values ($1, $2, 'reserving', $3, $4, $5)"
            }
            Some(_) => {
                "with kept as (
                     insert into idempotency_keys (asker, key, request, order_id, created_at)
                     values ($6, $7, $8, $1, $3) on conflict (asker, key) do nothing returning order_id
                 )
                 insert into orders (id, user_id, status, created_at, products, quantities)
                 select $1, $2, 'reserving', $3, $4::uuid[], $5::integer[] from kept"
            }
        };
        let products: Vec<Uuid> = draft.lines.iter().map(|line| line.product).collect();
        let quantities: Vec<i64> = draft.lines.iter().map(|line| line.quantity.into()).collect();
        let mut params = params![draft.id, draft.user, draft.created_at, products, quantities].to_vec();
        if let Some(Key { asker, key, request }) = key {
            params.extend_from_slice(params![asker, key, request]);
        }
        let slot = Slot::of(draft.created_at);
        if slot.is_announced() {
            return Ok(self.0.execute(sql, &params)? > 0);
        }
        let begun = self.0.transaction(|transaction| {
            let begun = transaction.execute(sql, &params)? > 0;
            if begun {
                transaction.publish(&slot.announcement()?)?;
            }
            Ok::<_, Error>(begun)
        })?;
        if begun {
            slot.announced();
        }
        Ok(begun)
    }

    /// Makes it `pending` and tells the world, if it is still `reserving`.
    pub(crate) fn complete(&self, draft: &Draft, items: Vec<Item>, total: Money) -> Result<Order, Error> {
        let sql = "update orders set status = 'pending', total = $2, prices = $3::text[]::numeric[]
                   where id = $1 and status = 'reserving'";
        let prices: Vec<String> = items.iter().map(|item| item.price.to_string()).collect();
        let Draft { id, user, created_at, .. } = *draft;
        let order = Order { id, user_id: user, items, total, status: Status::Pending, created_at };
        self.0.transaction(|transaction| {
            if transaction.execute(sql, params![id, total, prices])? == 0 {
                return Err(Error::Unavailable("the order was given up while its stock was reserved".to_owned()));
            }
            transaction.publish(&event::created(&order)?)?;
            Ok::<_, Error>(())
        })?;
        Ok(order)
    }

    /// Ends an order in the making, and frees its key; false if it was not in the making.
    pub(crate) fn give_up(&self, id: Uuid) -> Result<bool, Error> {
        let sql = "with failed as (
                update orders set status = 'failed' where id = $1 and status = 'reserving' returning id
            ), freed as (delete from idempotency_keys using failed where order_id = failed.id)
            select id from failed";
        Ok(self.0.query_optional::<Single<Uuid>>(sql, params![id])?.is_some())
    }

    /// Of an order that failed nothing is kept.
    pub(crate) fn forget(&self, id: Uuid) -> Result<(), Error> {
        self.0.execute("delete from orders where id = $1 and status = 'failed'", params![id])?;
        Ok(())
    }

    /// The stock of a cancelled order has been given back.
    pub(crate) fn released(&self, id: Uuid) -> Result<(), Error> {
        self.0.execute("update orders set released_at = $2 where id = $1", params![id, Timestamp::now()])?;
        Ok(())
    }

    pub(crate) fn stage(&self, id: Uuid) -> Result<Option<Stage>, Error> {
        let sql = "select status from orders where id = $1 and released_at is null";
        let status: Option<Single<String>> = self.0.query_optional(sql, params![id])?;
        Ok(status.map(|Single(status)| match status.as_str() {
            "reserving" => Stage::Reserving,
            "failed" => Stage::Failed,
            "cancelled" => Stage::Cancelled,
            _ => Stage::Settled,
        }))
    }

    /// The products that an order has or wanted.
    pub(crate) fn products(&self, id: Uuid) -> Result<Vec<Uuid>, Error> {
        let sql = "select unnest(products) as product from orders where id = $1 order by product";
        let products: Vec<Single<Uuid>> = self.0.query(sql, params![id])?;
        Ok(products.into_iter().map(|Single(product)| product).collect())
    }

    pub(crate) fn find(&self, id: Uuid) -> Result<Option<Order>, Error> {
        let sql = format!("select {COLUMNS} from orders where id = $1 and {SHOWN}");
        Ok(self.0.query_optional(&sql, params![id])?)
    }

    /// Newest first: ids sort by time. The page and how many there are in all, in one question.
    pub(crate) fn list(&self, page: &Page, filter: &Filter) -> Result<Listing<Order, Uuid>, Error> {
        let mut conditions = SHOWN.to_owned();
        let mut params: Vec<Value> = Vec::new();
        let mut only = |conditions: &mut String, condition: &str, value: Value| {
            params.push(value);
            conditions.push_str(&format!(" and {condition} ${}", params.len()));
        };
        if let Some(user) = filter.user {
            only(&mut conditions, "user_id =", user.into());
        }
        if let Some(status) = filter.status {
            only(&mut conditions, "status =", status.as_str().into());
        }
        let mut shown = conditions.clone();
        let offset = match page.start {
            Start::Offset(offset) => i64::from(offset),
            Start::After(id) => {
                only(&mut shown, "id <", id.into());
                0
            }
        };
        params.extend([page.rows().into(), offset.into()]);
        let (limit, offset) = (params.len() - 1, params.len());
        let sql = format!(
            "select counted.number, made.* from (select count(*) as number from orders where {conditions}) as counted
             left join (
                 select {COLUMNS} from orders where {shown} order by id desc limit ${limit} offset ${offset}
             ) as made on true order by made.id desc"
        );
        let listed: Vec<Listed> = self.0.query(&sql, &params)?;
        let number = listed.first().map_or(0, |listed| listed.number);
        let orders = listed.into_iter().filter_map(|listed| listed.order).collect();
        Ok(page.listing(orders, number, |order: &Order| order.id))
    }

    /// Takes a step, if the order stands where this step begins, and tells the world; a cancelled
    /// order is to be looked at for its stock.
    pub(crate) fn step(&self, id: Uuid, to: Status) -> Result<Option<Order>, Error> {
        let sql = "with before as (
                select id, status from orders where id = $1 and status = any ($3::text[]) for update
            )
            update orders set status = $2 from before where orders.id = before.id
            returning orders.id, user_id, orders.status, total, created_at, products, quantities,
                prices::text[] as prices, before.status as previous";
        let from: Vec<String> = to.may_follow().iter().map(|status| status.as_str().to_owned()).collect();
        let stepped = self.0.transaction(|transaction| {
            let stepped: Option<Stepped> = transaction.query_optional(sql, params![id, to.as_str(), from])?;
            if let Some(Stepped { order, previous }) = &stepped {
                transaction.publish(&event::status_changed(order, *previous)?)?;
                if to == Status::Cancelled {
                    transaction.publish(&event::check(id)?)?;
                }
            }
            Ok::<_, Error>(stepped)
        })?;
        Ok(stepped.map(|stepped| stepped.order))
    }
}

/// A row of a list: how many there are in all, and an order unless the page is empty.
struct Listed {
    number: i64,
    order: Option<Order>,
}

struct Stepped {
    order: Order,
    previous: Status,
}

impl FromRow for Listed {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        let is_there = row.get::<Option<Uuid>>("id")?.is_some();
        Ok(Self { number: row.get("number")?, order: is_there.then(|| Order::from_row(row)).transpose()? })
    }
}

impl FromRow for Stepped {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        Ok(Self { order: Order::from_row(row)?, previous: row.get("previous")? })
    }
}
