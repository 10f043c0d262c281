// Spans of a service's own, within the host's: `await span('price the cart', { items: 3 }, async () => …)`.
import { onEnd, onStart, outerSpanContext, type KeyValue, type SpanContext } from 'wasi:otel/tracing@0.2.0-rc.2';
import { now } from 'wasi:clocks/wall-clock@0.2.10';
import { stringify } from './json.ts';

/** Attributes by name: anything that JSON can hold. */
export type Fields = Record<string, unknown>;

/** Work that goes on. */
export interface Span {
  /** One attribute more. */
  set(name: string, value: unknown): void;
  /** It came to nothing, for this reason; only the first counts. What the work throws is one. */
  fail(reason: string): void;
}

type Work<T> = (span: Span) => T | Promise<T>;

/** Attributes of one span; more are left out, as the host would. */
const ATTRIBUTES_MAX = 64;
const NOBODY = '0000000000000000';

/** Does `work` and gives what it gives. What it asks the host for meanwhile is within its span. Of several that go on
 * at once (`Promise.all`) each is within the one that began before it. */
export async function span<T>(name: string, fields: Fields, work: Work<T>): Promise<T>;
export async function span<T>(name: string, work: Work<T>): Promise<T>;
export async function span<T>(name: string, given: Fields | Work<T>, last?: Work<T>): Promise<T> {
  const [fields, work] = typeof given === 'function' ? [{}, given] : [given, last as Work<T>];
  const outer = outerSpanContext();
  if (outer.spanId === NOBODY) return work({ set() {}, fail() {} });
  const [context, begun] = [{ ...outer, spanId: newId() }, now()];
  const attributes: KeyValue[] = [];
  let failure: string | undefined;
  const own: Span = {
    set(key, value) {
      if (attributes.length < ATTRIBUTES_MAX) attributes.push({ key, value: told(value) });
    },
    fail(reason) {
      failure ??= reason;
    },
  };
  for (const [key, value] of Object.entries(fields)) own.set(key, value);
  onStart(context);
  try {
    return await work(own);
  } catch (error) {
    own.fail(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    throw error;
  } finally {
    ended(name, context, outer.spanId, begun, attributes, failure);
  }
}

function ended(name: string, spanContext: SpanContext, parentSpanId: string, startTime: ReturnType<typeof now>, attributes: KeyValue[], failure: string | undefined): void {
  onEnd({
    spanContext, parentSpanId, spanKind: 'internal', name, startTime, endTime: now(), attributes, events: [], links: [],
    status: failure === undefined ? { tag: 'unset' } : { tag: 'error', val: failure },
    instrumentationScope: { name: 'archipel', version: undefined, schemaUrl: undefined, attributes: [] },
    droppedAttributes: 0, droppedEvents: 0, droppedLinks: 0,
  });
}

/** As JSON. What cannot be any is told as text: a span never makes its work fail. */
function told(value: unknown): string {
  try {
    return stringify(value) ?? 'null';
  } catch {
    return JSON.stringify(String(value));
  }
}

/** Sixteen hexadecimal digits, not all zero. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  bytes[7] = (bytes[7] ?? 0) | 1;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
