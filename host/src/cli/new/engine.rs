//! The quick engine of services in TypeScript. It lies beside the host: another compiler makes it, so that it cannot be in it.

use std::{env, fs, path::Path};

/// Its file, as it lies to the host's own: unpacked, installed by a package, built in a clone.
const PLACES: [&str; 3] =
    ["quick.wasm", "../share/archipel/quick.wasm", "../../components/target/wasm32-unknown-unknown/release/quick.wasm"];

/// The engine's module; none where it does not lie.
pub(super) fn quick() -> Option<Vec<u8>> {
    beside(env::current_exe().ok()?.parent()?)
}

fn beside(folder: &Path) -> Option<Vec<u8>> {
    PLACES.iter().find_map(|place| fs::read(folder.join(place)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_found_beside_the_host_and_where_packages_put_it() {
        let place = tempfile::tempdir().unwrap();
        let (bin, share) = (place.path().join("bin"), place.path().join("share/archipel"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&share).unwrap();
        assert_eq!(beside(&bin), None);
        fs::write(share.join("quick.wasm"), "shared").unwrap();
        assert_eq!(beside(&bin).as_deref(), Some(&b"shared"[..]));
        fs::write(bin.join("quick.wasm"), "own").unwrap();
        assert_eq!(beside(&bin).as_deref(), Some(&b"own"[..]));
    }
}
