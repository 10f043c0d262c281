//! The types that have a name of their own in the document, each once.

use crate::openapi::{
    operation::{Api, Operation, Taken},
    schema::{Schema, same},
};

/// So many types of one service may have names.
const NAMES_MAX: usize = 128;

/// What the document says itself.
const TAKEN: &str = "Error";

pub(super) struct Names {
    schemas: [Option<&'static Schema>; NAMES_MAX],
    pub(super) count: usize,
}

impl Names {
    pub(super) const fn of(api: &Api) -> Self {
        let mut names = Self { schemas: [None; NAMES_MAX], count: 0 };
        let mut at = 0;
        while at < api.paths.len() {
            let operations = api.paths[at].operations;
            let mut each = 0;
            while each < operations.len() {
                names.of_operation(&operations[each]);
                each += 1;
            }
            at += 1;
        }
        if let Some((name, _)) = api.form.around {
            assert!(!names.has(name), "a type has the name of what stands around every answer: give it another");
        }
        assert!(!names.has(TAKEN), "no type may be called `Error`: that is the form of failures");
        names
    }

    pub(super) const fn schema(&self, place: usize) -> &'static Schema {
        match self.schemas[place] {
            Some(schema) => schema,
            None => panic!("there are not so many names"),
        }
    }

    const fn of_operation(&mut self, operation: &Operation) {
        let mut at = 0;
        while at < operation.takes.len() {
            match operation.takes[at] {
                Taken::Segment(schema) | Taken::Body(schema) => self.add(schema),
                Taken::Parameters(list) => {
                    let mut each = 0;
                    while each < list.len() {
                        self.add(list[each].member.schema);
                        each += 1;
                    }
                }
            }
            at += 1;
        }
        if let Some(schema) = operation.answers.content.schema() {
            self.add(schema);
        }
    }

    /// It, and what it is made of.
    const fn add(&mut self, schema: &'static Schema) {
        match schema {
            Schema::Plain(_) | Schema::Text => {}
            Schema::List(of) | Schema::Optional(of) => self.add(of),
            Schema::Words(words) => self.keep(words.name, schema),
            Schema::Object(object) => {
                if self.has(object.name) {
                    return self.keep(object.name, schema);
                }
                self.keep(object.name, schema);
                let mut at = 0;
                while at < object.members.len() {
                    self.add(object.members[at].schema);
                    at += 1;
                }
            }
        }
    }

    const fn keep(&mut self, name: &str, schema: &'static Schema) {
        let mut at = 0;
        while at < self.count {
            let known = self.schema(at);
            if same(named(known), name) {
                assert!(alike(known, schema), "two types of one service have the same name: rename one");
                return;
            }
            at += 1;
        }
        assert!(self.count < NAMES_MAX, "a service may have 128 types in its document");
        self.schemas[self.count] = Some(schema);
        self.count += 1;
    }

    const fn has(&self, name: &str) -> bool {
        let mut at = 0;
        while at < self.count {
            if same(named(self.schema(at)), name) {
                return true;
            }
            at += 1;
        }
        false
    }
}

const fn named(schema: &Schema) -> &'static str {
    match schema {
        Schema::Words(words) => words.name,
        Schema::Object(object) => object.name,
        _ => "",
    }
}

/// Whether they are one type, as far as can be told by what they are made of.
const fn alike(a: &Schema, b: &Schema) -> bool {
    match (a, b) {
        (Schema::Words(a), Schema::Words(b)) => {
            let mut at = 0;
            while at < a.words.len() && at < b.words.len() && same(a.words[at], b.words[at]) {
                at += 1;
            }
            at == a.words.len() && at == b.words.len()
        }
        (Schema::Object(a), Schema::Object(b)) => {
            let (a, b) = (a.members, b.members);
            let mut at = 0;
            while at < a.len() && at < b.len() && same(a[at].name, b[at].name) {
                at += 1;
            }
            at == a.len() && at == b.len()
        }
        _ => false,
    }
}
