//! Bodies that take their time: whose time that is, and who is blamed for it.

use http_body_util::channel::Channel;

use super::{limits::Declared, *};

const TIMEOUT: Duration = Duration::from_secs(5);
/// 2 MB at 2.4 Mbit/s.
const PIECES: usize = 67;
const PIECE: usize = 30_000;
const EVERY: Duration = Duration::from_millis(100);

/// A service that reads the whole body, works for `after`, then answers with its length.
fn reading(after: Duration) -> impl Dispatch {
    move |_cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        Box::pin(async move {
            let length = request.into_body().collect().await?.to_bytes().len();
            tokio::time::sleep(after).await;
            Ok(Response::new(body::full(length.to_string())))
        })
    }
}

fn slow(service: impl Dispatch) -> Gateway {
    let roomy = Settings { timeout: TIMEOUT, body_limit_bytes: 4 << 20, ..settings() };
    Gateway::new(table(vec![entry("/{*rest}", Methods::Any, service)]), roomy)
}

/// So many pieces, one by one, then the end or, if it does not `end`, silence.
fn upload(pieces: usize, end: bool) -> Request<Paced<Channel<Bytes, BodyError>>> {
    let (mut sender, body) = Channel::<Bytes, BodyError>::new(1);
    tokio::spawn(async move {
        for _ in 0..pieces {
            tokio::time::sleep(EVERY).await;
            if sender.send_data(vec![b'x'; PIECE].into()).await.is_err() {
                return;
            }
        }
        if !end {
            std::future::pending::<()>().await;
        }
    });
    request("POST /").map(|_none| Paced::new(body, Pace::default()))
}

/// Status, sentence of an error or body, seconds.
async fn answered<B>(gateway: &Gateway, request: Request<B>) -> (u16, String, u64)
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    let began = Instant::now();
    let response = send(gateway, request).await;
    let (status, elapsed) = (response.status().as_u16(), began.elapsed().as_secs());
    let text = match status {
        200 => text(response).await.unwrap(),
        _ => sentence(response, status).await,
    };
    (status, text, elapsed)
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_makes_progress_is_not_late_and_takes_nothing_of_its_services_time() {
    let gateway = slow(reading(Duration::from_secs(4)));
    let (status, text, seconds) = answered(&gateway, upload(PIECES, true)).await;
    assert_eq!((status, text.as_str(), seconds), (200, "2010000", 10));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_late_after_a_long_upload_is_the_one_who_is_named() {
    let (status, text, seconds) = answered(&slow(reading(Duration::from_secs(60))), upload(PIECES, true)).await;
    assert_eq!((status, text.as_str(), seconds), (504, "The service did not answer in time", 11));
    // One that does not even read waits for nobody.
    let (status, _, seconds) = answered(&slow(silent()), upload(PIECES, true)).await;
    assert_eq!((status, seconds), (504, 5));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_the_one_who_is_named() {
    let (status, text, seconds) = answered(&slow(reading(Duration::ZERO)), upload(20, false)).await;
    assert_eq!((status, text.as_str(), seconds), (408, "The request body came too slowly", 32));
    // Also where its body is small, and waited for before its service is asked.
    let (_sender, body) = Channel::<Bytes, BodyError>::new(1);
    let dribbling = request("POST /").map(|_none| Declared { length: 5, body: Paced::new(body, Pace::default()) });
    let (status, _, seconds) = answered(&slow(reading(Duration::ZERO)), dribbling).await;
    assert_eq!((status, seconds), (408, 30));
}

#[tokio::test(start_paused = true)]
async fn a_small_body_that_takes_its_time_leaves_its_service_the_whole_timeout() {
    let seen = Seen::default();
    let gateway = slow(recording(&seen));
    let (mut sender, body) = Channel::<Bytes, BodyError>::new(1);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        sender.send_data("hello".into()).await.unwrap();
    });
    let (status, _, seconds) = answered(&gateway, request("POST /").map(|_none| Declared { length: 5, body })).await;
    assert_eq!((status, seconds), (200, 20));
    let (_, cx) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(cx.deadline - cx.received, Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn there_is_an_end_to_what_a_deadline_is_put_off() {
    // A byte a second, and nobody who finds it too slow.
    let (mut sender, body) = Channel::<Bytes, BodyError>::new(1);
    tokio::spawn(async move {
        while sender.send_data("x".into()).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let (status, text, seconds) = answered(&slow(reading(Duration::ZERO)), request("POST /").map(|_none| body)).await;
    assert_eq!((status, text.as_str()), (408, "The request body came too slowly"));
    assert!((600..=606).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_streams_what_is_still_uploaded_is_not_late_either() {
    let echo = |_cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        Box::pin(async move { Ok(Response::new(Body::new(request.into_body()))) })
    };
    let answer = text(send(&slow(echo), upload(PIECES, true)).await).await.unwrap();
    assert_eq!(answer.len(), PIECES * PIECE);
    let cut = text(send(&slow(echo), upload(20, false)).await).await;
    assert!(matches!(cut, Err(BodyError::TooSlow)), "{cut:?}");
}
