//! Which statements are proven to leave nothing behind in a session.
//!
//! PostgreSQL runs a function not only where `name(` stands: `(1::bigint).pg_advisory_lock`, `$1.f` and
//! `x.f` of a scalar `x` in FROM call one as well. So each parenthesis and each point is looked at, and
//! what is not understood is not plain. A point behind the name of a table, of a subquery or of a function
//! of several columns is a column, or a function of the operator's on such a row. Operators, casts,
//! views and triggers are the operator's own, written with the migrations.

use super::{
    harmless,
    lexer::{Token, tokens},
};

/// A longer statement is not looked at.
const BYTES_MAX: usize = 64 << 10;
/// PostgreSQL cuts longer names.
const NAME_BYTES_MAX: usize = 63;

/// Whether a statement leaves nothing but sequences' last values. The first word has been looked at.
pub(super) fn is_plain(sql: &str) -> bool {
    if sql.len() > BYTES_MAX {
        return false;
    }
    let statement = Words(tokens(sql).collect());
    (0..statement.0.len()).all(|place| statement.is_plain_at(place)) && statement.has_no_scalar_row()
}

struct Words<'a>(Vec<Token<'a>>);

impl<'a> Words<'a> {
    fn at(&self, place: usize) -> Option<Token<'a>> {
        self.0.get(place).copied()
    }

    fn before(&self, place: usize) -> Option<Token<'a>> {
        self.at(place.checked_sub(1)?)
    }

    fn is_word(&self, place: usize, word: &str) -> bool {
        matches!(self.at(place), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn is_symbol(&self, place: usize, symbol: char) -> bool {
        self.at(place) == Some(Token::Symbol(symbol))
    }

    fn word_before(&self, place: usize) -> String {
        match self.before(place) {
            Some(Token::Word(word)) => word.to_ascii_lowercase(),
            _ => String::new(),
        }
    }

    fn is_plain_at(&self, place: usize) -> bool {
        match self.0[place] {
            Token::Unclear => false,
            // `SELECT … INTO` makes a table, maybe a temporary one, also at the end of a WITH.
            Token::Word(word) if word.eq_ignore_ascii_case("into") => {
                matches!(self.word_before(place).as_str(), "insert" | "merge")
            }
            Token::Symbol('(') => !self.may_call(place),
            // `.5` is a number; a point behind anything but a name reaches into a value.
            Token::Symbol('.') => {
                matches!(self.at(place + 1), Some(Token::Literal))
                    || matches!(self.before(place), Some(Token::Word(_) | Token::QuotedIdentifier(_)))
            }
            _ => true,
        }
    }

    /// Whether what stands before this parenthesis may be a function that does something to the session.
    fn may_call(&self, parenthesis: usize) -> bool {
        let Some(name) = parenthesis.checked_sub(1) else { return false };
        match self.0[name] {
            Token::Word(_) | Token::QuotedIdentifier(_) if self.is_of_a_relation(name) => false,
            Token::Word(word) => {
                let qualified = self.before(name) == Some(Token::Symbol('.'));
                let (word, before) = (word.to_ascii_lowercase(), self.word_before(name));
                let harmless = match word.as_str() {
                    // Keywords here, and function names elsewhere.
                    "by" => ["group", "order", "partition"].contains(&before.as_str()),
                    "conflict" => before == "on",
                    "materialized" => before == "as" || before == "not" && self.is_word(name.wrapping_sub(2), "as"),
                    "sets" => before == "grouping",
                    "varying" => ["bit", "char", "character"].contains(&before.as_str()),
                    "filter" | "ilike" | "join" | "like" | "over" | "set" => self.ends_operand(name),
                    _ => harmless::may_precede_parenthesis(&word),
                };
                qualified || !harmless
            }
            Token::QuotedIdentifier(_) => true,
            Token::Literal | Token::Unclear | Token::Symbol(_) => false,
        }
    }

    /// `INSERT INTO users (id)`, `WITH t (a)`, `… AS t (a)`, `) t (a)`: a relation and its columns.
    fn is_of_a_relation(&self, name: usize) -> bool {
        let mut start = name;
        while start >= 2 && self.is_symbol(start - 1, '.') {
            start -= 2;
        }
        let alone = start == name;
        match self.word_before(start).as_str() {
            "into" => true,
            "with" | "recursive" | "as" => alone,
            _ => alone && self.before(start) == Some(Token::Symbol(')')),
        }
    }

    /// Whether an expression or a name ends before this place, so that what follows is a keyword.
    fn ends_operand(&self, place: usize) -> bool {
        match self.before(place) {
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("not") => self.ends_operand(place - 1),
            Some(Token::Word(_)) => !harmless::may_precede_expression(&self.word_before(place)),
            Some(Token::QuotedIdentifier(_) | Token::Literal | Token::Symbol(')' | ']')) => true,
            _ => false,
        }
    }

    /// Whether no name with a point behind it may be that of a single value in FROM: there the word behind
    /// the point would be a function of the value.
    fn has_no_scalar_row(&self) -> bool {
        let points: Vec<usize> = (0..self.0.len()).filter(|place| self.is_symbol(*place, '.')).collect();
        let rows: Vec<Token> = points.iter().filter_map(|point| self.name_at(point.checked_sub(1)?)).collect();
        if rows.is_empty() {
            return true;
        }
        let scalars = self.scalars();
        let text = |name: Token<'a>| match name {
            Token::Word(word) if word.len() <= NAME_BYTES_MAX => word.to_ascii_lowercase(),
            Token::QuotedIdentifier(text) if text.len() <= NAME_BYTES_MAX => text.to_owned(),
            _ => String::new(),
        };
        // Of some quoted names the text is not known, nor where PostgreSQL cuts a long one.
        let is_same = |one: Token<'a>, other: Token<'a>| {
            let (one, other) = (text(one), text(other));
            one == other || one.is_empty() || other.is_empty()
        };
        rows.iter().all(|row| !scalars.iter().any(|scalar| is_same(*row, *scalar)))
    }

    /// The names that a function in FROM may have, unless it has several columns.
    fn scalars(&self) -> Vec<Token<'a>> {
        let (mut scalars, mut open) = (Vec::new(), Vec::new());
        for place in 0..self.0.len() {
            match self.0[place] {
                Token::Symbol('(') => {
                    let is_query = ["select", "with", "values", "table"].iter().any(|w| self.is_word(place + 1, w));
                    open.push(is_query);
                    let named = place.checked_sub(1).filter(|name| !self.is_of_a_relation(*name));
                    scalars.extend(named.and_then(|name| self.name_at(name)));
                }
                Token::Symbol(')') if open.pop() == Some(true) => {}
                Token::Symbol(')') => scalars.extend(self.alias(place + 1)),
                Token::Word(word) if harmless::is_value(word) => scalars.extend(self.alias(place + 1)),
                _ => {}
            }
        }
        scalars
    }

    fn name_at(&self, place: usize) -> Option<Token<'a>> {
        self.at(place).filter(|token| matches!(token, Token::Word(_) | Token::QuotedIdentifier(_)))
    }

    /// The name that a function gets behind its parenthesis, if it may have one column only.
    fn alias(&self, mut place: usize) -> Option<Token<'a>> {
        if self.is_word(place, "with") && self.is_word(place + 1, "ordinality") {
            return None;
        }
        if self.is_word(place, "as") {
            place += 1;
        }
        let several = self.is_symbol(place + 1, '(') && self.is_symbol(place + 3, ',');
        self.name_at(place).filter(|_| !several)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(plain: bool, statements: &[&str]) {
        for sql in statements {
            assert_eq!(is_plain(sql), plain, "{sql}");
        }
    }

    #[test]
    fn everyday_statements_are_plain() {
        check(
            true,
            &[
                "select id, lower(email) from users where id = any($1) and (a or b) order by count(*) over (partition by x)",
                "insert into users (id, email) values ($1, lower($2)) on conflict (email) do update set x = excluded.x returning id",
                "update users set name = coalesce($2, name), updated_at = now() where id in ($1)",
                "update users u set (a, b) = ($1, $2) where u.id = 3",
                "delete from users where not exists (select 1 from orders o where o.user_id = users.id)",
                "select 'set_config(' || x, cast(a as numeric(10, 2)), b::varchar(3) from t join u using (id)",
                "insert into \"users\" (id) values (gen_random_uuid())",
                "insert into shop.users as known (id) values (.5)",
                "with recent (a) as (select 1) select recent.a from recent join (select 1 as b) as x on x.b = a",
                "with x as not materialized (select 1) select * from x",
                "select * from users where name like ('%' || $1) or name not ilike ($2) for update",
                "merge into users using news on true when matched then do nothing",
                "select \"u\".\"id\", count(*) from \"users\" as \"u\" group by (\"u\".\"id\")",
                "select x.a, \"x\".\"b\", public.users.id from public.users, (values (1, 2)) x (a, b)",
                "select t.id, t.n from unnest($1::uuid[], $2::bigint[]) as t (id, n)",
                "select line.place from unnest($1::uuid[]) with ordinality as line (id, place)",
                "select count(*) filter (where a > 1) from t where b between 1 and (2) group by (a) having (count(*) > 1)",
                "select E'\\'' || $1, 1e5, 0x1F, u&'x' from t",
            ],
        );
    }

    #[test]
    fn what_could_change_a_session_is_never_plain() {
        check(
            false,
            &[
                "select set_config('x', 'y', false)",
                "select pg_catalog.set_config('x', 'y', false)",
                "select/**/set_config/* */('x', 'y', false)",
                "select \"set_config\"('x', 'y', false)",
                "select U&\"set_confi\\0067\"('x', 'y', false)",
                "select my.lower('x')",
                "select currval('s'), nextval('s')",
                "select 1 into temp t",
                "select 1into temp t",
                "with x as (select 1) select * into temp t from x",
                "with x as (insert into a values (1) returning 1) select * into t from x",
                "with x as (select set_config('a', 'b', false)) select 1",
                "select any_function_nobody_knows()",
                // A string goes on behind a line's end, in the quotes it began with.
                "select E'a'\n'\\'' || pg_advisory_lock(1)::text || ''",
            ],
        );
    }

    #[test]
    fn a_function_that_is_called_by_a_point_is_not_plain() {
        check(
            false,
            &[
                "select (1::bigint).pg_advisory_lock",
                "select ('…'::text).ts_stat",
                "select (array[1::bigint])[1].pg_advisory_lock",
                "select $1.pg_advisory_lock",
                "select (1::bigint) . \"pg_advisory_lock\"",
                "select x.pg_advisory_lock from unnest(array[1::bigint]) x",
                "select X.pg_advisory_lock from unnest(array[1::bigint]) as x (y)",
                "select \"x\".pg_advisory_lock from unnest(array[1::bigint]) as x",
                "select x.pg_advisory_lock from unnest(array[1::bigint]) \"x\"",
                "select U&\"\\0078\".pg_advisory_lock from unnest(array[1::bigint]) x",
                "select unnest.pg_advisory_lock from unnest(array[1::bigint])",
                "select x.pg_advisory_lock from cast(1 as bigint) x",
                "select x.ts_stat from current_user as x",
                "select y.pg_advisory_lock from t, lateral (unnest(array[1::bigint])) as y",
            ],
        );
        let long = "x".repeat(63);
        check(false, &[&format!("select {long}b.pg_advisory_lock from unnest(array[1::bigint]) {long}c")]);
    }

    #[test]
    fn a_function_with_the_name_of_a_keyword_is_not_plain() {
        check(
            false,
            &[
                "select key(1)",
                "select xor(1)",
                "select a, over(1)",
                "select filter(1)",
                "select like(a, b)",
                "select not materialized(1)",
                "select 1 where join(1)",
                "select by(1)",
                "select set(1)",
                "select varying(1)",
            ],
        );
    }
}
