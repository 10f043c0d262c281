//! The routes of one host by the segments of their paths.
//!
//! A lookup goes down segment by segment, literal before `{name}` before `{*rest}`, and back up
//! when a branch has nothing. Each node is visited at most once, and a segment leads to at most
//! two nodes, so the work is bounded by the path and not by the number of routes. Decides nothing
//! about methods: a path has its routes whatever they take.

use std::collections::HashMap;

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

    /// The most specific routes for `path`, which is in normal form; not empty. `visited` counts the
    /// nodes looked at, for the test that the cost is flat.
    pub(super) fn find(&self, path: &str, visited: &mut usize) -> Option<&[usize]> {
        match path.strip_prefix('/') {
            None | Some("") => self.root.visit(None, visited),
            Some(segments) => self.root.visit(Some(segments), visited),
        }
    }
}

impl Node {
    /// `segments` are those still to match; an empty last one stands for a trailing slash. The
    /// recursion is as deep as the longest pattern at most.
    fn visit(&self, segments: Option<&str>, visited: &mut usize) -> Option<&[usize]> {
        *visited += 1;
        let found = match segments {
            None => some(&self.here),
            Some("") => None,
            Some(segments) => {
                let (segment, after) = match segments.split_once('/') {
                    Some((segment, after)) => (segment, Some(after)),
                    None => (segments, None),
                };
                let literal = self.literals.get(segment).and_then(|node| node.visit(after, visited));
                literal.or_else(|| self.name.as_deref().and_then(|node| node.visit(after, visited)))
            }
        };
        found.or_else(|| some(&self.rest))
    }
}

fn some(indices: &[usize]) -> Option<&[usize]> {
    (!indices.is_empty()).then_some(indices)
}
