//! Tokens, true and hostile: each wrong one must be refused for its own reason.

mod bearers;
mod changing;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, signature::Ed25519KeyPair};
use serde_json::{Map, Value, json};

use super::*;

const NOW: f64 = 1_800_000_000.0;
const SEED: [u8; 32] = [7; 32];
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn rules() -> Rules {
    let leeway = Duration::from_secs(30);
    Rules { issuer: Some("archipel".into()), audience: Some("shop".into()), leeway, ..Rules::default() }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&SEED).unwrap()
}

fn set(keys: &[&SigningKey]) -> KeySet {
    KeySet::new(keys.iter().map(|key| key.public().clone()).collect())
}

fn claims() -> Value {
    json!({ "iss": "archipel", "aud": "shop", "sub": "7", "roles": ["user"], "exp": NOW + 60.0 })
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The claims of a right token, with these members changed; `null` removes one.
fn with(changes: Value) -> Map<String, Value> {
    let mut claims = object(claims());
    for (name, value) in object(changes) {
        match value {
            Value::Null => drop(claims.remove(&name)),
            value => drop(claims.insert(name, value)),
        }
    }
    claims
}

/// A token of `header` and `payload` as they stand, rightly signed.
fn signed(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap().sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn refusal(keys: &KeySet, token: &str) -> Option<String> {
    verify(keys, &rules(), token, NOW).err().map(|error| error.to_string())
}

#[track_caller]
fn refused(token: &str, reason: &str) {
    let found = refusal(&set(&[&key()]), token).unwrap_or_else(|| panic!("accepted: {token}"));
    assert!(found.contains(reason), "{found}, not {reason}");
}

#[track_caller]
fn accepted(token: &str) {
    assert_eq!(refusal(&set(&[&key()]), token), None, "{token}");
}

#[test]
fn what_a_key_signs_its_public_half_accepts() {
    let pem = |name| match name {
        "EdDSA" => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        _ => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
    };
    for name in ["EdDSA", "ES256"] {
        let pair = pem(name);
        let PemKey::Private(key) = PemKey::parse(&pair.serialize_pem(), name.parse().ok()).unwrap() else { panic!() };
        let PemKey::Public(public) = PemKey::parse(&pair.public_key_pem(), name.parse().ok()).unwrap() else {
            panic!()
        };
        let token = key.sign(&object(claims())).unwrap();
        let said = verify(&KeySet::new(vec![public]), &rules(), &token, NOW).unwrap();
        assert_eq!((said.identity.subject(), said.identity.roles.as_ref().unwrap().to_str().unwrap()), ("7", "user"));
        let wrong = if name == "EdDSA" { Algorithm::Es256 } else { Algorithm::EdDsa };
        assert!(matches!(PemKey::parse(&pair.public_key_pem(), Some(wrong)), Err(PemError::OtherAlgorithm { .. })));
    }
    let shared = SigningKey::secret(SECRET).unwrap();
    assert_eq!(refusal(&set(&[&shared]), &shared.sign(&object(claims())).unwrap()), None);
}

#[test]
fn only_three_canonical_parts_are_a_token() {
    let token = key().sign(&object(claims())).unwrap();
    accepted(&token);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { panic!() };
    for (text, reason) in [
        (String::new(), "three parts"),
        ("...".into(), "three parts"),
        ("..".into(), "empty"),
        (format!("{token}."), "three parts"),
        (format!("{token}.{signature}"), "three parts"),
        (format!("{header}.{payload}"), "three parts"),
        (format!("{header}.{payload}."), "empty"),
        (format!("{header}..{signature}"), "empty"),
        (format!("{header}.{payload}.{signature}=="), "base64url"),
        (format!("{header}=.{payload}.{signature}"), "base64url"),
        (format!(" {token}"), "base64url"),
        (format!("{token}\n"), "base64url"),
        (format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")), "base64url"),
        (format!("{header}.{payload}.{signature}é"), "base64url"),
        (format!("{header}.{payload}.{}", &signature[1..]), "base64url"),
    ] {
        if text != token {
            refused(&text, reason);
        }
    }
    // 64 bytes leave four bits in the last character; only one of sixteen spellings is right.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(signature.chars().last().unwrap()).unwrap();
    let twin = alphabet.chars().nth(last ^ 1).unwrap();
    refused(&format!("{header}.{payload}.{}{twin}", &signature[..signature.len() - 1]), "base64url");
    let long = with(json!({ "text": "x".repeat(TOKEN_BYTES_MAX) }));
    refused(&key().sign(&long).unwrap(), "longer than 8 KiB");
}

#[test]
fn a_header_chooses_neither_its_algorithm_nor_its_key() {
    let payload = claims().to_string();
    accepted(&signed(r#"{"alg":"EdDSA"}"#, &payload));
    accepted(&signed(r#"{"alg":"EdDSA","typ":"JWT","x5t":"hint","cty":"x"}"#, &payload));
    for (member, reason) in [
        (r#""crit":["exp"]"#, "crit"),
        (r#""crit":[]"#, "crit"),
        (r#""crit":null"#, "crit"),
        (r#""zip":"DEF""#, "zip"),
        (r#""b64":false"#, "b64"),
        (r#""b64":true"#, "b64"),
        (r#""enc":"A128GCM""#, "encrypted"),
        (r#""jwk":{"kty":"OKP"}"#, "jwk"),
        (r#""jku":"http://127.0.0.1:1/""#, "jku"),
        (r#""x5u":"http://127.0.0.1:1/""#, "x5u"),
        (r#""x5c":["MII="]"#, "x5c"),
        (r#""kid":"other""#, "key is not known"),
        (r#""kid":"../../../../dev/null""#, "key is not known"),
        (r#""kid":"' or 1=1 --""#, "key is not known"),
        (r#""kid":"""#, "key id"),
        (r#""kid":7"#, "key id"),
        (r#""typ":7"#, "type"),
        (r#""alg":"EdDSA""#, "repeated"),
        (r#""a":1,"a":2"#, "repeated"),
        (r#""\u0061lg":"none""#, "repeated"),
    ] {
        refused(&signed(&format!(r#"{{"alg":"EdDSA",{member}}}"#), &payload), reason);
    }
    for (header, reason) in [
        (r#"{"alg":"none"}"#, "algorithm"),
        (r#"{"alg":"None"}"#, "algorithm"),
        (r#"{"alg":"eddsa"}"#, "algorithm"),
        (r#"{"alg":"RS512"}"#, "algorithm"),
        (r#"{"alg":["EdDSA"]}"#, "no algorithm"),
        (r#"{}"#, "no algorithm"),
        (r#"{"alg":"HS256"}"#, "not that of its key"),
        (r#"{"alg":"RS256"}"#, "not that of its key"),
        (r#"{"alg":"ES256"}"#, "not that of its key"),
        (r#"["alg"]"#, "header"),
        ("", "empty"),
        ("\u{feff}{\"alg\":\"EdDSA\"}", "header"),
        (r#"{"alg":"EdDSA"}{}"#, "header"),
    ] {
        refused(&signed(header, &payload), reason);
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let public = key().public().to_jwk().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(public["x"].as_str().unwrap()).unwrap();
    let kid = public["kid"].as_str().unwrap();
    for secret in [bytes, public.to_string().into_bytes(), Vec::new()] {
        for header in [r#"{"alg":"HS256"}"#.to_owned(), format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#)] {
            let message =
                format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            refused(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag)), "not that of its key");
        }
    }
}

#[test]
fn claims_are_of_their_kinds_and_times_are_kept() {
    let check = |changes: Value, reason: Option<&str>| {
        let token = key().sign(&with(changes.clone())).unwrap();
        match reason {
            None => accepted(&token),
            Some(reason) => refused(&token, reason),
        }
    };
    check(json!({ "exp": NOW - 29.0 }), None);
    check(json!({ "exp": NOW - 30.0 }), Some("expired"));
    check(json!({ "exp": 0 }), Some("expired"));
    check(json!({ "exp": null }), Some("no `exp`"));
    for exp in [json!("9999999999"), json!(-1), json!(1e300), json!(true), json!([1]), json!(18446744073709551615u64)] {
        check(json!({ "exp": exp }), Some("no time"));
    }
    check(json!({ "exp": NOW + 0.5 }), None);
    check(json!({ "nbf": NOW + 30.0 }), None);
    check(json!({ "nbf": NOW + 31.0 }), Some("not valid yet"));
    check(json!({ "nbf": "0" }), Some("no time"));
    check(json!({ "iat": "0" }), Some("no time"));
    check(json!({ "iat": NOW }), None);
    check(json!({ "iss": "Archipel" }), Some("issuer"));
    check(json!({ "iss": null }), Some("issuer"));
    check(json!({ "iss": ["archipel"] }), Some("issuer"));
    check(json!({ "aud": ["bank", "shop"] }), None);
    for aud in [json!("shop2"), json!([]), json!(["shop", 1]), json!({ "shop": 1 }), json!(1)] {
        check(json!({ "aud": aud }), Some("audience"));
    }
    check(json!({ "aud": null }), Some("audience"));
    for sub in [json!(7), json!(["7"])] {
        check(json!({ "sub": sub }), Some("no subject"));
    }
    check(json!({ "sub": null }), Some("no subject"));
    for sub in ["", "a b", "a\r\nx-user-roles: admin", "é"] {
        check(json!({ "sub": sub }), Some("subject cannot"));
    }
    check(json!({ "roles": null }), None);
    check(json!({ "roles": [] }), None);
    for roles in [json!("admin"), json!([1]), json!({ "admin": true })] {
        check(json!({ "roles": roles }), Some("list of texts"));
    }
    check(json!({ "roles": ["a,admin"] }), Some("roles cannot"));
    refused(&signed(r#"{"alg":"EdDSA"}"#, r#"{"exp":1,"exp":9999999999}"#), "no JSON object of claims");
    refused(&signed(r#"{"alg":"EdDSA"}"#, "foo"), "the signature is right, but");
}

#[test]
fn of_several_keys_a_token_names_one() {
    let other = SigningKey::from_seed(&[8; 32]).unwrap();
    let two = set(&[&key(), &other]);
    assert_eq!(refusal(&two, &key().sign(&object(claims())).unwrap()), None);
    assert_eq!(refusal(&two, &other.sign(&object(claims())).unwrap()), None);
    let nameless = signed(r#"{"alg":"EdDSA"}"#, &claims().to_string());
    assert!(refusal(&two, &nameless).unwrap().contains("several would fit"));
    let kid = other.public().kid().unwrap();
    let swapped = signed(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#), &claims().to_string());
    assert!(refusal(&two, &swapped).unwrap().contains("signature is wrong"));
    let twice = set(&[&key(), &key()]);
    assert!(refusal(&twice, &key().sign(&object(claims())).unwrap()).unwrap().contains("several keys"));
    let mixed = KeySet::new(vec![key().public().clone(), VerifyingKey::secret(SECRET).unwrap()]);
    assert_eq!(refusal(&mixed, &nameless), None, "one key of its algorithm");
    assert!(refusal(&KeySet::default(), &nameless).is_some());
}

#[test]
fn weak_keys_and_keys_for_other_things_are_no_keys() {
    assert_eq!(VerifyingKey::secret(&SECRET[1..]), Err(WeakKey::ShortSecret));
    assert_eq!(VerifyingKey::rsa(&[0xff; 255], &[1, 0, 1]), Err(WeakKey::RsaSize));
    assert_eq!(VerifyingKey::rsa(&[0xff; 1025], &[1, 0, 1]), Err(WeakKey::RsaSize));
    for exponent in [&[1][..], &[2], &[], &[0, 3], &[1, 0, 0, 0, 1]] {
        assert_eq!(VerifyingKey::rsa(&[0xff; 256], exponent), Err(WeakKey::RsaExponent));
    }
    let jwk = key().public().to_jwk().unwrap();
    let usable = |changes: Value| {
        let mut jwk = object(jwk.clone());
        jwk.extend(object(changes));
        jwks::parse(Value::Object(jwk).to_string().as_bytes(), jwks::Secrets::Ignore).is_ok()
    };
    assert!(usable(json!({})) && usable(json!({ "key_ops": ["verify"] })) && usable(json!({ "d": "ignored" })));
    for changes in [
        json!({ "use": "enc" }),
        json!({ "key_ops": ["sign"] }),
        json!({ "key_ops": "verify" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS512" }),
        json!({ "alg": 1 }),
        json!({ "crv": "Ed448" }),
        json!({ "kid": 1 }),
        json!({ "x": "AAAA" }),
        json!({ "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(SECRET) }),
    ] {
        assert!(!usable(changes.clone()), "{changes}");
    }
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(jwks::JWKS_BYTES_MAX));
    assert_eq!(jwks::parse(large.as_bytes(), jwks::Secrets::Ignore), Err(jwks::JwksError::TooLarge));
    for wrong in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[1]}", "{\"keys\":[],\"keys\":[]}"] {
        assert!(jwks::parse(wrong.as_bytes(), jwks::Secrets::Ignore).is_err(), "{wrong}");
    }
}

/// RFC 8037 appendix A.3.
#[test]
fn a_keys_own_name_is_its_thumbprint() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let keys = jwks::parse(jwk.as_bytes(), jwks::Secrets::Ignore).unwrap();
    assert_eq!(keys.keys()[0].thumbprint().as_deref(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
}

#[test]
fn keys_print_nothing_of_themselves() {
    let secret = SigningKey::secret(SECRET).unwrap();
    let printed = format!("{secret:?} {:?} {:?}", secret.public(), key());
    assert!(!printed.contains("0123") && !printed.contains("[48") && !printed.contains("[7"), "{printed}");
    assert_eq!((secret.public().to_jwk(), secret.public().thumbprint()), (None, None));
}
