//! A Rust file as the house rules see it: without comments, without what strings say, without tests.
//!
//! Only items under `#[cfg(test)]` go, wherever they stand; what is below them stays and is checked.
//! Every byte that goes is replaced by a space, so lines stay where they were. This is no parser: it
//! knows strings, comments and pairs of brackets, and how an item ends.

const TEST: &str = "#[cfg(test)]";

/// What of a file is checked.
pub struct Own {
    pub text: String,
    /// Its test modules that have files of their own.
    pub test_modules: Vec<String>,
}

impl Own {
    pub fn of(text: &str) -> Self {
        let mut code = without_words(text);
        let mut test_modules = Vec::new();
        while let Some(from) = code.find(TEST) {
            let item = from + TEST.len();
            let until = item + item_length(&code[item..]);
            let words: Vec<&str> = code[item..until].split([' ', '\n', ';']).filter(|word| !word.is_empty()).collect();
            if let (Some(at), true) = (words.iter().position(|word| *word == "mod"), code[..until].ends_with(';')) {
                test_modules.extend(words.get(at + 1).map(|name| (*name).to_owned()));
            }
            code = blanked(&code, from, until);
        }
        Self { text: code, test_modules }
    }
}

fn blanked(code: &str, from: usize, until: usize) -> String {
    let gone = code[from..until].chars().map(|c| if c == '\n' { '\n' } else { ' ' });
    code[..from].chars().chain(gone).chain(code[until..].chars()).collect()
}

/// As far as the item goes that stands at the start of `code`, further attributes first.
fn item_length(code: &str) -> usize {
    let first = item_words(code).find(|word| !["pub", "super", "crate", "in"].contains(word));
    let is_function = item_words(code).any(|word| word == "fn");
    let is_import = !is_function && first.is_some_and(|word| ENDS_WITH_SEMICOLON.contains(&word));
    let is_item = is_import || item_words(code).any(|word| HAS_BODY.contains(&word));
    let mut depth = 0_usize;
    let mut in_attribute = false;
    for (at, c) in code.char_indices() {
        match c {
            '#' if depth == 0 => in_attribute = true,
            '(' | '[' | '{' => depth += 1,
            // The list, the struct or the block that it stood in ends without a comma.
            ')' | ']' | '}' if depth == 0 => return at,
            ')' | ']' | '}' => {
                depth -= 1;
                let is_body = c == '}' && !is_import && is_item;
                if depth == 0 && !std::mem::take(&mut in_attribute) && is_body {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            ',' if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    code.len()
}

const ENDS_WITH_SEMICOLON: &[&str] = &["use", "const", "static", "type"];
const HAS_BODY: &[&str] = &["fn", "mod", "impl", "struct", "enum", "trait", "union", "macro_rules"];

/// The words before an item's first bracket of its own: `pub(super) async fn name`.
fn item_words(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code.trim_start();
    while let Some(attribute) = rest.strip_prefix("#[") {
        rest = attribute.split_once(']').map_or("", |(_, after)| after).trim_start();
    }
    let head = rest.split(['{', ';', '=', ',']).next().unwrap_or_default();
    let words = head.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.filter(|word| !word.is_empty())
}

/// The same text with spaces for comments and for what stands between quotes.
fn without_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (length, kept) = match c {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), 0),
            '/' if rest.starts_with("/*") => (block_comment(rest), 0),
            '"' => (string(rest), 1),
            'r' if raw_string(rest).is_some() && !ends_in_word(&out) => (raw_string(rest).unwrap_or(1), 1),
            '\'' => (character(rest), 1),
            other => (other.len_utf8(), other.len_utf8()),
        };
        out.push_str(&rest[..kept]);
        out.extend(rest[kept..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out
}

/// `br"…"` is a string too; `bar"` is none.
fn ends_in_word(out: &str) -> bool {
    let mut before = out.chars().rev();
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match before.next() {
        Some('b') => is_part(before.next()),
        other => is_part(other),
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        at += match () {
            () if here.starts_with("/*") => {
                depth += 1;
                2
            }
            () if here.starts_with("*/") => {
                depth -= 1;
                2
            }
            () => here.chars().next().map_or(1, char::len_utf8),
        };
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(1 + hashes + 1 + length)
}

/// A character, or the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut inner = rest.char_indices().skip(1);
    match (inner.next(), inner.next()) {
        (Some((_, '\\')), Some(_)) => inner.find(|(_, c)| *c == '\'').map_or(rest.len(), |(at, _)| at + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::Own;

    #[track_caller]
    fn check(text: &str, seen: &str) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let own = Own::of(text);
        assert_eq!(words(&own.text), seen);
        assert_eq!(own.text.lines().count(), text.lines().count(), "lines stay where they are");
    }

    #[test]
    fn what_stands_below_a_test_module_is_seen() {
        check("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { if x { } }\n}\nfn c() {}", "fn a() {} fn c() {}");
        check("#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\nuse a::b;", "use a::b;");
        check("#[cfg(test)]\npub(super) fn a(b: [u8; 2]) -> C { d }\nfn e() {}", "fn e() {}");
        check("#[cfg(test)]\npub(super) const fn a() {}\nfn e() {}", "fn e() {}");
        check("#[cfg(test)]\npub(super) use a::{b, c};\nfn e() {}", "fn e() {}");
        check("#[cfg(test)]\nconst A: &[B] = &[B { c: 1 }];\nfn e() {}", "fn e() {}");
        check("#[cfg(test)]\nstruct A(u8);\n#[cfg(test)]\nimpl A {}\nfn e() {}", "fn e() {}");
    }

    #[test]
    fn a_field_or_a_statement_of_tests_ends_where_it_ends() {
        check("struct A {\n #[cfg(test)]\n b: Vec<u8>,\n c: u8,\n}", "struct A { c: u8, }");
        check("struct A {\n c: u8,\n #[cfg(test)]\n b: u8\n}\nfn d() {}", "struct A { c: u8, } fn d() {}");
        check("fn a() {\n #[cfg(test)]\n b(|| { c() });\n d();\n}", "fn a() { d(); }");
    }

    #[test]
    fn brackets_in_words_do_not_count() {
        check("#[cfg(test)]\nmod tests {\n const A: &str = \"}\";\n}\nfn b() {}", "fn b() {}");
        check("#[cfg(test)]\nmod tests {\n const A: &str = r#\"} \"}\"#;\n}\nfn b() {}", "fn b() {}");
        check("#[cfg(test)]\nmod tests {\n // }\n /* } /* } */ */ const A: char = '}';\n}\nfn b() {}", "fn b() {}");
        check("#[cfg(test)]\nmod tests {\n fn a<'a>(b: &'a str) { '\\''; '\\u{7d}'; }\n}\nfn b() {}", "fn b() {}");
    }

    #[test]
    fn comments_and_strings_name_nothing() {
        let own = Own::of("a(\"fs // b\", r\"fs\", br#\"fs\"#); // fs\nc('f'); /* fs */ let d: &'fs e = bar;");
        let words: Vec<&str> = own.text.split_whitespace().collect();
        assert_eq!(words.join(" "), "a(\" , r , br ); c(' ); let d: &'fs e = bar;");
    }

    #[test]
    fn test_modules_in_files_of_their_own_are_known() {
        let own =
            Own::of("mod a;\n#[cfg(test)]\nmod checks;\n#[cfg(test)]\nmod tests { mod inner; }\n#[cfg(test)]\nuse b;");
        assert_eq!(own.test_modules, ["checks"]);
    }
}
