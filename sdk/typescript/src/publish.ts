// Publishing events. What was published is there: the id comes when it has been acknowledged.
import { publish as send } from 'archipel:messaging/producer@0.1.0';
import { asked, statusFor, words, type Fault } from './fault.ts';
import { stringify } from './json.ts';

export interface PublishOptions {
  /** What the event is about: the id of an order. */
  key?: string;
  headers?: Record<string, string>;
  /** Nobody is handed it before. */
  delayMs?: number;
  /** An event of the same topic with the same name within an hour is this one. */
  dedupId?: string;
  /** After so long nobody is handed it any more. */
  ttlMs?: number;
}

export class PublishError extends Error {
  /** `access-denied`, `unavailable`, `timeout`, `too-large`, `overloaded` or `other`. */
  readonly code: string;
  readonly httpStatus: number;

  constructor(fault: Fault) {
    super(words(fault));
    this.name = 'PublishError';
    this.code = fault.tag;
    this.httpStatus = statusFor(fault.tag);
  }
}

const big = (number: number | undefined) => (number === undefined ? undefined : BigInt(number));

/** Publishes `body`: bytes as they are, anything else as JSON. The event's id. Wants `publish` in permissions.toml. */
export async function publish(topic: string, body: unknown, options: PublishOptions = {}): Promise<string> {
  const isRaw = body instanceof Uint8Array;
  const message = {
    topic,
    key: options.key,
    contentType: isRaw ? undefined : 'application/json',
    headers: Object.entries(options.headers ?? {}),
    body: isRaw ? body : new TextEncoder().encode(stringify(body)),
  };
  const how = { delayMs: big(options.delayMs), dedupId: options.dedupId, ttlMs: big(options.ttlMs) };
  return asked(() => send(message, how), (fault) => new PublishError(fault));
}
