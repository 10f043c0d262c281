//! Keys that come, change and go, and tokens that are known already.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{super::known::digest_of, *};

/// Gives what it is told to, and counts.
struct Scripted {
    answer: Mutex<Result<KeySet, String>>,
    asked: AtomicU32,
}

impl KeySource for Scripted {
    fn load(&self) -> Loading<'_> {
        self.asked.fetch_add(1, Relaxed);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async { answer })
    }
}

fn scripted(answer: Result<KeySet, String>, pace: Pace) -> (Arc<Scripted>, Verifier) {
    let source = Arc::new(Scripted { answer: Mutex::new(answer), asked: AtomicU32::new(0) });
    let keys = Keys::from_source(source.clone(), pace, None);
    (source, Verifier::new(rules(), keys))
}

const SLOW: Pace = Pace { every: Duration::from_secs(300), floor: Duration::from_secs(100) };
const EAGER: Pace = Pace { every: Duration::from_secs(300), floor: Duration::ZERO };

/// A token that is valid now.
fn fresh(key: &SigningKey) -> String {
    key.sign(&with(json!({ "exp": now() + 60.0 }))).unwrap()
}

#[tokio::test]
async fn keys_are_asked_for_once_however_many_tokens_need_them() {
    let (source, verifier) = scripted(Ok(set(&[&key()])), SLOW);
    let token = fresh(&key());
    let answers = futures_util::future::join_all((0..20).map(|_| verifier.verify(&token))).await;
    assert!(answers.iter().all(Result::is_ok));
    let stranger = fresh(&SigningKey::from_seed(&[9; 32]).unwrap());
    for _ in 0..20 {
        assert!(verifier.verify(&stranger).await.is_err());
    }
    assert_eq!(source.asked.load(Relaxed), 1, "within its floor nobody asks again");
}

#[tokio::test]
async fn a_new_key_is_found_by_its_unknown_name_and_an_old_one_forgotten() {
    let (source, verifier) = scripted(Ok(set(&[&key()])), EAGER);
    let old = fresh(&key());
    verifier.verify(&old).await.unwrap();
    let newer = SigningKey::from_seed(&[9; 32]).unwrap();
    *source.answer.lock().unwrap() = Ok(set(&[&newer]));
    verifier.verify(&fresh(&newer)).await.unwrap();
    assert!(verifier.verify(&old).await.is_err(), "also where it had been verified before");
}

#[tokio::test]
async fn a_new_key_without_a_name_is_found_by_a_signature_that_is_wrong() {
    let secret = |byte| SigningKey::secret(&[byte; 32]).unwrap();
    let (source, verifier) = scripted(Ok(set(&[&secret(1)])), EAGER);
    verifier.verify(&fresh(&secret(1))).await.unwrap();
    *source.answer.lock().unwrap() = Ok(set(&[&secret(2)]));
    verifier.verify(&fresh(&secret(2))).await.unwrap();
    assert!(verifier.verify(&fresh(&secret(1))).await.is_err());
}

#[tokio::test]
async fn without_keys_nobody_comes_in_and_with_old_ones_a_failing_source_changes_nothing() {
    let (source, verifier) = scripted(Err("down".into()), EAGER);
    let token = fresh(&key());
    assert_eq!(verifier.verify(&token).await, Err(TokenError::NoKeys("down".into())));
    *source.answer.lock().unwrap() = Ok(set(&[&key()]));
    verifier.verify(&token).await.unwrap();
    *source.answer.lock().unwrap() = Err("down".into());
    let stranger = fresh(&SigningKey::from_seed(&[9; 32]).unwrap());
    assert!(matches!(verifier.verify(&stranger).await, Err(TokenError::Refused(_))));
    verifier.verify(&token).await.unwrap();
}

#[tokio::test]
async fn a_known_token_still_expires() {
    let verifier = Verifier::new(Rules { leeway: Duration::ZERO, ..rules() }, Keys::fixed(set(&[&key()])));
    let token = key().sign(&with(json!({ "exp": now() + 3.0 }))).unwrap();
    verifier.verify(&token).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while verifier.verify(&token).await.is_ok() {
        assert!(std::time::Instant::now() < deadline, "it never expired");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn what_is_remembered_is_bounded_and_never_the_token() {
    let known = known::Known::new();
    let keys = Arc::new(set(&[&key()]));
    let said = verify(&keys, &rules(), &key().sign(&object(claims())).unwrap(), NOW).unwrap();
    for index in 0..11_000_u32 {
        known.add(&keys, digest_of(&index.to_string()), &said.identity, said.validity);
    }
    assert_eq!(known.len(), 10_000);
    let long = Identity::new(&"x".repeat(255), ["role"]).unwrap();
    known.add(&keys, digest_of("long"), &long, said.validity);
    assert!(known.get(&keys, &digest_of("long")).is_none());
    assert!(known.get(&Arc::new(set(&[&key()])), &digest_of("10999")).is_none(), "other keys, other tokens");
}
