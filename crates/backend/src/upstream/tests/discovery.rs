//! Services whose addresses Consul knows, and ours that it is told of.

use std::collections::BTreeMap;

use serde_json::json;

use super::{fake::Fake, *};
use manifest::{ConsulSettings, Secret};

fn agent(fake: &Fake) -> ConsulSettings {
    ConsulSettings {
        url: fake.url().parse().unwrap(),
        token: None,
        datacenter: None,
        register: true,
        address: None,
        tags: vec!["blue".into()],
        take_builds: None,
    }
}

fn found(agent: ConsulSettings) -> Upstream {
    let at = Whereabouts::Consul { name: "orders".into(), agent };
    Upstream::new(&UpstreamSettings { at, ..settings(&[]) }, &Outbound::new(None).unwrap())
}

fn addresses(upstream: &Upstream) -> Vec<String> {
    upstream.report().into_iter().map(|of| of.address).collect()
}

#[tokio::test]
async fn the_first_request_waits_for_the_first_answer_and_a_change_is_followed_at_once() {
    let (one, other, consul) = (Server::answering("one").await, Server::answering("other").await, Fake::start().await);
    consul.set("orders", &[one.address]);
    let upstream = found(agent(&consul));
    assert_eq!(get(&upstream).await.unwrap(), "one");
    consul.set("orders", &[one.address, other.address]);
    until("both are known", || addresses(&upstream).len() == 2).await;
    consul.set("orders", &[other.address]);
    until("only the other is", || addresses(&upstream) == [other.url()]).await;
    assert_eq!(get(&upstream).await.unwrap(), "other");
}

#[tokio::test]
async fn what_was_known_stays_while_consul_is_away_and_what_it_then_says_is_followed() {
    let (one, other, consul) = (Server::answering("one").await, Server::answering("other").await, Fake::start().await);
    consul.set("orders", &[one.address]);
    let upstream = found(agent(&consul));
    assert_eq!(get(&upstream).await.unwrap(), "one");
    let place = consul.address;
    drop(consul);
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..5 {
        assert_eq!(get(&upstream).await.unwrap(), "one");
    }
    // Another Consul, whose index begins anew.
    let consul = Fake::at(place).await;
    consul.set("orders", &[other.address]);
    until("it is asked again", || addresses(&upstream) == [other.url()]).await;
}

#[tokio::test]
async fn an_answer_that_would_leave_nothing_is_not_believed_at_once() {
    let (one, consul) = (Server::answering("one").await, Fake::start().await);
    consul.set("orders", &[one.address]);
    let upstream = found(agent(&consul));
    assert_eq!(get(&upstream).await.unwrap(), "one");
    consul.set("orders", &[]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(get(&upstream).await.unwrap(), "one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until("it is believed in the end", || addresses(&upstream).is_empty()).await;
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!(get(&upstream).await.unwrap_err(), "none of its 0 addresses is well");
}

#[tokio::test]
async fn a_token_is_sent_and_what_is_refused_says_so_without_it() {
    let (one, consul) = (Server::answering("one").await, Fake::start().await);
    consul.set("orders", &[one.address]);
    consul.demand("s3cret");
    let with = |token: &str| ConsulSettings { token: Some(Secret::new(token.into())), ..agent(&consul) };
    assert_eq!(get(&found(with("s3cret"))).await.unwrap(), "one");
    let refused = found(with("wrong"));
    assert_eq!(get(&refused).await.unwrap_err(), "none of its 0 addresses is well");
}

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
    let (path, said) = &told[1];
    assert_eq!(path, "/v1/agent/service/register");
    assert_eq!((&said["ID"], &said["Name"]), (&"users-10.0.0.5-3000".into(), &"users".into()));
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
