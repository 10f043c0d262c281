//! Folders that services see: each is there, and holds nothing that services are made of.

use std::path::{Path, PathBuf};

use super::Check;
use crate::{HostSettings, ServiceSettings};
use document::source::Key;
use grant::{Permissions, folder};

/// The folders of a service; `key` is that of its `permissions`. Their real paths take the place of what
/// was written.
pub(crate) fn folders(check: &mut Check<'_>, key: &Key<'_>, permissions: &mut Permissions, host: &HostSettings) {
    for (kind, folders) in [("read", &mut permissions.read.0), ("write", &mut permissions.write.0)] {
        for (index, folder) in folders.iter_mut().enumerate() {
            let key = key.child(kind).item(index);
            let written = folder.host.display().to_string();
            if check.path(&key, &written).is_none() {
                continue;
            }
            check.keep(&key, is_folder(&folder.host));
            folder.host = folder.host.canonicalize().unwrap_or_else(|_absent| folder.host.clone());
            if check.folder.starts_with(&folder.host) {
                check.wrong(&key, "holds the manifest; name a folder beside it or below it");
            } else if folder::overlap(&host.data, &folder.host) {
                let data = host.data.display();
                check.wrong(&key, format_args!("overlaps `host.data`, `{data}`; keep the two apart"));
            }
        }
    }
}

/// No service may see, or change, what services are made of.
pub(crate) fn apart(check: &mut Check<'_>, services: &[(Key<'_>, &ServiceSettings)]) {
    let components: Vec<(&str, PathBuf)> =
        services.iter().map(|(_, service)| (&*service.name, real(&service.component))).collect();
    for (key, service) in services {
        for granted in service.grants.folders() {
            let granted = granted.get();
            let Some((other, _)) = components.iter().find(|(_, file)| file.starts_with(&granted.host)) else {
                continue;
            };
            let kind = if granted.writable { "write" } else { "read" };
            let folder = granted.host.display();
            let message = format!("`{folder}` holds the component of `{other}`; keep the two apart");
            check.wrong(&key.child("permissions").child(kind), message);
        }
    }
}

/// A file that may not be there yet, in its real folder.
fn real(path: &Path) -> PathBuf {
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (parent, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

fn is_folder(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(found) if found.is_symlink() => Err(format!("`{shown}` is a symlink; name the folder itself")),
        Ok(_) => Err(format!("`{shown}` is no folder; name a folder")),
        Err(error) => Err(format!("cannot read `{shown}`: {error}; make the folder, or correct the path")),
    }
}
