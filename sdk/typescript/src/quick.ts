// Between the quick engine and a service: a request in, the answer out. The engine has the web's types; its doors hand
// over plain values.
import { consume, type Delivery } from './consumer.ts';
import { failed } from './failure.ts';
import { described } from './place.ts';
import { isStreamed } from './serve.ts';
import { isBodiless, served } from './served.ts';

/** What the engine has for this file alone. */
declare const __archipel: {
  request(method: string, url: string, headers: string[], body: Uint8Array | undefined): Request;
  headers(response: Response): string[];
  body(response: Response): string | Uint8Array | ReadableStream<Uint8Array | string> | undefined;
  drained(stream: ReadableStream): Promise<Uint8Array>;
};

/** A piece of a stream; nothing at its end. */
type Next = () => Promise<Uint8Array | string | undefined>;
/** Status; headers, names and values in turn; the body; whether this instance has had enough. */
type Answer = [number, string[], string | Uint8Array | Next | undefined, boolean];

/** Answers one request with what the module exports. */
export async function answer(exported: unknown, method: string, url: string, given: string[], body: Uint8Array | undefined, mayStream: boolean): Promise<Answer> {
  const request = () => __archipel.request(method, url, given, isBodiless(method) ? undefined : body);
  const { response, failure } = await served(exported, request);
  try {
    return [response.status, headers(response), await bodyOf(response, mayStream), failure?.isUnforeseen ?? false];
  } catch (error) {
    const { response: instead } = failed(error, '');
    return [instead.status, headers(instead), await bodyOf(instead, false), true];
  }
}

/** Handles one event; how it failed, if it did. */
export async function consumed(exported: unknown, delivery: Delivery & { publishedAt: number | bigint }): Promise<[string, unknown] | undefined> {
  try {
    await consume(exported, { ...delivery, publishedAt: BigInt(delivery.publishedAt) });
    return undefined;
  } catch (error) {
    const { tag, val } = error as { tag: string; val: unknown };
    return [tag, typeof val === 'bigint' ? Number(val) : val];
  }
}

/** Tells of promises that were rejected in a request and that nobody awaited: a line for each, and one for those that
 * are too many. */
export function abandoned(reasons: unknown[], more: number): void {
  for (const reason of reasons) console.error(`nobody awaits what failed: ${described(reason)}`);
  if (more > 0) console.error(`nobody awaits what failed: ${more} more`);
}

/** Without those that say how long it is. */
function headers(response: Response): string[] {
  const all = __archipel.headers(response);
  if (!all.includes('content-length') && !all.includes('transfer-encoding')) return all;
  return all.filter((_item, at) => all[at & ~1] !== 'content-length' && all[at & ~1] !== 'transfer-encoding');
}

async function bodyOf(response: Response, mayStream: boolean): Promise<Answer[2]> {
  const isLive = mayStream && isStreamed(response);
  const body = __archipel.body(response);
  if (!(body instanceof ReadableStream)) return body;
  if (!isLive) return __archipel.drained(body);
  const reader = body.getReader();
  return async () => {
    const { value, done } = await reader.read();
    return done ? undefined : value;
  };
}
