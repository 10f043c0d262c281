//! Calls against a callee that is a closure: when it is asked again, and with what.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::header::RETRY_AFTER;
use http_body_util::{BodyExt, Full};

use super::*;
use crate::dispatch::Dispatched;

/// Answers with these statuses, one after the other, the last for ever; 0 never answers, 1 is a
/// callee that trapped, 3 one with an error that nothing caught. Reads every body to its end.
fn callee(statuses: &[u16], retry_after: Option<&'static str>) -> (Callee, Arc<Mutex<Vec<String>>>) {
    let statuses = Mutex::new(statuses.iter().copied().collect::<VecDeque<u16>>());
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = bodies.clone();
    let dispatch = move |_cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        let status = {
            let mut left = statuses.lock().unwrap();
            if left.len() > 1 { left.pop_front().unwrap() } else { left[0] }
        };
        let seen = seen.clone();
        Box::pin(async move {
            let body = request.into_body().collect().await?.to_bytes();
            seen.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
            let response = match status {
                0 => std::future::pending().await,
                1 => return Err(DispatchError::Trapped { service: "b".into(), reason: "test".into() }),
                2 => return Err(DispatchError::Resting { service: "b".into() }),
                3 => return Err(DispatchError::Raised { service: "b".into(), reason: "test".into() }),
                status => Response::builder().status(status),
            };
            let response = retry_after.iter().fold(response, |response, after| response.header(RETRY_AFTER, *after));
            Ok(response.body(body::full("answer")).unwrap())
        })
    };
    (Callee::new("b".into(), Arc::new(dispatch)), bodies)
}

fn caller(hops: u8) -> Caller {
    let now = tokio::time::Instant::now().into_std();
    let deadline = now + Duration::from_secs(60);
    let serving = RequestContext { received: now, deadline, hops, ..RequestContext::own("r", Duration::ZERO) };
    Caller {
        source: Source::new("a", "1"),
        span_id: serving.trace.span_id,
        serving: Arc::new(serving),
        deadline,
        head_timeout: None,
        head_by: None,
        body_limit_bytes: 1 << 20,
    }
}

fn request(method: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri("http://b.internal/x").body(Full::from(body)).unwrap()
}

#[track_caller]
fn check(seen: &Mutex<Vec<String>>, expected: &[&str]) {
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_may_happen_twice_is_tried_three_times_with_the_same_body() {
    for first in [502, 503, 1] {
        let (callee, seen) = callee(&[first, 503, 200], None);
        assert_eq!(callee.call(&caller(0), request("PUT", "body")).await.status(), 200);
        check(&seen, &["body"; 3]);
    }
    let (callee, seen) = callee(&[503], None);
    let answer = callee.call(&caller(0), request("GET", "")).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "answer", "the callee's own words");
    check(&seen, &[""; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_may_happen_only_once_is_sent_once() {
    for (method, status) in
        [("POST", 503), ("PATCH", 502), ("POST", 1), ("GET", 504), ("GET", 500), ("GET", 2), ("GET", 3)]
    {
        let (callee, seen) = callee(&[status], None);
        callee.call(&caller(0), request(method, "x")).await;
        check(&seen, &["x"]);
    }
    let (callee, seen) = callee(&[503, 200], None);
    let mut keyed = request("POST", "x");
    keyed.headers_mut().insert("idempotency-key", HeaderValue::from_static("k"));
    assert_eq!(callee.call(&caller(0), keyed).await.status(), 200);
    check(&seen, &["x", "x"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_body_is_sent_once() {
    let long: &'static str = "x".repeat(65_537).leak();
    let (callee, seen) = callee(&[503], None);
    assert_eq!(callee.call(&caller(0), request("PUT", long)).await.status(), 503);
    check(&seen, &[long]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_does_not_fit_before_the_deadline_is_not_begun() {
    let (callee, seen) = callee(&[503], Some("30"));
    assert_eq!(callee.call(&caller(0), request("GET", "")).await.status(), 503);
    check(&seen, &[""]);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_is_late_is_a_504_after_two_seconds_and_not_repeated() {
    let (callee, seen) = callee(&[0], None);
    let began = tokio::time::Instant::now();
    assert_eq!(callee.call(&caller(0), request("GET", "")).await.status(), 504);
    assert!((2_000..2_200).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    check(&seen, &[""]);
}

#[tokio::test(start_paused = true)]
async fn the_ninth_call_in_a_row_is_a_508_and_reaches_nobody() {
    let (callee, seen) = callee(&[200], None);
    assert_eq!(callee.call(&caller(7), request("GET", "")).await.status(), 200);
    check(&seen, &[""]);
    assert_eq!(callee.call(&caller(8), request("GET", "")).await.status(), 508);
    check(&seen, &[""]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_shorter_than_it_says_is_an_error_of_its_body() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let short = move |_cx: Arc<RequestContext>, _request: Request<Body>| -> Dispatched<'static> {
        counter.fetch_add(1, Ordering::Relaxed);
        let frames = futures_util::stream::iter([Ok(http_body::Frame::data(Bytes::from("abc")))]);
        let body = Body::new(http_body_util::StreamBody::new(frames));
        Box::pin(async { Ok(Response::builder().header(CONTENT_LENGTH, 10).body(body).unwrap()) })
    };
    let callee = Callee::new("b".into(), Arc::new(short));
    let answer = callee.call(&caller(0), request("GET", "")).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_keeps_the_length_of_what_it_stands_for_and_is_not_asked_for_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let bare = move |_cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        counter.fetch_add(1, Ordering::Relaxed);
        let status = if request.method() == Method::HEAD { 200 } else { 304 };
        Box::pin(async move {
            Ok(Response::builder().status(status).header(CONTENT_LENGTH, 1234).body(body::empty()).unwrap())
        })
    };
    let callee = Callee::new("b".into(), Arc::new(bare));
    for (method, status) in [("HEAD", 200), ("GET", 304)] {
        let answer = callee.call(&caller(0), request(method, "")).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[CONTENT_LENGTH]),
            (status, &HeaderValue::from_static("1234")),
            "{method}"
        );
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "", "{method}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}
