//! Answers of stores and the memory of all components.

use super::*;

#[test]
fn an_answer_that_the_memory_of_all_components_has_no_room_for_says_so_and_comes_when_there_is_room() {
    let host = Host::running(
        r#"
        [host]
        guest_memory = "64MiB"
        [redis.main]
        [keyvalue.cache]
        redis = "main"
        [services.probe]
        component = "COMPONENTS/probe.wasm"
        limits = { memory = "62MiB", timeout = "8s", cpu = "8s" }
        [services.all]
        component = "COMPONENTS/probe_kv.wasm"
        permissions = { keyvalue = { cache = "read-write" } }
        [[routes]]
        host = "all.test"
        path = "/{*rest}"
        service = "all"
        public = true
        [[routes]]
        path = "/grow"
        service = "probe"
        public = true
        "#,
    );
    told(&host, "all", "set", json!({ "key": "big", "size": 1 << 20 }));
    let many = json!({ "store": "cache", "key": "big", "count": 7 });
    // How much is left for an answer beside another service that holds so much, and an instance of this one.
    let refused = (40..60).rev().step_by(2).find_map(|mib| {
        let holding = thread::scope(|scope| {
            let holding = scope.spawn(|| host.get(&format!("/grow?mib={mib}&ms=500")));
            let mut refused = None;
            while refused.is_none() && !holding.is_finished() {
                let answer = ask(&host, "all", "get-many", &many);
                // So much may also be late.
                let told = (answer.status == 409).then(|| answer.json());
                refused = told.filter(|told| told["error"] != "unavailable" && told["error"] != "timeout");
            }
            holding.join().map(|_| refused)
        });
        holding.expect("it holds what it can")
    });
    let refused = refused.expect("an answer has no room");
    let sentence = refused["what"].as_str().unwrap_or_default();
    assert!(refused["error"] == "other" && sentence.contains("`host.guest_memory`, has no room"), "{refused}");
    until("there is room again", || {
        let answer = ask(&host, "all", "get-many", &many);
        answer.status == 200 && answer.json().as_array().is_some_and(|entries| entries.len() == 7)
    });
}
