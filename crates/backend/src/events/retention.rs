//! What is thrown away: what all groups have handled, and what is past `events.retain` or over
//! `events.retain_bytes`, handled or not. A group that loses events so is named in the log.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use redis::Script;

use super::Events;
use crate::redis::AskError;
use grant::topic::{Topic, TopicPattern};

const EVERY: Duration = Duration::from_secs(5);
/// A group that is about to be made finds what was published this long ago, also behind the others.
const GRACE: Duration = Duration::from_secs(60);
/// A group that loses events is named this often.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// KEYS: stream. ARGV: retain (ms), retain (bytes), grace (ms), whether the entries are dead letters, which
/// no group handles; then the groups that subscribe to the stream: they are made before anything goes. Gives how many entries are gone and which groups had not handled some of them.
pub(super) const TRIM: &str = "
local function less(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  a_ms, a_seq, b_ms, b_seq = tonumber(a_ms), tonumber(a_seq), tonumber(b_ms), tonumber(b_seq)
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local groups = {}
if ARGV[4] == '0' then
  groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
  if groups.err then return {0, {}} end
  local there = {}
  for _, flat in ipairs(groups) do
    for at = 1, #flat, 2 do if flat[at] == 'name' then there[flat[at + 1]] = true end end
  end
  for at = 5, #ARGV do
    if not there[ARGV[at]] then redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[at], '0') end
  end
  groups = redis.call('XINFO', 'GROUPS', KEYS[1])
end
local needs, slowest = {}, nil
for _, flat in ipairs(groups) do
  local group = {}
  for at = 1, #flat, 2 do group[flat[at]] = flat[at + 1] end
  local ms, seq = string.match(group['last-delivered-id'], '^(%d+)-(%d+)$')
  local need = ms .. '-' .. string.format('%.0f', seq + 1)
  if group.pending > 0 then
    local first = redis.call('XPENDING', KEYS[1], group.name)[2]
    if less(first, need) then need = first end
  end
  needs[group.name] = need
  if not slowest or less(need, slowest) then slowest = need end
end
local gone = 0
if slowest then
  local settled = string.format('%.0f-0', math.max(0, now - ARGV[3]))
  if less(slowest, settled) then settled = slowest end
  gone = redis.call('XTRIM', KEYS[1], 'MINID', settled)
end
local late = redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', math.max(0, now - ARGV[1])))
local used = redis.pcall('MEMORY', 'USAGE', KEYS[1])
if type(used) == 'number' and used > tonumber(ARGV[2]) then
  local keep = math.floor(redis.call('XLEN', KEYS[1]) * ARGV[2] / used * 0.95)
  late = late + redis.call('XTRIM', KEYS[1], 'MAXLEN', keep)
end
local losers = {}
if late > 0 then
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  for name, need in pairs(needs) do
    if first and less(need, first[1]) then losers[#losers + 1] = name end
    if not first and less(need, redis.call('XINFO', 'STREAM', KEYS[1])[8]) then losers[#losers + 1] = name end
  end
end
return {gone + late, losers}
";

/// Who has been named when.
pub(super) type Named = BTreeMap<(String, String), Instant>;

impl Events {
    /// Keeps all streams within their bounds, for as long as it is polled; one host at a time does it.
    pub(super) async fn tend(&self) {
        let script = Script::new(TRIM);
        let mut named = Named::new();
        loop {
            tokio::time::sleep(EVERY).await;
            named.retain(|_, at| at.elapsed() < TELL_EVERY);
            if self.is_mine_to_tend().await.unwrap_or(false) {
                // What is left is trimmed the next time.
                let _ = self.trim_all(&script, GRACE, &mut named).await;
            }
        }
    }

    async fn is_mine_to_tend(&self) -> Result<bool, AskError> {
        let (key, millis) = (self.names.tending(), (EVERY - EVERY / 10).as_millis() as u64);
        let asked = self.store.work(|mut redis| async move {
            let mut set = redis::cmd("SET");
            set.arg(key).arg(&self.consumer).arg("NX").arg("PX").arg(millis);
            set.query_async::<Option<String>>(&mut redis).await
        });
        Ok(asked.await?.is_some())
    }

    pub(super) async fn trim_all(&self, script: &Script, grace: Duration, named: &mut Named) -> Result<(), AskError> {
        let subscriptions = self.subscriptions().await?;
        for topic in self.members(self.names.topics()).await? {
            let parsed = topic.parse::<Topic>().ok();
            let subscribes = |patterns: &[TopicPattern]| {
                parsed.as_ref().is_some_and(|topic| patterns.iter().any(|pattern| pattern.matches(topic)))
            };
            let wanted = subscriptions.iter().filter(|(_, patterns)| subscribes(patterns));
            let wanted: Vec<&str> = wanted.map(|(group, _)| group.as_str()).collect();
            let (gone, losers) = self.trim(script, &self.names.topic(&topic), grace, Some(&wanted)).await?;
            tracing::debug!(topic, gone, "trimmed");
            tell(&topic, losers, named);
        }
        for group in self.groups().await? {
            let (gone, _) = self.trim(script, &self.names.dead(&group), grace, None).await?;
            if gone > 0 {
                tracing::warn!(service = group, letters = gone, "dead letters past `events.retain` were thrown away");
            }
            let (_, losers) = self.trim(script, &self.names.again(&group), grace, Some(&[])).await?;
            tell("(replayed)", losers, named);
        }
        Ok(())
    }

    /// `groups` must be there before anything is thrown away; `None` for dead letters, which have none.
    async fn trim(
        &self,
        script: &Script,
        stream: &str,
        grace: Duration,
        groups: Option<&[&str]>,
    ) -> Result<(u64, Vec<String>), AskError> {
        let mut call = script.prepare_invoke();
        let settings = self.settings.load_full();
        call.key(stream).arg(settings.retain.as_millis() as u64).arg(settings.retain_bytes);
        call.arg(grace.as_millis() as u64).arg(u8::from(groups.is_none()));
        groups.unwrap_or_default().iter().for_each(|group| _ = call.arg(*group));
        self.store.work(|mut redis| async move { call.invoke_async(&mut redis).await }).await
    }

    /// A set's, in order.
    pub(super) async fn members(&self, set: String) -> Result<Vec<String>, AskError> {
        let asked = self.store.work(|mut redis| async move {
            redis::cmd("SMEMBERS").arg(set).query_async::<Vec<String>>(&mut redis).await
        });
        let mut members = asked.await?;
        members.sort_unstable();
        Ok(members)
    }
}

/// Names who loses events of a topic, once in a while.
fn tell(topic: &str, losers: Vec<String>, named: &mut Named) {
    for group in losers {
        let told = named.insert((topic.to_owned(), group.clone()), Instant::now());
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            tracing::error!(
                topic,
                service = group,
                "events were thrown away before this service handled them: `events.retain` and `events.retain_bytes` bound what is kept"
            );
        }
    }
}
