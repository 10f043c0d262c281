//! What is told by each source, one group in a request: `Resource…`, in it `Scope…`, in that the items. Traces and
//! logs have the same numbers for these.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use span::Source;

use crate::{
    attribute::{resource, scope},
    wire::{Wire, field_size},
};

/// A request is as long as this and one more item, at most.
const REQUEST_BYTES: usize = 1 << 20;
/// Sources of which a description is kept: versions come and go.
const SOURCES_MAX: usize = 256;
/// Room for the first items of a source.
const ITEMS_BYTES: usize = 16 << 10;
/// Room for what is around the items of a source.
const AROUND_BYTES: usize = 1 << 10;

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
}

/// Items by source, on their way into requests.
pub(crate) struct Groups<'a> {
    sources: &'a mut Sources,
    groups: Vec<Group>,
    items: usize,
    bytes: usize,
    requests: Vec<Request>,
}

struct Group {
    source: Arc<Source>,
    items: Wire,
}

impl Sources {
    /// `common` is what all have besides their name and version.
    pub(crate) fn new(common: Vec<(String, String)>) -> Self {
        Self { common, scope: scope(), resources: HashMap::new() }
    }

    pub(crate) fn groups(&mut self) -> Groups<'_> {
        Groups { sources: self, groups: Vec::new(), items: 0, bytes: 0, requests: Vec::new() }
    }

    /// Who `source` is to whoever looks at what it tells.
    pub(crate) fn attributes(&self, source: &Source) -> Vec<(String, String)> {
        attributes(source, &self.common)
    }

    fn write(&mut self, wire: &mut Wire, source: &Arc<Source>, items: &[u8]) {
        if self.resources.len() >= SOURCES_MAX {
            self.resources.clear();
        }
        let common = &self.common;
        let resource = self.resources.entry(source.clone()).or_insert_with(|| resource(&attributes(source, common)));
        let of_scope = field_size(self.scope.len()) + items.len();
        wire.begin(1, field_size(resource.len()) + field_size(of_scope));
        wire.field(1, resource);
        wire.begin(2, of_scope);
        wire.field(1, &self.scope);
        wire.raw(items);
    }
}

fn attributes(source: &Source, common: &[(String, String)]) -> Vec<(String, String)> {
    let own = [("service.name", &source.name), ("service.version", &source.version)];
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    common.iter().cloned().chain(own.map(|(key, value)| (key.to_owned(), value.to_string()))).collect()
}

impl Groups<'_> {
    /// One item of `source`, which `write` writes with its tag: field 2 of its scope.
    pub(crate) fn add(&mut self, source: &Arc<Source>, write: impl FnOnce(&mut Wire)) {
        // Sources are few, and each is one allocation as long as its build is there.
        let known = self.groups.iter().position(|group| Arc::ptr_eq(&group.source, source));
        let at = known.unwrap_or_else(|| {
            self.groups.push(Group { source: source.clone(), items: Wire::with_capacity(ITEMS_BYTES) });
            self.groups.len() - 1
        });
        let into = &mut self.groups[at].items;
        let before = into.len();
        write(into);
        self.bytes += into.len() - before;
        self.items += 1;
        if self.bytes >= REQUEST_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        let groups = std::mem::take(&mut self.groups);
        let mut wire = Wire::with_capacity(groups.iter().map(|group| group.items.len() + AROUND_BYTES).sum());
        groups.iter().for_each(|group| self.sources.write(&mut wire, &group.source, group.items.bytes()));
        self.requests.push(Request { message: Bytes::from(wire.into_bytes()), items: self.items });
        (self.items, self.bytes) = (0, 0);
    }

    /// All of them, in as many requests as they need.
    pub(crate) fn done(mut self) -> Vec<Request> {
        if self.items > 0 {
            self.close();
        }
        self.requests
    }
}
