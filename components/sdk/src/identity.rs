//! Who is asking, from headers that only the host can set: `X-User-Id` and `X-User-Roles` of a token that the gateway has
//! verified, `X-Source-Service` of a call between services. What they may is the service's to say.

use crate::Request;

impl Request {
    /// Whom the token speaks for: a user's id, or whatever name the operator signed. None on a public route.
    pub fn user_id(&mut self) -> Option<String> {
        self.header("x-user-id").filter(|id| !id.is_empty())
    }

    /// Whether the token has this role, which is a whole word.
    pub fn has_role(&mut self, role: &str) -> bool {
        self.header("x-user-roles").is_some_and(|roles| roles.split(',').any(|own| own.trim() == role))
    }

    /// The service that calls, if a service does.
    pub fn source_service(&mut self) -> Option<String> {
        self.header("x-source-service").filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, request::test::request};

    fn with(headers: &[(&'static str, &'static str)]) -> Request {
        let mut written = request(Method::Get, "/");
        written.headers = headers.to_vec();
        Request::new(written)
    }

    #[test]
    fn an_identity_is_there_once_or_not_at_all() {
        assert_eq!(with(&[("x-user-id", "ada")]).user_id().as_deref(), Some("ada"));
        for none in [&[][..], &[("x-user-id", "")], &[("x-user-id", "ada"), ("x-user-id", "bob")]] {
            assert_eq!(with(none).user_id(), None, "{none:?}");
        }
        assert_eq!(with(&[("x-source-service", "orders")]).source_service().as_deref(), Some("orders"));
    }

    #[test]
    fn a_role_is_a_whole_word() {
        let mut request = with(&[("x-user-roles", "user, admin,Owner,ad min")]);
        assert!(request.has_role("admin") && request.has_role("user"));
        for other in ["owner", "adm", "min", ""] {
            assert!(!request.has_role(other), "{other}");
        }
    }
}
