//! A statement as it may be shown: without the values that somebody wrote into its text.
//!
//! Comments go, blanks become one, and every literal is a `?`; parameters (`$1`) and names stay. What is
//! unclear is taken for a literal.

use super::lexer::{Token, next, skip_blank};

/// Of a statement; the rest is cut off.
const SHOWN_MAX_BYTES: usize = 1024;

/// The text, and its first word in capitals: the operation.
pub fn masked(sql: &str) -> (String, String) {
    let mut text = String::with_capacity(sql.len().min(SHOWN_MAX_BYTES));
    let mut operation = String::new();
    let mut rest = sql;
    while text.len() < SHOWN_MAX_BYTES {
        let begins = skip_blank(rest);
        let Some((token, after)) = next(begins) else { break };
        if begins.len() != rest.len() && !text.is_empty() {
            text.push(' ');
        }
        let written = &begins[..begins.len() - after.len()];
        match token {
            Token::Literal if !is_parameter(written) => text.push('?'),
            Token::Unclear => text.push('?'),
            Token::Word(word) if operation.is_empty() && word.len() <= 16 => {
                operation = word.to_ascii_uppercase();
                text.push_str(written);
            }
            _ => text.push_str(written),
        }
        rest = after;
    }
    (text, operation)
}

fn is_parameter(literal: &str) -> bool {
    literal
        .strip_prefix('$')
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_written_as_a_value_is_shown() {
        check("SELECT id FROM users WHERE id = $1", "SELECT id FROM users WHERE id = $1", "SELECT");
        check("select  'secret' , 42\n+ 1.5e3", "select ? , ? + ?", "SELECT");
        check(
            "INSERT INTO t VALUES ($$a secret$$, E'it\\'s', B'01', U&'x')",
            "INSERT INTO t VALUES (?, ?, ?, ?)",
            "INSERT",
        );
        check("-- a comment\nUPDATE t /* secret */ SET \"a b\" = $12", "UPDATE t SET \"a b\" = $12", "UPDATE");
        check("SELECT 'it''s secret", "SELECT ?", "SELECT");
        check("", "", "");
        assert!(masked(&"SELECT a, ".repeat(1000)).0.len() <= SHOWN_MAX_BYTES + 16);
    }

    #[track_caller]
    fn check(sql: &str, text: &str, operation: &str) {
        assert_eq!(masked(sql), (text.to_owned(), operation.to_owned()));
    }
}
