//! Decides which statements may be sent, and which leave nothing behind on a connection.
//!
//! A connection is lent to one request after another, so what a statement changes in its session
//! must not reach the next. Statements whose purpose is the session or the transaction are
//! refused. A **plain** statement is one that is proven, in `plain`, to leave nothing but the sequences'
//! last values. After any other the connection is reset: what nobody thought of costs a reset, never a
//! leak.

use super::{
    error::Error,
    lexer::{Token, next, skip_blank, tokens},
    plain::is_plain,
};

/// The longest statement, in bytes.
pub(crate) const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// The most parameters: the protocol has two bytes for their number.
pub(super) const PARAMETERS_MAX: usize = u16::MAX as usize;

/// Of a parameter's number, where it is shown.
const SHOWN_BYTES: usize = 16;

/// What a statement may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    /// Leaves nothing behind on its connection but sequences' last values.
    pub(super) plain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Starts like a query. Only if it is also plain it certainly writes nothing.
    Query,
    /// Changes rows, or may.
    Change,
    /// Anything else: definitions, blocks of code.
    Other,
}

impl Statement {
    /// Written nowhere and leaves nothing: may run twice.
    pub(super) fn is_repeatable(self) -> bool {
        self.plain && self.effect == Effect::Query
    }
}

/// Looks at a statement's words; nothing is sent.
///
/// # Errors
/// [`Error::Refused`] names what to use instead.
pub(super) fn classify(sql: &str) -> Result<Statement, Error> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(Error::Refused(format!("the statement is longer than {STATEMENT_BYTES_MAX} bytes")));
    }
    if sql.contains('\0') {
        return Err(Error::Refused("the statement holds a NUL character".to_owned()));
    }
    if let Some(parameter) = parameter_beyond(sql) {
        return Err(Error::Refused(format!("there is no `{parameter}`: {}", too_many_parameters())));
    }
    let mut words = tokens(sql).filter_map(|token| match token {
        Token::Word(word) => Some(word.to_ascii_uppercase()),
        _ => None,
    });
    let first = words.next().unwrap_or_default();
    if let Some(instead) = instead_of(&first) {
        return Err(Error::Refused(format!("{first} may not be sent as a statement; {instead}")));
    }
    if matches!(first.as_str(), "ALTER" | "DROP") {
        let second = words.next().unwrap_or_default();
        // PostgreSQL lets every role change its own password and settings, and give its rights
        // away; both would outlive the request.
        if matches!(second.as_str(), "ROLE" | "USER" | "GROUP" | "OWNED") {
            return Err(Error::Refused(format!("{first} {second} may not be sent; roles belong to the host")));
        }
    }
    let effect = match first.as_str() {
        // SELECT … FOR UPDATE locks rows, and TABLE … FOR SHARE does.
        "SELECT" | "VALUES" | "TABLE" if !has_word(sql, &["update", "share"]) => Effect::Query,
        "SELECT" | "VALUES" | "TABLE" => Effect::Change,
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "WITH" => Effect::Change,
        _ => Effect::Other,
    };
    let plain = effect != Effect::Other && is_plain(sql);
    Ok(Statement { effect, plain })
}

/// What to do where a statement wants more parameters than there may be.
pub(super) fn too_many_parameters() -> String {
    format!("a statement takes at most {PARAMETERS_MAX} parameters; use an array and `unnest`")
}

/// A parameter (`$65536`) that the protocol has no number for: the server takes it, and counts wrongly then.
fn parameter_beyond(sql: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if !sql.split('$').skip(1).any(|after| digits(after) >= 5) {
        return None;
    }
    let mut rest = sql;
    loop {
        let begins = skip_blank(rest);
        let (_, after) = next(begins)?;
        let written = &begins[..begins.len() - after.len()];
        let number = written.strip_prefix('$').filter(|text| !text.is_empty() && digits(text) == text.len());
        if number.is_some_and(|number| !number.parse::<usize>().is_ok_and(|number| number <= PARAMETERS_MAX)) {
            return Some(&written[..written.len().min(SHOWN_BYTES)]);
        }
        rest = after;
    }
}

