//! One-dimensional arrays, both ways.
//!
//! The binary form is a header of dimensions and an item type, then a length and bytes for each
//! item (`array_send` in PostgreSQL's `arrayfuncs.c`). Arrays of more dimensions are left to
//! [`Value::Raw`](super::value::Value::Raw).

use postgres_types::{Kind, Type};

use super::encode::{Encoded, as_text, base, binary, integer, mismatch, text};

/// Texts for an array of anything that text can stand for.
pub(super) fn of_text(items: &[Option<String>], expected: &Type) -> Result<Encoded, String> {
    let Kind::Array(member) = expected.kind() else {
        return Err(mismatch("an array of texts", expected));
    };
    for item in items.iter().flatten() {
        text(item, base(member))?;
    }
    Ok(as_text(literal(items)))
}

pub(super) fn of_integers(items: &[Option<i64>], expected: &Type) -> Result<Encoded, String> {
    let member = match expected.kind() {
        Kind::Array(member) if is_number(base(member)) => member,
        _ => return Err(mismatch("an array of integers", expected)),
    };
    for item in items.iter().flatten() {
        integer(*item, base(member))?;
    }
    let texts: Vec<_> = items.iter().map(|item| item.map(|number| number.to_string())).collect();
    Ok(as_text(literal(&texts)))
}

/// What a whole number can stand for, if it is exact there.
fn is_number(of: &Type) -> bool {
    matches!(*of, Type::INT2 | Type::INT4 | Type::INT8 | Type::NUMERIC | Type::FLOAT4 | Type::FLOAT8)
}

pub(super) fn of_uuids(items: &[Option<u128>]) -> Encoded {
    let length = i32::try_from(items.len()).unwrap_or(i32::MAX);
    let mut out = Vec::with_capacity(20 + items.len() * 20);
    for word in [i32::from(length > 0), i32::from(items.contains(&None))] {
        out.extend(word.to_be_bytes());
    }
    out.extend(Type::UUID.oid().to_be_bytes());
    if length > 0 {
        out.extend(length.to_be_bytes());
        out.extend(1_i32.to_be_bytes());
    }
    for item in items {
        match item {
            None => out.extend((-1_i32).to_be_bytes()),
            Some(uuid) => {
                out.extend(16_i32.to_be_bytes());
                out.extend(uuid.to_be_bytes());
            }
        }
    }
    binary(out)
}

/// An array as PostgreSQL reads it from text; every item is quoted, so no item is special.
fn literal(items: &[Option<String>]) -> String {
    let mut out = String::from("{");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let Some(item) = item else {
            out.push_str("NULL");
            continue;
        };
        out.push('"');
        for c in item.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('}');
    out
}

/// The items of an array of at most one dimension, read one by one.
pub(super) struct Items<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Items<'a> {
    /// `None` for bytes that are another array, or none.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let dimensions = word(&mut rest)?;
        let (_has_null, _member) = (word(&mut rest)?, word(&mut rest)?);
        let left = match dimensions {
            0 => 0,
            1 => {
                let length = usize::try_from(word(&mut rest)?).ok()?;
                let _lower_bound = word(&mut rest)?;
                length
            }
            _ => return None,
        };
        // Each takes four bytes at least.
        (left <= rest.len() / 4).then_some(Self { rest, left })
    }

    /// Items that are left.
    pub(super) fn len(&self) -> usize {
        self.left
    }

    /// Bytes that are left behind the last item make it no array either.
    pub(super) fn is_whole(&self) -> bool {
        self.left == 0 && self.rest.is_empty()
    }

    fn item(&mut self) -> Option<Option<&'a [u8]>> {
        let size = word(&mut self.rest)?;
        if size < 0 {
            return Some(None);
        }
        let (item, after) = self.rest.split_at_checked(usize::try_from(size).ok()?)?;
        self.rest = after;
        Some(Some(item))
    }
}

impl<'a> Iterator for Items<'a> {
    /// `None` where the bytes end too early.
    type Item = Option<Option<&'a [u8]>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.item())
    }
}

fn word(rest: &mut &[u8]) -> Option<i32> {
    let (word, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(i32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_item_of_a_literal_is_special() {
        let items = [Some(r#"a"b\c"#.to_owned()), None, Some("NULL".to_owned()), Some(String::new())];
        assert_eq!(literal(&items), r#"{"a\"b\\c",NULL,"NULL",""}"#);
        assert_eq!(literal(&[]), "{}");
    }

    #[test]
    fn broken_or_nested_arrays_have_no_items() {
        assert!(Items::of(&[]).is_none());
        let two_dimensions = [2_i32, 0, 25, 1, 1, 1, 1, -1].map(i32::to_be_bytes).concat();
        assert!(Items::of(&two_dimensions).is_none());
        let one_item_short = [1_i32, 0, 25, 2, 1, -1].map(i32::to_be_bytes).concat();
        assert!(Items::of(&one_item_short).is_none());
        let too_long = [1_i32, 0, 25, 1, 1, 9, 0].map(i32::to_be_bytes).concat();
        assert_eq!(Items::of(&too_long).unwrap().next(), Some(None));
    }
}
