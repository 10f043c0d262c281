//! A database cluster that is there before a host's first start: making one takes a host most of a start, and copying
//! one a twentieth of that.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use super::host::archipel;

const MANIFEST: &str = r#"name = "pattern"
[gateway]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[postgres.any]
"#;

/// Gives the host of `folder` a cluster that nobody has used. Without one it makes its own.
pub fn fill(folder: &Path) {
    static PATTERN: LazyLock<Option<PathBuf>> = LazyLock::new(pattern);
    let Some(pattern) = &*PATTERN else { return };
    let data = folder.join(".archipel");
    fs::DirBuilder::new().mode(0o711).create(&data).unwrap();
    let copied = Command::new("cp").arg("-a").arg(pattern).arg(data.join("postgres")).status().unwrap();
    assert!(copied.success());
}

/// What `archipel test` keeps for its next start.
fn pattern() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster");
    fs::create_dir_all(&folder).unwrap();
    let manifest = folder.join("manifest.toml");
    fs::write(&manifest, MANIFEST).unwrap();
    let tested = archipel().arg("test").arg(&manifest).args(["--", "true"]).output().unwrap();
    let cluster = folder.join(".archipel/postgres-pattern/cluster");
    (tested.status.success() && cluster.join("PG_VERSION").is_file()).then_some(cluster)
}
