//! Requests to one collector: tried again while that can help, and it is said once that something is lost, and once
//! that it is not any more.

use std::time::Duration;

use bytes::Bytes;

use crate::{Collector, error::Untaken, signal::Signal, sources::Request};

/// The first pause after a failure; each is twice the one before.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// One request is not tried for longer than this: newer ones tell more.
const TRIES_MAX: u32 = 8;

#[derive(Debug)]
pub(crate) struct Delivery {
    collector: Collector,
    signal: Signal,
    /// It has been said that something is lost.
    told: bool,
}

impl Delivery {
    pub(crate) fn new(collector: Collector, signal: Signal) -> Self {
        Self { collector, signal, told: false }
    }

    /// Tries until it is taken or not worth it any more. Gives how many items are at the collector.
    pub(crate) async fn deliver(&mut self, request: &Request) -> usize {
        let body = self.signal.body(request.message.clone(), self.collector.settings.protocol);
        let mut pause = PAUSE;
        for attempt in 1..=TRIES_MAX {
            let untaken = match self.send(request, body.clone()).await {
                Ok(arrived) => return arrived,
                Err(untaken) => untaken,
            };
            if untaken.is_refusal || attempt == TRIES_MAX {
                break;
            }
            tokio::time::sleep(untaken.retry_after.unwrap_or(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        0
    }

    /// Once, and without waiting for better times. As [`Delivery::deliver`].
    pub(crate) async fn once(&mut self, request: &Request) -> usize {
        let body = self.signal.body(request.message.clone(), self.collector.settings.protocol);
        self.send(request, body).await.unwrap_or(0)
    }

    async fn send(&mut self, request: &Request, body: Bytes) -> Result<usize, Untaken> {
        match self.collector.client.send(self.signal, &self.collector.settings.endpoint, body).await {
            Ok(unwanted) => {
                self.say_again();
                Ok(request.items.saturating_sub(usize::try_from(unwanted).unwrap_or(usize::MAX)))
            }
            Err(untaken) => {
                self.say_lost(&untaken.reason);
                Err(untaken)
            }
        }
    }

    fn say_lost(&mut self, error: &str) {
        if !std::mem::replace(&mut self.told, true) {
            let (endpoint, items) = (&self.collector.settings.endpoint, self.signal.items());
            let text = "what finds no room is dropped and counted";
            match self.collector.settings.is_default {
                true => tracing::info!(endpoint, error, "the collector takes no {items}: {text}"),
                false => tracing::warn!(endpoint, error, "the collector takes no {items}: {text}"),
            }
        }
    }

    fn say_again(&mut self) {
        if std::mem::replace(&mut self.told, false) {
            tracing::info!(
                endpoint = self.collector.settings.endpoint,
                "the collector takes {} again",
                self.signal.items()
            );
        }
    }
}
