//! What a component says of itself in custom sections: its needs and its API description.

use std::ops::Range;

use wasmparser::{BinaryReaderError, Parser, Payload};

/// The texts a component carries; each is `None` where it carries none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections {
    /// `archipel:permissions`: TOML in the shape of `[services.NAME.permissions]`.
    pub permissions: Option<String>,
    /// `archipel:openapi`: an OpenAPI 3.1 document with the paths of this service.
    pub openapi: Option<String>,
    /// The language it was written in, if its producers say so: `Rust 1.95.0`.
    pub language: Option<String>,
    /// An interface of WASI 0.3 that it imports or exports.
    pub later: Option<String>,
    /// Where the code of each module is in the file.
    pub code: Vec<Range<u64>>,
}

/// A section longer than this is ignored.
const SECTION_MAX_BYTES: usize = 1 << 20;

impl Sections {
    /// Walks the whole file, nested modules too, so that a truncated one is found out.
    pub fn read(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut found = Self::default();
        // The language of a component is what its outermost section says: inside are engines and adapters. Where it
        // says nothing, a module inside may, but not of a component that an engine's memory was put into.
        let (mut depth, mut languages, mut is_engine) = (0_usize, Vec::new(), false);
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if section.data().len() <= SECTION_MAX_BYTES => {
                    found.take(section.name(), section.data());
                    if section.name() == "producers" {
                        languages.extend(language(section.data()).map(|language| (depth, language)));
                        is_engine |= depth == 0 && tools(section.data()).any(|tool| tool == INITIALISED);
                    }
                }
                Payload::CodeSectionStart { range, .. } => found.code.push(range.start as u64..range.end as u64),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        found.look_at(import?.name.name);
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        found.look_at(export?.name.name);
                    }
                }
                _ => {}
            }
        }
        languages.retain(|(depth, _)| *depth == 0 || !is_engine);
        found.language = languages.into_iter().min_by_key(|(depth, _)| *depth).map(|(_, language)| language);
        Ok(found)
    }

    fn take(&mut self, name: &str, data: &[u8]) {
        let text = || std::str::from_utf8(data).ok().map(str::to_owned);
        match name {
            "archipel:permissions" => self.permissions = self.permissions.take().or_else(text),
            "archipel:openapi" => self.openapi = self.openapi.take().or_else(text),
            _ => {}
        }
    }

    fn look_at(&mut self, name: &str) {
        if name.starts_with("wasi:") && name.contains("@0.3.") {
            self.later.get_or_insert_with(|| name.to_owned());
        }
    }
}

/// Runs an interpreter ahead of time and keeps its memory: the modules inside are the interpreter's.
const INITIALISED: &str = "component-init-transform";

fn language(data: &[u8]) -> Option<String> {
    let (name, version) = values(data, "language").next()?;
    Some(format!("{name} {version}").trim().to_owned())
}

/// What it was made with.
fn tools(data: &[u8]) -> impl Iterator<Item = &str> {
    values(data, "processed-by").map(|(name, _)| name)
}

/// Names and versions in one field of a section of producers, as far as it can be read.
fn values<'a>(data: &'a [u8], of: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let fields = wasmparser::ProducersSectionReader::new(wasmparser::BinaryReader::new(data, 0));
    let fields = fields.into_iter().flatten().flatten().filter(move |field| field.name == of);
    fields.flat_map(|field| field.values.into_iter().flatten()).map(|value| (value.name, value.version))
}
