//! The boundary around guest code: its CPU is billed while it is polled, and a panic in it is a failure.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::Failure;
use crate::instance::Budget;

/// A future that runs guest code: billed to its budget, and its panics are failures.
pub(super) struct Guarded<F> {
    /// `None` after it has finished or panicked.
    future: Option<F>,
    budget: Arc<Budget>,
}

impl<F> Guarded<F> {
    pub(super) fn new(future: F, budget: Arc<Budget>) -> Self {
        Self { future: Some(future), budget }
    }
}

impl<F: Future + Unpin> Future for Guarded<F> {
    type Output = Result<F::Output, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut future) = self.future.take() else {
            return Poll::Ready(Err(Failure::NoAnswer("it was asked again after its end".into())));
        };
        self.budget.resume();
        let polled = catch_unwind(AssertUnwindSafe(|| match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => {
                drop(future);
                (None, Poll::Ready(output))
            }
            Poll::Pending => (Some(future), Poll::Pending),
        }));
        self.budget.pause();
        match polled {
            Ok((future, poll)) => {
                self.future = future;
                poll.map(Ok)
            }
            Err(panic) => Poll::Ready(Err(Failure::Panicked(panic_text(panic.as_ref())))),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
