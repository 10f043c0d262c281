//! Services whose addresses Consul knows.

use super::{fake::Fake, log::Log, *};
use manifest::{ConsulSettings, Secret};

pub(super) fn agent(fake: &Fake) -> ConsulSettings {
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
async fn what_was_known_passes_to_other_settings_of_the_same_name_while_consul_is_away() {
    let (one, consul) = (Server::answering("one").await, Fake::start().await);
    consul.set("orders", &[one.address]);
    let before = found(agent(&consul));
    assert_eq!(get(&before).await.unwrap(), "one");
    let next = |name: &str, agent: ConsulSettings| {
        let at = Whereabouts::Consul { name: name.into(), agent };
        Upstream::after(&UpstreamSettings { at, ..settings(&[]) }, &Outbound::new(None).unwrap(), Some(&before))
    };
    let away = ConsulSettings { url: Server::nobody().await.parse().unwrap(), ..agent(&consul) };
    let same = next("orders", away.clone());
    assert_eq!(get(&same).await.unwrap(), "one");
    until("nobody can be asked", || same.members.has_failed()).await;
    assert_eq!(get(&same).await.unwrap(), "one");

    let other_name = next("users", away.clone());
    let elsewhere = next("orders", ConsulSettings { datacenter: Some("eu".into()), ..away });
    assert_eq!((addresses(&other_name), addresses(&elsewhere)), (vec![], vec![]));

    // What Consul says is followed as before.
    let other = Server::answering("other").await;
    let followed = next("orders", agent(&consul));
    consul.set("orders", &[other.address]);
    until("the change is followed", || addresses(&followed) == [other.url()]).await;
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
    assert_eq!(get(&upstream).await.unwrap_err(), "it has no address: who knows where it is names none");
}

#[tokio::test]
async fn a_token_is_sent_and_what_is_refused_says_so_without_it() {
    let (one, consul, log) = (Server::answering("one").await, Fake::start().await, Log::default());
    let _listening = log.listen();
    consul.set("orders", &[one.address]);
    consul.demand("s3cret");
    let with = |token: &str| ConsulSettings { token: Some(Secret::new(token.into())), ..agent(&consul) };
    assert_eq!(get(&found(with("s3cret"))).await.unwrap(), "one");
    let refused = found(with("wr0ng"));
    until("it is told", || log.text().contains("where a service is cannot be asked")).await;
    let why = "it has no address: nobody has said yet where it is: Consul refused: 403 Permission denied";
    assert_eq!(get(&refused).await.unwrap_err(), why);
    let log = log.text();
    assert!(log.contains("403 Permission denied") && !log.contains("s3cret") && !log.contains("wr0ng"), "{log}");
}

#[tokio::test]
async fn a_service_that_nobody_could_be_asked_for_yet_says_so() {
    let nobody = ConsulSettings { url: Server::nobody().await.parse().unwrap(), ..agent(&Fake::start().await) };
    let failed = get(&found(nobody)).await.unwrap_err();
    assert!(
        failed.starts_with("it has no address: nobody has said yet where it is: Consul cannot be asked"),
        "{failed}"
    );
}

#[tokio::test]
async fn each_question_names_the_datacenter_where_that_is_not_the_agents_own() {
    let (one, other, consul) = (Server::answering("one").await, Server::answering("other").await, Fake::start().await);
    consul.set("orders", &[one.address]);
    let upstream = found(ConsulSettings { datacenter: Some("eu".into()), ..agent(&consul) });
    assert_eq!(get(&upstream).await.unwrap(), "one");
    consul.set("orders", &[other.address]);
    until("the change is followed", || addresses(&upstream) == [other.url()]).await;
    let asked = consul.asked();
    assert!(asked.len() >= 2 && asked.iter().all(|query| query.split('&').any(|pair| pair == "dc=eu")), "{asked:?}");
    let own = found(agent(&consul));
    assert_eq!(get(&own).await.unwrap(), "other");
    let asked = consul.asked().split_off(asked.len());
    assert!(asked.iter().any(|query| !query.contains("dc=")), "{asked:?}");
}
