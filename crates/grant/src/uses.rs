//! Which grants have been used: for `status`, which shows those that nobody needs, and for an audit, which
//! collects what a service asks for while it is let through.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

use crate::{Denied, Fix, Granted, Grants, Permissions};

/// A mark for each entry of the manifest that a decision can be made by. Marks are never taken back.
#[derive(Debug)]
pub(crate) struct Uses {
    entries: Box<[Entry]>,
    since: SystemTime,
}

#[derive(Debug)]
struct Entry {
    kind: &'static str,
    word: String,
    used: AtomicBool,
}

impl Uses {
    pub(crate) fn of(written: &Permissions) -> Arc<Self> {
        let entry = |(kind, word)| Entry { kind, word, used: AtomicBool::new(false) };
        Arc::new(Self { entries: written.decided().into_iter().map(entry).collect(), since: SystemTime::now() })
    }

    /// The `index`-th entry of its kind has been used.
    fn mark(&self, kind: &'static str, index: usize) {
        let mut of_kind = self.entries.iter().filter(|entry| entry.kind == kind);
        if let Some(entry) = of_kind.nth(index)
            && !entry.used.load(Relaxed)
        {
            entry.used.store(true, Relaxed);
        }
    }
}

/// Marks are no part of what is granted.
impl PartialEq for Uses {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

/// What one service has asked for while nothing was denied to it, and what is said of each thing that
/// would have been.
pub struct Audit {
    used: Mutex<Permissions>,
    tell: fn(&Denied),
}

impl Audit {
    /// `tell` is asked once for each thing that would have been denied.
    pub fn new(tell: fn(&Denied)) -> Self {
        Self { used: Mutex::default(), tell }
    }

    /// Everything that was asked for so far.
    pub fn used(&self) -> Permissions {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, grants: &Grants, need: &Permissions) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let new = used.lacking(need);
        if new == Permissions::default() {
            return;
        }
        *used = used.plus(&new);
        drop(used);
        let lacks = grants.written.lacking(&new);
        for (line, word) in lacks.lines().into_iter().zip(lacks.kinds()) {
            let target = Permissions::needs(&line).map_or_else(|_| word.to_owned(), |one| one.words().join(", "));
            let fix = Fix::add(line, grants.word(false));
            let rule = format!("`{word}` does not cover it; let through, for this is an audit");
            (self.tell)(&Denied { service: grants.service.clone(), target, rule, fix });
        }
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Audit")
    }
}

impl PartialEq for Audit {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Grants {
    /// The same service with everything that `all` grants besides, and a record of what it uses.
    ///
    /// For development only: what a manifest denies in so many words stays denied, nothing else is.
    #[must_use]
    pub fn audited(self, all: &Permissions, audit: Arc<Audit>) -> Self {
        Self { left: self.written.plus(all), audit: Some(audit), ..self }
    }

    /// Words of grants that nobody has used, and since when they were watched.
    pub fn unused(&self) -> (Vec<String>, SystemTime) {
        let unused = self.uses.entries.iter().filter(|entry| !entry.used.load(Relaxed));
        (unused.map(|entry| entry.word.clone()).collect(), self.uses.since)
    }

    /// Says yes: by the `index`-th entry of its kind in the manifest, if it is there.
    pub(crate) fn granted<T>(
        &self,
        kind: &'static str,
        index: Option<usize>,
        need: impl FnOnce() -> Permissions,
        value: T,
    ) -> Granted<T> {
        if let Some(index) = index {
            self.uses.mark(kind, index);
        }
        if let Some(audit) = &self.audit {
            audit.note(self, &need());
        }
        Granted(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::grants;

    #[test]
    fn an_audit_tells_each_kind_with_its_own_words() {
        static TOLD: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
        let tell: fn(&Denied) = |denied| {
            TOLD.lock().unwrap().push((denied.target.clone(), denied.fix.line().unwrap_or_default().to_owned()))
        };
        let needs = Permissions::needs("call = [\"users\"]\nnet = [\"a.example:443\"]").unwrap();
        Audit::new(tell).note(&grants("orders", ""), &needs);
        let mut told = TOLD.lock().unwrap().clone();
        told.sort();
        let expected = [("call users", "call = [\"users\"]"), ("net a.example:443", "net = [\"a.example:443\"]")];
        assert_eq!(told, expected.map(|(target, line)| (target.to_owned(), line.to_owned())));
    }
}
