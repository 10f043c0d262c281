//! The routes of one of the shop's services: each method names who may use it, and each answer goes out in the envelope.

use sdk::{
    Answer, Handler, Method, Request, Response,
    openapi::{Form, Success, Taken},
};

use crate::{Who, envelope::enveloped};

/// What stands around every answer with data.
pub const FORM: Form = Form { around: Some(("Success", SUCCESS)) };

const SUCCESS: &str = r#"{"type":"object","required":["success","timestamp","traceId"],"properties":{"success":{"const":true},"timestamp":{"type":"string","format":"date-time"},"traceId":{"type":"string","pattern":"^[0-9a-f]{32}$"}}}"#;

/// [`sdk::routes!`] of one of the shop's services: each method names who may use it, `get(Who::Admin) list;`.
#[macro_export]
macro_rules! routes {
    ($($table:tt)*) => {
        ::sdk::described_routes! { [$crate::Routes] [$crate::FORM] $($table)* }
    };
}

/// The routes of a service.
#[derive(Default)]
pub struct Routes(sdk::Routes);

/// The handlers of one path.
pub struct PathRoutes(sdk::PathRoutes);

/// A handler that is called for those whom `who` admits.
struct Guarded<H> {
    who: Who,
    handler: H,
}

impl<P, H: Handler<P>> Handler<P> for Guarded<H> {
    const TAKES: &'static [Taken] = H::TAKES;
    const ANSWERS: &'static Success = H::ANSWERS;

    fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer {
        self.who.admits(request, parameters)?;
        self.handler.call(request, parameters)
    }
}

impl Routes {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a path: `/api/users/{id}`.
    ///
    /// # Panics
    /// When a handler takes other parameters than the path has, whoever asks: the first test of the table tells.
    #[must_use]
    #[track_caller]
    pub fn at(self, pattern: &'static str, methods: impl FnOnce(PathRoutes) -> PathRoutes) -> Self {
        Self(self.0.at(pattern, |path| methods(PathRoutes(path)).0))
    }

    /// Answers a request, in the envelope.
    pub fn answer(&self, mut request: Request) -> Response {
        let answer = self.0.call(&mut request);
        enveloped(answer, &mut request)
    }

    /// Each path with its methods, for a test that compares them with a document.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.list()
    }
}

impl PathRoutes {
    #[must_use]
    pub fn get<P>(self, who: Who, handler: impl Handler<P>) -> Self {
        self.on(Method::Get, who, handler)
    }

    #[must_use]
    pub fn post<P>(self, who: Who, handler: impl Handler<P>) -> Self {
        self.on(Method::Post, who, handler)
    }

    #[must_use]
    pub fn put<P>(self, who: Who, handler: impl Handler<P>) -> Self {
        self.on(Method::Put, who, handler)
    }

    #[must_use]
    pub fn patch<P>(self, who: Who, handler: impl Handler<P>) -> Self {
        self.on(Method::Patch, who, handler)
    }

    #[must_use]
    pub fn delete<P>(self, who: Who, handler: impl Handler<P>) -> Self {
        self.on(Method::Delete, who, handler)
    }

    fn on<P>(self, method: Method, who: Who, handler: impl Handler<P>) -> Self {
        Self(self.0.on(method, Guarded { who, handler }))
    }
}

#[cfg(test)]
mod tests {
    use sdk::{
        Reply, Uuid,
        testing::{self, Asked},
    };

    use super::*;

    #[test]
    fn who_may_is_decided_before_the_handler_sees_anything() {
        let routes = Routes::new().at("/stock/{id}", |path| {
            path.post(Who::Admin, |_: &mut Request, _: Uuid| -> Answer { panic!("nobody may come here") })
        });
        assert_eq!(routes.answer(testing::post("/stock/7").into()).status, 401);
        assert_eq!(routes.answer(testing::post("/stock/7").user("ada").into()).status, 403);
    }

    #[test]
    fn a_path_of_somebodys_is_theirs_and_the_admins() {
        fn own(request: &mut Request, id: Uuid) -> Answer {
            let text: Vec<u8> = request.body()?;
            Reply::ok(&(id, text.len()))
        }
        let routes = Routes::new().at("/users/{id}", |path| path.put(Who::OwnerOrAdmin, own));
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let asked = || testing::put(&format!("/users/{ada}")).body("text/plain", b"tea");
        let status = |asked: Asked| routes.answer(asked.into()).status;
        assert_eq!((status(asked()), status(asked().user(bob)), status(asked().user(ada))), (401, 403, 200));
        let response = routes.answer(asked().user(bob).roles(&["user", "admin"]).into());
        assert_eq!(testing::json(&response)["data"], serde_json::json!([ada, 3]));
    }

    #[test]
    fn what_nobody_has_is_told_in_the_same_form() {
        let routes = Routes::new().at("/stock", |path| path.get(Who::Anyone, |_: &mut Request| Reply::no_content()));
        let response = routes.answer(testing::post("/stock").into());
        assert_eq!((response.status, testing::json(&response)["success"].as_bool()), (405, Some(false)));
        let response = routes.answer(testing::get("/").into());
        assert_eq!(
            (response.status, testing::json(&response)["error"].as_str()),
            (404, Some("There is nothing at this path"))
        );
    }
}
