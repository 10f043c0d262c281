//! What is counted of requests, and that it goes on over a change of routes.

use super::*;

async fn ask(gateway: &Gateway, method: &str, path: &str) {
    text(send(gateway, request(&format!("{method} {path}"))).await).await.unwrap();
}

fn counted(gateway: &Gateway) -> Vec<(String, &'static str, &'static str, u64)> {
    let routes = gateway.routes();
    let of = |((route, _), counts): (&(String, _), &Arc<RouteCounts>)| {
        let each = counts.each().map(|(method, class, count)| (route.clone(), method, class, count));
        each.collect::<Vec<_>>()
    };
    routes.iter().flat_map(of).collect()
}

#[tokio::test]
async fn requests_are_counted_by_route_and_go_on_counting_when_the_routes_change() {
    let routes = || {
        let methods = |words: &[&str]| Methods::parse(words.iter().copied()).unwrap();
        vec![entry("/a/{id}", methods(&["GET"]), hello()), entry("/a/{id}", methods(&["POST"]), hello())]
    };
    let mut all = routes();
    all.push(entry("/gone", Methods::Any, hello()));
    let gateway = Gateway::new(table(all), settings());
    for (method, path) in [("GET", "/a/1"), ("GET", "/a/2"), ("POST", "/a/1"), ("GET", "/gone"), ("GET", "/nowhere")] {
        ask(&gateway, method, path).await;
    }
    ask(&gateway, "DELETE", "/a/1").await;
    let a = |method, count| ("/a/{id}".to_owned(), method, "2xx", count);
    assert_eq!(counted(&gateway), [a("GET", 2), a("POST", 1), ("/gone".to_owned(), "GET", "2xx", 1)]);
    let unmatched: Vec<_> = gateway.counts().unmatched.each().collect();
    assert_eq!(unmatched, [("GET", "4xx", 1), ("DELETE", "4xx", 1)]);
    let refused = |refusal| gateway.counts().refused.get(refusal);
    assert_eq!((refused(Refusal::NoRoute), refused(Refusal::Method)), (1, 1));

    gateway.replace(table(routes()), settings());
    ask(&gateway, "GET", "/a/3").await;
    assert_eq!(counted(&gateway), [a("GET", 3), a("POST", 1)]);
}

#[tokio::test]
async fn a_client_that_left_before_its_answer_is_counted_as_one() {
    let gateway = Gateway::new(table(vec![entry("/never", Methods::Any, silent())]), settings());
    let asking = ask(&gateway, "GET", "/never");
    assert!(tokio::time::timeout(Duration::from_millis(1), asking).await.is_err());
    assert_eq!(counted(&gateway), [("/never".to_owned(), "GET", "none", 1)]);
}
