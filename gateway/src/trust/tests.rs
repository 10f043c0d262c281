//! Whose word is believed, of what, for how long.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::auth::{Identity, KeySet, SigningKey, now};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn peer(services: &[&str], seed: Option<u8>) -> Peer {
    let keys = seed.map(|seed| Keys::fixed(KeySet::new(vec![key(seed).public().clone()])));
    Peer { services: services.iter().map(|name| (*name).into()).collect(), keys }
}

fn trust() -> Trust {
    Trust::new([("front".into(), peer(&["orders", "users"], Some(1))), ("back".into(), peer(&["orders"], None))])
}

/// A token of `front`, with these changes.
fn token(seed: u8, changes: Value) -> String {
    let at = now() as u64;
    let claims = json!({
        "iss": "front", "sub": "cart", "aud": "orders", "iat": at, "exp": at + 60,
        "user": "user-7", "user_roles": "admin,buyer", "source": "cart",
    });
    let Value::Object(mut claims) = claims else { unreachable!() };
    for (name, value) in changes.as_object().unwrap() {
        match value.is_null() {
            true => _ = claims.remove(name),
            false => _ = claims.insert(name.clone(), value.clone()),
        }
    }
    key(seed).sign(&claims).unwrap()
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

async fn by_token(trust: &Trust, token: &str, service: &str) -> Result<Option<Word>, TrustError> {
    let headers = headers(&[
        ("x-archipel-token", token),
        ("x-archipel-hops", "3"),
        ("x-archipel-timeout", "1500"),
        ("x-user-id", "forged"),
        ("x-source-service", "forged"),
    ]);
    trust.word(None, &headers, service).await
}

fn identity(subject: &str, roles: &[&str]) -> Option<Identity> {
    Some(Identity::new(subject, roles.iter().copied()).unwrap())
}

#[tokio::test]
async fn a_token_says_who_calls_and_headers_beside_it_do_not() {
    let (trust, good) = (trust(), token(1, json!({})));
    let word = Word {
        identity: identity("user-7", &["admin", "buyer"]),
        source: Some("cart".into()),
        hops: 3,
        timeout: Some(Duration::from_millis(1500)),
    };
    for _ in 0..2 {
        assert_eq!(by_token(&trust, &good, "orders").await, Ok(Some(word.clone())), "also when it is known");
        let error = by_token(&trust, &good, "users").await.unwrap_err();
        assert!(error.to_string().contains("it is for another service"), "{error}");
    }
    let nobody = token(1, json!({ "user": null, "user_roles": null, "source": null }));
    let word = Word { identity: None, source: None, ..word };
    assert_eq!(by_token(&trust, &nobody, "orders").await, Ok(Some(word)));
}

#[tokio::test]
async fn each_way_of_lying_is_refused_with_its_reason() {
    let trust = trust();
    let at = now() as u64;
    for (token, reason) in [
        (token(2, json!({})), "its key is not known"),
        (token(1, json!({ "exp": at - 10 })), "it has expired"),
        (token(1, json!({ "exp": at + 3600 })), "good for more than a minute"),
        (token(1, json!({ "exp": null })), "it has no `exp`"),
        (token(1, json!({ "aud": ["orders"] })), "it is for no service"),
        (token(1, json!({ "aud": null })), "it is for no service"),
        (token(1, json!({ "iss": "back" })), "nobody in `[trust]` signs tokens as `back`"),
        (token(1, json!({ "iss": null })), "does not say who it is from"),
        (token(1, json!({ "user": 7 })), "no text"),
        (token(1, json!({ "user": "a b" })), "cannot stand in a header"),
        (token(1, json!({ "source": "a b" })), "no name of a service"),
        ("x".into(), "refused"),
    ] {
        let error = by_token(&trust, &token, "orders").await.unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let elsewhere = token(1, json!({ "aud": "products" }));
    assert_eq!(by_token(&trust, &elsewhere, "products").await, Err(TrustError::NotFor { peer: "front".into() }));
}

#[tokio::test]
async fn a_certificate_of_a_peer_makes_its_headers_its_word() {
    let trust = trust();
    let of = |names: &[&str]| PeerNames(names.iter().map(|name| Arc::from(*name)).collect());
    let said = [("x-user-id", "user-7"), ("x-user-roles", "admin, buyer"), ("x-source-service", "cart")];
    let word = trust.word(Some(&of(&["x", "back"])), &headers(&said), "orders").await.unwrap().unwrap();
    let identity = identity("user-7", &["admin", "buyer"]);
    assert_eq!(word, Word { identity, source: Some("cart".into()), ..Word::default() });
    let word = trust.word(Some(&of(&["back"])), &headers(&[]), "orders").await.unwrap().unwrap();
    assert_eq!(word.source.as_deref(), Some("back"), "a service by itself");
    let ours = headers(&[("x-archipel-hops", "999")]);
    let word = trust.word(Some(&of(&["back"])), &ours, "orders").await.unwrap().unwrap();
    assert_eq!((word.source, word.hops), (None, u8::MAX), "a gateway of ours");
    assert_eq!(trust.word(Some(&of(&["other"])), &headers(&said), "orders").await, Ok(None));
    assert_eq!(trust.word(None, &headers(&said), "orders").await, Ok(None));
    let error = trust.word(Some(&of(&["back"])), &headers(&said), "users").await;
    assert_eq!(error, Err(TrustError::NotFor { peer: "back".into() }));
    let twice = {
        let mut twice = headers(&said);
        twice.append("x-user-id", "other".parse().unwrap());
        twice
    };
    assert!(trust.word(Some(&of(&["back"])), &twice, "orders").await.is_err());
    assert_eq!(Trust::default().word(Some(&of(&["back"])), &headers(&said), "orders").await, Ok(None));
}
