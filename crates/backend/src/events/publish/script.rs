//! What Redis does to publish, in one step.

/// How the script says that too many delayed events wait, or that there are too many topics.
pub(in crate::events) const FULL: &str = "too many delayed events or topics";

/// KEYS: topics, delayed, delayed events, their bytes, how many each service has of them, how many topics each
/// service has begun; then for each event its stream and its dedup key. ARGV: how many may be delayed, how long dedup
/// ids are kept (s), how many topics there may be, how many bytes and how many events of one service may be delayed,
/// how many topics one service may begin; then for each event its topic, its
/// publisher, its delay (ms), whether it has a dedup id, its id, how many arguments follow, and these: the fields of
/// its entry. Gives the ids; for a repeated dedup id, that of the event which had it first.
pub(in crate::events) const SCRIPT: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local events, delayed, bytes, of, topics, begun, seen, at = {}, 0, 0, {}, 0, {}, {}, 7
for number = 1, (#KEYS - 6) / 2 do
  local event = {topic = ARGV[at], delay = tonumber(ARGV[at + 2]), dedup = ARGV[at + 3] == '1', id = ARGV[at + 4]}
  local count = tonumber(ARGV[at + 5])
  event.publisher = ARGV[at + 1]
  event.fields = {unpack(ARGV, at + 6, at + 5 + count)}
  at = at + 6 + count
  if event.delay > 0 then
    event.packed = cmsgpack.pack({event.topic, event.fields, event.publisher})
    delayed, bytes = delayed + 1, bytes + #event.packed
    of[event.publisher] = (of[event.publisher] or 0) + 1
  end
  if not seen[event.topic] and redis.call('SISMEMBER', KEYS[1], event.topic) == 0 then
    topics = topics + 1
    begun[event.publisher] = (begun[event.publisher] or 0) + 1
  end
  seen[event.topic] = true
  events[number] = event
end
local crowded = false
for publisher, more in pairs(of) do
  crowded = crowded or tonumber(redis.call('HGET', KEYS[5], publisher) or 0) + more > tonumber(ARGV[5])
end
for publisher, more in pairs(begun) do
  crowded = crowded or tonumber(redis.call('HGET', KEYS[6], publisher) or 0) + more > tonumber(ARGV[6])
end
if crowded or (delayed > 0 and redis.call('ZCARD', KEYS[2]) + delayed > tonumber(ARGV[1]))
  or (delayed > 0 and tonumber(redis.call('GET', KEYS[4]) or 0) + bytes > tonumber(ARGV[4]))
  or (topics > 0 and redis.call('SCARD', KEYS[1]) + topics > tonumber(ARGV[3])) then
  return redis.error_reply('ERR too many delayed events or topics')
end
local ids = {}
for number, event in ipairs(events) do
  local stream, dedup = KEYS[5 + number * 2], KEYS[6 + number * 2]
  local is_new = true
  if event.dedup then
    is_new = redis.call('SET', dedup, event.id, 'NX', 'EX', ARGV[2])
  end
  ids[number] = event.id
  if redis.call('SADD', KEYS[1], event.topic) == 1 then redis.call('HINCRBY', KEYS[6], event.publisher, 1) end
  if not is_new then
    ids[number] = redis.call('GET', dedup)
  elseif event.delay > 0 then
    redis.call('ZADD', KEYS[2], now + event.delay, event.id)
    local before = redis.call('HSTRLEN', KEYS[3], event.id)
    redis.call('HSET', KEYS[3], event.id, event.packed)
    redis.call('INCRBY', KEYS[4], #event.packed - before)
    if before == 0 then redis.call('HINCRBY', KEYS[5], event.publisher, 1) end
  else
    redis.call('XADD', stream, '*', unpack(event.fields))
  end
end
return ids
";
