//! What operators see: topics with their groups' lag, and what is in work.

use std::collections::HashMap;

use redis::{RedisResult, Value};
use serde::Serialize;

use super::{Events, dead::time, group::WAITING};
use crate::redis::AskError;

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicReport {
    pub topic: String,
    /// Kept now, handled or not.
    pub events: u64,
    pub bytes: Option<u64>,
    pub services: Vec<Lag>,
}

/// How far a service is behind in a topic.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lag {
    pub service: String,
    /// Not handed out yet; none where Redis cannot tell.
    pub lag: Option<u64>,
    /// Handed out, and neither handled nor given up.
    pub pending: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingReport {
    pub topic: String,
    pub id: Option<String>,
    /// The name of the host's that has it; none while it waits for its next try.
    pub host: Option<String>,
    pub idle_ms: u64,
    pub attempt: u64,
    /// When it is tried again, if it waits for that.
    pub retry: Option<String>,
}

/// Events in one answer.
pub(crate) const PENDING_MAX: usize = 100;

impl Events {
    pub async fn topics(&self) -> Result<Vec<TopicReport>, AskError> {
        let mut reports = Vec::new();
        for topic in self.members(self.names.topics()).await? {
            let stream = self.names.topic(&topic);
            let report = self.store.work(|mut redis| async move {
                let events = redis::cmd("XLEN").arg(&stream).query_async(&mut redis).await?;
                let bytes = redis::cmd("MEMORY").arg("USAGE").arg(&stream).query_async(&mut redis).await.ok();
                let groups = redis::cmd("XINFO").arg("GROUPS").arg(&stream).query_async(&mut redis).await;
                let groups: Vec<HashMap<String, Value>> = groups.unwrap_or_default();
                let services = groups.iter().map(lag).collect::<RedisResult<_>>()?;
                Ok(TopicReport { topic, events, bytes: bytes.flatten(), services })
            });
            reports.push(report.await?);
        }
        Ok(reports)
    }

    /// The services that have handled events, ever.
    pub async fn groups(&self) -> Result<Vec<String>, AskError> {
        self.members(self.names.groups()).await
    }

    /// How many events wait for their time.
    pub async fn delayed_count(&self) -> Result<u64, AskError> {
        let key = self.names.delayed();
        self.store.work(|mut redis| async move { redis::cmd("ZCARD").arg(key).query_async(&mut redis).await }).await
    }

    /// What is in work for a service, oldest first in each topic; no more than [`PENDING_MAX`].
    pub async fn pending(&self, service: &str) -> Result<Vec<PendingReport>, AskError> {
        let topics = self.members(self.names.topics()).await?;
        let mut streams: Vec<String> = topics.iter().map(|topic| self.names.topic(topic)).collect();
        streams.push(self.names.again(service));
        let mut reports = Vec::new();
        for stream in streams {
            let room = PENDING_MAX - reports.len();
            if room == 0 {
                break;
            }
            let topic = self.names.topic_of(&stream).unwrap_or("(replayed)").to_owned();
            let retries = self.names.retries(service);
            let found = self.store.work(|mut redis| async move {
                let mut pending = redis::cmd("XPENDING");
                pending.arg(&stream).arg(service).arg("-").arg("+").arg(room);
                let pending = pending.query_async::<Vec<(String, String, u64, u64)>>(&mut redis).await;
                let mut found = Vec::new();
                for (entry, host, idle_ms, attempt) in pending.unwrap_or_default() {
                    let mut pipe = redis::pipe();
                    pipe.cmd("XRANGE").arg(&stream).arg(&entry).arg(&entry);
                    pipe.cmd("ZSCORE").arg(&retries).arg(format!("{entry} {stream}"));
                    type Found = (Vec<(String, HashMap<String, Vec<u8>>)>, Option<f64>);
                    let (entries, due): Found = pipe.query_async(&mut redis).await?;
                    let id = entries.first().and_then(|(_, fields)| fields.get("id"));
                    let id = id.map(|id| String::from_utf8_lossy(id).into_owned());
                    let retry = due.map(|due| time(due as i64));
                    let host = (host != WAITING).then_some(host);
                    found.push(PendingReport { topic: topic.clone(), id, host, idle_ms, attempt, retry });
                }
                Ok(found)
            });
            reports.extend(found.await?);
        }
        Ok(reports)
    }
}

fn lag(group: &HashMap<String, Value>) -> RedisResult<Lag> {
    let value = |name: &str| group.get(name).unwrap_or(&Value::Nil);
    Ok(Lag {
        service: redis::from_redis_value_ref(value("name"))?,
        lag: redis::from_redis_value_ref(value("lag"))?,
        pending: redis::from_redis_value_ref(value("pending"))?,
    })
}
