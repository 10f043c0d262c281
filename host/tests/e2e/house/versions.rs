//! Which crates and versions must not come back, read off the lock files.

use std::fs;

use super::root;

fn lock_files() -> [String; 2] {
    ["Cargo.lock", "components/Cargo.lock"].map(|file| fs::read_to_string(root().join(file)).unwrap())
}

fn versions(lock: &str, name: &str) -> Vec<[u64; 3]> {
    let parse = |version: &str| {
        let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        [(); 3].map(|()| parts.next().unwrap_or(0))
    };
    let packages = lock.split("[[package]]").filter(|package| package.contains(&format!("name = \"{name}\"\n")));
    let version = |package: &str| package.split("version = \"").nth(1).map(|rest| rest.split('"').next().map(parse));
    packages.filter_map(|package| version(package).flatten()).collect()
}

#[test]
fn no_version_with_a_known_hole_comes_back() {
    // As known on 29 November 2026: no advisory database can be had without network, so this is the list.
    const FLOORS: &[(&str, [u64; 3])] = &[
        ("h2", [0, 4, 16]),
        ("hyper", [1, 9, 0]),
        ("tokio-postgres", [0, 7, 18]),
        ("postgres-protocol", [0, 6, 12]),
        ("rustls", [0, 23, 46]),
        ("rustls-webpki", [0, 103, 13]),
        ("bytes", [1, 11, 1]),
        ("tracing-subscriber", [0, 3, 20]),
        ("hickory-resolver", [0, 26, 1]),
        ("lru", [0, 18, 2]), // RUSTSEC-2026-0253
        ("wasmtime", [48, 0, 8]),
        ("wasmtime-wasi", [48, 0, 8]),
        ("wasmtime-wasi-http", [48, 0, 8]),
    ];
    for lock in lock_files() {
        for (name, floor) in FLOORS {
            for found in versions(&lock, name) {
                assert!(found >= *floor, "{name} {found:?} is below {floor:?}");
            }
        }
    }
    assert!(!versions(&lock_files()[0], "wasmtime").is_empty(), "versions are found at all");
}

#[test]
fn there_is_no_second_way_out_of_a_component() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = manifest.lines().find(|line| line.starts_with("wasmtime-wasi-http =")).unwrap();
    assert!(line.contains("default-features = false") && !line.contains("default-send-request"), "{line}");
}

#[test]
fn one_tls_stack_and_nothing_banned() {
    for lock in lock_files() {
        for banned in ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "rsa", "reqwest"] {
            assert_eq!(versions(&lock, banned), Vec::<[u64; 3]>::new(), "{banned}");
        }
    }
}
