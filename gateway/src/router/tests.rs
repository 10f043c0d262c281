//! The tables that show which route wins.

use super::*;
use crate::{auth::Access, body, context::RequestContext, dispatch::Dispatched};

#[test]
fn the_most_specific_path_wins_in_any_order() {
    let mut routes = vec![
        "/{*rest}",
        "/api/{*rest}",
        "/api/users/{*rest}",
        "/api/users/{id}",
        "/api/users/{id}/profile",
        "/api/users/me",
        "/api/{kind}/me",
        "/",
    ];
    for _ in 0..routes.len() {
        routes.rotate_left(1);
        let table = table(&routes);
        check(&table, "GET a.test/", "/");
        check(&table, "GET a.test/x", "/{*rest}");
        check(&table, "GET a.test/api", "/api/{*rest}");
        check(&table, "GET a.test/api/users", "/api/users/{*rest}");
        check(&table, "GET a.test/api/users/", "/api/users/{*rest}");
        check(&table, "GET a.test/api/users/7", "/api/users/{id}");
        check(&table, "GET a.test/api/users/7/", "/api/users/{*rest}");
        check(&table, "GET a.test/api/users/7/profile", "/api/users/{id}/profile");
        check(&table, "GET a.test/api/users/7/profile/x", "/api/users/{*rest}");
        check(&table, "GET a.test/api/users/me", "/api/users/me");
        check(&table, "GET a.test/api/orders/me", "/api/{kind}/me");
        check(&table, "GET a.test/api/usersx", "/api/{*rest}");
        check(&table, "GET a.test/API/users/me", "/{*rest}");
    }
}

#[test]
fn a_branch_without_an_end_leads_back_to_a_less_specific_one() {
    let table = table(&["/a/b/c", "/{x}/b/{y}", "/a/{z}/d"]);
    check(&table, "GET a.test/a/b/c", "/a/b/c");
    check(&table, "GET a.test/a/b/d", "/a/{z}/d"); // a literal further left beats one further right
    check(&table, "GET a.test/a/b/e", "/{x}/b/{y}");
    check_none(&table, "GET a.test/a/c/c", None);
}

#[test]
fn a_trailing_slash_and_a_missing_segment_are_other_paths() {
    let table = table(&["/a", "/b/{id}"]);
    check_none(&table, "GET a.test/a/", None);
    check_none(&table, "GET a.test/b", None);
    check_none(&table, "GET a.test/b/", None);
    check_none(&table, "GET a.test/b/1/", None);
    check_none(&table, "GET a.test/", None);
}

#[test]
fn a_named_host_beats_any_path_and_falls_back_when_it_has_none() {
    let table = table(&["/a/b", "api.a.test /{*rest}", "*.a.test /{*rest}", "*.b.a.test /a/b", "x.b.a.test /other"]);
    check(&table, "GET other.test/a/b", "/a/b");
    check(&table, "GET a.test/a/b", "/a/b"); // `*.a.test` never is `a.test`
    check(&table, "GET api.a.test/a/b", "api.a.test/{*rest}");
    check(&table, "GET www.a.test/a/b", "*.a.test/{*rest}");
    check(&table, "GET c.b.a.test/a/b", "*.b.a.test/a/b");
    check(&table, "GET c.b.a.test/z", "*.a.test/{*rest}");
    check(&table, "GET x.b.a.test/a/b", "*.b.a.test/a/b");
    check(&table, "GET xa.test/a/b", "/a/b");
}

#[test]
fn the_method_decides_last_and_405_names_what_the_path_takes() {
    let table = table(&["GET /a", "POST,PUT /a", "/b", "GET /b"]);
    check(&table, "GET x.test/a", "GET /a");
    check(&table, "HEAD x.test/a", "GET /a");
    check(&table, "PUT x.test/a", "POST,PUT /a");
    check_none(&table, "DELETE x.test/a", Some("GET, HEAD, POST, PUT"));
    check(&table, "GET x.test/b", "GET /b"); // a list beats any
    check(&table, "PURGE x.test/b", "/b");
    check_none(&table, "OPTIONS x.test/b", Some("DELETE, GET, HEAD, PATCH, POST, PUT"));
    check_none(&table, "TRACE x.test/b", Some("DELETE, GET, HEAD, PATCH, POST, PUT"));
}

#[test]
fn the_most_specific_path_decides_also_when_its_methods_do_not_fit() {
    let table = table(&[
        "GET /api/users/{id}/profile",
        "/api/users/{*rest}",
        "OPTIONS /{*rest}",
        "GET /c/{id}",
        "DELETE /c/{*rest}",
        "GET h.test /d",
        "POST /d",
    ]);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        check_none(&table, &format!("{method} x.test/api/users/7/profile"), Some("GET, HEAD"));
    }
    for method in ["GET", "HEAD"] {
        check(&table, &format!("{method} x.test/api/users/7/profile"), "GET /api/users/{id}/profile");
    }
    check(&table, "POST x.test/api/users/7/other", "/api/users/{*rest}");
    check(&table, "OPTIONS x.test/elsewhere", "OPTIONS /{*rest}");
    check_none(&table, "OPTIONS x.test/api/users/7", Some("DELETE, GET, HEAD, PATCH, POST, PUT"));
    check_none(&table, "GET x.test/elsewhere", Some("OPTIONS"));
    check_none(&table, "DELETE x.test/c/1", Some("GET, HEAD"));
    check(&table, "DELETE x.test/c/1/2", "DELETE /c/{*rest}");
    check_none(&table, "POST h.test/d", Some("GET, HEAD")); // a host is more specific than none
    check(&table, "POST x.test/d", "POST /d");
}

