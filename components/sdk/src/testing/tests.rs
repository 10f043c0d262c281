use std::time::Duration;

use super::*;
use crate::{
    Answer, Reply, Request, Routes, Start, Uuid, call, fetch,
    keyvalue::{Bucket, Condition},
    messaging::Event,
    params, passwords,
    postgres::{Database, Error, Single, Statements as _, Value},
    tokens,
};

/// What a panic said.
#[track_caller]
fn panics(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(work).expect_err("a panic");
    panic.downcast_ref::<String>().cloned().expect("a text")
}

#[test]
fn without_a_fake_a_call_panics_and_says_how_to_begin() {
    let said = panics(|| drop(Database::open("main")));
    assert!(said.starts_with("`Database::open(\"main\")` was called outside of a component"), "{said}");
    assert!(said.contains("let fake = sdk::testing::Fake::new();"), "{said}");
}

#[test]
fn what_is_not_set_up_panics_with_the_line_to_write() {
    let _fake = Fake::new();
    assert!(panics(|| drop(Database::open("main"))).contains("write `fake.postgres(\"main\")`"));
    assert!(panics(|| drop(Bucket::open("cache"))).contains("write `fake.keyvalue(\"cache\")`"));
    let said = panics(|| drop(call::get("users", "/api/users/7").json::<u8>()));
    assert!(said.contains("write `fake.service(\"users\").get(\"/api/users/7\").json(200, &…)`"), "{said}");
    let said = panics(|| drop(fetch::post("https://api.example.com/pay").send()));
    assert!(said.contains("write `fake.outside(\"api.example.com\").post(\"/pay\").json(200, &…)`"), "{said}");
    _fake.postgres("main");
    let said = panics(|| drop(Database::open("main").unwrap().execute("delete from\n  notes", params![])));
    assert!(said.starts_with("no answer is set for this statement of database `main`: delete from notes\n"), "{said}");
}

#[test]
fn a_database_answers_by_statement_and_keeps_what_it_was_asked() {
    let fake = Fake::new();
    let main = fake.postgres("main");
    main.on("from notes").rows(["id"], [params![1_i64], params![2_i64]]);
    main.on("from notes where id").by(|parameters| Ok(table(["id"], [[parameters[0].clone()]])));
    main.on("insert into notes").fails(Error::Overloaded);
    main.on("delete").changed(3);
    let database = Database::open("main").unwrap();
    let all: Vec<Single<i64>> = database.query("select id\n   from notes", params![]).unwrap();
    assert_eq!(all.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2]);
    let Single::<i64>(one) = database.query_one("select id from notes where id = $1", params![7_i64]).unwrap();
    assert_eq!(one, 7);
    assert!(matches!(database.execute("insert into notes (text) values ($1)", params!["tea"]), Err(Error::Overloaded)));
    assert_eq!(database.execute("delete from notes", params![]).unwrap(), 3);
    let statements = main.statements();
    assert_eq!(statements.len(), 4);
    assert_eq!(statements[2].parameter::<String>(1), "tea");
}

#[test]
fn what_a_transaction_publishes_is_published_when_it_commits() {
    let fake = Fake::new();
    let main = fake.postgres("main");
    main.on("insert").changed(1);
    let database = Database::open("main").unwrap();
    let work = |is_good: bool| {
        database.transaction(|transaction| {
            transaction.execute("insert into notes default values", params![])?;
            transaction.publish(&Event::json("note.made", &7)?.key(7)).map_err(crate::Error::from)?;
            if is_good { Ok(()) } else { Err(crate::Error::Forbidden) }
        })
    };
    assert_eq!(work(false), Err(crate::Error::Forbidden));
    assert_eq!((fake.events().len(), main.commits(), main.rollbacks()), (0, 0, 1));
    assert_eq!(work(true), Ok(()));
    let [event] = <[_; 1]>::try_from(fake.events()).unwrap();
    assert_eq!((&*event.topic, event.key.as_deref(), event.json()), ("note.made", Some("7"), 7.into()));
    assert_eq!((main.commits(), main.rollbacks()), (1, 1));
}