fn instead_of(keyword: &str) -> Option<&'static str> {
    Some(match keyword {
        "BEGIN" | "START" => "use `begin`",
        "COMMIT" | "END" => "use `commit` with the transaction",
        "ROLLBACK" | "ABORT" => "use `rollback` with the transaction, or drop it",
        "SAVEPOINT" | "RELEASE" => "use `savepoint` of the transaction",
        "SET" | "RESET" | "DISCARD" | "LOAD" => "a connection's settings belong to the host",
        "LISTEN" | "UNLISTEN" => "a connection is lent for one statement or one transaction only",
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => "send the statement itself, it is prepared and kept for you",
        "COPY" => "use `batch` with INSERT, or an INSERT from unnest of arrays",
        "DECLARE" | "FETCH" | "MOVE" | "CLOSE" => "page through rows with LIMIT and a key",
        "VACUUM" | "CHECKPOINT" | "REASSIGN" | "CLUSTER" => "it belongs to the operator",
        _ => return None,
    })
}

fn has_word(sql: &str, words: &[&str]) -> bool {
    tokens(sql).any(|token| matches!(token, Token::Word(word) if words.iter().any(|wanted| is(word, wanted))))
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_transaction_or_the_session_is_refused() {
        for sql in [
            "begin",
            " ;COMMIT",
            "/* /* */ */ Rollback",
            "-- x\nSET ROLE x",
            "(savepoint a)",
            "reset all",
            "LISTEN x",
            "prepare x as select 1",
            "execute x",
            "deallocate all",
            "discard all",
            "copy t to stdout",
            "START TRANSACTION",
            "end",
            "abort",
            "release a",
            "fetch 1 from c",
            "declare c cursor with hold for select 1",
            "vacuum",
            "alter role x set work_mem = 1",
            "ALTER /* */ USER x PASSWORD 'y'",
            "drop owned by x",
        ] {
            assert!(matches!(classify(sql), Err(Error::Refused(_))), "{sql}");
        }
        assert!(matches!(classify("select '\0'"), Err(Error::Refused(_))));
        assert!(matches!(classify(&" ".repeat(STATEMENT_BYTES_MAX + 1)), Err(Error::Refused(_))));
    }

    #[test]
    fn a_parameter_beyond_those_that_the_protocol_can_count_is_refused_by_name() {
        for sql in ["select $65536", "select '$1', $0000065536::int", "select $99999999999999999999999999"] {
            let Err(Error::Refused(told)) = classify(sql) else { panic!("{sql}") };
            assert!(told.starts_with("there is no `$") && told.contains("at most 65535"), "{told}");
        }
        for sql in ["select $65535", "select '$65536'", "select 1 -- $65536", "select $$ $65536 $$", "select $000001"] {
            assert!(classify(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn definitions_and_blocks_of_code_are_never_plain() {
        for sql in ["create temp table t (a int)", "do $$ begin end $$", "call p", "explain analyze select 1"] {
            assert!(!classify(sql).unwrap().plain, "{sql}");
        }
    }

    /// Each would cost a round trip more, and be sent once only.
    #[test]
    fn all_that_the_shop_sends_is_plain() {
        let components = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../components");
        let mut statements = Vec::new();
        for service in ["users", "products", "orders"] {
            let mut folders = vec![components.join(service).join("src")];
            while let Some(folder) = folders.pop() {
                for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                    match path.is_dir() {
                        true => folders.push(path),
                        false => statements.extend(texts(&std::fs::read_to_string(path).unwrap())),
                    }
                }
            }
        }
        for sql in &statements {
            assert!(classify(sql).unwrap().plain, "{sql}");
        }
        assert!(statements.len() >= 35, "{} are found", statements.len());
    }

    /// The statements in a source, but for those that are put together.
    fn texts(source: &str) -> Vec<String> {
        let begins = ["\"select ", "\"insert into ", "\"update ", "\"delete from ", "\"with "];
        let begun = begins.iter().flat_map(|begin| source.match_indices(begin));
        let texts = begun.filter_map(|(at, _)| source[at + 1..].split_once('"').map(|(text, _)| text.to_owned()));
        texts.filter(|text| !text.contains('{')).collect()
    }

    #[test]
    fn only_a_plain_query_may_run_twice() {
        assert!(classify("select 1").unwrap().is_repeatable());
        assert!(!classify("select f()").unwrap().is_repeatable());
        assert!(!classify("select * from t for update").unwrap().is_repeatable());
        assert!(!classify("with d as (delete from t returning 1) select * from d").unwrap().is_repeatable());
    }
}
