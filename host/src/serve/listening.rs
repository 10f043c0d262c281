//! The two listeners while they run: the gateway on the runtime of the guests, the admin on a
//! thread of its own, so that it answers whatever guests do.

use std::{net::SocketAddr, sync::Arc, thread, time::Duration};

use gateway::{
    drain::Drain,
    gateway::Gateway,
    listener::{self, Listeners, Settings},
};

/// A listener that accepts.
pub(super) struct Listening {
    pub(super) addresses: Vec<SocketAddr>,
    drain: Drain,
    /// The admin's thread; the gateway's tasks belong to the runtime of its caller.
    thread: Option<thread::JoinHandle<()>>,
}

/// Accepts on this runtime.
pub(super) fn here(listeners: Listeners, gateway: Arc<Gateway>, settings: Settings) -> Listening {
    let (addresses, drain) = (listeners.addresses().collect(), Drain::new());
    tokio::spawn(listener::serve(listeners, gateway, settings, drain.clone()));
    Listening { addresses, drain, thread: None }
}

/// Accepts on a thread and a runtime of its own.
pub(super) fn apart(listeners: Listeners, gateway: Arc<Gateway>, settings: Settings) -> std::io::Result<Listening> {
    let (addresses, drain) = (listeners.addresses().collect(), Drain::new());
    let listeners = listeners.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let draining = drain.clone();
    let thread = thread::Builder::new().name("admin".into()).spawn(move || {
        runtime.block_on(async {
            let listeners = match Listeners::from_std(listeners) {
                Ok(listeners) => listeners,
                Err(error) => return tracing::error!(%error, "the admin listener cannot accept"),
            };
            listener::serve(listeners, gateway, settings, draining.clone()).await;
            draining.wait(ADMIN_DRAIN).await;
        });
    })?;
    Ok(Listening { addresses, drain, thread: Some(thread) })
}

/// What the last probes may take.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

impl Listening {
    /// Accepts no more and waits for requests in flight, for at most `grace`; then cuts the rest.
    /// Returns how many connections were cut.
    pub(super) async fn stop(self, grace: Duration) -> usize {
        self.drain.start();
        let stragglers = self.drain.wait(grace).await;
        self.drain.cut();
        if let Some(thread) = self.thread {
            // It ends within ADMIN_DRAIN; a panic in it has been logged already.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        stragglers
    }
}
