//! `archipel:postgres`: a component's databases by name.
//!
//! Each call is three steps: may it (the grant), do it (the backend), say it in WIT. No SQL is
//! looked at here and no connection is held here.

use std::{sync::Arc, time::Instant};

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::bindings::archipel::postgres::{client, types};
use crate::{
    backend::postgres::{Databases, Pool, Transaction},
    grant::Grants,
};

mod convert;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/databases",
        imports: { default: async | trappable },
        with: {
            "archipel:postgres/client.database": super::OpenDatabase,
            "archipel:postgres/client.transaction": super::OpenTransaction,
        },
        require_store_data_send: true,
    });
}

/// What an instance holds to reach its databases.
pub struct DatabaseView {
    grants: Arc<Grants>,
    databases: Arc<Databases>,
    deadline: Instant,
}

/// The view during one host call.
pub struct DatabaseCtx<'a> {
    view: &'a DatabaseView,
    table: &'a mut ResourceTable,
}

/// A database a guest has opened: proof that it may, and the pool of its role.
#[derive(Clone)]
pub struct OpenDatabase(Arc<Pool>);

/// A transaction a guest holds. Dropping it rolls back, whatever the reason.
pub struct OpenTransaction(Option<Transaction>);

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
    pub fn new(grants: Arc<Grants>, databases: Arc<Databases>) -> Self {
        Self { grants, databases, deadline: Instant::now() }
    }

    /// Calls from now on must end by `deadline`.
    pub fn begin(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    pub fn with<'a>(&'a self, table: &'a mut ResourceTable) -> DatabaseCtx<'a> {
        DatabaseCtx { view: self, table }
    }
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

impl types::Host for DatabaseCtx<'_> {}

impl client::Host for DatabaseCtx<'_> {
    async fn commit(&mut self, tx: Resource<OpenTransaction>) -> Answer<()> {
        match self.table.delete(tx)?.0 {
            Some(transaction) => Ok(transaction.commit(self.view.deadline).await.map_err(convert::error)),
            None => Ok(Err(types::Error::Closed)),
        }
    }

    async fn rollback(&mut self, tx: Resource<OpenTransaction>) -> Answer<()> {
        match self.table.delete(tx)?.0 {
            Some(transaction) => Ok(transaction.rollback(self.view.deadline).await.map_err(convert::error)),
            None => Ok(Err(types::Error::Closed)),
        }
    }
}

impl client::HostDatabase for DatabaseCtx<'_> {
    async fn open(&mut self, name: String) -> Answer<Resource<OpenDatabase>> {
        let granted = match self.view.grants.postgres(&name) {
            Ok(granted) => granted,
            Err(denied) => {
                tracing::warn!(service = %denied.service, "{denied}");
                return Ok(Err(types::Error::AccessDenied(name)));
            }
        };
        match self.view.databases.pool(&granted) {
            Some(pool) => Ok(Ok(self.table.push(OpenDatabase(pool))?)),
            None => Ok(Err(types::Error::Unavailable(name))),
        }
    }

    async fn query(
        &mut self,
        db: Resource<OpenDatabase>,
        sql: String,
        params: Vec<types::Value>,
    ) -> Answer<types::Rows> {
        let pool = self.table.get(&db)?.0.clone();
        let answer = pool.query(&sql, &convert::values(params), self.view.deadline).await;
        Ok(answer.map(convert::rows).map_err(convert::error))
    }

    async fn execute(&mut self, db: Resource<OpenDatabase>, sql: String, params: Vec<types::Value>) -> Answer<u64> {
        let pool = self.table.get(&db)?.0.clone();
        Ok(pool.execute(&sql, &convert::values(params), self.view.deadline).await.map_err(convert::error))
    }

    async fn batch(&mut self, db: Resource<OpenDatabase>, items: Vec<(String, Vec<types::Value>)>) -> Answer<Vec<u64>> {
        let pool = self.table.get(&db)?.0.clone();
        Ok(pool.batch(&convert::items(items), self.view.deadline).await.map_err(convert::error))
    }

    async fn begin(
        &mut self,
        db: Resource<OpenDatabase>,
        options: Option<types::TxOptions>,
    ) -> Answer<Resource<OpenTransaction>> {
        let pool = self.table.get(&db)?.0.clone();
        match pool.begin(convert::options(options), self.view.deadline).await {
            Ok(transaction) => Ok(Ok(self.table.push(OpenTransaction(Some(transaction)))?)),
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
        let deadline = self.view.deadline;
        let Some(transaction) = &mut self.table.get_mut(&tx)?.0 else { return Ok(Err(types::Error::Closed)) };
        let answer = transaction.query(&sql, &convert::values(params), deadline).await;
        Ok(answer.map(convert::rows).map_err(convert::error))
    }

    async fn execute(&mut self, tx: Resource<OpenTransaction>, sql: String, params: Vec<types::Value>) -> Answer<u64> {
        let deadline = self.view.deadline;
        let Some(transaction) = &mut self.table.get_mut(&tx)?.0 else { return Ok(Err(types::Error::Closed)) };
        Ok(transaction.execute(&sql, &convert::values(params), deadline).await.map_err(convert::error))
    }

    async fn batch(
        &mut self,
        tx: Resource<OpenTransaction>,
        items: Vec<(String, Vec<types::Value>)>,
    ) -> Answer<Vec<u64>> {
        let deadline = self.view.deadline;
        let Some(transaction) = &mut self.table.get_mut(&tx)?.0 else { return Ok(Err(types::Error::Closed)) };
        Ok(transaction.batch(&convert::items(items), deadline).await.map_err(convert::error))
    }

    async fn savepoint(&mut self, tx: Resource<OpenTransaction>) -> Answer<Resource<OpenTransaction>> {
        let deadline = self.view.deadline;
        let Some(transaction) = &mut self.table.get_mut(&tx)?.0 else { return Ok(Err(types::Error::Closed)) };
        match transaction.savepoint(deadline).await {
            Ok(inner) => Ok(Ok(self.table.push(OpenTransaction(Some(inner)))?)),
            Err(error) => Ok(Err(convert::error(error))),
        }
    }

    async fn drop(&mut self, tx: Resource<OpenTransaction>) -> wasmtime::Result<()> {
        self.table.delete(tx)?;
        Ok(())
    }
}
