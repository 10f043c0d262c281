//! Names for sockets: looked up by the host, and only those that some entry of `net` allows.

use std::{io, net::IpAddr, vec};

use futures_util::FutureExt;
use wasmtime::component::Resource;
use wasmtime_wasi::{
    async_trait,
    p2::{
        DynPollable, Pollable, SocketResult,
        bindings::sockets::{
            ip_name_lookup::{self, HostResolveAddressStream, ResolveAddressStream},
            network::{ErrorCode, IpAddress, Network},
        },
        subscribe,
    },
    runtime::{AbortOnDropJoinHandle, spawn},
};

use super::SocketCtx;
use grant::{permission::sockets::Sockets, sockets::LookupError};

/// It stands in the table in the place of wasmtime's own stream, whose handles are these.
enum Found {
    Waiting(AbortOnDropJoinHandle<io::Result<Vec<IpAddr>>>),
    Addresses(vec::IntoIter<IpAddr>),
    Failed(ErrorCode),
}

#[async_trait]
impl Pollable for Found {
    async fn ready(&mut self) {
        if let Self::Waiting(looking) = self {
            *self = match looking.await {
                Ok(addresses) if addresses.is_empty() => Self::Failed(ErrorCode::NameUnresolvable),
                Ok(addresses) => Self::Addresses(addresses.into_iter()),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    Self::Failed(ErrorCode::TemporaryResolverFailure)
                }
                Err(_unknown) => Self::Failed(ErrorCode::NameUnresolvable),
            };
        }
    }
}

fn ours(stream: &Resource<ResolveAddressStream>) -> Resource<Found> {
    Resource::new_borrow(stream.rep())
}

impl ip_name_lookup::Host for SocketCtx<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        self.wasi.table.get(&network)?;
        let granted = match self.view.sockets.grants.lookup(&name) {
            Ok(granted) => granted,
            Err(LookupError::Invalid) => return Err(ErrorCode::InvalidArgument.into()),
            Err(LookupError::Denied(denial)) => {
                self.view.gate.asking.tell::<Sockets>(&denial);
                return Err(ErrorCode::AccessDenied.into());
            }
        };
        let (lookups, gate) = (self.view.sockets.lookups.clone(), self.view.gate.clone());
        let looking = spawn(async move {
            let addresses = lookups.addresses(&granted).await?;
            gate.remember(granted, addresses.clone());
            Ok(addresses)
        });
        let found = self.wasi.table.push(Found::Waiting(looking))?;
        Ok(Resource::new_own(found.rep()))
    }
}

impl HostResolveAddressStream for SocketCtx<'_> {
    fn resolve_next_address(&mut self, stream: Resource<ResolveAddressStream>) -> SocketResult<Option<IpAddress>> {
        let found = self.wasi.table.get_mut(&ours(&stream))?;
        // A guest may ask without having waited.
        let _ready_or_not = found.ready().now_or_never();
        match found {
            Found::Addresses(addresses) => Ok(addresses.next().map(|address| address.to_canonical().into())),
            Found::Failed(code) => Err((*code).into()),
            Found::Waiting(_) => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.wasi.table, ours(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.wasi.table.delete(Resource::<Found>::new_own(stream.rep()))?;
        Ok(())
    }
}