#[test]
fn a_store_keeps_values_times_conditions_and_lists() {
    let fake = Fake::new();
    let store = fake.keyvalue("cache").bucket();
    assert!(store.get("a").unwrap().is_none());
    store.set_for("a", b"1", Duration::from_secs(2)).unwrap();
    assert_eq!(store.increment("a", 4).unwrap(), 5);
    assert!(!store.set_if("a", b"x", None, Condition::IfAbsent).unwrap());
    let version = store.get("a").unwrap().unwrap().version;
    assert!(!store.set_if("a", b"x", None, Condition::IfVersion(version - 1)).unwrap());
    fake.passes(Duration::from_secs(2));
    assert!(store.get("a").unwrap().is_none());
    for value in ["1", "2", "3"] {
        store.append("list", value.as_bytes(), 2).unwrap();
    }
    assert_eq!(store.read_list("list", 0, 10).unwrap(), [b"3", b"2"]);
    assert!(store.get("list").is_err() && store.increment("list", 1).is_err());
    let inserted = ["2", "3", "3", "4", "1"].map(|id| store.insert("inbox", id, b"", 2).unwrap());
    assert_eq!(inserted, [true, true, false, true, false]);
    let items = store.read_sorted("inbox", Start::After("4".to_owned()), 10).unwrap();
    assert_eq!((items.items[0].id.as_str(), items.total), ("3", Some(2)));
    assert_eq!(store.list_keys("", 1, None).unwrap().items, ["inbox"]);
}

#[test]
fn others_answer_what_was_said_and_what_they_were_sent_is_kept() {
    let fake = Fake::new();
    fake.service("users").get("/api/users/7").json(200, &"Ada");
    fake.service("users").post("/api/users").json(409, &serde_json::json!({ "error": "Email already exists" }));
    fake.outside("api.example.com").get("/rates?of=eur").text(200, "[1.5]");
    fake.outside("api.example.com").get("/slow").fails(fetch::Error::Timeout);
    assert_eq!(call::get("users", "/api/users/7").json::<String>(), Ok("Ada".to_owned()));
    let refused = call::post("users", "/api/users", &"Ada").key(1).json::<String>().unwrap_err();
    assert_eq!(refused.status(), Some(409));
    let rates = fetch::get("https://api.example.com/rates?of=eur").send().unwrap();
    assert_eq!(rates.json::<Vec<f64>>(), Ok(vec![1.5]));
    assert_eq!(rates.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(matches!(fetch::get("https://api.example.com/slow").send(), Err(fetch::Error::Timeout)));
    let sent = fake.sent();
    assert_eq!((&*sent[1].authority, sent[1].header("Idempotency-Key")), ("users.internal", Some("1")));
    assert_eq!((sent[1].json(), sent.len()), ("Ada".into(), 4));
}

#[test]
fn tokens_and_passwords_are_the_same_each_time_and_a_password_is_never_kept() {
    let _fake = Fake::new();
    assert_eq!(tokens::sign("main", "7".to_owned(), &["user"], 60).unwrap().value, "token:main:7:user");
    let kept = passwords::hash("hunter2").unwrap();
    assert!(!kept.contains("hunter2"));
    let right = |password, hash| passwords::verify(password, hash).unwrap();
    assert!(right("hunter2", Some(&*kept)) && !right("hunter3", Some(&*kept)) && !right("hunter2", None));
}

#[test]
fn a_whole_request_is_answered_as_in_the_host() {
    fn put_text(request: &mut Request, id: Uuid) -> Answer {
        let text: Vec<u8> = request.body()?;
        Reply::ok(&(id, request.user_id(), request.has_role("admin"), text.len()))
    }
    let routes = Routes::new().at("/users/{id}", |path| path.put(put_text));
    let ada = Uuid::from_u128(1);
    let asked = put(&format!("/users/{ada}")).body("text/plain", b"tea").user("bob").roles(&["user", "admin"]);
    let response = routes.answer(asked.into());
    assert_eq!(json(&response), serde_json::json!([ada, "bob", true, 3]));
}

#[test]
fn a_handler_of_events_is_handed_one() {
    let event = delivery("note.made", &serde_json::json!({ "text": "tea" }));
    assert_eq!((event.topic(), event.attempt()), ("note.made", 1));
    assert_eq!(event.json::<serde_json::Value>().unwrap()["text"], "tea");
}

#[test]
fn a_fake_is_its_threads_own() {
    let fake = Fake::new();
    fake.postgres("main").on("select").row(["value"], [Value::Null]);
    let elsewhere = std::thread::spawn(|| panics(|| drop(Database::open("main")))).join().unwrap();
    assert!(elsewhere.contains("nothing stands in for the host"), "{elsewhere}");
    drop(fake);
    let _next = Fake::new();
    assert!(panics(|| drop(Database::open("main"))).contains("there is no database `main`"));
}
