// The host's interfaces as the engine binds them: wit/ in TypeScript's words. What each call means is said there.

declare module 'wasi:http/types@0.2.10' {
  export interface IncomingRequest {
    method(): { tag: string; val?: string };
    pathWithQuery(): string | undefined;
    authority(): string | undefined;
    headers(): Fields;
    consume(): IncomingBody;
    [Symbol.dispose](): void;
  }
  export interface IncomingBody {
    stream(): InputStream;
    [Symbol.dispose](): void;
  }
  export interface InputStream {
    blockingRead(length: bigint): Uint8Array;
    [Symbol.dispose](): void;
  }
  export interface OutputStream {
    blockingWriteAndFlush(bytes: Uint8Array): void;
    [Symbol.dispose](): void;
  }
  export class Fields {
    entries(): [string, Uint8Array][];
    append(name: string, value: Uint8Array): void;
    [Symbol.dispose](): void;
  }
  export class OutgoingResponse {
    constructor(headers: Fields);
    setStatusCode(status: number): void;
    body(): OutgoingBody;
  }
  export class OutgoingBody {
    write(): OutputStream;
    static finish(body: OutgoingBody, trailers: Fields | undefined): void;
  }
  export class ResponseOutparam {
    static set(out: ResponseOutparam, response: { tag: 'ok'; val: OutgoingResponse }): void;
  }
}

declare module 'wasi:cli/environment@0.2.10' {
  export function getEnvironment(): [string, string][];
}

declare module 'wasi:clocks/wall-clock@0.2.10' {
  export interface Datetime {
    seconds: bigint;
    nanoseconds: number;
  }
  export function now(): Datetime;
}

declare module 'wasi:otel/tracing@0.2.0-rc.2' {
  import type { Datetime } from 'wasi:clocks/wall-clock@0.2.10';
  export interface SpanContext {
    traceId: string;
    spanId: string;
    traceFlags: { sampled?: boolean };
    isRemote: boolean;
    traceState: [string, string][];
  }
  /** `value` is JSON. */
  export interface KeyValue {
    key: string;
    value: string;
  }
  export interface SpanData {
    spanContext: SpanContext;
    parentSpanId: string;
    spanKind: 'client' | 'server' | 'producer' | 'consumer' | 'internal';
    name: string;
    startTime: Datetime;
    endTime: Datetime;
    attributes: KeyValue[];
    events: { name: string; time: Datetime; attributes: KeyValue[] }[];
    links: { spanContext: SpanContext; attributes: KeyValue[] }[];
    status: { tag: 'unset' | 'ok' } | { tag: 'error'; val: string };
    instrumentationScope: { name: string; version: string | undefined; schemaUrl: string | undefined; attributes: KeyValue[] };
    droppedAttributes: number;
    droppedEvents: number;
    droppedLinks: number;
  }
  export function onStart(context: SpanContext): void;
  export function onEnd(span: SpanData): void;
  export function outerSpanContext(): SpanContext;
}

declare module 'archipel:postgres/client@0.1.0' {
  export type Value =
    | { tag: 'null' }
    | { tag: 'boolean'; val: boolean }
    | { tag: 'int16' | 'int32' | 'float32' | 'float64' | 'date'; val: number }
    | { tag: 'int64' | 'timestamp' | 'timestamptz' | 'time'; val: bigint }
    | { tag: 'text' | 'numeric' | 'json'; val: string }
    | { tag: 'bytes'; val: Uint8Array }
    | { tag: 'uuid'; val: [bigint, bigint] }
    | { tag: 'text-array'; val: (string | undefined)[] }
    | { tag: 'int64-array'; val: (bigint | undefined)[] }
    | { tag: 'uuid-array'; val: ([bigint, bigint] | undefined)[] }
    | { tag: 'raw'; val: [number, Uint8Array] };
  export interface Rows {
    columns: { name: string; oid: number; typeName: string }[];
    rows: { values: Value[] }[];
    /** By the quick engine, in place of all that: rows as the sdk gives them. */
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    ready?: Record<string, any>[] & { raw?: boolean };
  }
  export class Database {
    static open(name: string): Database;
    query(sql: string, params: Value[]): Rows;
    execute(sql: string, params: Value[]): bigint;
    begin(options: undefined): Transaction;
  }
  export class Transaction {
    query(sql: string, params: Value[]): Rows;
    execute(sql: string, params: Value[]): bigint;
  }
  export function commit(transaction: Transaction): void;
  export function rollback(transaction: Transaction): void;
}

declare module 'archipel:keyvalue/store@0.1.0' {
  export interface Entry {
    key: string;
    value: Uint8Array;
    version: bigint;
  }
  export type Condition = { tag: 'always' | 'if-absent' } | { tag: 'if-version'; val: bigint };
  export type Start = { tag: 'offset'; val: number } | { tag: 'after'; val: string };
  export class Bucket {
    static open(name: string): Bucket;
    get(key: string): Entry | undefined;
    getMany(keys: string[]): (Entry | undefined)[];
    set(key: string, value: Uint8Array, ttlMs: bigint | undefined, when: Condition): boolean;
    delete(key: string): boolean;
    increment(key: string, delta: bigint): bigint;
    listKeys(prefix: string, limit: number, cursor: string | undefined): { keys: string[]; cursor?: string };
    append(key: string, value: Uint8Array, keep: number): bigint;
    readList(key: string, offset: number, limit: number): Uint8Array[];
    insert(key: string, id: string, value: Uint8Array, keep: number): boolean;
    readSorted(key: string, start: Start, limit: number): { items: { id: string; value: Uint8Array }[]; total: bigint };
  }
}

declare module 'archipel:messaging/producer@0.1.0' {
  export interface Message {
    topic: string;
    key: string | undefined;
    contentType: string | undefined;
    headers: [string, string][];
    body: Uint8Array;
  }
  export interface Options {
    delayMs: bigint | undefined;
    dedupId: string | undefined;
    ttlMs: bigint | undefined;
  }
  export function publish(message: Message, options: Options | undefined): string;
}

declare module 'archipel:identity/tokens@0.1.0' {
  export interface Token {
    value: string;
    expiresInSeconds: number;
  }
  export function sign(auth: string, claims: { subject: string; roles: string[]; ttlSeconds: number }): Token;
}

declare module 'archipel:identity/passwords@0.1.0' {
  export function hash(password: string): string;
  export function verify(password: string, hash: string | undefined): boolean;
}
