//! What a Redis does for a store in one step, as scripts.
//!
//! A value is a hash of `v` and its version `n`; a list is a list; a sorted list is a sorted set of
//! `ID NUL VALUE`, all of the same score, so that it is ordered by id. What is read is measured
//! before it is sent.

use redis::Script;

/// The next version of the store whose counter is `KEYS[1]`: the clock in microseconds, or one more
/// than the last. So a version that was lost with the end of a Redis is not given again. Below
/// 2^53, exact in Lua.
const VERSION: &str = "
local function version()
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local last = tonumber(redis.call('GET', KEYS[1]) or 0)
  local next = string.format('%.0f', math.max(now, last + 1))
  redis.call('SET', KEYS[1], next)
  return next
end
";

/// `KEYS`: counter, key. `ARGV`: value, milliseconds or nothing, `always`, `absent` or a version.
const SET: &str = "
local held = redis.call('HGET', KEYS[2], 'n')
if ARGV[3] == 'absent' then
  if held then return 0 end
elseif ARGV[3] ~= 'always' and held ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[2], 'v', ARGV[1], 'n', version())
if ARGV[2] == '' then
  redis.call('PERSIST', KEYS[2])
else
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 1
";

/// `KEYS`: counter, key. `ARGV`: what to add, milliseconds or nothing. The sum as text: a number of
/// Lua would round it.
const INCREMENT: &str = "
local is_new = redis.call('EXISTS', KEYS[2]) == 0
redis.call('HINCRBY', KEYS[2], 'v', ARGV[1])
redis.call('HSET', KEYS[2], 'n', version())
if is_new and ARGV[2] ~= '' then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return redis.call('HGET', KEYS[2], 'v')
";

/// `KEYS`: keys. `ARGV`: bytes at most. Value and version of each.
const GET: &str = "
local bytes = 0
for _, key in ipairs(KEYS) do
  bytes = bytes + redis.call('HSTRLEN', key, 'v')
end
if bytes > tonumber(ARGV[1]) then
  return redis.error_reply('TOOLARGE values')
end
local found = {}
for at, key in ipairs(KEYS) do
  local held = redis.call('HMGET', key, 'v', 'n')
  found[2 * at - 1], found[2 * at] = held[1], held[2]
end
return found
";

/// `KEYS`: key. `ARGV`: value, how many to keep, milliseconds or nothing.
const APPEND: &str = "
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
if ARGV[3] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return redis.call('LLEN', KEYS[1])
";

/// Collects pieces of eight until `limit` values are there or no more come.
const COLLECT: &str = "
local function collect(found, limit, bytes_max, piece_of)
  local at, bytes = 0, 0
  while at < limit do
    local piece = piece_of(at, math.min(8, limit - at))
    for _, value in ipairs(piece) do
      bytes = bytes + #value
      found[#found + 1] = value
    end
    if bytes > bytes_max then
      return redis.error_reply('TOOLARGE values')
    end
    if #piece < 8 then
      break
    end
    at = at + 8
  end
  return found
end
";

/// `KEYS`: key. `ARGV`: offset, limit, bytes at most.
const READ_LIST: &str = "
return collect({}, tonumber(ARGV[2]), tonumber(ARGV[3]), function(at, count)
  local first = ARGV[1] + at
  return redis.call('LRANGE', KEYS[1], first, first + count - 1)
end)
";

/// `KEYS`: key. `ARGV`: id, value, how many to keep, milliseconds or nothing.
const INSERT: &str = "
local function is_there()
  return redis.call('ZLEXCOUNT', KEYS[1], '[' .. ARGV[1] .. '\\0', '(' .. ARGV[1] .. '\\1') > 0
end
if is_there() then
  return 0
end
redis.call('ZADD', KEYS[1], 0, ARGV[1] .. '\\0' .. ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
if not is_there() then
  return 0
end
if ARGV[4] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
";

/// `KEYS`: key. `ARGV`: after which id or nothing, offset, limit, bytes at most. The number of all
/// first.
const READ_SORTED: &str = "
local from = '+'
if ARGV[1] ~= '' then
  from = '(' .. ARGV[1] .. '\\0'
end
local total = tostring(redis.call('ZCARD', KEYS[1]))
return collect({total}, tonumber(ARGV[3]), tonumber(ARGV[4]), function(at, count)
  return redis.call('ZREVRANGEBYLEX', KEYS[1], from, '-', 'LIMIT', ARGV[2] + at, count)
end)
";

pub(super) struct Scripts {
    pub(super) set: Script,
    pub(super) increment: Script,
    pub(super) get: Script,
    pub(super) append: Script,
    pub(super) read_list: Script,
    pub(super) insert: Script,
    pub(super) read_sorted: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let with = |helper: &str, script: &str| Script::new(&format!("{helper}{script}"));
        Self {
            set: with(VERSION, SET),
            increment: with(VERSION, INCREMENT),
            get: Script::new(GET),
            append: Script::new(APPEND),
            read_list: with(COLLECT, READ_LIST),
            insert: Script::new(INSERT),
            read_sorted: with(COLLECT, READ_SORTED),
        }
    }
}
