//! From places in code to functions, files and lines, by the DWARF and the names that a file has.
//!
//! Functions that were inlined are told too, the innermost first. What cannot be read is left out: this helps
//! people to read a failure, and nothing depends on it.

use addr2line::{Context, gimli};
use gimli::{EndianSlice, LittleEndian, SectionId};

use crate::wasm::{Module, modules, number};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// A place in the code of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Of the modules that have code, in the order of the file.
    pub module: usize,
    /// The function's number within its module.
    pub function: u32,
    /// Behind the beginning of what is in the module's code section.
    pub offset: u64,
}

/// One function that was at work at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub function: String,
    /// As its author knows it: without the folders of the machine that it was built on, where those can be told.
    pub file: Option<String>,
    pub line: Option<u32>,
}

/// Inlined functions told of one place.
const INLINED_MAX: usize = 8;
/// The longest name of a function.
const NAME_MAX_BYTES: usize = 256;

/// What was at work at each of the places, the innermost function first; nothing for those that `whole` knows
/// nothing of. Blocking: some milliseconds for each megabyte.
pub fn lines(whole: &[u8], places: &[Place]) -> Vec<Vec<Line>> {
    let modules = modules(whole).unwrap_or_default();
    let mut found: Vec<Vec<Line>> = vec![Vec::new(); places.len()];
    for (index, module) in modules.iter().enumerate() {
        let here = places.iter().enumerate().filter(|(_, place)| place.module == index);
        let here: Vec<_> = here.collect();
        if here.is_empty() {
            continue;
        }
        let context = context(module);
        for (at, place) in here {
            let lines = context.as_ref().map(|context| by_dwarf(context, place.offset)).unwrap_or_default();
            found[at] = named(lines, module, place.function);
        }
    }
    found
}

fn context<'a>(module: &Module<'a>) -> Option<Context<Bytes<'a>>> {
    let section = |id: SectionId| -> Result<Bytes<'a>, gimli::Error> {
        let data = module.customs.iter().find(|(name, _)| *name == id.name()).map_or(&[][..], |(_, data)| data);
        Ok(EndianSlice::new(data, LittleEndian))
    };
    Context::from_dwarf(gimli::Dwarf::load(section).ok()?).ok()
}

/// Functions without a name among them have an empty one.
fn by_dwarf(context: &Context<Bytes<'_>>, offset: u64) -> Vec<Line> {
    let folder = context.find_dwarf_and_unit(offset).skip_all_loads().and_then(|unit| unit.comp_dir);
    let folder = folder.and_then(|folder| folder.to_string().ok());
    let mut lines = Vec::new();
    let Ok(mut frames) = context.find_frames(offset).skip_all_loads() else { return lines };
    while let Ok(Some(frame)) = frames.next() {
        let function = frame.function.as_ref().and_then(|function| function.raw_name().ok());
        let location = frame.location.as_ref();
        lines.push(Line {
            function: function.map(|name| readable(&name)).unwrap_or_default(),
            file: location.and_then(|location| location.file).map(|file| short(file, folder).to_owned()),
            line: location.and_then(|location| location.line),
        });
        if lines.len() == INLINED_MAX {
            break;
        }
    }
    lines
}

/// The outermost function is the one that has a number; names of those within it are in the DWARF or nowhere.
fn named(mut lines: Vec<Line>, module: &Module<'_>, function: u32) -> Vec<Line> {
    if lines.last().is_none_or(|line| line.function.is_empty()) {
        let names = module.customs.iter().find(|(name, _)| *name == "name");
        let name = names.and_then(|(_, names)| name_of(names, function)).map(readable);
        match (lines.last_mut(), name) {
            (Some(line), Some(name)) => line.function = name,
            (None, Some(function)) => lines.push(Line { function, file: None, line: None }),
            (_, None) => {}
        }
    }
    lines.retain(|line| !line.function.is_empty());
    lines
}

/// Looked up in the section of names: numbers of functions, in order, each with its name.
fn name_of(names: &[u8], function: u32) -> Option<&str> {
    let mut at = 0;
    while at < names.len() {
        let kind = names[at];
        let (length, begin) = number(names, at + 1).ok()?;
        at = begin.checked_add(length)?;
        if kind == 1 {
            return in_map(names.get(begin..at)?, function);
        }
    }
    None
}

fn in_map(map: &[u8], wanted: u32) -> Option<&str> {
    let (count, mut at) = number(map, 0).ok()?;
    for _ in 0..count {
        let (index, begin) = number(map, at).ok()?;
        let (length, begin) = number(map, begin).ok()?;
        at = begin.checked_add(length)?;
        if index == usize::try_from(wanted).ok()? {
            return std::str::from_utf8(map.get(begin..at)?).ok();
        }
    }
    None
}

/// As it is written in a program, without the compiler's marks.
fn readable(name: &str) -> String {
    let mut name = format!("{:#}", rustc_demangle::demangle(name));
    if name.len() > NAME_MAX_BYTES {
        let end = (0..=NAME_MAX_BYTES).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        name.truncate(end);
        name.push('…');
    }
    name
}

/// Without the folder that it was built in, that of cargo's registry, or that of Rust's own build.
fn short<'a>(file: &'a str, folder: Option<&str>) -> &'a str {
    if let Some(within) = folder.and_then(|folder| file.strip_prefix(folder)) {
        return within.trim_start_matches('/');
    }
    if let Some((_, within)) = file.split_once("/registry/src/") {
        return within.split_once('/').map_or(within, |(_index, within)| within);
    }
    if let Some((_, within)) = file.strip_prefix("/rustc/").and_then(|within| within.split_once('/')) {
        return within;
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_without_the_folders_of_the_machine_they_were_built_on() {
        assert_eq!(short("/home/a/shop/users/src/lib.rs", Some("/home/a/shop")), "users/src/lib.rs");
        assert_eq!(short("/c/registry/src/index-1/serde_json-1.0/src/de.rs", Some("/x")), "serde_json-1.0/src/de.rs");
        assert_eq!(short("/rustc/abc/library/core/src/panicking.rs", None), "library/core/src/panicking.rs");
        assert_eq!(short("src/lib.rs", Some("/x")), "src/lib.rs");
    }

    #[test]
    fn a_function_without_lines_has_its_name_and_one_without_a_name_is_left_out() {
        // Numbers 3 and 5, called `a` and `core::panicking::panic`.
        let panic = b"_ZN4core9panicking5panic17h0123456789abcdefE";
        let map = [&[2, 3, 1, b'a', 5, u8::try_from(panic.len()).unwrap()][..], panic].concat();
        let names = [&[0, 1, b'x', 1, u8::try_from(map.len()).unwrap()][..], &map].concat();
        let module = Module { code: b"", customs: vec![("name", &*names)] };
        let told = |function| named(Vec::new(), &module, function).into_iter().map(|line| line.function).next();
        assert_eq!(told(3).as_deref(), Some("a"));
        assert_eq!(told(5).as_deref(), Some("core::panicking::panic"));
        assert_eq!(told(4), None);
        for end in 0..names.len() {
            let cut = Module { code: b"", customs: vec![("name", &names[..end])] };
            assert!(named(Vec::new(), &cut, 9).is_empty());
        }
    }
}
