//! Services of ours that Consul is told of.

use std::collections::BTreeMap;

use serde_json::json;

use super::{discovery::agent, fake::Fake, log::Log, *};

fn registrar(fake: &Fake) -> Registrar {
    Registrar::new(&agent(fake), &Outbound::new(None).unwrap())
}

fn here() -> Here {
    let admin = Some("https://10.0.0.5:3900".to_owned());
    Here { system: "shop".into(), gateway: ("10.0.0.5".into(), 3000), admin }
}

fn services(all: &[(&str, bool)]) -> BTreeMap<Arc<str>, bool> {
    all.iter().map(|(name, is_well)| (Arc::from(*name), *is_well)).collect()
}

#[tokio::test]
async fn our_services_are_registered_told_of_and_deregistered() {
    let consul = Fake::start().await;
    let (mut registrar, here) = (registrar(&consul), here());
    registrar.beat(&services(&[("users", true), ("orders", true)]), &here).await;
    let told = consul.told();
    assert_eq!(told.len(), 2, "{told:?}");
    let (path, said) = told.iter().find(|(_, said)| said["Name"] == "users").unwrap();
    assert_eq!((path.as_str(), &said["ID"]), ("/v1/agent/service/register", &"users-10.0.0.5-3000".into()));
    assert_eq!((&said["Address"], &said["Port"], &said["Tags"][0]), (&"10.0.0.5".into(), &3000.into(), &"blue".into()));
    assert_eq!(said["Meta"], json!({ "archipel-system": "shop", "archipel-admin": "https://10.0.0.5:3900" }));
    assert_eq!((&said["Check"]["TTL"], &said["Check"]["Status"]), (&"15s".into(), &"passing".into()));

    registrar.beat(&services(&[("users", false)]), &here).await;
    let told = consul.told().split_off(2);
    assert_eq!(told[0].0, "/v1/agent/service/deregister/orders-10.0.0.5-3000");
    assert_eq!(told[1].0, "/v1/agent/check/update/service:users-10.0.0.5-3000");
    assert_eq!(told[1].1["Status"], "critical");

    registrar.leave().await;
    assert_eq!(consul.told().last().unwrap().0, "/v1/agent/service/deregister/users-10.0.0.5-3000");
}

#[tokio::test]
async fn a_service_that_is_not_well_is_registered_as_such() {
    let consul = Fake::start().await;
    registrar(&consul).beat(&services(&[("users", false)]), &here()).await;
    let (path, said) = consul.told().remove(0);
    assert_eq!((path.as_str(), &said["Check"]["Status"]), ("/v1/agent/service/register", &"critical".into()));
}

fn many(count: usize) -> BTreeMap<Arc<str>, bool> {
    (0..count).map(|number| (format!("service-{number}").into(), true)).collect()
}

/// Beats until Consul has heard of all; one beat is enough where no thread stands still.
async fn beat_until_heard(registrar: &mut Registrar, consul: &Fake, services: &BTreeMap<Arc<str>, bool>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while consul.registered().len() < services.len() {
        assert!(Instant::now() < deadline, "never heard of all: {:?}", consul.registered());
        registrar.beat(services, &here()).await;
    }
}

#[tokio::test]
async fn a_slow_consul_is_told_of_several_services_at_once() {
    let consul = Fake::start().await;
    consul.slow_down(Duration::from_millis(100));
    let (mut registrar, services) = (registrar(&consul), many(40));
    let told = async {
        beat_until_heard(&mut registrar, &consul, &services).await;
        let registering = consul.most_telling();
        registrar.beat(&services, &here()).await;
        let telling = consul.most_telling();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !consul.registered().is_empty() {
            assert!(Instant::now() < deadline, "never deregistered: {:?}", consul.registered());
            registrar.leave().await;
        }
        [registering, telling, consul.most_telling()]
    };
    for at_once in told.await {
        assert!((4..=8).contains(&at_once), "{at_once} at once");
    }
}

#[tokio::test]
async fn a_consul_that_hangs_holds_no_beat_up_and_what_it_was_not_told_is_in_the_log() {
    let (consul, log) = (Fake::start().await, Log::default());
    let _listening = log.listen();
    consul.slow_down(Duration::from_secs(3600));
    let (mut registrar, services) = (registrar(&consul), many(120));
    let began = Instant::now();
    registrar.beat(&services, &here()).await;
    // In turns of eight, five seconds each, it would be 75 s.
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(log.text().contains("Consul cannot be told of our services"), "{}", log.text());

    consul.slow_down(Duration::ZERO);
    beat_until_heard(&mut registrar, &consul, &services).await;
    consul.slow_down(Duration::from_secs(3600));
    registrar.leave().await;
    let log = log.text();
    let told = log.lines().find(|line| line.contains("Consul could not be told that services go")).expect(&log);
    assert!(told.contains("service-7-10.0.0.5-3000") && told.contains("service-119-"), "{told}");
}

#[tokio::test]
async fn who_goes_is_taken_back_and_who_comes_is_registered_before_the_others_are_told_of() {
    let consul = Fake::start().await;
    let mut registrar = registrar(&consul);
    beat_until_heard(&mut registrar, &consul, &services(&[("users", true), ("orders", true)])).await;
    let (before, deadline) = (consul.told().len(), Instant::now() + Duration::from_secs(60));
    // Each is done at once, but for a machine that stands still.
    while consul.registered().len() > 1 {
        assert!(Instant::now() < deadline, "never taken back: {:?}", consul.told());
        registrar.part(&["orders".into()].into(), &here()).await;
    }
    while consul.registered().len() < 2 {
        assert!(Instant::now() < deadline, "never registered: {:?}", consul.told());
        registrar.introduce(&services(&[("orders", true), ("stock", true)]), &here()).await;
    }
    assert!(!consul.registered().contains("users-10.0.0.5-3000"));
    let told = consul.told().split_off(before);
    assert!(told.iter().all(|(path, _)| !path.contains("/check/update/")), "{told:?}");
}
