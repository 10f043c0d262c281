// What stands in for the host in a test under Node.js: what a test has set up, and what was asked of it. People use it by
// `archipel/testing`; `archipel-test` puts the files beside this one in the place of the host's interfaces.
import type { Value } from 'archipel:postgres/client@0.1.0';
import type { Message, Options } from 'archipel:messaging/producer@0.1.0';
import type { Fault } from '../fault.ts';

export interface Rule {
  /** Of the statement, with one space where there is any. */
  part: string;
  answer(parameters: unknown[]): Answered;
}
/** Rows, a number of rows that changed, or what is thrown. */
export type Answered = { rows: Record<string, unknown>[] } | { changed: number } | { fault: Fault };

export interface Database {
  rules: Rule[];
  statements: { sql: string; parameters: Value[] }[];
  commits: number;
  rollbacks: number;
}

export interface Slot {
  held: Uint8Array | { list: Uint8Array[] } | { sorted: Map<string, Uint8Array> };
  version: bigint;
  /** In the milliseconds of `now`. */
  ends: number | undefined;
}
export interface Store {
  slots: Map<string, Slot>;
  version: bigint;
  fault: Fault | undefined;
}

export interface Published {
  id: string;
  message: Message;
  options: Options | undefined;
}

export interface Web {
  rules: { method: string; url: string; answer: () => Response }[];
  sent: { method: string; url: string; headers: Headers; body: string }[];
}

export interface State {
  databases: Map<string, Database>;
  stores: Map<string, Store>;
  events: Published[];
  publishing: Fault | undefined;
  web: Web;
  env: Map<string, string>;
  now: number;
  /** What was called and is not set up: a service may have caught it. */
  missing: NotSet | undefined;
}

/** A call that a test has said nothing of. */
export class NotSet extends Error {
  override name = 'NotSet';
}

let state: State | undefined;

export function begin(): State {
  if (state) throw new Error('there is a fake host already: a test has one, and ends it');
  const web = { rules: [], sent: [] };
  state = {
    databases: new Map(), stores: new Map(), events: [], publishing: undefined, web, env: new Map(), now: 0, missing: undefined,
  };
  return state;
}

export function end(): void {
  state = undefined;
}

export function known(): State | undefined {
  return state;
}

/** The state of this test; `call` is what a service has called, as it is written. */
export function current(call: string): State {
  if (state) return state;
  throw new NotSet(`${call} was called outside of a component, and nothing stands in for the host: begin the test with \`const host = fake(t)\` of archipel/testing`);
}

/** Throws that `call` is not set up, and what to write. */
export function notSet(call: string, write: string): never {
  const missing = new NotSet(`${call}: write ${write}`);
  if (state) state.missing ??= missing;
  throw missing;
}

/** As the host refuses. */
export function refuse(fault: Fault): never {
  throw Object.assign(new Error(fault.tag), { payload: fault });
}
