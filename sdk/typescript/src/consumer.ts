// Handling events: a service with `subscribe` in permissions.toml is handed each at least once.
import { described } from './place.ts';

export interface Event {
  /** The same at every attempt: what was done for it once need not be done again. */
  id: string;
  topic: string;
  key: string | undefined;
  headers: [string, string][];
  /** 1 on the first attempt. */
  attempt: number;
  maxAttempts: number;
  publishedAt: Date;
  body: Uint8Array;
  text(): string;
  json<T = unknown>(): T;
}

export type Consumer = (event: Event) => void | Promise<void>;

/** Thrown by a consumer: to the dead letters at once. */
export class Reject extends Error {
  override name = 'Reject';
}

/** Thrown by a consumer: again, not before so many milliseconds. Any other failure is tried again by the manifest's
 * backoff. */
export class Retry extends Error {
  override name = 'Retry';
  readonly afterMs: number;

  constructor(afterMs: number, message = 'later') {
    super(message);
    this.afterMs = afterMs;
  }
}

let consuming: Consumer | undefined;

/** Handles events with `handler`; in place of `consume` in a default export. */
export function consumer(handler: Consumer): Consumer {
  consuming = handler;
  return handler;
}

/** As the contract hands it over. */
export interface Delivery {
  id: string;
  attempt: number;
  maxAttempts: number;
  publishedAt: bigint;
  message: { topic: string; key?: string; contentType?: string; headers: [string, string][]; body: Uint8Array };
}

/** Handles one event with what the module exports. A failure is thrown as the contract wants it. */
export async function consume(exported: unknown, { id, attempt, maxAttempts, publishedAt, message }: Delivery): Promise<void> {
  const handler = (exported as { consume?: Consumer } | undefined)?.consume ?? consuming;
  const text = () => new TextDecoder().decode(message.body);
  try {
    if (!handler) throw new Reject('the service handles no events: call `consumer`, or export `consume`');
    await handler({
      id, attempt, maxAttempts, topic: message.topic, key: message.key, headers: message.headers, body: message.body,
      publishedAt: new Date(Number(publishedAt)), text, json: <T>() => JSON.parse(text()) as T,
    });
  } catch (error) {
    if (error instanceof Reject) throw { tag: 'reject', val: error.message };
    if (error instanceof Retry) throw { tag: 'retry', val: BigInt(error.afterMs) };
    console.error(described(error));
    throw { tag: 'retry', val: undefined };
  }
}
