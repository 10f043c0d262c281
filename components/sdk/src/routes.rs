//! Which handler answers: a small table from path and method to a function.
//!
//! `{name}` stands for one segment and arrives as a parameter of the handler, parsed, in their order. A
//! literal segment beats `{name}`, segment by segment, wherever it stands in the table.

use crate::{Answer, Error, Handler, Method, Request, Response, Timestamp, reply::respond};

type Endpoint = Box<dyn Fn(&mut Request, &[&str]) -> Answer>;

/// The routes of a service.
#[derive(Default)]
pub struct Routes(Vec<(&'static str, PathRoutes)>);

/// The handlers of one path.
pub struct PathRoutes {
    pattern: &'static str,
    endpoints: Vec<(Method, Endpoint)>,
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
    pub fn at(mut self, pattern: &'static str, methods: impl FnOnce(PathRoutes) -> PathRoutes) -> Self {
        self.0.push((pattern, methods(PathRoutes { pattern, endpoints: Vec::new() })));
        self
    }

    /// Answers a request: data as JSON, a failure in the gateway's own form. `HEAD` is `GET`: whoever sends the answer
    /// leaves its body away, and so its headers stay those of `GET`, the length too.
    pub fn answer(&self, mut request: Request) -> Response {
        let answer = self.call(&mut request);
        respond(answer, &request.trace_id(), Timestamp::now())
    }

    /// Each path with its methods, for a test that compares them with a document.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.iter().map(|(pattern, path)| (*pattern, path.allow()))
    }

    /// What the handler says, for whoever has a form of their own for answers.
    ///
    /// # Errors
    /// The handler's; 404 for a path that nobody has, 405 for a method that the path has not.
    pub fn call(&self, request: &mut Request) -> Answer {
        let (method, path) = (request.method(), request.path());
        let segments: Vec<&str> = path.split('/').collect();
        let (pattern, routes) = self
            .0
            .iter()
            .filter(|(pattern, _)| matches(pattern, &segments))
            .max_by_key(|(pattern, _)| literals(pattern))
            .ok_or(Error::NotFound("There is nothing at this path"))?;
        let endpoint = routes.endpoint(method).ok_or_else(|| Error::MethodNotAllowed { allow: routes.allow() })?;
        let parameters: Vec<&str> = pattern
            .split('/')
            .zip(&segments)
            .filter(|(part, _)| is_parameter(part))
            .map(|(_, segment)| *segment)
            .collect();
        endpoint(request, &parameters)
    }
}

impl PathRoutes {
    #[must_use]
    pub fn get<P>(self, handler: impl Handler<P>) -> Self {
        self.on(Method::Get, handler)
    }

    #[must_use]
    pub fn post<P>(self, handler: impl Handler<P>) -> Self {
        self.on(Method::Post, handler)
    }

    #[must_use]
    pub fn put<P>(self, handler: impl Handler<P>) -> Self {
        self.on(Method::Put, handler)
    }

    #[must_use]
    pub fn patch<P>(self, handler: impl Handler<P>) -> Self {
        self.on(Method::Patch, handler)
    }

    #[must_use]
    pub fn delete<P>(self, handler: impl Handler<P>) -> Self {
        self.on(Method::Delete, handler)
    }

    /// By any method.
    #[must_use]
    pub fn on<P, H: Handler<P>>(mut self, method: Method, handler: H) -> Self {
        let (taken, pattern) = (H::PARAMETERS, self.pattern);
        let there = pattern.split('/').filter(|part| is_parameter(part)).count();
        assert!(taken == 0 || taken == there, "{pattern} has {there} parameters, and its handler takes {taken}");
        let endpoint = move |request: &mut Request, parameters: &[&str]| handler.call(request, parameters);
        self.endpoints.push((method, Box::new(endpoint)));
        self
    }

    fn endpoint(&self, method: Method) -> Option<&Endpoint> {
        let wanted = if method == Method::Head { Method::Get } else { method };
        self.endpoints.iter().find(|(method, _)| *method == wanted).map(|(_, endpoint)| endpoint)
    }

    /// The value of `Allow`: `GET, HEAD, POST`.
    fn allow(&self) -> String {
        let names = self.endpoints.iter().map(|(method, _)| match method {
            Method::Get => "GET, HEAD",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Other => "OTHER",
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

fn matches(pattern: &str, segments: &[&str]) -> bool {
    let mut segments = segments.iter();
    let same = |part: &str| {
        segments.next().is_some_and(|segment| if is_parameter(part) { !segment.is_empty() } else { part == *segment })
    };
    pattern.split('/').all(same) && segments.next().is_none()
}

/// For each segment, from the left, whether it is literal; of two that match, the greater wins.
fn literals(pattern: &str) -> Vec<bool> {
    pattern.split('/').map(|part| !is_parameter(part)).collect()
}

fn is_parameter(part: &str) -> bool {
    part.starts_with('{')
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{Reply, request::test::request};

    fn routes() -> Routes {
        Routes::new()
            .at("/users", |path| {
                path.get(|_: &mut Request| Reply::ok(&"list")).post(|_: &mut Request| Reply::ok(&"new"))
            })
            .at("/users/{id}", |path| {
                path.get(|_: &mut Request, id: Uuid| Reply::ok(&id))
                    .delete(|_: &mut Request, _: Uuid| Reply::no_content())
            })
            .at("/users/me", |path| path.get(|_: &mut Request| Reply::ok(&"me")))
            .at("/files/{name}", |path| path.get(|_: &mut Request, name: String| Reply::ok(&name)))
    }

    #[track_caller]
    fn check(method: Method, target: &'static str, status: u16, part: &str) {
        let response = routes().answer(Request::new(request(method, target)));
        let body = String::from_utf8(response.body).unwrap();
        assert_eq!(response.status, status, "{body}");
        assert!(body.contains(part), "{body}");
    }

    #[test]
    fn a_path_and_a_method_find_their_handler() {
        check(Method::Get, "/users", 200, r#""list""#);
        check(Method::Post, "/users?x=1", 200, "\"new\"");
        check(Method::Get, "/users/me", 200, "\"me\"");
        check(Method::Get, "/files/a%20b", 200, "\"a b\"");
        check(
            Method::Get,
            "/users/017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
            200,
            "\"017f22e2-79b0-7cc3-98c4-dc0c0c07398f\"",
        );
        check(Method::Delete, "/users/017f22e2-79b0-7cc3-98c4-dc0c0c07398f", 204, "");
    }

    #[test]
    fn each_parameter_of_a_path_is_one_of_the_handler_in_their_order() {
        let routes = Routes::new()
            .at("/a/{x}/b/{y}", |path| path.get(|_: &mut Request, x: u32, y: String| Reply::ok(&(x, y))))
            .at("/a/{x}/b/{y}/{z}", |path| {
                path.get(|_: &mut Request, x: String, y: i64, z: Uuid| Reply::ok(&(x, y, z)))
            });
        let answer = |target| {
            let response = routes.answer(Request::new(request(Method::Get, target)));
            (response.status, String::from_utf8(response.body).unwrap())
        };
        assert!(answer("/a/7/b/c%20d").1.contains(r#"[7,"c d"]"#));
        let id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        let three: &'static str = format!("/a/x/b/9/{id}").leak();
        assert!(answer(three).1.contains(&format!(r#"["x",9,"{id}"]"#)));
        for refused in ["/a/-7/b/c", "/a/+7/b/c", "/a/7.0/b/c", "/a/4294967296/b/c"] {
            assert_eq!(answer(refused).0, 400, "{refused}");
        }
    }

    #[test]
    #[should_panic(expected = "/users has 0 parameters, and its handler takes 1")]
    fn a_handler_with_other_parameters_than_its_path_is_told_when_the_table_is_made() {
        let _ = Routes::new().at("/users", |path| path.get(|_: &mut Request, _: Uuid| Reply::no_content()));
    }

    #[test]
    fn an_unknown_path_is_404_and_an_unknown_method_405() {
        for target in ["/", "/users/", "/usersx", "/users/me/x", "//users", "/Users"] {
            check(Method::Get, target, 404, "There is nothing at this path");
        }
        for method in [Method::Patch, Method::Other] {
            let response = routes().answer(Request::new(request(method, "/users/7")));
            assert_eq!(response.status, 405);
            assert!(response.headers.contains(&("allow".to_owned(), b"GET, HEAD, DELETE".to_vec())));
        }
    }

    #[test]
    fn a_malformed_id_is_400() {
        for id in
            ["/users/7", "/users/017f22e279b07cc398c4dc0c0c07398f", "/users/{017f22e2-79b0-7cc3-98c4-dc0c0c07398}"]
        {
            check(Method::Get, id, 400, "not a UUID");
        }
        check(Method::Get, "/files/%ff", 400, "percent-encoded");
    }

    #[test]
    fn head_has_the_headers_of_get() {
        let answer = |method| routes().answer(Request::new(request(method, "/users")));
        let (get, head) = (answer(Method::Get), answer(Method::Head));
        assert_eq!((head.status, head.headers), (get.status, get.headers));
    }
}
