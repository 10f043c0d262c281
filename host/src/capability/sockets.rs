//! `wasi:sockets`: raw TCP and UDP, only to where `net` leads.
//!
//! What a socket is and does is wasmtime's; this decides whether one may be made, to which address it
//! may go ([`Gate`]) and how many there are. Names are looked up by the host and remembered as long as
//! the instance lives, so that an address is known by its name when it is connected to.

mod gate;
mod lookup;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    WasiCtxBuilder, WasiView,
    p2::{
        SocketError, SocketResult, TcpSocket, UdpSocket,
        bindings::sockets::{
            instance_network, ip_name_lookup, network,
            network::{ErrorCode, IpAddressFamily},
            tcp, tcp_create_socket, udp, udp_create_socket,
        },
    },
    sockets::{WasiSockets, WasiSocketsCtxView, WasiSocketsView},
};

use super::asking::Asking;
use backend::http::Lookups;
use grant::{Grants, permission::sockets};

use gate::Gate;

/// Sockets of one instance.
const OF_INSTANCE_MAX: usize = 64;
/// Sockets of all instances of one build.
const OF_BUILD_MAX: usize = 256;

/// What all instances of one build share.
pub struct Sockets {
    grants: Arc<Grants>,
    lookups: Lookups,
    open: Arc<Semaphore>,
}

/// What an instance holds to open sockets.
pub struct SocketView {
    sockets: Arc<Sockets>,
    gate: Arc<Gate>,
    held: Vec<Held>,
}

/// A socket's place, as long as the table has it.
struct Held {
    kind: Kind,
    handle: u32,
    _place: OwnedSemaphorePermit,
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Udp,
}

/// The view during one host call.
pub struct SocketCtx<'a> {
    pub view: &'a mut SocketView,
    pub wasi: WasiSocketsCtxView<'a>,
}

/// What a store must hold for its guest to open sockets.
pub trait SocketsView: Send + 'static {
    fn raw_sockets(&mut self) -> SocketCtx<'_>;
}

struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = SocketCtx<'a>;
}

pub fn add_to_linker<T: WasiView + SocketsView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    tcp_create_socket::add_to_linker::<_, HasSockets>(linker, T::raw_sockets)?;
    udp_create_socket::add_to_linker::<_, HasSockets>(linker, T::raw_sockets)?;
    ip_name_lookup::add_to_linker::<_, HasSockets>(linker, T::raw_sockets)?;
    let options = network::LinkOptions::default();
    network::add_to_linker::<_, WasiSockets>(linker, &options, WasiSocketsView::sockets)?;
    instance_network::add_to_linker::<_, WasiSockets>(linker, WasiSocketsView::sockets)?;
    tcp::add_to_linker::<_, WasiSockets>(linker, WasiSocketsView::sockets)?;
    udp::add_to_linker::<_, WasiSockets>(linker, WasiSocketsView::sockets)
}

impl Sockets {
    pub fn new(grants: Arc<Grants>, lookups: Lookups) -> Self {
        Self { grants, lookups, open: Arc::new(Semaphore::new(OF_BUILD_MAX)) }
    }
}

impl SocketView {
    pub fn new(sockets: Arc<Sockets>, asking: Arc<Asking>) -> Self {
        let gate = Arc::new(Gate::new(sockets.grants.clone(), asking));
        Self { sockets, gate, held: Vec::new() }
    }

    /// Every address that a socket of this instance wants to use is shown to its gate.
    pub fn guard(&self, wasi: &mut WasiCtxBuilder) {
        wasi.allow_ip_name_lookup(false);
        let may = self.sockets.grants.left().sockets.0;
        wasi.allow_tcp(may).allow_udp(may);
        if may {
            let gate = self.gate.clone();
            wasi.socket_addr_check(move |address, what| {
                let admitted = gate.admits(address, what);
                Box::pin(std::future::ready(admitted))
            });
        }
    }

    /// The request is over: places of sockets that are closed go to others.
    pub fn end(&mut self, table: &ResourceTable) {
        self.held.retain(|held| match held.kind {
            Kind::Tcp => table.get(&Resource::<TcpSocket>::new_borrow(held.handle)).is_ok(),
            Kind::Udp => table.get(&Resource::<UdpSocket>::new_borrow(held.handle)).is_ok(),
        });
    }
}

impl SocketCtx<'_> {
    /// The right to make one more socket.
    fn place(&mut self, what: &str) -> SocketResult<OwnedSemaphorePermit> {
        if let Err(denial) = self.view.sockets.grants.sockets(what) {
            self.view.gate.asking.tell::<sockets::Sockets>(&denial);
            return Err(ErrorCode::AccessDenied.into());
        }
        self.view.end(self.wasi.table);
        let full = || SocketError::from(ErrorCode::NewSocketLimit);
        if self.view.held.len() >= OF_INSTANCE_MAX {
            return Err(full());
        }
        self.view.sockets.open.clone().try_acquire_owned().map_err(|_full| full())
    }

    fn hold(&mut self, kind: Kind, handle: u32, place: OwnedSemaphorePermit) {
        self.view.held.push(Held { kind, handle, _place: place });
    }
}

impl network::Host for SocketCtx<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.wasi.convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.wasi.network_error_code(error)
    }
}

impl network::HostNetwork for SocketCtx<'_> {
    fn drop(&mut self, network: Resource<network::Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.wasi, network)
    }
}

impl tcp_create_socket::Host for SocketCtx<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let place = self.place("TCP sockets")?;
        let socket = self.wasi.create_tcp_socket(family)?;
        self.hold(Kind::Tcp, socket.rep(), place);
        Ok(socket)
    }
}

impl udp_create_socket::Host for SocketCtx<'_> {
    async fn create_udp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        let place = self.place("UDP sockets")?;
        let socket = self.wasi.create_udp_socket(family).await?;
        self.hold(Kind::Udp, socket.rep(), place);
        Ok(socket)
    }
}
