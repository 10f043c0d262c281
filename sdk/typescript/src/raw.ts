// Values that the host hands over in PostgreSQL's own binary form (`array_send` and its like in PostgreSQL's sources): spans of
// time, and arrays of types that have no value of their own. What is not known here stays bytes, with the number of its type.
import { day, local, moment, span, time } from './moment.ts';

/** A value of a type that the sdk does not know. */
export interface Raw {
  oid: number;
  bytes: Uint8Array;
}

/** One item of so many bytes; nothing where it is none that the language can hold, as `infinity`. */
type Read = (view: DataView, at: number, length: number) => unknown;

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

/** All digits, as a text: `-12.50`. Four decimal digits stand together (`numeric_send`). */
const numericAt: Read = (view, at, length) => {
  const [count, weight, sign, scale] = [view.getInt16(at), view.getInt16(at + 2), view.getUint16(at + 4), view.getUint16(at + 6)];
  const word = NO_NUMBERS.get(sign);
  if (word !== undefined) return word;
  if (length !== 8 + 2 * count) return undefined;
  const group = (place: number) => (place < count ? view.getInt16(at + 8 + 2 * place) : 0);
  let whole = '';
  for (let place = 0; place <= weight; place += 1) whole += String(group(place)).padStart(4, '0');
  let fraction = '0000'.repeat(Math.max(0, -weight - 1));
  for (let place = Math.max(0, weight + 1); fraction.length < scale; place += 1) fraction += String(group(place)).padStart(4, '0');
  const digits = whole.replace(/^0+(?=.)/, '') || '0';
  return `${sign === MINUS ? '-' : ''}${digits}${scale > 0 ? `.${fraction.slice(0, scale)}` : ''}`;
};
const MINUS = 0x4000;
const NO_NUMBERS = new Map([[0xc000, 'NaN'], [0xd000, 'Infinity'], [0xf000, '-Infinity']]);

const BOOL = 16;
const FLOAT8 = 701;
const NUMERIC = 1700;
/** By the number of the item's type (`pg_type.dat`): how long one is, 0 for any length, and how it is read. */
const items = new Map<number, [number, Read]>([
  [BOOL, [1, (view, at) => view.getUint8(at) !== 0]],
  [700, [4, (view, at) => view.getFloat32(at)]],
  [FLOAT8, [8, (view, at) => view.getFloat64(at)]],
  [1082, [4, dayAt]],
  [1083, [8, (view, at) => time(view.getBigInt64(at))]],
  [1114, [8, localAt]],
  [1184, [8, momentAt]],
  [1186, [16, spanAt]],
  [NUMERIC, [0, numericAt]],
]);
const INTERVAL = 1186;
const BOOLS = 1000;
const FLOATS = 1022;
const arrays = new Set([BOOLS, 1021, FLOATS, 1182, 1183, 1115, 1185, 1187, 1231]);

/** The value, if it is known; else what was given. */
export function known(raw: Raw): unknown {
  const view = new DataView(raw.bytes.buffer, raw.bytes.byteOffset, raw.bytes.byteLength);
  try {
    const value = raw.oid === INTERVAL ? spanAt(view, 0, 16) : arrays.has(raw.oid) ? array(view) : undefined;
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

/** An array of booleans or of numbers, for a statement; nothing for any other. */
export function written(list: readonly unknown[]): [oid: number, bytes: Uint8Array] | undefined {
  const only = (type: string) => list.some((item) => typeof item === type) && list.every((item) => item === null || typeof item === type);
  const form = only('boolean') ? ([BOOLS, BOOL, 1] as const) : only('number') ? ([FLOATS, FLOAT8, 8] as const) : undefined;
  if (form === undefined) return undefined;
  const [oid, item, size] = form;
  const nulls = list.filter((item) => item === null).length;
  const view = new DataView(new ArrayBuffer(20 + 4 * list.length + size * (list.length - nulls)));
  [1, nulls > 0 ? 1 : 0, item, list.length, 1].forEach((word, place) => view.setInt32(4 * place, word));
  let at = 20;
  for (const value of list) {
    view.setInt32(at, value === null ? -1 : size);
    at += 4;
    if (value === null) continue;
    if (typeof value === 'boolean') view.setUint8(at, value ? 1 : 0);
    else view.setFloat64(at, value as number);
    at += size;
  }
  return [oid, new Uint8Array(view.buffer)];
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
    const item = length < 0 ? null : read(view, at + 4, length);
    if (item === undefined || (length >= 0 && size > 0 && length !== size)) return undefined;
    found.push(item);
    at += 4 + Math.max(length, 0);
  }
  return found;
}
