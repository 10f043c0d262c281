//! Who may: each route names it, and it is decided before the handler runs or the body is read.
//!
//! Who is asking comes from headers that only the host can set: `X-User-Id` and `X-User-Roles`
//! from a token that the gateway verified, `X-Source-Service` on calls between services. A route
//! cannot be written without a [`Who`], so nobody forgets one.

use sdk::{Error, FromSegment as _, Request, Uuid, openapi::Guard};

/// The role that the operator gives.
const ADMIN: &str = "admin";

/// What a client without an identity is told.
const NO_TOKEN: Error = Error::Unauthorized("Send a valid token: `Authorization: Bearer …`");

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody, without a token. The manifest's route must be public too.
    Anyone,
    /// Whoever has a token.
    AnyUser,
    /// The user whose id is the path's parameter, and admins. Somebody else's id is refused
    /// before anybody looks whether it exists.
    OwnerOrAdmin,
    Admin,
    /// This service and nobody else: no token is enough.
    Service(&'static str),
}

impl Who {
    /// As a document says it.
    pub const fn guard(self) -> Guard {
        match self {
            Self::Anyone => Guard::Open,
            Self::AnyUser => Guard::Token,
            Self::OwnerOrAdmin | Self::Admin | Self::Service(_) => Guard::Some,
        }
    }

    /// 401 without any identity, 403 with one that is not enough, 400 for an owner's id that is
    /// none.
    pub(crate) fn admits(self, request: &mut Request, parameters: &[&str]) -> Result<(), Error> {
        match self {
            Self::Anyone => Ok(()),
            Self::AnyUser => request.user_id().map(drop).ok_or(NO_TOKEN),
            Self::OwnerOrAdmin => {
                request.user_id().ok_or(NO_TOKEN)?;
                let [segment] = parameters else {
                    return Err(Error::internal("a route is its owner's and its path has not one parameter"));
                };
                request.may_act_for(Uuid::from_segment(segment)?)
            }
            Self::Admin => {
                request.user_id().ok_or(NO_TOKEN)?;
                if request.is_admin() { Ok(()) } else { Err(Error::Forbidden) }
            }
            Self::Service(name) => match request.source_service() {
                Some(source) if source == name => Ok(()),
                None if request.user_id().is_none() => Err(NO_TOKEN),
                _ => Err(Error::Forbidden),
            },
        }
    }
}

/// Whoever sent a request, as the shop knows them.
pub trait Asker {
    fn is_admin(&mut self) -> bool;

    /// For what is somebody's without its path saying so: that user and admins, else 403.
    ///
    /// # Errors
    /// 401 without a token, 403 with somebody else's.
    fn may_act_for(&mut self, user: Uuid) -> Result<(), Error>;
}

impl Asker for Request {
    fn is_admin(&mut self) -> bool {
        self.has_role(ADMIN)
    }

    fn may_act_for(&mut self, user: Uuid) -> Result<(), Error> {
        let id = self.user_id().ok_or(NO_TOKEN)?;
        let is_theirs = Uuid::from_segment(&id).is_ok_and(|id| id == user);
        if is_theirs || self.is_admin() { Ok(()) } else { Err(Error::Forbidden) }
    }
}

#[cfg(test)]
mod tests {
    use sdk::testing;

    use super::*;

    const ADA: &str = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    const BOB: &str = "017f22e2-79b0-7cc3-98c4-dc0c0c073990";

    fn with(headers: &[(&str, &str)]) -> Request {
        let asked = headers.iter().fold(testing::get("/"), |asked, (name, value)| asked.header(name, value));
        asked.into()
    }

    /// The statuses of the five kinds of route, 200 for admitted, with `ADA` as the path's id.
    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: [u16; 5]) {
        let kinds = [Who::Anyone, Who::AnyUser, Who::OwnerOrAdmin, Who::Admin, Who::Service("orders")];
        let statuses =
            kinds.map(|who| who.admits(&mut with(headers), &[ADA]).map_or_else(|error| error.status(), |()| 200));
        assert_eq!(statuses, expected, "{headers:?}");
    }

    #[test]
    fn each_kind_of_route_admits_exactly_whom_it_names() {
        check(&[], [200, 401, 401, 401, 401]);
        check(&[("x-user-id", "")], [200, 401, 401, 401, 401]);
        check(&[("x-user-roles", "admin")], [200, 401, 401, 401, 401]);
        check(&[("x-user-id", ADA), ("x-user-roles", "user")], [200, 200, 200, 403, 403]);
        check(&[("x-user-id", "017F22E2-79B0-7CC3-98C4-DC0C0C07398F")], [200, 200, 200, 403, 403]);
        check(&[("x-user-id", BOB), ("x-user-roles", "user")], [200, 200, 403, 403, 403]);
        check(&[("x-user-id", BOB), ("x-user-roles", "user,admin")], [200, 200, 200, 200, 403]);
        check(&[("x-user-id", "ops"), ("x-user-roles", "admin")], [200, 200, 200, 200, 403]);
        check(&[("x-source-service", "orders")], [200, 401, 401, 401, 200]);
        check(&[("x-source-service", "users")], [200, 401, 401, 401, 403]);
        check(&[("x-source-service", "orders"), ("x-user-id", BOB)], [200, 200, 403, 403, 200]);
    }

    #[test]
    fn a_role_is_a_whole_word_and_an_identity_given_twice_is_none() {
        check(&[("x-user-id", BOB), ("x-user-roles", "administrator,Admin,ad min")], [200, 200, 403, 403, 403]);
        check(&[("x-user-id", ADA), ("x-user-id", BOB)], [200, 401, 401, 401, 401]);
        check(&[("x-source-service", "orders"), ("x-source-service", "orders")], [200, 401, 401, 401, 401]);
        check(&[("x-source-service", "orders,users")], [200, 401, 401, 401, 403]);
    }

    #[test]
    fn a_malformed_id_is_nobody_s_and_an_unknown_one_somebody_else_s() {
        let status = |id: &str, headers: &[(&'static str, &'static str)]| {
            Who::OwnerOrAdmin.admits(&mut with(headers), &[id]).map_err(|error| error.status())
        };
        assert_eq!(status("7", &[]), Err(401));
        assert_eq!(status("7", &[("x-user-id", ADA)]), Err(400));
        assert_eq!(status("00000000-0000-7000-8000-000000000000", &[("x-user-id", ADA)]), Err(403));
        assert_eq!(status("7", &[("x-user-id", "7")]), Err(400));
    }
}
