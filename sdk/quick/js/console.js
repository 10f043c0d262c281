// Lines in the host's log.
const DEPTH_MAX = 4;

function shown(value, depth = 0, seen = []) {
  switch (typeof value) {
    case 'string':
      return depth === 0 ? value : JSON.stringify(value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return String(value);
    case 'function':
      return `[function ${value.name || 'of no name'}]`;
    case 'object':
      break;
    default:
      return String(value);
  }
  if (value === null) return 'null';
  if (value instanceof Error) return depth === 0 ? `${value.name}: ${value.message}\n${value.stack ?? ''}`.trimEnd() : `[${value.name}: ${value.message}]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof RegExp || value instanceof URL) return String(value);
  if (seen.includes(value)) return '[circular]';
  if (depth === DEPTH_MAX) return Array.isArray(value) ? '[…]' : '{…}';
  const inner = (item) => shown(item, depth + 1, [...seen, value]);
  if (Array.isArray(value)) return `[${value.slice(0, 100).map(inner).join(', ')}${value.length > 100 ? ', …' : ''}]`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${value.byteLength})`;
  const name = Object.getPrototypeOf(value)?.constructor?.name;
  const label = name && name !== 'Object' ? `${name} ` : '';
  if (value instanceof Map || value instanceof Headers || value instanceof URLSearchParams || value instanceof FormData) {
    return `${label}{${[...value].map(([key, item]) => `${inner(key)} => ${inner(item)}`).join(', ')}}`;
  }
  if (value instanceof Set) return `${label}{${[...value].map(inner).join(', ')}}`;
  if (value instanceof Response) return `Response { status: ${value.status} }`;
  if (value instanceof Request) return `Request { method: ${value.method}, url: ${value.url} }`;
  return `${label}{${Object.keys(value).map((key) => `${key}: ${inner(value[key])}`).join(', ')}}`;
}

function formatted([first, ...rest]) {
  if (typeof first !== 'string' || !first.includes('%')) return [first, ...rest].map((value) => shown(value)).join(' ');
  const left = rest.slice();
  const text = first.replaceAll(/%([sdifoOjc%])/g, (whole, kind) => {
    if (kind === '%') return '%';
    if (left.length === 0) return whole;
    const value = left.shift();
    if (kind === 'c') return '';
    if (kind === 'd' || kind === 'i') return typeof value === 'bigint' ? String(value) : String(kind === 'i' ? parseInt(value, 10) : Number(value));
    return kind === 'f' ? String(parseFloat(value)) : kind === 'j' ? JSON.stringify(value) : shown(value);
  });
  return [text, ...left.map((value) => shown(value))].join(' ');
}

const say = (...values) => native.print(formatted(values));
const warn = (...values) => native.printError(formatted(values));
const counts = new Map();
const clocks = new Map();

const console = {
  log: say, info: say, debug: say, dir: (value) => say(value), table: say, group: say, groupCollapsed: say, groupEnd() {},
  warn, error: warn,
  trace: (...values) => warn(`${formatted(values)}\n${new Error().stack}`),
  assert: (holds, ...values) => holds || warn('Assertion failed:', ...values),
  count(label = 'default') {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    say(`${label}: ${counts.get(label)}`);
  },
  time: (label = 'default') => void clocks.set(label, native.now()),
  timeEnd(label = 'default') {
    say(`${label}: ${(native.now() - clocks.get(label)).toFixed(3)} ms`);
    clocks.delete(label);
  },
};
