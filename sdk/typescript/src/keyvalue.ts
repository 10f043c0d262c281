// Key-value stores: a store is a name that the manifest grants. A text is kept as its UTF-8.
import { Bucket, type Condition, type Entry as Raw } from 'archipel:keyvalue/store@0.1.0';
import { asked, statusFor, words, type Fault } from './fault.ts';

export interface Entry {
  bytes: Uint8Array;
  text(): string;
  /** The value as JSON. */
  json<T = unknown>(): T;
  /** Of this very value: for `ifVersion`. */
  version: bigint;
}

export interface SetOptions {
  /** Milliseconds that it is kept; the store's own `ttl` otherwise. */
  ttlMs?: number;
  /** Only if the key holds nothing. */
  ifAbsent?: boolean;
  /** Only if the key holds the value of this version. */
  ifVersion?: bigint;
}

export interface Store {
  get(key: string): Promise<Entry | undefined>;
  getMany(keys: string[]): Promise<(Entry | undefined)[]>;
  /** Whether it was written: a condition may not have held. */
  set(key: string, value: string | Uint8Array, options?: SetOptions): Promise<boolean>;
  /** Whether there was something. */
  delete(key: string): Promise<boolean>;
  /** The sum. */
  increment(key: string, by?: number | bigint): Promise<bigint>;
  /** For housekeeping, not for requests: it looks through the whole store, a page at a call. */
  listKeys(prefix: string, limit?: number, cursor?: string): Promise<{ keys: string[]; cursor?: string }>;
  /** Puts a value before all others of a list that keeps the newest `keep`; how many there are. */
  append(key: string, value: string | Uint8Array, keep: number): Promise<number>;
  /** Newest first. */
  readList(key: string, offset?: number, limit?: number): Promise<Uint8Array[]>;
  /** Puts a value under an id, once: false if it was there, or is older than all that are kept. */
  insert(key: string, id: string, value: string | Uint8Array, keep: number): Promise<boolean>;
  /** The greatest id first. */
  readSorted(key: string, start?: { offset: number } | { after: string }, limit?: number): Promise<{ items: { id: string; value: Uint8Array }[]; total: number }>;
}

export class StoreError extends Error {
  /** `access-denied`, `unavailable`, `timeout`, `too-large` or `other`. */
  readonly code: string;
  readonly httpStatus: number;

  constructor(fault: Fault) {
    super(words(fault));
    this.name = 'StoreError';
    this.code = fault.tag;
    this.httpStatus = statusFor(fault.tag);
  }
}

const made = (fault: Fault) => new StoreError(fault);
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const raw = (value: string | Uint8Array) => (typeof value === 'string' ? encoder.encode(value) : value);

function entry(found: Raw | undefined): Entry | undefined {
  if (!found) return undefined;
  const text = () => decoder.decode(found.value);
  return { bytes: found.value, version: found.version, text, json: <T>() => JSON.parse(text()) as T };
}

function condition({ ifAbsent, ifVersion }: SetOptions): Condition {
  if (ifVersion !== undefined) return { tag: 'if-version', val: ifVersion };
  return { tag: ifAbsent ? 'if-absent' : 'always' };
}

/** The store that the manifest calls `name`. Wants `keyvalue` in permissions.toml. */
export function kv(name: string): Store {
  let open: Bucket | undefined;
  const on = <T>(ask: (bucket: Bucket) => T) => asked(() => ask((open ??= Bucket.open(name))), made);
  return {
    get: async (key) => entry(on((bucket) => bucket.get(key))),
    getMany: async (keys) => on((bucket) => bucket.getMany(keys)).map(entry),
    set: async (key, value, options = {}) => {
      const ttl = options.ttlMs === undefined ? undefined : BigInt(options.ttlMs);
      return on((bucket) => bucket.set(key, raw(value), ttl, condition(options)));
    },
    delete: async (key) => on((bucket) => bucket.delete(key)),
    increment: async (key, by = 1) => on((bucket) => bucket.increment(key, BigInt(by))),
    listKeys: async (prefix, limit = 100, cursor) => on((bucket) => bucket.listKeys(prefix, limit, cursor)),
    append: async (key, value, keep) => Number(on((bucket) => bucket.append(key, raw(value), keep))),
    readList: async (key, offset = 0, limit = 100) => on((bucket) => bucket.readList(key, offset, limit)),
    insert: async (key, id, value, keep) => on((bucket) => bucket.insert(key, id, raw(value), keep)),
    readSorted: async (key, start = { offset: 0 }, limit = 100) => {
      const from = 'after' in start ? { tag: 'after' as const, val: start.after } : { tag: 'offset' as const, val: start.offset };
      const { items, total } = on((bucket) => bucket.readSorted(key, from, limit));
      return { items, total: Number(total) };
    },
  };
}
