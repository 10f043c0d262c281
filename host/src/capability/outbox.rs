//! `archipel:messaging/outbox`: events that are published if and only if a transaction commits.
//!
//! Each call is three steps: may it (as with any event of the guest's), do it (in its transaction, which
//! is its own already), say it in WIT. When the event goes on to its consumers is not decided here.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::bindings::archipel::messaging::outbox;
use super::{
    messaging::{self, ProducerView, bindings::archipel::messaging::types},
    postgres::OpenTransaction,
};
use backend::postgres;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/outboxes",
        imports: { default: async | trappable },
        with: {
            "archipel:messaging/types": crate::capability::messaging::bindings::archipel::messaging::types,
            "archipel:postgres/types": crate::capability::postgres::bindings::archipel::postgres::types,
            "archipel:postgres/client": crate::capability::postgres::bindings::archipel::postgres::client,
        },
        require_store_data_send: true,
    });
}

/// What is needed during one host call: the guest's own transactions, and what it may publish.
pub struct OutboxCtx<'a> {
    producer: &'a mut ProducerView,
    table: &'a mut ResourceTable,
}

struct HasOutbox;

impl HasData for HasOutbox {
    type Data<'a> = OutboxCtx<'a>;
}

/// What a store must hold for its guest to publish within its transactions.
pub trait OutboxesView: Send + 'static {
    fn outbox(&mut self) -> OutboxCtx<'_>;
}

pub fn add_to_linker<T: OutboxesView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    outbox::add_to_linker::<_, HasOutbox>(linker, T::outbox)
}

impl<'a> OutboxCtx<'a> {
    pub fn new(producer: &'a mut ProducerView, table: &'a mut ResourceTable) -> Self {
        Self { producer, table }
    }
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

impl outbox::Host for OutboxCtx<'_> {
    async fn publish(
        &mut self,
        tx: Resource<OpenTransaction>,
        message: types::Message,
        options: Option<types::PublishOptions>,
    ) -> Answer<String> {
        let (event, mut span) = match self.producer.event(message) {
            Ok(event) => event,
            Err(refused) => return Ok(Err(refused)),
        };
        let options = messaging::options(options);
        if let Err(rule) = event.check(&options) {
            return Ok(Err(messaging::error(rule)));
        }
        let deadline = self.producer.deadline();
        let transaction = self.table.get(&tx)?.transaction();
        span.set("archipel.outbox", true);
        let published = transaction.publish(&event, &options, deadline).await;
        if published.is_err() {
            span.fail("not_published");
        }
        Ok(published.map(|()| event.id.to_string()).map_err(failed))
    }
}

/// What the database said of it, in the words of events.
fn failed(error: postgres::Error) -> types::Error {
    match error {
        postgres::Error::Unavailable(_) => types::Error::Unavailable(error.to_string()),
        postgres::Error::Timeout => types::Error::Timeout,
        postgres::Error::Overloaded => types::Error::Overloaded,
        // The server's own trouble, not the statement's: connection, conflict, resources, operator.
        postgres::Error::Db(ref db) if matches!(db.sqlstate.get(..2), Some("08" | "40" | "53" | "57")) => {
            types::Error::Unavailable(error.to_string())
        }
        other => types::Error::Other(other.to_string()),
    }
}
