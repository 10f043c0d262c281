// Key-value stores in memory: in the place of `archipel:keyvalue/store`, by the contract of its WIT.
import type { Condition, Entry, Start } from 'archipel:keyvalue/store@0.1.0';
import { current, notSet, refuse, type Slot, type Store } from './state.ts';

const KEY_MAX = 1024;
const VALUE_MAX = 1 << 20;
const other = (text: string): never => refuse({ tag: 'other', val: text });
/** In the order of their code units, which is that of their bytes but beyond U+FFFF. */
const before = (a: string, b: string): boolean => a < b;

export class Bucket {
  readonly #name: string;

  private constructor(name: string) {
    this.#name = name;
  }

  static open(name: string): Bucket {
    const state = current(`kv('${name}')`);
    if (!state.stores.has(name)) notSet(`there is no store \`${name}\` in this test`, `host.kv('${name}')`);
    return new Bucket(name);
  }

  get(key: string): Entry | undefined {
    return entry(this.#at(key), key);
  }

  getMany(keys: string[]): (Entry | undefined)[] {
    return keys.map((key) => this.get(key));
  }

  set(key: string, value: Uint8Array, ttlMs: bigint | undefined, when: Condition): boolean {
    const store = this.#at(key, value);
    if (when.tag === 'if-absent' && store.slots.has(key)) return false;
    if (when.tag === 'if-version' && entry(store, key)?.version !== when.val) return false;
    put(store, key, value, ttlMs === undefined ? undefined : this.#now() + Number(ttlMs));
    return true;
  }

  delete(key: string): boolean {
    return this.#at(key).slots.delete(key);
  }

  increment(key: string, delta: bigint): bigint {
    const store = this.#at(key);
    const text = new TextDecoder().decode(entry(store, key)?.value ?? new Uint8Array([48]));
    const sum = /^-?\d+$/.test(text) ? BigInt(text) + delta : other('no such number');
    if (BigInt.asIntN(64, sum) !== sum) other('no such number');
    put(store, key, new TextEncoder().encode(String(sum)), store.slots.get(key)?.ends);
    return sum;
  }

  listKeys(prefix: string, limit: number, cursor: string | undefined): { keys: string[]; cursor?: string } {
    const all = [...this.#store().slots.keys()].filter((key) => key.startsWith(prefix)).sort();
    const rest = cursor === undefined ? all : all.filter((key) => before(cursor, key));
    const keys = rest.slice(0, limit);
    const last = keys.at(-1);
    return rest.length > limit && last !== undefined ? { keys, cursor: last } : { keys };
  }

  append(key: string, value: Uint8Array, keep: number): bigint {
    const { held } = slot(this.#at(key, value), key, () => ({ list: [] }));
    if (!('list' in held)) return other('this key holds no list');
    held.list.unshift(value);
    held.list.splice(keep);
    return BigInt(held.list.length);
  }

  readList(key: string, offset: number, limit: number): Uint8Array[] {
    const held = this.#at(key).slots.get(key)?.held ?? { list: [] };
    return 'list' in held ? held.list.slice(offset, offset + limit) : other('this key holds no list');
  }

  insert(key: string, id: string, value: Uint8Array, keep: number): boolean {
    const { held } = slot(this.#at(key, value), key, () => ({ sorted: new Map() }));
    if (!('sorted' in held)) return other('this key holds no sorted list');
    const ids = [...held.sorted.keys()].sort();
    if (held.sorted.has(id) || (ids.length >= keep && before(id, ids[0] ?? ''))) return false;
    held.sorted.set(id, value);
    for (const least of [...ids, id].sort().slice(0, Math.max(0, ids.length + 1 - keep))) held.sorted.delete(least);
    return true;
  }

  readSorted(key: string, start: Start, limit: number): { items: { id: string; value: Uint8Array }[]; total: bigint } {
    const held = this.#at(key).slots.get(key)?.held ?? { sorted: new Map<string, Uint8Array>() };
    if (!('sorted' in held)) return other('this key holds no sorted list');
    const all = [...held.sorted].map(([id, value]) => ({ id, value })).sort((a, b) => (before(a.id, b.id) ? 1 : -1));
    const from = start.tag === 'offset' ? all.slice(start.val) : all.filter(({ id }) => before(id, start.val));
    return { items: from.slice(0, limit), total: BigInt(held.sorted.size) };
  }

  #now(): number {
    return current('a key-value store').now;
  }

  #store(): Store {
    const { stores, now } = current('a key-value store');
    const store = stores.get(this.#name) ?? notSet(`there is no store \`${this.#name}\` in this test`, `host.kv('${this.#name}')`);
    if (store.fault) refuse(store.fault);
    for (const [key, { ends }] of store.slots) if (ends !== undefined && ends <= now) store.slots.delete(key);
    return store;
  }

  #at(key: string, value?: Uint8Array): Store {
    const length = new TextEncoder().encode(key).length;
    if (length < 1 || length > KEY_MAX) other('a key has 1 to 1024 bytes');
    if (value && value.length > VALUE_MAX) refuse({ tag: 'too-large', val: BigInt(VALUE_MAX) });
    return this.#store();
  }
}

function entry(store: Store, key: string): Entry | undefined {
  const found = store.slots.get(key);
  if (!found) return undefined;
  return found.held instanceof Uint8Array ? { key, value: found.held, version: found.version } : other('this key holds a list');
}

function put(store: Store, key: string, value: Uint8Array, ends: number | undefined): void {
  store.version += 1n;
  store.slots.set(key, { held: value, version: store.version, ends });
}

function slot(store: Store, key: string, fresh: () => Slot['held']): Slot {
  const found = store.slots.get(key) ?? { held: fresh(), version: 0n, ends: undefined };
  store.slots.set(key, found);
  return found;
}
