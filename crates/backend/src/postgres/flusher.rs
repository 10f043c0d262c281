//! The task that flushes the log of the host's own server for all who wrote, over one session. It is opened when
//! somebody has written, and anew when it broke.

use std::{sync::Arc, time::Duration};

use tokio_postgres::Statement;

use super::{
    endpoint::{Endpoint, Session},
    flush::{FLUSH, Flushes},
};

/// A disk that takes longer is no longer waited for; whoever wrote says so.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Between two attempts to get a session; meanwhile whoever writes flushes over its own.
const PAUSE: Duration = Duration::from_millis(100);
/// Its answers are a few bytes.
const MESSAGE_MAX_BYTES: u64 = 64 << 10;

/// Works until it is dropped.
pub(crate) async fn flush_for_all(flushes: Arc<Flushes>, superuser: Endpoint) {
    loop {
        flushes.wanted().await;
        let failed = match open(&superuser).await {
            Ok((session, flush)) => {
                let error = flushes.serve(session.driver.clone(), || run(&session, &flush)).await;
                session.cut();
                error
            }
            Err(error) => error,
        };
        tracing::debug!(error = failed, "nobody flushes PostgreSQL's log for all now");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn open(superuser: &Endpoint) -> Result<(Session, Statement), String> {
    let session = superuser.connect(MESSAGE_MAX_BYTES).await.map_err(|error| error.to_string())?;
    match tokio::time::timeout(TIMEOUT, session.client.prepare(FLUSH)).await {
        Ok(Ok(flush)) => Ok((session, flush)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err("preparing took too long".to_owned()),
    }
}

async fn run(session: &Session, flush: &Statement) -> Result<(), String> {
    match tokio::time::timeout(TIMEOUT, session.client.execute(flush, &[])).await {
        Ok(Ok(_rows)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err("the disk took too long".to_owned()),
    }
}
