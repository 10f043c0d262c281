//! How a token travels, and whom it may name.

use http::header::AUTHORIZATION;

use super::super::*;

#[track_caller]
fn check(values: &[&str], expected: Option<&str>) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    assert_eq!(bearer(&headers).ok(), expected, "{values:?}");
}

#[test]
fn one_authorization_header_of_the_scheme_bearer_carries_a_token() {
    check(&["Bearer abc"], Some("abc"));
    check(&["bearer  abc "], Some("abc"));
    check(&[], None);
    check(&["Basic abc"], None);
    check(&["Bearer"], None);
    check(&["Bearer abc", "Bearer abc"], None);
}

#[test]
fn an_identity_is_what_headers_can_carry() {
    let admin = Identity::new("7", ["user", "admin"]).unwrap();
    assert_eq!((admin.subject(), admin.roles.as_ref().unwrap().to_str().unwrap()), ("7", "user,admin"));
    assert_eq!(Identity::new("7", []).unwrap().roles, None);
    for (subject, role) in [("", "user"), ("a b", "user"), ("a\r\nb", "user"), ("7", "a,b"), ("7", ""), ("é", "a")] {
        assert!(Identity::new(subject, [role]).is_err(), "{subject:?} {role:?}");
    }
}
