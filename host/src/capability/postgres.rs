//! `archipel:postgres`: a component's databases by name.
//!
//! Each call is three steps: may it (the grant), do it (the backend), say it in WIT. No SQL is
//! looked at here and no connection is held here.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::bindings::archipel::postgres::{client, types};
use self::told::{Told, rows};
use super::asking::{Asking, NAME_MAX_BYTES};
use backend::{
    memory::{Account, Held},
    postgres::{Databases, Rows, Transaction},
};
use grant::permission::postgres::Postgres;

pub(super) mod bindings;
mod convert;
mod open;
mod told;

pub use open::{OpenDatabase, OpenTransaction};

/// What an instance holds to reach its databases.
pub struct DatabaseView {
    asking: Arc<Asking>,
    databases: Arc<Databases>,
    /// Each open transaction holds one more of it.
    open: Arc<()>,
    /// What answers take their memory from.
    account: Arc<dyn Account>,
    /// What the last one took: it is on its way into the guest.
    held: Held,
}

/// The view during one host call.
pub struct DatabaseCtx<'a> {
    view: &'a mut DatabaseView,
    table: &'a mut ResourceTable,
}

struct HasDatabases;

impl HasData for HasDatabases {
    type Data<'a> = DatabaseCtx<'a>;
}

/// What a store must hold for its guest to reach databases.
pub trait PostgresView: Send + 'static {
    fn databases(&mut self) -> DatabaseCtx<'_>;
}

pub fn add_to_linker<T: PostgresView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    client::add_to_linker::<_, HasDatabases>(linker, T::databases)
}

impl DatabaseView {
    /// Answers take their memory from `account`.
    pub fn new(asking: Arc<Asking>, databases: Arc<Databases>, account: Arc<dyn Account>) -> Self {
        Self { asking, databases, open: Arc::default(), account, held: Held::default() }
    }

    /// The request is over, and whatever it was answered is gone.
    pub fn end(&mut self) {
        self.held.release();
    }

    /// Whether the last request left a transaction open.
    pub fn has_open_transactions(&self) -> bool {
        Arc::strong_count(&self.open) > 1
    }

    pub fn with<'a>(&'a mut self, table: &'a mut ResourceTable) -> DatabaseCtx<'a> {
        DatabaseCtx { view: self, table }
    }
}

impl DatabaseCtx<'_> {
    fn opened(&mut self, transaction: Transaction, database: &Arc<str>) -> Answer<Resource<OpenTransaction>> {
        let open = OpenTransaction { transaction, database: database.clone(), _open: self.view.open.clone() };
        Ok(Ok(self.table.push(open)?))
    }

    /// Rows as the contract has them; their memory counts until the next answer or the request's end.
    async fn told(&mut self, answer: Result<Rows, backend::postgres::Error>) -> Answer<types::Rows> {
        Ok(match answer {
            Ok(mut rows) => {
                self.view.held = std::mem::take(&mut rows.held);
                Ok(convert::rows(rows).await)
            }
            Err(error) => Err(convert::error(error)),
        })
    }
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

impl types::Host for DatabaseCtx<'_> {}

impl client::Host for DatabaseCtx<'_> {
    async fn commit(&mut self, tx: Resource<OpenTransaction>) -> Answer<()> {
        let OpenTransaction { transaction, database, _open } = self.table.delete(tx)?;
        let mut span = Told::of(&self.view.asking, &database, "COMMIT");
        let committed = transaction.commit(self.view.asking.deadline()).await;
        Ok(span.ended(committed, |()| None).map_err(convert::error))
    }

    async fn rollback(&mut self, tx: Resource<OpenTransaction>) -> Answer<()> {
        let OpenTransaction { transaction, database, _open } = self.table.delete(tx)?;
        let mut span = Told::of(&self.view.asking, &database, "ROLLBACK");
        let rolled_back = transaction.rollback(self.view.asking.deadline()).await;
        Ok(span.ended(rolled_back, |()| None).map_err(convert::error))
    }
}

