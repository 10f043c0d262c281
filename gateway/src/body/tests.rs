//! A request's body under its limit; answers' bodies are tested in `gateway/tests`.

use std::collections::VecDeque;

use http::Version;
use http_body_util::{Full, StreamBody};

use super::{empty_frames::EMPTY_FRAMES_MAX, *};

type Frames =
    StreamBody<futures_util::stream::Iter<std::collections::vec_deque::IntoIter<Result<Frame<Bytes>, BodyError>>>>;

#[test]
fn a_body_passes_up_to_its_limit_and_not_one_byte_more() {
    let (mut body, fault) = within_limit(frames(&["abc", "", "de"]), 5, Awaited::default()).unwrap();
    assert_eq!(read(&mut body), Ok("abcde".into()));
    assert!(fault.get().is_none());

    let (mut body, fault) = within_limit(frames(&["abc", "def"]), 5, Awaited::default()).unwrap();
    assert_eq!(read(&mut body), Err("the request body is over the limit of 5 bytes".into()));
    assert!(matches!(fault.get(), Some(BodyError::TooLarge { limit: 5 })));
    assert!(read(&mut body).is_err(), "it stays broken");
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_it_is_read() {
    assert!(matches!(
        within_limit(Full::new(Bytes::from("abcdef")), 5, Awaited::default()),
        Err(BodyError::TooLarge { limit: 5 })
    ));
    assert!(within_limit(Full::new(Bytes::from("abcde")), 5, Awaited::default()).is_ok());
}

#[test]
fn empty_frames_are_dropped_and_too_many_end_the_body() {
    let (mut body, _fault) = within_limit(frames(&vec![""; EMPTY_FRAMES_MAX as usize]), 0, Awaited::default()).unwrap();
    assert_eq!(read(&mut body), Ok(String::new()));
    let (mut body, fault) =
        within_limit(frames(&vec![""; EMPTY_FRAMES_MAX as usize + 1]), 0, Awaited::default()).unwrap();
    assert!(read(&mut body).is_err());
    assert!(matches!(fault.get(), Some(BodyError::Cut(_))));
}

#[test]
fn trailers_cannot_say_who_someone_is() {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-user-id", http::HeaderValue::from_static("admin"));
    trailers.insert("x-checksum", http::HeaderValue::from_static("1"));
    let stream = StreamBody::new(futures_util::stream::iter(VecDeque::from([Ok(Frame::trailers(trailers))])));
    let (body, _fault) = within_limit::<Frames>(stream, 5, Awaited::default()).unwrap();
    let trailers = ready(body.collect()).unwrap().trailers().cloned().unwrap();
    assert_eq!((trailers.len(), trailers.contains_key("x-checksum")), (1, true));
}

#[test]
fn a_whole_body_knows_its_length_and_its_end() {
    use http_body::Body as _;
    assert!(empty().is_end_stream() && full("").is_end_stream() && !full("a").is_end_stream());
    assert_eq!(full("abc").size_hint().exact(), Some(3));
    assert_eq!(read(&mut full("abc")), Ok("abc".into()));
}

fn frames(parts: &[&'static str]) -> Frames {
    let frames: VecDeque<_> = parts.iter().map(|part| Ok(Frame::data(Bytes::from(*part)))).collect();
    StreamBody::new(futures_util::stream::iter(frames))
}

fn read(body: &mut Body) -> Result<String, String> {
    let whole = ready(body.collect()).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(whole.to_bytes().to_vec()).unwrap())
}

/// Nothing here ever waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    use futures_util::FutureExt;
    future.now_or_never().expect("all frames are there")
}

/// A body that ends, and says that it was at its end or not.
struct Ending {
    frames: Vec<&'static str>,
    was_whole: bool,
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = (!self.frames.is_empty()).then(|| self.frames.remove(0));
        Poll::Ready(next.map(|text| Ok(Frame::data(Bytes::from(text)))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.was_whole
    }
}

#[test]
fn over_http_2_a_body_is_whole_only_when_its_end_was_said() {
    let read = |was_whole, version| {
        let ending = Ending { frames: vec!["a", "b"], was_whole };
        read(&mut Body::new(Ended::new(ending, version)))
    };
    let cut = "the body was cut short: its stream was reset before its end";
    assert_eq!(read(true, Version::HTTP_2), Ok("ab".into()));
    assert_eq!(read(false, Version::HTTP_2), Err(cut.into()));
    assert_eq!(read(false, Version::HTTP_11), Ok("ab".into()), "its framing has said it");
}
