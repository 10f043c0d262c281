//! A component without names and lines, and whether a file is what it had before.
//!
//! Code, data and every other section stay as they are: what a component says of itself is part of it.

use crate::wasm::{Broken, Is, modules, sections};

/// Components within components; deeper is nobody's.
const DEPTH_MAX: usize = 16;

/// The component without names and lines; none where it has neither.
///
/// # Errors
/// It is no WebAssembly.
pub fn strip(wasm: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
    let mut stripped = Vec::with_capacity(wasm.len());
    copy(wasm, DEPTH_MAX, &mut stripped)?;
    Ok((stripped.len() < wasm.len()).then_some(stripped))
}

fn copy(wasm: &[u8], depth: usize, to: &mut Vec<u8>) -> Result<(), Broken> {
    let depth = depth.checked_sub(1).ok_or(Broken)?;
    to.extend_from_slice(wasm.get(..8).ok_or(Broken)?);
    for section in sections(wasm)? {
        match section.is {
            Is::Custom(name) if is_for_readers(name) => {}
            Is::Nested => {
                let mut content = Vec::with_capacity(section.content.len());
                copy(&wasm[section.content.clone()], depth, &mut content)?;
                if content.len() == section.content.len() {
                    to.extend_from_slice(&wasm[section.whole]);
                } else {
                    to.push(section.id);
                    put_number(content.len(), to);
                    to.append(&mut content);
                }
            }
            Is::Custom(_) | Is::Code | Is::Other => to.extend_from_slice(&wasm[section.whole]),
        }
    }
    Ok(())
}

/// Sections that only debuggers and the log read.
fn is_for_readers(name: &str) -> bool {
    matches!(name, "name" | "component-name") || name.starts_with(".debug_")
}

fn put_number(mut value: usize, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    to.push(value.to_le_bytes()[0]);
}

/// Only the names and lines of a component, in as many modules as it has, without any code; none where there are none.
/// [`lines`](crate::lines()) reads it as it reads the whole.
pub fn only_names(wasm: &[u8]) -> Option<Vec<u8>> {
    let (mut kept, mut any) = (b"\0asm\x0d\0\x01\0".to_vec(), false);
    for module in modules(wasm).ok()? {
        let mut content = b"\0asm\x01\0\0\0\x0a\0".to_vec();
        for (name, data) in module.customs.iter().filter(|(name, _)| is_for_readers(name)) {
            any = true;
            let mut custom = Vec::with_capacity(name.len() + data.len() + 5);
            put_number(name.len(), &mut custom);
            custom.extend_from_slice(name.as_bytes());
            custom.extend_from_slice(data);
            content.push(0);
            put_number(custom.len(), &mut content);
            content.append(&mut custom);
        }
        kept.push(1);
        put_number(content.len(), &mut kept);
        kept.append(&mut content);
    }
    any.then_some(kept)
}

/// Whether `whole` is what `stripped` was made from: both have the same code.
pub fn is_of(whole: &[u8], stripped: &[u8]) -> bool {
    match (modules(whole), modules(stripped)) {
        (Ok(one), Ok(other)) => {
            one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one.code == other.code)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut section = vec![id];
        put_number(content.len(), &mut section);
        section.extend_from_slice(content);
        section
    }

    fn custom(name: &str, data: &[u8]) -> Vec<u8> {
        let mut content = vec![u8::try_from(name.len()).unwrap()];
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(data);
        section(0, &content)
    }

    fn component(named: bool) -> Vec<u8> {
        let names = |name: &str| if named { custom(name, &[7; 300]) } else { Vec::new() };
        let module = [&b"\0asm\x01\0\0\0"[..], &section(10, b"\0code"), &names("name"), &names(".debug_line")].concat();
        let own = custom("archipel:permissions", b"net = true");
        [&b"\0asm\x0d\0\x01\0"[..], &own, &section(1, &module), &names("component-name")].concat()
    }

    #[test]
    fn names_and_lines_go_and_what_the_component_says_of_itself_stays() {
        let (whole, bare) = (component(true), component(false));
        assert_eq!(strip(&whole).unwrap().as_deref(), Some(&*bare));
        assert_eq!(strip(&bare), Ok(None));
        let kept = only_names(&whole).unwrap();
        let customs = |wasm: &[u8]| modules(wasm).unwrap().iter().flat_map(|module| module.customs.len()..9).count();
        assert_eq!((customs(&kept), customs(&whole), only_names(&bare)), (7, 7, None), "two sections of one module");
        assert!(is_of(&whole, &bare));
        let other = [&b"\0asm\x01\0\0\0"[..], &section(10, b"\0other")].concat();
        assert!(!is_of(&other, &bare));
    }

    #[test]
    fn a_file_that_is_cut_or_no_wasm_is_refused_wherever_it_ends() {
        let whole = component(true);
        let ends: Vec<usize> = sections(&whole).unwrap().iter().map(|section| section.whole.end).collect();
        for end in 0..whole.len() {
            assert_eq!(strip(&whole[..end]).is_ok(), end == 8 || ends.contains(&end), "cut at {end}");
        }
        assert_eq!(strip(b"no wasm at all"), Err(Broken));
        let deep = (0..40).fold(component(false), |inner, _| [&b"\0asm\x0d\0\x01\0"[..], &section(4, &inner)].concat());
        assert_eq!(strip(&deep), Err(Broken), "too deep");
    }
}
