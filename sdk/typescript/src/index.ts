// What a service written in TypeScript is given. Only what is used of it is in the component, and only that has
// to be granted: each file below asks the host for one thing.
export { serve, stream, type Handler, type Service } from './serve.ts';
export { router, type Params, type Route, type Router } from './router.ts';
export type { Says, Schema } from './described.ts';
export { identity, type Identity } from './identity.ts';
export { HttpError, json, problem } from './json.ts';
export { postgres, PostgresError, type Cell, type Database, type Parameter, type Row, type Statements } from './postgres.ts';
export { kv, StoreError, type Entry, type Store } from './keyvalue.ts';
export { publish, PublishError, type PublishOptions } from './publish.ts';
export { consumer, Reject, Retry, type Consumer, type Event } from './consumer.ts';
export { call } from './call.ts';
export { tokens, TokenError } from './tokens.ts';
export { passwords, PasswordError } from './passwords.ts';
export { env } from './env.ts';
export { log } from './log.ts';
export { span, type Fields, type Span } from './span.ts';
export { uuid } from './uuid.ts';
