//! Databases that answer what a test has said, statement by statement.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    messaging,
    turn::{self, Kept},
};
pub(crate) use crate::bindings::archipel::postgres::types::{Error, Rows, TxOptions, Value};

pub(crate) type Databases = BTreeMap<String, Known>;

thread_local! {
    static KEPT: Kept<Databases> = Kept::default();
}

#[track_caller]
pub(crate) fn with<R>(call: &str, work: impl FnOnce(&mut Databases) -> R) -> R {
    turn::with(&KEPT, call, work)
}

/// One database.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) rules: Vec<Rule>,
    pub(crate) statements: Vec<(String, Vec<Value>)>,
    pub(crate) commits: u64,
    pub(crate) rollbacks: u64,
}

/// What statements with this text in them are answered; of several that fit, the last.
pub(crate) struct Rule {
    pub(crate) part: String,
    pub(crate) answer: Answer,
}

pub(crate) type Answer = Rc<dyn Fn(&[Value]) -> Result<Answered, Error>>;

#[derive(Clone)]
pub(crate) enum Answered {
    Rows(Rows),
    /// So many rows changed.
    Changed(u64),
}

pub(crate) struct Database(String);

pub(crate) struct Transaction {
    database: String,
    /// Published if it commits.
    events: std::cell::RefCell<Vec<messaging::Published>>,
    has_ended: bool,
}

impl Database {
    pub(crate) fn open(name: &str) -> Result<Self, Error> {
        with(&format!("`Database::open({name:?})`"), |databases| {
            let is_known = databases.contains_key(name);
            assert!(is_known, "there is no database `{name}` in this test: write `fake.postgres({name:?})`");
        });
        Ok(Self(name.to_owned()))
    }

    pub(crate) fn query(&self, sql: &str, parameters: &[Value]) -> Result<Rows, Error> {
        answer(&self.0, sql, parameters).map(rows)
    }

    pub(crate) fn execute(&self, sql: &str, parameters: &[Value]) -> Result<u64, Error> {
        answer(&self.0, sql, parameters).map(changed)
    }

    pub(crate) fn begin(&self, _options: Option<TxOptions>) -> Result<Transaction, Error> {
        Ok(Transaction { database: self.0.clone(), events: Vec::new().into(), has_ended: false })
    }
}

impl Transaction {
    pub(crate) fn query(&self, sql: &str, parameters: &[Value]) -> Result<Rows, Error> {
        answer(&self.database, sql, parameters).map(rows)
    }

    pub(crate) fn execute(&self, sql: &str, parameters: &[Value]) -> Result<u64, Error> {
        answer(&self.database, sql, parameters).map(changed)
    }

    pub(super) fn publish(&self, event: messaging::Published) {
        self.events.borrow_mut().push(event);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.has_ended && !std::thread::panicking() {
            known(&self.database, |known| known.rollbacks += 1);
        }
    }
}

pub(crate) fn commit(mut transaction: Transaction) -> Result<(), Error> {
    transaction.has_ended = true;
    known(&transaction.database, |known| known.commits += 1);
    messaging::keep(transaction.events.take());
    Ok(())
}

fn known<T>(database: &str, work: impl FnOnce(&mut Known) -> T) -> T {
    with("a statement", |databases| work(databases.entry(database.to_owned()).or_default()))
}

fn answer(database: &str, sql: &str, parameters: &[Value]) -> Result<Answered, Error> {
    let text = spaced(sql);
    let found = known(database, |known| {
        known.statements.push((text.clone(), parameters.to_vec()));
        known.rules.iter().rev().find(|rule| text.contains(&rule.part)).map(|rule| rule.answer.clone())
    });
    // Called without the state being held: it may call the host itself.
    let Some(found) = found else {
        panic!(
            "no answer is set for this statement of database `{database}`: {text}\nwrite \
             `fake.postgres({database:?}).on(\"part of the statement\").row([\"column\"], params![value])`, or \
             `.nothing()`, `.changed(1)`, `.fails(error)`"
        );
    };
    found(parameters)
}

/// With one space where there is any: a statement over several lines is found by its words.
pub(crate) fn spaced(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rows(answered: Answered) -> Rows {
    match answered {
        Answered::Rows(rows) => rows,
        Answered::Changed(_) => Rows { columns: Vec::new(), rows: Vec::new() },
    }
}

fn changed(answered: Answered) -> u64 {
    match answered {
        Answered::Rows(rows) => rows.rows.len() as u64,
        Answered::Changed(count) => count,
    }
}
