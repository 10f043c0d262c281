// Unit tests under Node.js, without a host: `archipel-test` runs them. What the service calls answers what the test has
// said, is kept, and where nothing was said it throws with the line to write.
//
//   test('a note is kept', async (t) => {
//     const host = fake(t);
//     host.postgres('main').on('insert into notes').rows([{ id: 7n, text: 'tea' }]);
//     const response = await ask(service, '/notes', { method: 'POST', json: { text: 'tea' } });
//     assert.equal(response.status, 201);
//   });
//
// It is no database: SQL is not run, and only `archipel test` tells whether it is right.
import { consume } from './consumer.ts';
import { failed } from './failure.ts';
import type { Fault } from './fault.ts';
import { json, stringify } from './json.ts';
import { kv, type Store } from './keyvalue.ts';
import { handlerOf } from './serve.ts';
import { spaced } from './fake/postgres.ts';
import { begin, end, known, NotSet, type Answered } from './fake/state.ts';
import { parameters } from './fake/values.ts';
import { fetched } from './fake/web.ts';

/** What a test's own context has of it. */
interface Context {
  after(work: () => void): void;
}

type Row = Record<string, unknown>;

export interface FakeDatabase {
  /** What statements with `part` in them are answered, however they are broken into lines. Of several that fit, the
   * last that was said counts. */
  on(part: string): {
    /** Rows; of functions of the statement's parameters, what they give. An integer parameter is a `bigint`. */
    rows(rows: Row[] | ((...parameters: never[]) => Row[])): FakeDatabase;
    /** For `run`: so many rows changed. */
    changed(count: number): FakeDatabase;
    /** What PostgreSQL refuses by its state (`23505`) and constraint; or `timeout`, `unavailable`, `overloaded`. */
    fails(code: string, constraint?: string): FakeDatabase;
  };
  /** All statements so far, each with one space where there is any. */
  statements(): { sql: string; parameters: unknown[] }[];
  commits(): number;
  rollbacks(): number;
}

export interface FakePeer {
  get(target: string): Asks;
  post(target: string): Asks;
  put(target: string): Asks;
  patch(target: string): Asks;
  delete(target: string): Asks;
}

export interface Asks {
  json(body: unknown, status?: number): void;
  text(body: string, status?: number): void;
  /** It is denied, too late, or not to be reached: `fetch` rejects. */
  fails(): void;
}

export interface FakeHost {
  /** The database that the manifest calls `name`. It is there from now on. */
  postgres(name: string): FakeDatabase;
  /** The key-value store that the manifest calls `name`, in memory: to prepare it, and to look into it. */
  kv(name: string): Store & { fails(code: string): void };
  /** What another service of the manifest answers. */
  service(name: string): FakePeer;
  /** What a host of the outside answers: `https://api.example.com`. */
  outside(origin: string): FakePeer;
  /** What was sent to others, in its order. */
  sent(): { method: string; url: string; headers: Headers; body: string }[];
  /** What was published, in its order. */
  events(): { id: string; topic: string; key: string | undefined; body: Uint8Array; json<T = unknown>(): T }[];
  /** From now on publishing fails. */
  publishingFails(code: string): void;
  /** A variable that is granted and set. */
  env(name: string, value: string): void;
  /** So much time passes for what a store keeps no longer. The clock itself is the machine's. */
  passes(ms: number): void;
}

