//! `permissions.read` and `permissions.write`: which folders of this machine a service sees.

use std::path::{Component, Path};

use super::Check;
use crate::{
    HostSettings, ServiceSettings,
    raw::{RawFolder, RawNamedFolder},
    source::Key,
};
use grant::folder::{Folder, Folders};

pub(crate) fn folders(check: &mut Check<'_>, key: &Key<'_>, raw: Vec<RawFolder>, host: &HostSettings) -> Folders {
    let mut folders: Vec<Folder> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = key.item(index);
        let Some((written, guest)) = names(check, &key, raw) else { continue };
        let Some(path) = check.path(&key, &written) else { continue };
        check.keep(&key, is_folder(&path));
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let (manifest, data) = (check.folder.clone(), &host.data);
        if manifest.starts_with(&real) {
            check.wrong(&key, "holds the manifest; name a folder beside it or below it");
        } else if data.starts_with(&real) || real.starts_with(data) {
            check.wrong(&key, format_args!("overlaps `host.data`, `{}`; keep the two apart", data.display()));
        }
        if folders.iter().any(|other| other.guest == guest) {
            check.wrong(
                &key,
                format_args!(
                    "is the second folder called `{guest}`; write `{{ host = {written:?}, guest = \"/OTHER\" }}`"
                ),
            );
        }
        folders.push(Folder { host: real, guest });
    }
    Folders(folders)
}

/// The same in a ceiling, whose folders need not be there.
pub(crate) fn ceiling(check: &mut Check<'_>, key: &Key<'_>, raw: Vec<RawFolder>) -> Folders {
    let mut folders = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = key.item(index);
        let Some((written, guest)) = names(check, &key, raw) else { continue };
        if !Path::new(&written).is_absolute() {
            check.wrong(&key, format_args!("`{written}` is not absolute; write it from `/`"));
        }
        folders.push(Folder { host: written.into(), guest });
    }
    Folders(folders)
}

/// No service may see, or change, what other services are made of.
pub(crate) fn apart(check: &mut Check<'_>, services: &[(Key<'_>, &ServiceSettings)]) {
    for (key, service) in services {
        for granted in service.grants.folders() {
            let folder = &granted.get().host;
            let component =
                services.iter().map(|(_, other)| *other).find(|other| real(&other.component).starts_with(folder));
            if let Some(other) = component {
                let permission = if granted.get().writable { "write" } else { "read" };
                check.wrong(
                    &key.child("permissions").child(permission),
                    format_args!("`{}` holds the component of `{}`; keep the two apart", folder.display(), other.name),
                );
            }
        }
    }
}

fn real(path: &Path) -> std::path::PathBuf {
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (parent, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

fn names(check: &mut Check<'_>, key: &Key<'_>, raw: RawFolder) -> Option<(String, String)> {
    match raw {
        RawFolder::Plain(path) => {
            let guest = own_name(&path);
            Some((path, guest))
        }
        RawFolder::Named(RawNamedFolder { host, guest }) => {
            let host = check.required(&key.child("host"), host, "./templates");
            let guest = check.required(&key.child("guest"), guest, "/templates")?;
            check.keep(&key.child("guest"), is_guest(&guest));
            Some((host?, guest))
        }
    }
}

/// `./templates` is `/templates` in the component.
fn own_name(path: &str) -> String {
    let parts = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    format!("/{}", parts.collect::<Vec<_>>().join("/"))
}

fn is_guest(guest: &str) -> Result<(), String> {
    let plain = Path::new(guest).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    match guest.starts_with('/') && plain && !guest.contains('\0') {
        true => Ok(()),
        false => Err(format!("`{guest}` is no name of a folder in a component; write it like `/templates`")),
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
