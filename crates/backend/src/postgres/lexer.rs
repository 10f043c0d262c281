//! PostgreSQL's lexical rules, as far as telling words from quoted text and comments needs them
//! (chapter 4.1 of its manual).
//!
//! It never fails: what is cut off ends at the end. When in doubt it yields more words rather
//! than fewer, because words only ever make the host more careful.

/// What a statement is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword or a plain identifier, as written.
    Word(&'a str),
    /// `"…"` and `U&"…"`: an identifier that is never a keyword; what is between the quotes, or nothing where
    /// that is written in another way.
    QuotedIdentifier(&'a str),
    /// A string of any kind, a number or a parameter.
    Literal,
    Symbol(char),
    /// What versions of PostgreSQL read differently.
    Unclear,
}

/// The tokens of `sql`, without comments and white space.
pub(crate) fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        let (token, after) = next(skip_blank(rest))?;
        rest = after;
        Some(token)
    })
}

pub(super) fn next(sql: &str) -> Option<(Token<'_>, &str)> {
    let first = sql.chars().next()?;
    Some(match first {
        '\'' => (Token::Literal, quoted(&sql[1..], '\'', false)),
        '"' => {
            let after = quoted(&sql[1..], '"', false);
            let inside = sql[1..sql.len() - after.len()].trim_end_matches('"');
            (Token::QuotedIdentifier(if inside.contains('"') { "" } else { inside }), after)
        }
        '$' => match dollar_quoted(sql) {
            Some(after) => (Token::Literal, after),
            None => (Token::Literal, sql[1..].trim_start_matches(|c: char| c.is_ascii_digit())),
        },
        '0'..='9' => number(sql),
        _ if starts_word(first) => word(sql),
        symbol => (Token::Symbol(symbol), &sql[symbol.len_utf8()..]),
    })
}

fn word(sql: &str) -> (Token<'_>, &str) {
    let end = sql.find(|c: char| !continues_word(c)).unwrap_or(sql.len());
    let (word, after) = sql.split_at(end);
    // A prefix belongs to its quote only when nothing stands between them.
    match (word, after.as_bytes().first()) {
        ("e" | "E", Some(b'\'')) => (Token::Literal, escaped(&after[1..])),
        ("b" | "B" | "x" | "X" | "n" | "N", Some(b'\'')) => (Token::Literal, quoted(&after[1..], '\'', false)),
        ("u" | "U", Some(b'&')) if after[1..].starts_with('\'') => (Token::Literal, quoted(&after[2..], '\'', false)),
        ("u" | "U", Some(b'&')) if after[1..].starts_with('"') => {
            (Token::QuotedIdentifier(""), quoted(&after[2..], '"', false))
        }
        _ => (Token::Word(word), after),
    }
}

/// Behind a line's end a string goes on with a quote, in the way it began; nowhere else one follows.
fn escaped(mut rest: &str) -> &str {
    loop {
        rest = quoted(rest, '\'', true);
        match skip_blank(rest).strip_prefix('\'') {
            Some(more) => rest = more,
            None => return rest,
        }
    }
}

/// Older versions take `1into` for a number and a word, newer ones refuse it.
fn number(sql: &str) -> (Token<'_>, &str) {
    let after = sql.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_');
    let text = sql[..sql.len() - after.len()].to_ascii_lowercase();
    let is_in = |digits: &str, radix: u32| digits.chars().all(|c| c.is_digit(radix) || c == '_');
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| text.starts_with(prefix));
    let clear = match (prefixed, text.split_once('e')) {
        (Some((_, radix)), _) => is_in(&text[2..], radix),
        (None, Some((number, exponent))) => is_in(&number.replace('.', ""), 10) && is_in(exponent, 10),
        (None, None) => is_in(&text.replace('.', ""), 10),
    };
    (if clear { Token::Literal } else { Token::Unclear }, after)
}

/// What follows the closing `quote`; a doubled one does not close.
fn quoted(mut rest: &str, quote: char, backslash_escapes: bool) -> &str {
    while let Some(at) = rest.find([quote, '\\']) {
        let after = &rest[at + 1..];
        rest = if rest[at..].starts_with('\\') {
            match backslash_escapes {
                true => after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or(""),
                false => after,
            }
        } else if let Some(doubled) = after.strip_prefix(quote) {
            doubled
        } else {
            return after;
        };
    }
    ""
}

/// `$tag$…$tag$`; `None` if this dollar starts a parameter or stands alone.
fn dollar_quoted(sql: &str) -> Option<&str> {
    let end = sql[1..].find('$')? + 2;
    let (delimiter, body) = sql.split_at(end);
    let tag = &delimiter[1..delimiter.len() - 1];
    let is_tag = tag.chars().all(|c| c != '$' && continues_word(c)) && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| body.find(delimiter).map_or("", |at| &body[at + delimiter.len()..]))
}

pub(super) fn skip_blank(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}', '\u{b}']);
        if let Some(comment) = sql.strip_prefix("--") {
            sql = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if let Some(comment) = sql.strip_prefix("/*") {
            sql = after_comment(comment);
        } else {
            return sql;
        }
    }
}

/// Comments of this kind nest.
fn after_comment(mut rest: &str) -> &str {
    let mut depth = 1_usize;
    while depth > 0 {
        let Some(at) = rest.find(['*', '/']) else {
            return "";
        };
        let tail = &rest[at..];
        rest = if let Some(after) = tail.strip_prefix("*/") {
            depth -= 1;
            after
        } else if let Some(after) = tail.strip_prefix("/*") {
            depth += 1;
            after
        } else {
            &tail[1..]
        };
    }
    rest
}

fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn continues_word(c: char) -> bool {
    starts_word(c) || c.is_ascii_digit() || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_quotes_hide_words() {
        check("-- begin\n select", &["select"]);
        check("/* a /* nested */ begin */select", &["select"]);
        check("select 'it''s begin' , $$ begin $$, $t$ begin $$ $t$ x", &["select", "x"]);
        check(r"select e'a\'begin' y", &["select", "y"]);
        check(r"select 'a\' y", &["select", "y"]);
        check(r#"select "begin""end" z"#, &["select", "z"]);
        check("select $1, u&'begin', U&\"begin\" w", &["select", "w"]);
        check("select 1e5, 0x1F v", &["select", "v"]);
    }

    #[test]
    fn what_is_cut_off_ends_at_the_end() {
        for sql in ["", "/* x", "'x", "\"x", "$x$ y", "e'\\", "--", "/*/", "$", "u&", "é'"] {
            assert!(tokens(sql).count() <= 2, "{sql}");
        }
    }

    #[track_caller]
    fn check(sql: &str, words: &[&str]) {
        let found: Vec<_> =
            tokens(sql).filter_map(|token| if let Token::Word(word) = token { Some(word) } else { None }).collect();
        assert_eq!(found, words, "{sql}");
    }
}
