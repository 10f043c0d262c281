//! Hosts that find one another's services by Consul.

use std::thread;

use serde_json::json;

use crate::harness::{Command, Consul, Host, place, until, write_manifest};

fn users(consul: &Consul) -> Host {
    Host::running(&format!(
        "{}[services.users]\ncomponent = \"COMPONENTS/hello.wasm\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"users\"\npublic = true\n",
        consul.settings()
    ))
}

#[test]
fn a_gateway_finds_the_services_of_other_hosts_and_one_that_stops_costs_no_request() {
    let consul = Consul::start();
    let (first, second) = (users(&consul), users(&consul));
    until("both are registered", || consul.ids().len() == 2);
    assert!(consul.ids().contains(&format!("users-127.0.0.1-{}", first.gateway.port())));
    let front = Host::running(&format!(
        "{}[services.users]\nurl = {{ discover = \"consul:users\" }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"users\"\npublic = true\n",
        consul.settings()
    ));
    assert_eq!(front.get("/").text(), "hello from archipel\n", "the first request waits for the first answer");
    let addresses = |front: &Host| {
        let status = front.admin("GET", "/v1/services/users", b"").json()["data"].clone();
        (status["url"].clone(), status["addresses"].as_array().unwrap().len())
    };
    assert_eq!(addresses(&front), (json!(["consul:users"]), 2));

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
fn a_system_that_is_there_for_a_test_is_not_registered() {
    let consul = Consul::start();
    let folder = place();
    let manifest = write_manifest(
        folder.path(),
        &format!(
            "{}[services.users]\ncomponent = \"COMPONENTS/hello.wasm\"\n\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"users\"\npublic = true\n",
            consul.settings()
        ),
    );
    // Longer than it takes to be registered.
    let looks = "\"$ARCHIPEL\" status && \"$ARCHIPEL\" status";
    let done = Command::new(&["test", manifest.to_str().unwrap(), "--", "sh", "-c", looks]).done();
    assert_eq!(done.code, 0, "{}{}", done.output, done.errors);
    assert_eq!(consul.requests(), Vec::<String>::new());
}
