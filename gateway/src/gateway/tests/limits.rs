//! Permits, deadlines and sizes.

use super::*;

#[tokio::test]
async fn a_permit_is_held_to_the_last_byte_and_a_full_gateway_sheds_at_once() {
    let gateway = gateway(hello());
    let first = send(&gateway, request("GET /")).await;
    let second = send(&gateway, request("GET /")).await;
    assert_eq!(gateway.in_flight(), 2);

    let shed = send(&gateway, request("GET /")).await;
    assert_eq!(shed.headers()["retry-after"], "1");
    assert_eq!(sentence(shed, 503).await, "The gateway is overloaded; try again shortly");

    assert_eq!(text(first).await.unwrap(), "hello");
    assert_eq!(gateway.in_flight(), 1);
    drop(second); // a client that goes away gives back its permit too
    assert_eq!(gateway.in_flight(), 0);
    assert_eq!(send(&gateway, request("GET /")).await.status(), 200);
}

#[tokio::test]
async fn an_exempt_route_is_served_when_everything_else_is_shed() {
    let health = Entry { exempt: true, ..entry("/health", Methods::Any, hello()) };
    let gateway = Gateway::new(table(vec![health, entry("/{*rest}", Methods::Any, hello())]), settings());
    let _full = [send(&gateway, request("GET /")).await, send(&gateway, request("GET /")).await];
    assert_eq!(send(&gateway, request("GET /health")).await.status(), 200);
    assert_eq!(send(&gateway, request("GET /")).await.status(), 503);
    assert_eq!(gateway.in_flight(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_service_is_a_504_at_the_deadline_of_the_route() {
    let mut slow = entry("/slow", Methods::Any, silent());
    slow.route.timeout = Some(Duration::from_secs(30));
    let gateway = Gateway::new(table(vec![slow, entry("/{*rest}", Methods::Any, silent())]), settings());
    for (path, seconds) in [("/slow", 30), ("/other", 10)] {
        let started = Instant::now();
        let response = send(&gateway, request(&format!("GET {path}"))).await;
        assert_eq!(sentence(response, 504).await, "The service did not answer in time");
        assert_eq!(started.elapsed().as_secs(), seconds);
    }
    assert_eq!(gateway.in_flight(), 0);
}

#[tokio::test]
async fn a_dropped_request_gives_back_its_permit() {
    let gateway = gateway(silent());
    {
        let waiting = send(&gateway, request("GET /"));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(gateway.in_flight(), 1);
    }
    assert_eq!(gateway.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_body_that_stalls_and_one_that_never_ends() {
    let gateway = gateway(service(|request| {
        Ok(Response::new(match request.uri().path() {
            "/stalls" => stream(&["half"], false),
            _ => Body::new(StreamBody::new(futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from("more")))))),
        }))
    }));
    let stalled = text(send(&gateway, request("GET /stalls")).await).await;
    assert!(matches!(stalled, Err(BodyError::DeadlineExceeded)));

    let mut endless = send(&gateway, request("GET /endless")).await.into_body();
    assert!(endless.frame().await.unwrap().is_ok());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(matches!(endless.frame().await, Some(Err(BodyError::DeadlineExceeded))));
    assert_eq!(gateway.in_flight(), 0);
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_a_413_that_no_service_sees() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    let large = request("POST /").map(|_none| Full::new(Bytes::from("more than ten")));
    assert_eq!(sentence(send(&gateway, large).await, 413).await, "The request body is over the limit of 10 bytes");
    assert_eq!(seen.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_streamed_body_over_the_limit_is_a_413_whatever_the_service_says() {
    let reading = |_cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        Box::pin(async move {
            let status = match request.into_body().collect().await {
                Ok(_) => StatusCode::OK,
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            Ok(Response::builder().status(status).body(body::empty()).unwrap())
        })
    };
    let mut roomy = entry("/roomy", Methods::Any, reading);
    roomy.route.body_limit_bytes = Some(12);
    let gateway = Gateway::new(table(vec![roomy, entry("/{*rest}", Methods::Any, reading)]), settings());
    for (path, status) in [("/", 413), ("/roomy", 200)] {
        let large = request(&format!("POST {path}")).map(|_none| stream(&["123456", "123456"], true));
        assert_eq!(send(&gateway, large).await.status(), status);
    }
}

#[tokio::test]
async fn a_replaced_table_and_limit_hold_from_the_next_request() {
    let gateway = gateway(service(|_request| Ok(Response::new(stream(&["old"], true)))));
    let old = send(&gateway, request("GET /")).await;
    let replaced = service(|_request| Ok(Response::new(body::full("new"))));
    let one = Settings { requests_max: NonZeroUsize::MIN, ..settings() };
    gateway.replace(table(vec![entry("/{*rest}", Methods::Any, replaced)]), one);
    assert_eq!(send(&gateway, request("GET /")).await.status(), 503, "the old request fills the new limit");
    assert_eq!(text(old).await.unwrap(), "old");
    assert_eq!(text(send(&gateway, request("GET /")).await).await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_small_body_occupies_nobody_until_it_is_whole() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    let never = http_body_util::channel::Channel::<Bytes, BodyError>::new(1);
    let dribbling = Declared { length: 5, body: never.1 };
    let began = Instant::now();
    let answer = send(&gateway, request("POST /a").map(|_none| dribbling)).await;
    // Without a pace of its own, as here, a body is given up when the slowest would be there.
    assert_eq!((answer.status().as_u16(), began.elapsed().as_secs()), (408, 40));
    assert!(seen.lock().unwrap().is_empty(), "its service was never asked");

    let (mut sender, body) = http_body_util::channel::Channel::<Bytes, BodyError>::new(1);
    sender.send_data("he".into()).await.unwrap();
    let (answer, ()) =
        tokio::join!(send(&gateway, request("POST /a").map(|_none| Declared { length: 5, body })), async move {
            assert!(seen.lock().unwrap().is_empty());
            sender.send_data("llo".into()).await.unwrap();
        });
    assert_eq!(answer.status(), 200);
}

/// A body that says how long it is going to be.
pub(super) struct Declared<B> {
    pub(super) length: u64,
    pub(super) body: B,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Declared<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.length)
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_take_as_long_as_it_goes_on_and_a_minute_of_silence_ends_it() {
    let chatty = |_cx: Arc<RequestContext>, _request: Request<Body>| -> Dispatched<'static> {
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes, BodyError>::new(1);
        tokio::spawn(async move {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                if sender.send_data("tick".into()).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        Box::pin(std::future::ready(Ok(Response::new(Body::new(body)))))
    };
    let mut events = entry("/events", Methods::Any, chatty);
    events.route.stream = Some(Duration::from_secs(60));
    let gateway = Gateway::new(table(vec![events, entry("/{*rest}", Methods::Any, chatty)]), settings());
    let started = Instant::now();
    let mut body = send(&gateway, request("GET /events")).await.into_body();
    for _ in 0..20 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    assert_eq!(started.elapsed().as_secs(), 1000, "a hundred times the timeout");
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(started.elapsed().as_secs(), 1060);
    let began = Instant::now();
    assert!(text(send(&gateway, request("GET /other")).await).await.is_err(), "no other route may");
    assert_eq!(began.elapsed().as_secs(), 10);
    drop(body);
    assert_eq!(gateway.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_stream_has_the_deadline_of_its_route() {
    let mut events = entry("/{*rest}", Methods::Any, silent());
    events.route.stream = Some(Duration::from_secs(60));
    let gateway = Gateway::new(table(vec![events]), settings());
    let started = Instant::now();
    assert_eq!(send(&gateway, request("GET /events")).await.status(), 504);
    assert_eq!(started.elapsed().as_secs(), 10);
}
