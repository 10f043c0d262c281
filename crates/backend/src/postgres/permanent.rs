//! Waits until what was committed over a connection is on the disk, where the commit itself did not.

use super::{
    error::{Error, not_permanent},
    flush::Gone,
    pool::Lease,
};

impl Lease {
    /// To be called after whatever may have written, before anybody is told. Where another session flushes for all,
    /// this one is lent to others meanwhile.
    ///
    /// Cancel safe: what is committed stays so.
    ///
    /// # Errors
    /// [`not_permanent`]: it has happened, and whether it stays so is open.
    pub(super) async fn permanent(mut self) -> Result<(), Error> {
        let Some((flushes, lent_at)) = self.flushes() else { return Ok(()) };
        if !flushes.serve_since(lent_at) {
            return self.flush().await.map_err(|_| not_permanent());
        }
        let flushes = flushes.clone();
        drop(self);
        flushes.flushed(lent_at).await.map_err(|Gone| not_permanent())
    }
}
