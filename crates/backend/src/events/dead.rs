//! Dead letters: what a service could not handle, with the reason, and their replay to that service alone.
//!
//! A replayed event keeps its id and starts its attempts anew.

use jiff::Timestamp;
use redis::Script;
use serde::Serialize;

use super::{
    Events,
    entry::{Fields, Kept, by_name},
};
use crate::redis::AskError;

/// A letter on a list: what an operator decides on.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Its place among the dead letters; a page ends with one, and the next goes on after it.
    pub letter: String,
    /// The event's.
    pub id: String,
    pub topic: String,
    pub key: Option<String>,
    pub reason: String,
    pub attempts: u32,
    pub published: String,
    pub died: String,
    pub bytes: usize,
    /// The beginning of the body, where it is text.
    pub body: Option<String>,
}

/// What is shown of a body.
const EXCERPT_MAX_CHARS: usize = 200;
/// Read at once: each may have a body of 1 MiB.
const READ_MAX: usize = 20;
/// Letters on one page.
pub const PAGE_MAX: usize = 100;

/// KEYS: the group's dead letters, its own stream. ARGV: the letter, topics' own names for what is not the
/// event's. Gives whether there was such a letter.
const REPLAY: &str = "
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if not found[1] then return 0 end
local event, fields = {}, found[1][2]
for at = 1, #fields, 2 do
  if fields[at] ~= 'reason' and fields[at] ~= 'attempts' then
    event[#event + 1] = fields[at]
    event[#event + 1] = fields[at + 1]
  end
end
redis.call('XADD', KEYS[2], '*', unpack(event))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
";

impl Events {
    /// Letters of a service, oldest first, after one of them.
    pub async fn dead(&self, service: &str, after: Option<&str>, count: usize) -> Result<Vec<Letter>, AskError> {
        let mut letters = Vec::new();
        let mut after = after.map(str::to_owned);
        while letters.len() < count.min(PAGE_MAX) {
            let want = READ_MAX.min(count - letters.len());
            let page = self.letters(service, after.as_deref(), None, want).await?;
            let is_last = page.len() < want;
            after = page.last().map(|letter| letter.letter.clone());
            letters.extend(page);
            if is_last {
                break;
            }
        }
        Ok(letters)
    }

    /// How many there are.
    pub async fn dead_count(&self, service: &str) -> Result<u64, AskError> {
        let key = self.names.dead(service);
        self.store.work(|mut redis| async move { redis::cmd("XLEN").arg(key).query_async(&mut redis).await }).await
    }

    /// Hands the letters of one event to their service again, or all of its letters that there are now; gives
    /// how many.
    pub async fn replay(&self, service: &str, event: Option<&str>) -> Result<u64, AskError> {
        let (script, mut after, mut replayed) = (Script::new(REPLAY), None, 0);
        // One that dies again meanwhile is not replayed twice.
        let Some(end) = self.last_letter(service).await? else { return Ok(0) };
        loop {
            let page = self.letters(service, after.as_deref(), Some(&end), READ_MAX).await?;
            let Some(last) = page.last().map(|letter| letter.letter.clone()) else { break };
            for letter in page.iter().filter(|letter| event.is_none_or(|id| letter.id == id || letter.letter == id)) {
                let mut call = script.prepare_invoke();
                call.key(self.names.dead(service)).key(self.names.again(service)).arg(&letter.letter);
                replayed +=
                    self.store.work(|mut redis| async move { call.invoke_async::<u64>(&mut redis).await }).await?;
            }
            after = Some(last);
        }
        Ok(replayed)
    }

    async fn last_letter(&self, service: &str) -> Result<Option<String>, AskError> {
        let key = self.names.dead(service);
        let asked = self.store.work(|mut redis| async move {
            let mut range = redis::cmd("XREVRANGE");
            range.arg(key).arg("+").arg("-").arg("COUNT").arg(1);
            range.query_async::<Vec<(String, Fields)>>(&mut redis).await
        });
        Ok(asked.await?.into_iter().next().map(|(letter, _)| letter))
    }

    async fn letters(
        &self,
        service: &str,
        after: Option<&str>,
        last: Option<&str>,
        count: usize,
    ) -> Result<Vec<Letter>, AskError> {
        let from = after.map_or("-".to_owned(), |letter| format!("({letter}"));
        let to = last.unwrap_or("+").to_owned();
        let key = self.names.dead(service);
        let stream = key.clone();
        let asked = self.store.work(|mut redis| async move {
            let mut range = redis::cmd("XRANGE");
            range.arg(key).arg(from).arg(to).arg("COUNT").arg(count);
            range.query_async::<Vec<(String, Fields)>>(&mut redis).await
        });
        let read = |(letter, fields)| self.letter(&stream, letter, fields);
        Ok(asked.await?.into_iter().map(read).collect())
    }

    fn letter(&self, stream: &str, letter: String, fields: Fields) -> Letter {
        let values = by_name(fields.clone());
        let text = |name: &str| values.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let died = letter.split('-').next().and_then(|ms| ms.parse().ok()).map_or(String::new(), time);
        let event = Kept::parse(&self.names, stream, fields);
        let body = values.get("body").map_or(&[][..], Vec::as_slice);
        Letter {
            letter,
            id: text("id").unwrap_or_default(),
            topic: text("topic").unwrap_or_default(),
            key: text("key"),
            reason: text("reason").unwrap_or_default(),
            attempts: text("attempts").and_then(|attempts| attempts.parse().ok()).unwrap_or(0),
            published: event.map_or(String::new(), |event| time(event.at)),
            died,
            bytes: body.len(),
            body: std::str::from_utf8(body).ok().map(|body| body.chars().take(EXCERPT_MAX_CHARS).collect()),
        }
    }
}

/// RFC 3339, UTC, milliseconds.
pub(super) fn time(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map_or(String::new(), |at| format!("{at:.3}"))
}
