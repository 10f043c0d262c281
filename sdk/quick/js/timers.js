// Timers. They are looked at while a handler waits for something; after the answer nothing goes on.
const TIMERS_MAX = 10000;
const timers = new Map();
let timer = 0;

function later(work, millis, every, given) {
  if (typeof work !== 'function') throw new TypeError('a timer calls a function');
  if (timers.size >= TIMERS_MAX) throw new RangeError(`more than ${TIMERS_MAX} timers`);
  const wait = Math.max(0, Number(millis) || 0);
  timers.set((timer += 1), { work, given, due: native.now() + wait, every: every ? Math.max(1, wait) : undefined });
  return timer;
}

const setTimeout = (work, millis, ...given) => later(work, millis, false, given);
const setInterval = (work, millis, ...given) => later(work, millis, true, given);
const clearTimeout = (number) => void timers.delete(number);

/** Milliseconds until the first is due; below zero if there is none. */
function wait() {
  if (timers.size === 0) return -1;
  let first = Infinity;
  for (const { due } of timers.values()) first = Math.min(first, due);
  return Math.max(0, first - native.now());
}

/** The one that is due first, and no other: what it makes ready comes before the next. */
function ring() {
  const now = native.now();
  let first;
  for (const [number, { due }] of timers) {
    if (due <= now && (first === undefined || due < timers.get(first).due)) first = number;
  }
  if (first === undefined) return;
  const { work, given, every } = timers.get(first);
  if (every === undefined) timers.delete(first);
  else timers.get(first).due = now + every;
  work(...given);
}

/** Before each call: what an earlier one left behind is gone. */
function wake() {
  if (timers.size > 0) timers.clear();
  if (asking.size > 0) {
    for (const number of asking.keys()) native.forget(number);
    asking.clear();
  }
}
