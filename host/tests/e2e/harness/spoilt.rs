//! Components with something wrong in them, made from good ones.

use wasmparser::{Parser, Payload};

/// A function body that traps.
pub const TRAP: &[u8] = &[0, 0x00, 0x0b];
/// A function body that never ends: `loop br 0 end`.
pub const LOOP: &[u8] = &[0, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b];

/// Replaces a text by another of the same length.
pub fn renamed(wasm: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut wasm = wasm.to_vec();
    for at in 0..wasm.len() - from.len() {
        if wasm[at..].starts_with(from) {
            wasm[at..at + from.len()].copy_from_slice(to);
        }
    }
    wasm
}

/// The same component, whose first core module runs `body` when it is instantiated.
pub fn starting_with(component: &[u8], body: &[u8]) -> Vec<u8> {
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::ModuleSection { unchecked_range, .. } = payload.unwrap() {
            let module = started(&component[unchecked_range.clone()], body);
            // Before the module stands its section: one byte of id and its length.
            let old = leb(unchecked_range.len());
            let head = unchecked_range.start - old.len() - 1;
            let mut spoilt = component[..head].to_vec();
            spoilt.push(1);
            spoilt.extend(leb(module.len()));
            spoilt.extend(module);
            spoilt.extend(&component[unchecked_range.end..]);
            return spoilt;
        }
    }
    panic!("no core module in it");
}

/// A module with one more type `() -> ()`, one more function of it, and that as its start.
fn started(module: &[u8], body: &[u8]) -> Vec<u8> {
    let (mut types, mut functions) = (0, 0);
    for payload in Parser::new(0).parse_all(module) {
        match payload.unwrap() {
            Payload::TypeSection(section) => types = section.count(),
            Payload::ImportSection(section) => {
                functions += section.into_imports().filter(|import| is_function(&import.as_ref().unwrap().ty)).count();
            }
            Payload::FunctionSection(section) => functions += section.count() as usize,
            _ => {}
        }
    }
    let mut spoilt = module[..8].to_vec();
    let mut rest = &module[8..];
    let mut has_start = false;
    while let Some((id, length, content)) = section(rest) {
        let more = match id {
            1 => Some(vec![0x60, 0, 0]),
            3 => Some(leb(types as usize)),
            10 => Some([leb(body.len()), body.to_vec()].concat()),
            _ => None,
        };
        // The start section stands before element (9), data count (12) and code (10).
        if matches!(id, 9 | 10 | 12) && !has_start {
            has_start = true;
            let start = leb(functions);
            spoilt.extend([vec![8], leb(start.len()), start].concat());
        }
        match more {
            Some(more) => {
                let content = one_more(content, &more);
                spoilt.push(id);
                spoilt.extend(leb(content.len()));
                spoilt.extend(content);
            }
            None => spoilt.extend(&rest[..length]),
        }
        rest = &rest[length..];
    }
    spoilt
}

fn is_function(ty: &wasmparser::TypeRef) -> bool {
    matches!(ty, wasmparser::TypeRef::Func(_) | wasmparser::TypeRef::FuncExact(_))
}

/// A section's id, its length with its head, and its content.
fn section(bytes: &[u8]) -> Option<(u8, usize, &[u8])> {
    let id = *bytes.first()?;
    let (length, head) = unleb(&bytes[1..]);
    Some((id, 1 + head + length, &bytes[1 + head..1 + head + length]))
}

/// A vector with one more item at its end.
fn one_more(vector: &[u8], item: &[u8]) -> Vec<u8> {
    let (count, head) = unleb(vector);
    [leb(count + 1).as_slice(), &vector[head..], item].concat()
}

fn leb(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// A number and how many bytes it took.
fn unleb(bytes: &[u8]) -> (usize, usize) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let number = bytes[..length].iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f));
    (number, length)
}
