//! The sections of a component's file, those of the modules within it too.
//!
//! Knows where a section is, and nothing of what is in most of them. Whatever the file, this ends.

use std::{fmt, ops::Range};

/// Components within components; deeper is nobody's.
const DEPTH_MAX: usize = 16;
const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// The file is no WebAssembly, or it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no WebAssembly component, or cut")
    }
}

impl std::error::Error for Broken {}

/// What a section is, as far as anybody here wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Is<'a> {
    Custom(&'a str),
    /// A module or a component within a component.
    Nested,
    Code,
    Other,
}

#[derive(Debug, Clone)]
pub(crate) struct Section<'a> {
    pub(crate) id: u8,
    pub(crate) is: Is<'a>,
    /// All of it, its head included.
    pub(crate) whole: Range<usize>,
    /// What is in it; of a custom one, behind its name.
    pub(crate) content: Range<usize>,
}

/// The sections of a module or of a component, in order.
pub(crate) fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, Broken> {
    let is_component = match bytes.get(..8).ok_or(Broken)? {
        head if head == MODULE => false,
        head if head == COMPONENT => true,
        _ => return Err(Broken),
    };
    let (mut sections, mut at) = (Vec::new(), 8);
    while at < bytes.len() {
        let (id, start) = (bytes[at], at);
        let (length, begin) = number(bytes, at + 1)?;
        let end = begin.checked_add(length).filter(|end| *end <= bytes.len()).ok_or(Broken)?;
        let (is, begin) = match (id, is_component) {
            (0, _) => named(&bytes[..end], begin)?,
            (1 | 4, true) => (Is::Nested, begin),
            (10, false) => (Is::Code, begin),
            _ => (Is::Other, begin),
        };
        sections.push(Section { id, is, whole: start..end, content: begin..end });
        at = end;
    }
    Ok(sections)
}

fn named(bytes: &[u8], at: usize) -> Result<(Is<'_>, usize), Broken> {
    let (length, begin) = number(bytes, at)?;
    let end = begin.checked_add(length).ok_or(Broken)?;
    let name = std::str::from_utf8(bytes.get(begin..end).ok_or(Broken)?).map_err(|_text| Broken)?;
    Ok((Is::Custom(name), end))
}

/// An unsigned LEB128 of 32 bits at `at`, and where it ends.
pub(crate) fn number(bytes: &[u8], mut at: usize) -> Result<(usize, usize), Broken> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(at).ok_or(Broken)?;
        value |= u64::from(byte & 0x7f) << shift;
        at += 1;
        if byte & 0x80 == 0 {
            return Ok((usize::try_from(value).map_err(|_large| Broken)?, at));
        }
    }
    Err(Broken)
}

/// One core module, as far as its code and what is said of it go.
#[derive(Debug, Default)]
pub(crate) struct Module<'a> {
    pub(crate) code: &'a [u8],
    pub(crate) customs: Vec<(&'a str, &'a [u8])>,
}

/// The modules that have code, in the order of the file.
pub(crate) fn modules(bytes: &[u8]) -> Result<Vec<Module<'_>>, Broken> {
    let mut found = Vec::new();
    collect(bytes, DEPTH_MAX, &mut found)?;
    Ok(found)
}

fn collect<'a>(bytes: &'a [u8], depth: usize, found: &mut Vec<Module<'a>>) -> Result<(), Broken> {
    let depth = depth.checked_sub(1).ok_or(Broken)?;
    let (mut module, mut has_code) = (Module::default(), false);
    for section in sections(bytes)? {
        let content = &bytes[section.content];
        match section.is {
            Is::Custom(name) => module.customs.push((name, content)),
            Is::Nested => collect(content, depth, found)?,
            Is::Code => (module.code, has_code) = (content, true),
            Is::Other => {}
        }
    }
    if has_code {
        found.push(module);
    }
    Ok(())
}
