// Values that the host hands over in PostgreSQL's own binary form (`array_send` and its like in PostgreSQL's sources): spans of
// time, and arrays of types that have no value of their own. What is not known here stays bytes, with the number of its type.
import { day, local, moment, span, time } from './moment.ts';

/** A value of a type that the sdk does not know. */
export interface Raw {
  oid: number;
  bytes: Uint8Array;
}

/** One item; nothing where it is none that the language can hold, as `infinity`. */
type Read = (view: DataView, at: number) => unknown;

/** PostgreSQL counts from 2000-01-01. */
const DAYS_TO_2000 = 10_957;
const MICROS_TO_2000 = 946_684_800_000_000n;
const ENDLESS = [2n ** 63n - 1n, -(2n ** 63n)];

const since2000 = (view: DataView, at: number) => {
  const micros = view.getBigInt64(at);
  return ENDLESS.includes(micros) ? undefined : micros + MICROS_TO_2000;
};
const dayAt: Read = (view, at) => {
  const days = view.getInt32(at);
  return Math.abs(days) < 2 ** 31 - 1 ? day(days + DAYS_TO_2000) : undefined;
};
const localAt: Read = (view, at) => {
  const micros = since2000(view, at);
  return micros === undefined ? undefined : local(micros);
};
const momentAt: Read = (view, at) => {
  const micros = since2000(view, at);
  return micros === undefined ? undefined : moment(micros);
};
const spanAt: Read = (view, at) => span(view.getInt32(at + 12), view.getInt32(at + 8), view.getBigInt64(at));

/** By the number of the item's type (`pg_type.dat`): how long one is, and how it is read. */
const items = new Map<number, [number, Read]>([
  [16, [1, (view, at) => view.getUint8(at) !== 0]],
  [700, [4, (view, at) => view.getFloat32(at)]],
  [701, [8, (view, at) => view.getFloat64(at)]],
  [1082, [4, dayAt]],
  [1083, [8, (view, at) => time(view.getBigInt64(at))]],
  [1114, [8, localAt]],
  [1184, [8, momentAt]],
  [1186, [16, spanAt]],
]);
const INTERVAL = 1186;
const arrays = new Set([1000, 1021, 1022, 1182, 1183, 1115, 1185, 1187]);

/** The value, if it is known; else what was given. */
export function known(raw: Raw): unknown {
  const view = new DataView(raw.bytes.buffer, raw.bytes.byteOffset, raw.bytes.byteLength);
  try {
    const value = raw.oid === INTERVAL ? spanAt(view, 0) : arrays.has(raw.oid) ? array(view) : undefined;
    return value ?? raw;
  } catch (error) {
    if (error instanceof RangeError) return raw; // cut, or beyond what a Date holds
    throw error;
  }
}

/** Whether a value of the quick engine is one of these: no document has bytes in it. */
export function isRaw(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && (value as Raw).bytes instanceof Uint8Array;
}

/** Of one dimension, or none. */
function array(view: DataView): unknown[] | undefined {
  if (view.getInt32(0) === 0) return [];
  const one = items.get(view.getUint32(8));
  if (view.getInt32(0) !== 1 || !one) return undefined;
  const [size, read] = one;
  const found: unknown[] = [];
  let at = 20;
  for (let left = view.getInt32(12); left > 0; left -= 1) {
    const length = view.getInt32(at);
    const item = length < 0 ? null : read(view, at + 4);
    if (item === undefined || (length >= 0 && length !== size)) return undefined;
    found.push(item);
    at += 4 + Math.max(length, 0);
  }
  return found;
}
