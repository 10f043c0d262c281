// JSON in and out: integers of any size are exact, and an error has the envelope that the gateway's own have.

export interface Answer {
  status?: number;
  headers?: Record<string, string>;
}

/** A JSON response; a `bigint` is a number, with all of its digits. */
export function json(value: unknown, { status = 200, headers = {} }: Answer = {}): Response {
  const text = stringify(value);
  const response = new Response(text, { status, headers: { 'content-type': 'application/json', ...headers } });
  texts.set(response, text);
  return response;
}

/** Bodies that are known without reading them, which takes the engine longer than all else of an answer. */
const texts = new WeakMap<Response, string>();

/** The body, if it was made here and nobody has read it. */
export function knownText(response: Response): string | undefined {
  return response.bodyUsed ? undefined : texts.get(response);
}

/** JSON with all digits of every `bigint`. */
export function stringify(value: unknown): string {
  // For this call only: to be asked for each value costs more than all else of it.
  numbers.toJSON = digits;
  try {
    return JSON.stringify(value);
  } finally {
    delete numbers.toJSON;
  }
}

const numbers = BigInt.prototype as { toJSON?: (this: bigint) => unknown };

function digits(this: bigint): unknown {
  return rawJSON(String(this));
}

/** Text that stands in JSON as it is: of the language, and not yet of its usual types. */
const rawJSON = (text: string): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);

/** Thrown by a handler: the client gets this status and this sentence. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Record<string, string>;

  constructor(status: number, sentence: string, headers: Record<string, string> = {}, options?: ErrorOptions) {
    super(sentence, options);
    this.name = 'HttpError';
    this.status = status;
    this.headers = headers;
  }
}

/** An error in the envelope of the gateway's own. */
export function problem(status: number, sentence: string, { trace, headers = {} }: { trace?: string | undefined; headers?: Record<string, string> } = {}): Response {
  const body = { success: false, error: sentence, timestamp: new Date().toISOString(), traceId: trace };
  return json(body, { status, headers });
}
