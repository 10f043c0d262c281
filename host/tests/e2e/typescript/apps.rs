//! Apps of other people's frameworks, which run as they are.

use serde_json::json;

use super::{HOST, of};
use crate::{
    apply::ask,
    harness::{Host, in_typescript},
};

/// What the packages of Hono and of itty-router show in their README.md: `just foreign` has taken it from there.
#[test]
fn the_apps_that_frameworks_show_run_as_they_stand_in_their_packages() {
    let service = |name: &str, built: &str| {
        let component = in_typescript(built);
        format!(
            "[services.{name}]\ncomponent = \"{component}\"\nlimits = {{ memory = \"128MiB\", timeout = \"30s\" }}\n\
             [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
        )
    };
    let host = Host::running(&(service("hono", "hono_readme") + &service("itty", "itty_router_readme")));
    let hono = |path: &str| ask(&host, "hono", path);
    assert_eq!((hono("/").status, hono("/").text()), (200, "Hono!".to_owned()));
    assert_eq!(hono("/absent").status, 404);
    let itty = |path: &str| ask(&host, "itty", path);
    assert_eq!(of(&itty("/hello/Ada")), json!("Hello, Ada!"));
    assert_eq!(of(&itty("/json")), json!([1, 2, 3]));
    assert_eq!(of(&itty("/promises")), json!("foo"));
    assert_eq!(itty("/absent").status, 404);
}

#[test]
fn the_usual_app_of_hono_runs() {
    let host = HOST.get();
    assert_eq!(host.get("/hono").text(), "Hello Hono!");
    let post = host.get("/hono/posts/7?page=2");
    assert_eq!((of(&post), post.header("x-message")), (json!({ "id": "7", "page": "2" }), Some("Hi!")));
    let made = host.json("POST", "/hono/posts", &json!({ "text": "é" }));
    assert_eq!((made.status, made.json()), (201, json!({ "text": "é" })));
    assert_eq!((host.get("/hono/no").status, host.get("/hono/no").text()), (404, "Custom 404".to_owned()));
}

#[test]
fn the_usual_app_of_itty_router_runs() {
    let host = HOST.get();
    assert_eq!(host.get("/itty/hello/Ada").text(), "\"Hello, Ada!\"", "it answers JSON");
    assert_eq!(of(&host.get("/itty/json")), json!([1, 2, 3]));
    assert_eq!(host.get("/itty/promises").text(), "\"foo\"");
    assert_eq!(host.get("/itty/no").status, 404);
}