impl client::HostDatabase for DatabaseCtx<'_> {
    async fn open(&mut self, name: String) -> Answer<Resource<OpenDatabase>> {
        if name.len() > NAME_MAX_BYTES {
            return Ok(Err(types::Error::AccessDenied("no database has so long a name".into())));
        }
        let granted = match self.view.asking.grants.postgres(&name) {
            Ok(granted) => granted,
            Err(denied) => {
                self.view.asking.tell::<Postgres>(&denied);
                return Ok(Err(types::Error::AccessDenied(name)));
            }
        };
        match self.view.databases.pool(&granted) {
            Some(pool) => {
                let pool = pool.paid_from(self.view.account.clone());
                let open = OpenDatabase(Arc::new((name.into(), pool)));
                Ok(Ok(self.table.push(open)?))
            }
            None => Ok(Err(types::Error::Unavailable(name))),
        }
    }

    async fn query(
        &mut self,
        db: Resource<OpenDatabase>,
        sql: String,
        params: Vec<types::Value>,
    ) -> Answer<types::Rows> {
        let open = self.table.get(&db)?.0.clone();
        let (name, pool) = &*open;
        self.view.held.release();
        let mut span = Told::of(&self.view.asking, name, &sql);
        let answer = pool.query(&sql, &convert::values(params), self.view.asking.deadline()).await;
        span.waited(pool);
        let answer = span.ended(answer, rows);
        drop(span);
        self.told(answer).await
    }

    async fn execute(&mut self, db: Resource<OpenDatabase>, sql: String, params: Vec<types::Value>) -> Answer<u64> {
        let open = self.table.get(&db)?.0.clone();
        let (name, pool) = &*open;
        let mut span = Told::of(&self.view.asking, name, &sql);
        let changed = pool.execute(&sql, &convert::values(params), self.view.asking.deadline()).await;
        span.waited(pool);
        Ok(span.ended(changed, |_| None).map_err(convert::error))
    }

    async fn batch(&mut self, db: Resource<OpenDatabase>, items: Vec<(String, Vec<types::Value>)>) -> Answer<Vec<u64>> {
        let open = self.table.get(&db)?.0.clone();
        let (name, pool) = &*open;
        let mut span = Told::of_batch(&self.view.asking, name, &items);
        let changed = pool.batch(&convert::items(items), self.view.asking.deadline()).await;
        span.waited(pool);
        Ok(span.ended(changed, |_| None).map_err(convert::error))
    }

    async fn begin(
        &mut self,
        db: Resource<OpenDatabase>,
        options: Option<types::TxOptions>,
    ) -> Answer<Resource<OpenTransaction>> {
        let open = self.table.get(&db)?.0.clone();
        let (name, pool) = &*open;
        let mut span = Told::of(&self.view.asking, name, "BEGIN");
        let begun = pool.begin(convert::options(options), self.view.asking.deadline()).await;
        span.waited(pool);
        match span.ended(begun, |_| None) {
            Ok(transaction) => self.opened(transaction, name),
            Err(error) => Ok(Err(convert::error(error))),
        }
    }

    async fn drop(&mut self, db: Resource<OpenDatabase>) -> wasmtime::Result<()> {
        self.table.delete(db)?;
        Ok(())
    }
}

impl client::HostTransaction for DatabaseCtx<'_> {
    async fn query(
        &mut self,
        tx: Resource<OpenTransaction>,
        sql: String,
        params: Vec<types::Value>,
    ) -> Answer<types::Rows> {
        let deadline = self.view.asking.deadline();
        let OpenTransaction { transaction, database, .. } = self.table.get(&tx)?;
        self.view.held.release();
        let mut span = Told::of(&self.view.asking, database, &sql);
        let answer = transaction.query(&sql, &convert::values(params), deadline).await;
        let answer = span.ended(answer, rows);
        drop(span);
        self.told(answer).await
    }

    async fn execute(&mut self, tx: Resource<OpenTransaction>, sql: String, params: Vec<types::Value>) -> Answer<u64> {
        let deadline = self.view.asking.deadline();
        let OpenTransaction { transaction, database, .. } = self.table.get(&tx)?;
        let mut span = Told::of(&self.view.asking, database, &sql);
        let changed = transaction.execute(&sql, &convert::values(params), deadline).await;
        Ok(span.ended(changed, |_| None).map_err(convert::error))
    }

    async fn batch(
        &mut self,
        tx: Resource<OpenTransaction>,
        items: Vec<(String, Vec<types::Value>)>,
    ) -> Answer<Vec<u64>> {
        let deadline = self.view.asking.deadline();
        let OpenTransaction { transaction, database, .. } = self.table.get(&tx)?;
        let mut span = Told::of_batch(&self.view.asking, database, &items);
        let changed = transaction.batch(&convert::items(items), deadline).await;
        Ok(span.ended(changed, |_| None).map_err(convert::error))
    }

    async fn savepoint(&mut self, tx: Resource<OpenTransaction>) -> Answer<Resource<OpenTransaction>> {
        let deadline = self.view.asking.deadline();
        let OpenTransaction { transaction, database, .. } = self.table.get(&tx)?;
        let database = database.clone();
        let mut span = Told::of(&self.view.asking, &database, "SAVEPOINT");
        match span.ended(transaction.savepoint(deadline).await, |_| None) {
            Ok(inner) => self.opened(inner, &database),
            Err(error) => Ok(Err(convert::error(error))),
        }
    }

    async fn drop(&mut self, tx: Resource<OpenTransaction>) -> wasmtime::Result<()> {
        self.table.delete(tx)?;
        Ok(())
    }
}
