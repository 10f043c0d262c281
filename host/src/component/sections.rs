//! What a component says of itself in custom sections: its needs and its API description.

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
}

/// A section longer than this is ignored.
const SECTION_MAX_BYTES: usize = 1 << 20;

impl Sections {
    /// Walks the whole file, nested modules too, so that a truncated one is found out.
    pub fn read(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut found = Self::default();
        // The language of a component is what its outermost section says: inside are engines and adapters.
        let (mut depth, mut languages) = (0_usize, Vec::new());
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if section.data().len() <= SECTION_MAX_BYTES => {
                    found.take(section.name(), section.data());
                    if section.name() == "producers" {
                        languages.extend(language(section.data()).map(|language| (depth, language)));
                    }
                }
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

fn language(data: &[u8]) -> Option<String> {
    let reader = wasmparser::BinaryReader::new(data, 0);
    let fields = wasmparser::ProducersSectionReader::new(reader).ok()?;
    for field in fields {
        let field = field.ok()?;
        if field.name == "language" {
            let value = field.values.into_iter().next()?.ok()?;
            return Some(format!("{} {}", value.name, value.version).trim().to_owned());
        }
    }
    None
}
