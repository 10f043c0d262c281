//! What is told by each source, one group in a request: `Resource…`, in it `Scope…`, in that the items. Traces and
//! logs have the same numbers for these.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use span::Source;

use crate::{
    attribute::{resource, scope},
    wire::Wire,
};

/// A request is as long as this and one more item, at most.
const REQUEST_BYTES: usize = 1 << 20;
/// Sources of which a description is kept: versions come and go.
const SOURCES_MAX: usize = 256;
/// Bytes of an item of which nothing is known yet.
const ITEM_BYTES: usize = 512;
/// Room for the last item of a request, and what is around items.
const MORE_BYTES: usize = 64 << 10;

/// A message as the protocol has it, and how many spans or lines are in it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) message: Bytes,
    pub(crate) items: usize,
}

/// Who tells something, as it is written for one collector.
#[derive(Debug)]
pub(crate) struct Sources {
    common: Vec<(String, String)>,
    scope: Vec<u8>,
    resources: HashMap<Arc<Source>, Vec<u8>>,
    /// Bytes of an item of the last batch: a buffer that grows would be copied each time.
    item_bytes: usize,
}

impl Sources {
    /// `common` is what all have besides their name and version.
    pub(crate) fn new(common: Vec<(String, String)>) -> Self {
        Self { common, scope: scope(), resources: HashMap::new(), item_bytes: ITEM_BYTES }
    }

    /// Who `source` is to whoever looks at what it tells.
    pub(crate) fn attributes(&self, source: &Source) -> Vec<(String, String)> {
        attributes(source, &self.common)
    }

    /// All items in as many requests as they need. `write` writes one with its tag: field 2 of its scope.
    pub(crate) fn requests<'a, T>(
        &mut self,
        items: impl Iterator<Item = (&'a Arc<Source>, T)>,
        write: impl Fn(&mut Wire, &T),
    ) -> Vec<Request> {
        let groups = by_source(items);
        let count: usize = groups.iter().map(|(_, items)| items.len()).sum();
        let room = (count * self.item_bytes).min(REQUEST_BYTES) + MORE_BYTES;
        let (mut requests, mut wire, mut written) = (Vec::new(), Wire::with_capacity(room), 0);
        let mut close = |wire: Wire, items: &mut usize| {
            requests.push(Request { message: Bytes::from(wire.into_bytes()), items: std::mem::take(items) });
        };
        let mut bytes = 0;
        for (source, items) in groups {
            let mut items = items.iter().peekable();
            while items.peek().is_some() {
                self.group(&mut wire, source, |wire| {
                    while let Some(item) = items.next_if(|_| wire.len() < REQUEST_BYTES) {
                        write(wire, item);
                        written += 1;
                    }
                });
                if wire.len() >= REQUEST_BYTES {
                    bytes += wire.len();
                    close(std::mem::replace(&mut wire, Wire::with_capacity(room)), &mut written);
                }
            }
        }
        bytes += wire.len();
        if written > 0 {
            close(wire, &mut written);
        }
        self.item_bytes = bytes.checked_div(count).unwrap_or(ITEM_BYTES);
        requests
    }

    /// What one source tells, in a request: its items are what `write` writes.
    fn group(&mut self, wire: &mut Wire, source: &Arc<Source>, write: impl FnOnce(&mut Wire)) {
        wire.long_message(1, |wire| {
            wire.field(1, self.resource(source));
            wire.long_message(2, |wire| {
                wire.field(1, &self.scope);
                write(wire);
            });
        });
    }

    fn resource(&mut self, source: &Arc<Source>) -> &[u8] {
        if self.resources.len() >= SOURCES_MAX {
            self.resources.clear();
        }
        let common = &self.common;
        self.resources.entry(source.clone()).or_insert_with(|| resource(&attributes(source, common)))
    }
}

/// Items of each source, in their order. Sources are few, and each is one allocation as long as its build is there.
fn by_source<'a, T>(items: impl Iterator<Item = (&'a Arc<Source>, T)>) -> Vec<(&'a Arc<Source>, Vec<T>)> {
    let mut groups: Vec<(&Arc<Source>, Vec<T>)> = Vec::new();
    for (source, item) in items {
        match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, source)) {
            Some((_, items)) => items.push(item),
            None => groups.push((source, vec![item])),
        }
    }
    groups
}

fn attributes(source: &Source, common: &[(String, String)]) -> Vec<(String, String)> {
    let own = [("service.name", &source.name), ("service.version", &source.version)];
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    common.iter().cloned().chain(own.map(|(key, value)| (key.to_owned(), value.to_string()))).collect()
}
