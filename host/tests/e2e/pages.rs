//! Lists are read in pages that neither repeat nor lose anyone.

use serde_json::{Value, json};

use crate::harness::{
    Answer, Host,
    shop::{data, envelope, shop, user},
};

#[track_caller]
fn emails(answer: &Answer) -> Vec<String> {
    let Value::Array(users) = data(answer, 200) else { panic!("no list: {answer:?}") };
    users.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}

/// Emails of `users`, newest first.
fn newest(users: std::ops::Range<usize>) -> Vec<String> {
    users.rev().map(|n| format!("user{n}@example.com")).collect()
}

fn add(host: &Host, users: std::ops::Range<usize>) {
    for n in users {
        user(host, &format!("user{n}@example.com"), "N");
    }
}

#[test]
fn a_list_is_read_in_pages() {
    let host = shop("", "");
    nobody_yet(&host);
    add(&host, 0..25);
    a_page_is_a_window_of_the_list(&host);
    a_page_that_nobody_has_is_400(&host);
    following_the_cursor_sees_everyone_once(&host);
    the_longest_page_comes_whole(&host);
}

fn nobody_yet(host: &Host) {
    for path in ["/api/users", "/api/users?offset=100000", "/api/users?cursor=ffffffff-ffff-7fff-bfff-ffffffffffff"] {
        let empty = host.get(path);
        assert_eq!(data(&empty, 200), json!([]));
        assert_eq!((empty.header("x-total-count"), empty.header("x-next-cursor")), (Some("0"), None));
    }
}

fn a_page_is_a_window_of_the_list(host: &Host) {
    let table = [
        ("", newest(15..25), true),
        ("?limit=1", newest(24..25), true),
        ("?limit=100", newest(0..25), false),
        ("?limit=25", newest(0..25), false),
        ("?limit=24", newest(1..25), true),
        ("?offset=20", newest(0..5), false),
        ("?limit=5&offset=20", newest(0..5), false),
        ("?limit=4&offset=20", newest(1..5), true),
        ("?offset=25", vec![], false),
        ("?offset=100000", vec![], false),
    ];
    for (query, expected, more) in table {
        let page = host.get(&format!("/api/users{query}"));
        assert_eq!(emails(&page), expected, "{query}");
        assert_eq!(page.header("x-total-count"), Some("25"), "{query}");
        assert_eq!(page.header("x-next-cursor").is_some(), more, "{query}");
    }
}

fn a_page_that_nobody_has_is_400(host: &Host) {
    let cursor = host.get("/api/users?limit=1").header("x-next-cursor").expect("there is more").to_owned();
    let table = [
        ("limit=0", "Query parameter `limit` must be a whole number from 1 to 100"),
        ("limit=101", "Query parameter `limit` must be a whole number from 1 to 100"),
        ("limit=-1", "Query parameter `limit` must be a whole number from 1 to 100"),
        ("limit=1.5", "Query parameter `limit` must be a whole number from 1 to 100"),
        ("limit=ten", "Query parameter `limit` must be a whole number from 1 to 100"),
        ("limit=99999999999999999999", "Query parameter `limit` must be a whole number from 1 to 100"),
        ("limit=%2B5", "Query parameter `limit` must be a whole number from 1 to 100"),
        ("offset=-1", "Query parameter `offset` must be a whole number from 0 to 100000"),
        ("offset=100001", "Query parameter `offset` must be a whole number from 0 to 100000"),
        ("limit=", "Query parameter `limit` is empty"),
        ("limit", "Query parameter `limit` is empty"),
        ("cursor=", "Query parameter `cursor` is empty"),
        ("limit=5&limit=5", "Query parameter `limit` is given twice"),
        ("limit=5&%6cimit=6", "Query parameter `limit` is given twice"),
        ("page=2", "Query parameter `page` is unknown; there are `limit`, `offset`, `cursor`"),
        ("LIMIT=5", "Query parameter `LIMIT` is unknown; there are `limit`, `offset`, `cursor`"),
        ("cursor=7", "Query parameter `cursor` must be an `X-Next-Cursor`"),
        ("limit=%00", "The query is not percent-encoded UTF-8"),
        ("limit=%ff", "The query is not percent-encoded UTF-8"),
    ];
    for (query, sentence) in table {
        let answer = host.get(&format!("/api/users?{query}"));
        assert_eq!(envelope(&answer, 400)["error"], sentence, "{query}");
    }
    let both = host.get(&format!("/api/users?cursor={cursor}&offset=0"));
    assert_eq!(envelope(&both, 400)["error"], "Give `cursor` or `offset`, not both");
}

/// New ones come before the first page and deleted ones leave their own place only.
fn following_the_cursor_sees_everyone_once(host: &Host) {
    let mut seen = Vec::new();
    let mut page = host.get("/api/users?limit=7");
    let mut added = 25;
    loop {
        let shown = emails(&page);
        let last = data(&page, 200).as_array().unwrap().last().unwrap()["id"].clone();
        seen.extend(shown);
        let Some(cursor) = page.header("x-next-cursor") else { break };
        add(host, added..added + 2);
        added += 2;
        // The one that the cursor was made of may go: a place in the order is no user.
        let last = format!("/api/users/{}", last.as_str().unwrap());
        assert_eq!(host.send("DELETE", &last, &[], b"").status, 204);
        page = host.get(&format!("/api/users?limit=7&cursor={cursor}"));
    }
    assert_eq!(seen, newest(0..25));
}

/// Longer than what waits in one piece between a service and its client.
fn the_longest_page_comes_whole(host: &Host) {
    let name = "🦀".repeat(255);
    for n in 0..100 {
        user(host, &format!("long{n}@example.com"), &name);
    }
    let page = host.get("/api/users?limit=100");
    assert!(data(&page, 200).as_array().unwrap().iter().all(|user| user["name"] == *name));
    assert!(page.body.len() > 100 * 255 * 4);
    for _ in 0..3 {
        let head = host.send("HEAD", "/api/users?limit=100", &[], b"");
        assert_eq!((head.status, head.header("content-length")), (200, page.header("content-length")));
    }
    assert_eq!(emails(&host.get("/api/users?limit=1")), ["long99@example.com"]);
}
