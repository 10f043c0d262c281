//! WASI's own context of an instance, made when its guest first asks for anything of it.
//!
//! Decides what of the host a guest sees by `wasi:cli`, `wasi:clocks` and `wasi:random`: its environment, its
//! name, where its output goes. Many requests ask for none of it, and making it costs more than they do.

use std::sync::Arc;

use wasmtime_wasi::WasiCtx;

use crate::capability::{
    sockets::SocketView,
    stdio::{GuestStream, Output},
};

const RANDOM_MAX_BYTES: u64 = 64 << 10;

pub(super) struct Wasi {
    made: Option<WasiCtx>,
    name: Arc<str>,
    env: Arc<[(String, String)]>,
}

impl Wasi {
    pub(super) fn new(name: Arc<str>, env: Arc<[(String, String)]>) -> Self {
        Self { made: None, name, env }
    }

    pub(super) fn context(&mut self, output: &Arc<Output>, sockets: &SocketView) -> &mut WasiCtx {
        self.made.get_or_insert_with(|| {
            let mut wasi = WasiCtx::builder();
            sockets.guard(&mut wasi);
            wasi.stdout(GuestStream::stdout(output.clone()))
                .stderr(GuestStream::stderr(output.clone()))
                .envs(&self.env)
                .arg(&self.name)
                .max_random_size(RANDOM_MAX_BYTES)
                .build()
        })
    }
}
