//! The host killed while a manifest is applied.

use std::{fs, thread, time::Duration};

use crate::{
    apply::{ask, service},
    harness::{
        Connection, Host,
        admin::{build, wasm},
        place, write_manifest,
    },
    swap::version,
};

#[test]
fn killed_at_any_point_of_an_apply_a_host_restarts_with_the_manifest_of_its_file_whole() {
    let mut folder = place();
    // `ARCHIPEL_KILLS=50` for more of them.
    let rounds = std::env::var("ARCHIPEL_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let manifest = |number: u64| {
        let version = format!("version = \"{number}.0.0\"");
        let own = service("own", &version).replace("COMPONENTS/probe.wasm", &format!("own{}.wasm", number % 2));
        let passing = if number.is_multiple_of(2) { service("even", &version) } else { service("odd", &version) };
        [service("kept", ""), own, passing].concat()
    };
    for round in 0..rounds {
        fs::write(folder.path().join(format!("own{}.wasm", round % 2)), build(&wasm("probe"), number(round))).unwrap();
        let host = Host::running_in(folder, &manifest(round));
        fs::write(
            host.folder.path().join(format!("own{}.wasm", (round + 1) % 2)),
            build(&wasm("probe"), number(round + 1)),
        )
        .unwrap();
        let file = write_manifest(host.folder.path(), &manifest(round + 1));
        let text = fs::read_to_string(file).unwrap();
        let authorization = format!("Bearer {}", host.admin_token());
        let admin = host.admin;
        thread::scope(|scope| {
            scope.spawn(move || {
                // Cut off by the kill, or answered just before it.
                let mut connection = Connection::try_open(admin)?;
                let headers = [("authorization", authorization.as_str()), ("content-type", "application/toml")];
                connection.request("POST", "/v1/apply", &headers, text.as_bytes());
                connection.answer(false)
            });
            thread::park_timeout(Duration::from_millis(round % 16 * 12));
            host.signal("KILL");
        });
        // Every other time the file is as it was, as if it had only been sent.
        let now = round + 1 - round / 2 % 2;
        let host = Host::running_in(host.killed(), &manifest(now));
        let label = format!("{now}.0.0+");
        let (there, gone) = if now.is_multiple_of(2) { ("even", "odd") } else { ("odd", "even") };
        for name in ["own", there] {
            let answer = ask(&host, name, "/");
            assert_eq!((answer.status, version(&answer).starts_with(&label)), (200, true), "{name}: {answer:?}");
        }
        assert_eq!((ask(&host, "kept", "/").status, ask(&host, gone, "/").status), (200, 404));
        folder = host.stop();
    }
}

fn number(round: u64) -> u32 {
    u32::try_from(round).unwrap()
}
