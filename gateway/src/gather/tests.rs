//! Gathered answers of services that are closures.

use std::sync::Mutex;

use http::StatusCode;
use serde_json::{Value, json};

use super::*;

/// What a part does.
enum Does {
    Says(u16, &'static str),
    Nothing,
    Fails,
    /// Never ends its body.
    Stalls,
}

type Seen = Arc<Mutex<Vec<(http::request::Parts, RequestContext)>>>;

fn part(name: &str, default: Option<Value>, does: Does, seen: &Seen) -> Part {
    let (seen, label) = (seen.clone(), Arc::<str>::from(name));
    let service = label.clone();
    let dispatch = move |cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        seen.lock().unwrap().push((request.into_parts().0, (*cx).clone()));
        match &does {
            Does::Says(status, body) => {
                let answer = Response::builder().status(*status).header("x-part", "kept").body(body::full(*body));
                Box::pin(std::future::ready(Ok(answer.unwrap())))
            }
            Does::Nothing => Box::pin(std::future::pending()),
            Does::Fails => {
                let error = DispatchError::Unavailable { service: label.clone(), reason: "a test".into() };
                Box::pin(std::future::ready(Err(error)))
            }
            Does::Stalls => {
                let never = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, body::BodyError>>();
                let body = Body::new(http_body_util::StreamBody::new(never));
                Box::pin(std::future::ready(Ok(Response::new(body))))
            }
        }
    };
    Part {
        name: name.into(),
        service,
        dispatch: Arc::new(dispatch),
        from: "/parts/{id}?p={id}".parse().unwrap(),
        default,
    }
}

fn context() -> RequestContext {
    let now = tokio::time::Instant::now().into_std();
    let deadline = now + Duration::from_secs(10);
    let client = [192, 0, 2, 1].into();
    RequestContext { client, received: now, deadline, ..RequestContext::own("r", Duration::ZERO) }
}

async fn ask(parts: Vec<Part>) -> Result<(StatusCode, String), DispatchError> {
    let gather = Gather::new("/g/{id}".parse().unwrap(), parts);
    let request = Request::get("/g/a%26b?ignored=1")
        .header("host", "shop.test")
        .header("x-user-id", "7")
        .header("x-request-id", "r")
        .header("if-none-match", "\"1\"")
        .body(body::empty());
    let answer = gather.dispatch(Arc::new(context()), request.unwrap()).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

fn data(answer: Result<(StatusCode, String), DispatchError>) -> Value {
    let (status, text) = answer.unwrap();
    assert_eq!(status, 200, "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["success"], true);
    json["data"].clone()
}

#[tokio::test]
async fn each_parts_data_comes_out_unchanged_under_its_name() {
    let seen = Seen::default();
    let text = r#"{"success":true,"data":{"price":20.00,"n":12345678901234567890.5},"traceId":"x"}"#;
    let parts = vec![
        part("user", None, Does::Says(200, text), &seen),
        part("orders", Some(json!([])), Does::Says(200, "{\"data\":[ ]}"), &seen),
    ];
    let (status, answer) = ask(parts).await.unwrap();
    assert_eq!(status, 200);
    let expected = r#""data":{"user":{"price":20.00,"n":12345678901234567890.5},"orders":[ ]},"timestamp""#;
    assert!(answer.contains(expected), "{answer}");
    assert!(!answer.contains("partial"));
}

#[tokio::test(start_paused = true)]
async fn a_part_is_asked_as_the_caller_in_a_span_of_its_own() {
    let seen = Seen::default();
    let parts = ["a", "b"].map(|name| part(name, None, Does::Says(200, "{\"data\":1}"), &seen));
    ask(parts.into()).await.unwrap();
    let seen = seen.lock().unwrap();
    let header = |at: usize, name: &str| seen[at].0.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    for (at, (head, cx)) in seen.iter().enumerate() {
        assert_eq!((head.method.as_str(), head.uri.to_string().as_str()), ("GET", "/parts/a%26b?p=a%26b"));
        assert_eq!(header(at, "x-user-id").as_deref(), Some("7"));
        assert_eq!(header(at, "x-request-id").as_deref(), Some("r"));
        assert_eq!(header(at, "host").as_deref(), Some("shop.test"));
        assert_eq!(header(at, "if-none-match"), None);
        assert_eq!(header(at, "traceparent").unwrap(), cx.trace.traceparent().to_str().unwrap());
        assert_eq!(cx.deadline - cx.received, PART_TIMEOUT);
    }
    let (one, other) = (&seen[0].1.trace, &seen[1].1.trace);
    assert_eq!((one.trace_id, one.parent_id), (other.trace_id, other.parent_id));
    assert_ne!(one.span_id, other.span_id);
}

#[tokio::test(start_paused = true)]
async fn a_part_with_a_default_is_replaced_whatever_happens_to_it() {
    let large: &'static str = Box::leak(format!("{{\"data\":\"{}\"}}", "x".repeat(PART_BYTES_MAX)).into_boxed_str());
    for does in [
        Does::Says(404, "{\"data\":1}"),
        Does::Says(503, "{\"data\":1}"),
        Does::Says(204, ""),
        Does::Says(302, "{\"data\":1}"),
        Does::Says(200, "{\"dat\":1}"),
        Does::Says(200, "<html>"),
        Does::Says(200, large),
        Does::Fails,
        Does::Nothing,
        Does::Stalls,
    ] {
        let seen = Seen::default();
        let parts = vec![
            part("user", None, Does::Says(200, "{\"data\":{}}"), &seen),
            part("orders", Some(json!([])), does, &seen),
            part("also", Some(json!(null)), Does::Fails, &seen),
        ];
        let answer = data(ask(parts).await);
        assert_eq!(answer, json!({ "user": {}, "orders": [], "also": null, "partial": ["orders", "also"] }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_without_a_default_is_the_answer_when_it_fails_and_nobody_is_waited_for() {
    let seen = Seen::default();
    let body = r#"{"success":false,"error":"User not found"}"#;
    let began = tokio::time::Instant::now();
    let slow = || part("orders", Some(json!([])), Does::Nothing, &seen);
    let (status, text) = ask(vec![slow(), part("user", None, Does::Says(404, body), &seen)]).await.unwrap();
    assert_eq!((status.as_u16(), text.as_str()), (404, body));
    let error = ask(vec![slow(), part("user", None, Does::Fails, &seen)]).await.unwrap_err();
    assert!(matches!(error, DispatchError::Unavailable { .. }));
    let error = ask(vec![slow(), part("user", None, Does::Says(200, "<html>"), &seen)]).await.unwrap_err();
    assert!(matches!(error, DispatchError::InvalidAnswer { .. }));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let error = ask(vec![part("user", None, Does::Nothing, &seen)]).await.unwrap_err();
    assert!(matches!(error, DispatchError::TimedOut { .. }));
}

#[test]
fn a_late_part_leaves_the_answer_its_time() {
    let now = Instant::now();
    let left = |whole: u64| part_deadline(now, now + Duration::from_secs(whole)) - now;
    assert_eq!([left(10), left(5), left(1)], [5000, 4000, 800].map(Duration::from_millis));
    assert_eq!(part_deadline(now, now - Duration::from_secs(1)), now);
}
