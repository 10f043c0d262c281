//! Ends a request body whose sender is silent or too slow.
//!
//! Counts only the time in which somebody waits for the body: a handler that does not read
//! is not the client's fault. Does not limit size.

use std::{
    fmt::Display,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::BodyError;

/// Frames without a byte in one body at most; they cost work and bring nothing.
const EMPTY_FRAMES_MAX: u32 = 1000;

/// How slow a sender may be.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Waiting allowed before the first byte, and the most that later bytes can restore.
    pub patience: Duration,
    /// Each byte restores its part of a second.
    pub bytes_per_second: NonZeroU32,
}

impl Default for Pace {
    /// 30 s of silence, 1 KiB/s on average.
    fn default() -> Self {
        Self { patience: Duration::from_secs(30), bytes_per_second: NonZeroU32::new(1024).expect("1024 is not zero") }
    }
}

pin_project! {
    /// A body under a [`Pace`]; fails with [`BodyError::TooSlow`].
    pub struct Paced<B> {
        #[pin]
        body: B,
        pace: Pace,
        left: Duration,
        waiting_since: Option<Instant>,
        empty_frames: u32,
        // Made only when the body first has to be waited for.
        sleep: Option<Pin<Box<Sleep>>>,
    }
}

impl<B> Paced<B> {
    pub fn new(body: B, pace: Pace) -> Self {
        Self { body, pace, left: pace.patience, waiting_since: None, empty_frames: 0, sleep: None }
    }
}

impl<B> HttpBody for Paced<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Display,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        loop {
            let Poll::Ready(item) = this.body.as_mut().poll_frame(cx) else {
                let since = *this.waiting_since.get_or_insert_with(Instant::now);
                let deadline = since + *this.left;
                let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if sleep.deadline() != deadline {
                    sleep.as_mut().reset(deadline);
                }
                return sleep.as_mut().poll(cx).map(|()| Some(Err(BodyError::TooSlow)));
            };
            if let Some(since) = this.waiting_since.take() {
                *this.left = this.left.saturating_sub(since.elapsed());
            }
            let frame = match item {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(BodyError::Cut(error.to_string()))));
                }
                None => return Poll::Ready(None),
            };
            match frame.data_ref().map(Bytes::len) {
                Some(0) if *this.empty_frames == EMPTY_FRAMES_MAX => {
                    return Poll::Ready(Some(Err(BodyError::Cut("too many empty frames".into()))));
                }
                Some(0) => *this.empty_frames += 1,
                Some(length) => {
                    let earned = Duration::from_secs(length as u64) / this.pace.bytes_per_second.get();
                    *this.left = (*this.left + earned).min(this.pace.patience);
                    return Poll::Ready(Some(Ok(frame)));
                }
                None => return Poll::Ready(Some(Ok(frame))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, channel::Channel};

    use super::*;

    async fn run(every: Duration, bytes: usize, times: usize) -> Result<usize, BodyError> {
        let (mut sender, body) = Channel::<Bytes, BodyError>::new(1);
        tokio::spawn(async move {
            for _ in 0..times {
                tokio::time::sleep(every).await;
                if sender.send_data(vec![b'x'; bytes].into()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Paced::new(body, Pace::default()).collect().await?.to_bytes().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_at_the_pace_may_take_as_long_as_it_needs() {
        assert_eq!(run(Duration::from_secs(10), 10 * 1024, 60).await.unwrap(), 600 * 1024);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_cut_though_never_silent_for_long() {
        let started = Instant::now();
        assert!(matches!(run(Duration::from_secs(1), 100, 600).await, Err(BodyError::TooSlow)));
        assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_cut_after_thirty_seconds_whatever_came_before() {
        let started = Instant::now();
        assert!(matches!(run(Duration::from_secs(31), 1, 1).await, Err(BodyError::TooSlow)));
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_without_a_byte_end_the_body() {
        assert!(matches!(run(Duration::ZERO, 0, 2000).await, Err(BodyError::Cut(_))));
    }
}