#[test]
fn equal_routes_are_load_errors_with_both_indices() {
    check_conflicts(&["/a", "/b", "/a"], &[(0, 2, "`/a`")]);
    check_conflicts(&["GET /u/{id}", "GET,PUT /u/{name}"], &[(0, 1, "`GET /u/{id}` and `GET,PUT /u/{name}`")]);
    check_conflicts(&["GET /a", "HEAD /a"], &[(0, 1, "`GET /a` and `HEAD /a`")]);
    check_conflicts(&["h.test /a", "H.test /a"], &[(0, 1, "`h.test/a`")]);
    check_conflicts(&["/a", "/a", "/a"], &[(0, 1, "`/a`"), (0, 2, "`/a`")]);
    check_conflicts(&["/a", "GET /a", "POST /a", "h.test /a", "*.h.test /a", "/a/{*r}", "/a/{n}"], &[]);
}

/// A thousand routes, and paths made to lead into many branches.
#[test]
fn a_lookup_costs_the_same_among_one_and_a_thousand_routes() {
    let visits = |count: usize| {
        let mut routes: Vec<String> = (0..count).map(|n| format!("/api/service{n}/{{id}}/items/{{*rest}}")).collect();
        routes.push("/{*all}".into());
        let table = table(&routes.iter().map(String::as_str).collect::<Vec<_>>());
        ["/api/service0/7/items/a/b", "/api/service0/7/other", "/api/nothing", &"/a".repeat(4000)].map(|path| {
            let mut visited = 0;
            assert!(table.any.find(path, &mut visited).is_some());
            visited
        })
    };
    assert_eq!(visits(1), visits(1000));
    assert_eq!(visits(1000), [5, 4, 2, 1]);
}

#[track_caller]
fn check(table: &RouteTable, request: &str, route: &str) {
    assert_eq!(find(table, request), Ok(route.to_owned()), "{request}");
}

#[track_caller]
fn check_none(table: &RouteTable, request: &str, allow: Option<&'static str>) {
    let expected = match allow {
        None => NoMatch::Path,
        Some(allow) => NoMatch::Method { allow: HeaderValue::from_static(allow) },
    };
    assert_eq!(find(table, request), Err(expected), "{request}");
}

#[track_caller]
fn check_conflicts(routes: &[&str], expected: &[(usize, usize, &str)]) {
    let routes: Vec<Route> = routes.iter().map(|text| route(text)).collect();
    let found = conflicts(&routes);
    let pairs: Vec<_> = found.iter().map(|conflict| (conflict.first, conflict.second)).collect();
    assert_eq!(pairs, expected.iter().map(|(first, second, _)| (*first, *second)).collect::<Vec<_>>());
    for (conflict, (_, _, text)) in found.iter().zip(expected) {
        assert!(conflict.to_string().contains(text), "{conflict}");
    }
}

fn find(table: &RouteTable, request: &str) -> Result<String, NoMatch> {
    let (method, target) = request.split_once(' ').unwrap();
    let (host, path) = target.split_at(target.find('/').unwrap());
    table.find(host, path, &method.parse().unwrap()).map(|entry| entry.route.to_string())
}

fn table(routes: &[&str]) -> RouteTable {
    let nowhere: Arc<dyn Dispatch> = Arc::new(|_cx: Arc<RequestContext>, _request| -> Dispatched<'static> {
        Box::pin(async { Ok(http::Response::new(body::empty())) })
    });
    let entries = routes.iter().map(|text| Entry {
        route: route(text),
        dispatch: nowhere.clone(),
        exempt: false,
        access: Access::Public,
        limit: None,
        cors: RouteCors::default(),
        label: (*text).into(),
        counts: Arc::default(),
    });
    RouteTable::new(entries.collect()).unwrap_or_else(|conflicts| panic!("{conflicts:?}"))
}

/// `[METHODS] [host] /path`.
fn route(text: &str) -> Route {
    let mut words: Vec<&str> = text.split(' ').collect();
    let path = words.pop().unwrap().parse().unwrap();
    let is_list = |word: &&str| word.starts_with(|first: char| first.is_ascii_uppercase()) && !word.contains('.');
    let methods = match words.first().filter(|word| is_list(word)) {
        Some(list) => Methods::parse(list.split(',')).unwrap(),
        None => Methods::Any,
    };
    let host = words.iter().find(|word| !is_list(word)).map(|word| word.parse().unwrap());
    Route { host, path, methods, timeout: None, body_limit_bytes: None, stream: None }
}
