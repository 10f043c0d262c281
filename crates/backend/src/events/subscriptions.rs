//! What each group subscribes to, as all hosts say it together: hosts of several versions run side by side
//! while a system is deployed anew, and one that knows fewer topics takes none of the others' from its group.

use std::{collections::BTreeMap, time::Duration};

use redis::Script;

use super::Events;
use crate::redis::AskError;
use grant::{
    Subscription,
    topic::{Topic, TopicPattern},
};

/// A topic that no host has asked for during this, while others asked for theirs, is not subscribed to any more.
pub(super) const WITHDRAWAL: Duration = Duration::from_secs(600);

/// KEYS: what groups subscribe to, since when topics are not asked for. ARGV: group, how long that may be (ms),
/// the topics that are asked for. Gives all that the group subscribes to.
pub(super) const SAY: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local asked, all = {}, {}
for at = 3, #ARGV do
  asked[ARGV[at]], all[#all + 1] = true, ARGV[at]
  redis.call('HDEL', KEYS[2], ARGV[1] .. ' ' .. ARGV[at])
end
local is_read, before = pcall(cjson.decode, redis.call('HGET', KEYS[1], ARGV[1]) or '[]')
for _, topic in ipairs(is_read and before or {}) do
  if not asked[topic] then
    local missing = ARGV[1] .. ' ' .. topic
    redis.call('HSETNX', KEYS[2], missing, now)
    if now - redis.call('HGET', KEYS[2], missing) < tonumber(ARGV[2]) then
      all[#all + 1] = topic
    else
      redis.call('HDEL', KEYS[2], missing)
    end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(all))
return all
";

/// Whether the topic is one of these.
pub(super) fn covered(patterns: &[TopicPattern], topic: &str) -> bool {
    topic.parse::<Topic>().is_ok_and(|topic| patterns.iter().any(|pattern| pattern.matches(&topic)))
}

impl Events {
    /// Says in Redis what a group subscribes to: whoever trims a topic makes the group there before, also while
    /// nobody takes for it. Gives what hosts of this group subscribe to, this one or another.
    pub(super) async fn subscribe(
        &self,
        say: &Script,
        group: &Subscription,
        withdrawal: Duration,
    ) -> Result<Vec<TopicPattern>, AskError> {
        let mut call = say.prepare_invoke();
        call.key(self.names.subscriptions()).key(self.names.withdrawn());
        call.arg(&*group.service).arg(withdrawal.as_millis() as u64);
        group.topics.iter().for_each(|topic| _ = call.arg(topic.to_string()));
        let all = self.store.work(|mut redis| async move { call.invoke_async::<Vec<String>>(&mut redis).await });
        Ok(parsed(&all.await?))
    }

    /// What each group subscribes to.
    pub(super) async fn subscriptions(&self) -> Result<BTreeMap<String, Vec<TopicPattern>>, AskError> {
        let key = self.names.subscriptions();
        let asked = self.store.work(|mut redis| async move {
            redis::cmd("HGETALL").arg(key).query_async::<BTreeMap<String, String>>(&mut redis).await
        });
        let parse = |patterns: String| parsed(&serde_json::from_str::<Vec<String>>(&patterns).unwrap_or_default());
        Ok(asked.await?.into_iter().map(|(group, patterns)| (group, parse(patterns))).collect())
    }
}

fn parsed(patterns: &[String]) -> Vec<TopicPattern> {
    patterns.iter().filter_map(|pattern| pattern.parse().ok()).collect()
}
