//! What a database answers in a test, and what it was asked.

use std::{marker::PhantomData, rc::Rc};

use crate::{
    fake::{
        self,
        postgres::{Answer, Answered, Known, Rule, spaced},
    },
    postgres::{Column, Error, FromValue, Rows, Value},
};

/// One database of a test. It lives as long as its `Fake`.
#[derive(Clone)]
pub struct FakeDatabase<'a> {
    name: String,
    of: PhantomData<&'a ()>,
}

/// Statements that are to be answered: each that has this text in it.
#[must_use = "say what they are answered: `row`, `rows`, `nothing`, `changed`, `fails` or `by`"]
pub struct On<'a> {
    database: FakeDatabase<'a>,
    part: String,
}

/// A statement that was sent.
#[derive(Debug, Clone)]
pub struct Statement {
    /// With one space where there is any.
    pub sql: String,
    pub parameters: Vec<Value>,
}

impl<'a> FakeDatabase<'a> {
    pub(super) fn of(name: &str) -> Self {
        let own = Self { name: name.to_owned(), of: PhantomData };
        own.with(|_known| ());
        own
    }

    /// What statements with `part` in them are answered, however they are broken into lines. Of several that fit, the
    /// last that was said counts.
    pub fn on(&self, part: &str) -> On<'a> {
        On { database: self.clone(), part: spaced(part) }
    }

    /// All statements so far.
    pub fn statements(&self) -> Vec<Statement> {
        let own =
            |(sql, parameters): &(String, Vec<Value>)| Statement { sql: sql.clone(), parameters: parameters.clone() };
        self.with(|known| known.statements.iter().map(own).collect())
    }

    /// How many transactions have committed.
    pub fn commits(&self) -> u64 {
        self.with(|known| known.commits)
    }

    /// How many transactions were taken back.
    pub fn rollbacks(&self) -> u64 {
        self.with(|known| known.rollbacks)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        fake::postgres::with("`postgres`", |databases| work(databases.entry(self.name.clone()).or_default()))
    }
}

impl<'a> On<'a> {
    /// One row: `row(["id", "text"], params![7_i64, "tea"])`.
    pub fn row<'b>(self, columns: impl IntoIterator<Item = &'b str>, values: impl AsRef<[Value]>) -> FakeDatabase<'a> {
        self.rows(columns, [values])
    }

    /// These rows.
    pub fn rows<'b, V: AsRef<[Value]>>(
        self,
        columns: impl IntoIterator<Item = &'b str>,
        rows: impl IntoIterator<Item = V>,
    ) -> FakeDatabase<'a> {
        let answered = Answered::Rows(table(columns, rows));
        self.answered(Rc::new(move |_parameters| Ok(answered.clone())))
    }

    /// No row.
    pub fn nothing(self) -> FakeDatabase<'a> {
        self.changed(0)
    }

    /// For `execute`: so many rows changed.
    pub fn changed(self, count: u64) -> FakeDatabase<'a> {
        self.answered(Rc::new(move |_parameters| Ok(Answered::Changed(count))))
    }

    /// This error.
    pub fn fails(self, error: Error) -> FakeDatabase<'a> {
        self.answered(Rc::new(move |_parameters| Err(error.clone())))
    }

    /// What `answer` makes of the parameters; [`table`] makes rows.
    pub fn by(self, answer: impl Fn(&[Value]) -> Result<Rows, Error> + 'static) -> FakeDatabase<'a> {
        self.answered(Rc::new(move |parameters| answer(parameters).map(Answered::Rows)))
    }

    fn answered(self, answer: Answer) -> FakeDatabase<'a> {
        let Self { database, part } = self;
        database.with(|known| known.rules.push(Rule { part, answer }));
        database
    }
}

impl Statement {
    /// The parameter `$number`, from 1.
    ///
    /// # Panics
    /// When there is none, or it is no `T`.
    #[track_caller]
    pub fn parameter<T: FromValue>(&self, number: usize) -> T {
        let value = number.checked_sub(1).and_then(|at| self.parameters.get(at));
        let value = value.unwrap_or_else(|| panic!("no parameter ${number}: {}", self.sql));
        T::from_value(value)
            .unwrap_or_else(|| panic!("${number} is {value:?} and no {}: {}", std::any::type_name::<T>(), self.sql))
    }
}

/// Rows as a statement gives them: `table(["id"], [params![7_i64]])`.
///
/// # Panics
/// When a row has another number of values than there are columns.
pub fn table<'b, V: AsRef<[Value]>>(
    columns: impl IntoIterator<Item = &'b str>,
    rows: impl IntoIterator<Item = V>,
) -> Rows {
    let column = |name: &str| Column { name: name.to_owned(), oid: 0, type_name: String::new() };
    let columns: Vec<Column> = columns.into_iter().map(column).collect();
    let row = |values: V| {
        let values = values.as_ref().to_vec();
        assert_eq!(values.len(), columns.len(), "a row has as many values as there are columns");
        crate::bindings::archipel::postgres::types::Row { values }
    };
    let rows = rows.into_iter().map(row).collect();
    Rows { columns, rows }
}
