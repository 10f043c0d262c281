//! Hosts that find one another's services by Consul.

use std::{thread, time::Duration};

use serde_json::json;

use crate::harness::{Command, Consul, Host, place, under_load, until, write_manifest};

const ROUTE: &str = "[[routes]]\npath = \"/{*rest}\"\nservice = \"users\"\npublic = true\n";

/// What a host says that has the service.
fn having(consul: &Consul) -> String {
    format!("{}[services.users]\ncomponent = \"COMPONENTS/hello.wasm\"\n{ROUTE}", consul.settings())
}

/// What a host says that sends on to those that have it.
fn finding(consul: &Consul) -> String {
    format!("{}[services.users]\nurl = {{ discover = \"consul:users\" }}\n{ROUTE}", consul.settings())
}

fn users(consul: &Consul) -> Host {
    Host::running(&having(consul))
}

#[test]
fn a_gateway_finds_the_services_of_other_hosts_and_one_that_stops_costs_no_request() {
    let consul = Consul::start();
    let (first, second) = (users(&consul), users(&consul));
    until("both are registered", || consul.ids().len() == 2);
    assert!(consul.ids().contains(&format!("users-127.0.0.1-{}", first.gateway.port())));
    let front = Host::running(&finding(&consul));
    assert_eq!(front.get("/").text(), "hello from archipel\n", "the first request waits for the first answer");
    let addresses = |front: &Host| {
        let status = front.admin("GET", "/v1/services/users", b"").json()["data"].clone();
        (status["url"].clone(), status["addresses"].as_array().unwrap().len())
    };
    until("both are found", || addresses(&front) == (json!(["consul:users"]), 2));

    let stopping = thread::spawn(move || first.stop());
    let mut asked = 0;
    while !stopping.is_finished() || asked < 100 {
        let answer = front.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello from archipel\n"), "after {asked}");
        asked += 1;
    }
    stopping.join().unwrap();
    // Consul's answer to the gateway may take longer than the requests.
    until("the one that stopped is forgotten", || addresses(&front).1 == 1);
    assert_eq!(consul.ids(), [format!("users-127.0.0.1-{}", second.gateway.port())]);

    let third = users(&consul);
    until("the new one is found", || addresses(&front).1 == 2);
    drop(second.killed());
    let failed = (0..100).filter(|_| front.get("/").status != 200).count();
    assert!(failed <= 1, "{failed} of 100 when a host was killed");
    drop(third);
}

#[test]
fn a_service_moves_between_hosts_by_an_apply_on_each_and_no_request_is_lost() {
    let consul = Consul::start();
    let nothing = consul.settings();
    let (one, two) = (users(&consul), Host::running(&nothing));
    let id = |host: &Host| format!("users-127.0.0.1-{}", host.gateway.port());
    until("it is registered", || consul.ids() == [id(&one)]);
    let front = Host::running(&finding(&consul));
    consul.be_late(Duration::from_millis(700));
    let (asked, ()) = under_load(front.gateway, "POST", || {
        // The first host is left with nothing; then with a way to where it is; then nothing is left of the way.
        for (from, to, left) in [(&one, &two, &nothing), (&two, &one, &finding(&consul)), (&one, &two, &nothing)] {
            to.becomes(&having(&consul));
            assert!(consul.ids().contains(&id(to)), "it is known where it came when the answer is there");
            from.becomes(left);
            assert_eq!(consul.ids(), [id(to)], "and no more where it was");
        }
    });
    println!("{asked} requests, none failed");
    let by = one.admin("GET", "/v1/services/users", b"").status;
    assert_eq!(by, 404, "it is gone there");
}

#[test]
fn a_system_that_is_there_for_a_test_is_not_registered() {
    let consul = Consul::start();
    let folder = place();
    let manifest = write_manifest(folder.path(), &having(&consul));
    // Longer than it takes to be registered.
    let looks = "\"$ARCHIPEL\" status && \"$ARCHIPEL\" status";
    let done = Command::new(&["test", manifest.to_str().unwrap(), "--", "sh", "-c", looks]).done();
    assert_eq!(done.code, 0, "{}{}", done.output, done.errors);
    assert_eq!(consul.requests(), Vec::<String>::new());
}
