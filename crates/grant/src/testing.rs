//! Permissions as a manifest writes them, for tests.

use std::path::Path;

use document::{problem::Problem, structure};

use crate::{Ceiling, Grants, Permissions, RawPermissions, Reading, Whose, refusal};

pub(crate) fn read(text: &str, whose: Whose) -> (Permissions, Vec<Problem>) {
    let read = structure::read::<RawPermissions>(Path::new("shop.toml"), text, refusal);
    let (mut problems, mut warnings) = (read.problems, Vec::new());
    let Some(raw) = read.raw else { return (Permissions::default(), problems) };
    let folder = Path::new("/srv");
    let reading = &mut Reading { whose, folder, problems: &mut problems, warnings: &mut warnings };
    let permissions = Permissions::read(raw, &read.source.root(), reading);
    (permissions, problems)
}

#[track_caller]
pub(crate) fn permissions(text: &str) -> Permissions {
    let (permissions, problems) = read(text, Whose::Manifest { unrestricted: true });
    assert_eq!(problems, [], "{text}");
    permissions
}

#[track_caller]
pub(crate) fn grants(service: &str, text: &str) -> Grants {
    Grants::new(service.into(), "shop.toml".into(), permissions(text))
}

#[track_caller]
pub(crate) fn ceiling(text: &str) -> std::sync::Arc<Ceiling> {
    let (allowed, problems) = read(text, Whose::Ceiling);
    assert_eq!(problems, [], "{text}");
    std::sync::Arc::new(Ceiling::new("c.toml".into(), allowed))
}