/** The host of one test; it ends when the test does. */
export function fake(test: Context): FakeHost {
  const state = begin();
  const before = globalThis.fetch;
  globalThis.fetch = fetched;
  test.after(() => {
    globalThis.fetch = before;
    end();
  });
  const peer = (origin: string): FakePeer => {
    const asks = (method: string) => (target: string): Asks => {
      const answered = (answer: () => Response) => void state.web.rules.push({ method, url: new URL(target, origin).href, answer });
      return {
        json: (body, status = 200) => answered(() => json(body, { status })),
        text: (body, status = 200) => answered(() => new Response(body, { status })),
        fails: () => answered(() => { throw new TypeError('NetworkError when attempting to fetch resource'); }),
      };
    };
    return { get: asks('GET'), post: asks('POST'), put: asks('PUT'), patch: asks('PATCH'), delete: asks('DELETE') };
  };
  return {
    postgres(name) {
      const own = state.databases.get(name) ?? { rules: [], statements: [], commits: 0, rollbacks: 0 };
      state.databases.set(name, own);
      const on = (part: string) => {
        const answered = (answer: (parameters: never[]) => Answered) => {
          own.rules.push({ part: spaced(part), answer: answer as (parameters: unknown[]) => Answered });
          return self;
        };
        return {
          rows: (rows: Row[] | ((...given: never[]) => Row[])) => answered((given) => ({ rows: typeof rows === 'function' ? rows(...given) : rows })),
          changed: (count: number) => answered(() => ({ changed: count })),
          fails: (code: string, constraint?: string) => answered(() => ({ fault: refusal(code, constraint) })),
        };
      };
      const statements = () => own.statements.map(({ sql, parameters: given }) => ({ sql, parameters: parameters(given) }));
      const self: FakeDatabase = { on, statements, commits: () => own.commits, rollbacks: () => own.rollbacks };
      return self;
    },
    kv(name) {
      const own = state.stores.get(name) ?? { slots: new Map(), version: 0n, fault: undefined };
      state.stores.set(name, own);
      return Object.assign(kv(name), { fails: (code: string) => { own.fault = { tag: code }; } });
    },
    service: (name) => peer(`http://${name}.internal`),
    outside: (origin) => peer(origin),
    sent: () => state.web.sent,
    events: () => state.events.map(({ id, message: { topic, key, body } }) => ({
      id, topic, key, body, json: <T>() => JSON.parse(new TextDecoder().decode(body)) as T,
    })),
    publishingFails: (code) => { state.publishing = { tag: code }; },
    env: (name, value) => void state.env.set(name, value),
    passes: (ms) => { state.now += ms; },
  };
}

/** Five characters are PostgreSQL's own. */
function refusal(code: string, constraint: string | undefined): Fault {
  if (!/^[0-9A-Z]{5}$/.test(code)) return { tag: code };
  return { tag: 'db', val: { sqlstate: code, message: 'refused by the test', constraint } };
}

export interface Asked {
  method?: string;
  headers?: Record<string, string>;
  /** The body, as JSON. */
  json?: unknown;
  body?: BodyInit;
  /** Whose token the gateway has verified, and their roles. */
  user?: string;
  roles?: string[];
  /** The service that asks. */
  service?: string;
}

/** What a module answers, as the host would have it: a failure is an answer, too. `exported` is its default export.
 * What the test has said nothing of is thrown. */
export async function ask(exported: unknown, target: string, asked: Asked = {}): Promise<Response> {
  const headers = new Headers(asked.headers);
  if (asked.json !== undefined) headers.set('content-type', 'application/json');
  if (asked.user !== undefined) headers.set('x-user-id', asked.user);
  if (asked.roles) headers.set('x-user-roles', asked.roles.join(','));
  if (asked.service !== undefined) headers.set('x-source-service', asked.service);
  const body = asked.json === undefined ? asked.body : stringify(asked.json);
  const request = new Request(new URL(target, 'http://test'), { method: asked.method ?? 'GET', headers, ...(body === undefined ? {} : { body }) });
  const response = await Promise.resolve(request).then(handlerOf(exported)).catch((error: unknown) => {
    if (error instanceof NotSet) throw error;
    return failed(error, '').response;
  });
  const missing = known()?.missing;
  if (missing) throw missing;
  return response;
}

/** Hands an event to the module, on its first of five attempts: undefined when it was handled, else what the host is
 * told. */
export async function deliver(exported: unknown, topic: string, body: unknown): Promise<{ tag: 'retry' | 'reject'; val: unknown } | undefined> {
  const message = { topic, contentType: 'application/json', headers: [], body: new TextEncoder().encode(stringify(body)) };
  const delivery = { id: '00000000-0000-0000-0000-000000000001', attempt: 1, maxAttempts: 5, publishedAt: 0n, message };
  try {
    await consume(exported, delivery);
  } catch (failure) {
    const missing = known()?.missing;
    if (missing) throw missing;
    return failure as { tag: 'retry' | 'reject'; val: unknown };
  }
  return undefined;
}
