//! The routes of one host by the segments of their paths.
//!
//! A lookup goes down segment by segment, literal before `{name}` before `{*rest}`, and back up
//! when a branch has nothing. Each node is visited at most once, and a segment leads to at most
//! two nodes, so the work is bounded by the path and not by the number of routes. Decides nothing
//! about methods: that is the search's `pick`.

use std::collections::HashMap;

use super::{Entry, Search};
use crate::route::Segment;

#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    name: Option<Box<Node>>,
    /// Routes whose path ends here.
    here: Vec<usize>,
    /// Routes whose `{*rest}` begins here.
    rest: Vec<usize>,
}

impl Trie {
    /// `index` is the route's place in the table.
    pub(super) fn insert(&mut self, segments: &[Segment], index: usize) {
        let mut node = &mut self.root;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Name(_) => node.name.get_or_insert_default(),
                Segment::Rest(_) => return node.rest.push(index),
            };
        }
        node.here.push(index);
    }

    /// The most specific route for `path` that `search` picks. `path` is in normal form.
    pub(super) fn walk<'a>(&'a self, path: &str, search: &mut Search<'a, '_>) -> Option<&'a Entry> {
        match path.strip_prefix('/') {
            None | Some("") => self.root.visit(None, search),
            Some(segments) => self.root.visit(Some(segments), search),
        }
    }
}

impl Node {
    /// `segments` are those still to match; an empty last one stands for a trailing slash. The
    /// recursion is as deep as the longest pattern at most.
    fn visit<'a>(&'a self, segments: Option<&str>, search: &mut Search<'a, '_>) -> Option<&'a Entry> {
        search.visited += 1;
        let found = match segments {
            None => search.pick(&self.here),
            Some("") => None,
            Some(segments) => {
                let (segment, after) = match segments.split_once('/') {
                    Some((segment, after)) => (segment, Some(after)),
                    None => (segments, None),
                };
                let literal = self.literals.get(segment).and_then(|node| node.visit(after, search));
                literal.or_else(|| self.name.as_deref().and_then(|node| node.visit(after, search)))
            }
        };
        found.or_else(|| search.pick(&self.rest))
    }
}
