//! The services of this host by name, for those that call them.
//!
//! Says where a name leads now. Who may call whom was decided before: a [`CallGrant`] is needed
//! to look a name up.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use gateway::call::Callee;

use grant::{Granted, call::CallGrant};

/// Empty until the services of a generation have started; replaced as a whole when they change.
#[derive(Default)]
pub struct Directory(ArcSwap<BTreeMap<Arc<str>, Arc<Callee>>>);

impl Directory {
    /// From now on calls go to these. Calls under way finish where they are.
    pub fn replace(&self, callees: impl IntoIterator<Item = Arc<Callee>>) {
        let by_name = callees.into_iter().map(|callee| (callee.name().clone(), callee));
        self.0.store(Arc::new(by_name.collect()));
    }

    /// `None` when no such service runs.
    pub fn find(&self, granted: &Granted<CallGrant>) -> Option<Arc<Callee>> {
        self.0.load().get(&granted.get().callee).cloned()
    }
}
