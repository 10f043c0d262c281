// Between WASI HTTP and the web's types: a request in, the response out, and what becomes of a failure. The build
// makes a component of this file and the service's own module.
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam, type IncomingRequest } from 'wasi:http/types@0.2.10';
import { failed, type Failure } from './failure.ts';
import { knownText } from './json.ts';
import { handlerOf, isStreamed } from './serve.ts';

/** So much is read at a time. */
const PIECE = 65536n;
/** A body on its way in: the gateway's limit is the one that counts, this keeps a misconfigured one from filling the
 * instance. */
const BODY_MAX = 16 << 20;
/** What one write may hold. */
const WRITE_MAX = 4096;

const METHODS: Record<string, string> = {
  get: 'GET', head: 'HEAD', post: 'POST', put: 'PUT', delete: 'DELETE', options: 'OPTIONS', patch: 'PATCH',
  connect: 'CONNECT', trace: 'TRACE',
};

const text = new TextDecoder();
const bytes = new TextEncoder();

/** Answers one request with what the module exports. */
export async function handle(exported: unknown, incoming: IncomingRequest, out: ResponseOutparam): Promise<void> {
  let response: Response;
  let trace = '';
  let failure: Failure | undefined;
  const held: Held = [incoming];
  try {
    const request = received(incoming, held);
    trace = request.headers.get('traceparent')?.split('-')[1] ?? '';
    response = await handlerOf(exported)(request);
    if (!(response instanceof Response)) throw new TypeError(`the handler gave ${kind(response)} and no Response`);
  } catch (error) {
    failure = failed(error, trace);
    response = failure.response;
  }
  // Who holds on to a request or its body is not asked a second one: what failed in a way that nobody foresaw, out of
  // memory perhaps, begins anew.
  while (!failure?.isUnforeseen && held.length > 0) held.pop()?.[Symbol.dispose]();
  await send(response, out);
}

function kind(value: unknown): string {
  return value === null ? 'null' : typeof value;
}

/** What is the host's of a request, each before what it came from. */
type Held = { [Symbol.dispose](): void }[];

function received(incoming: IncomingRequest, held: Held): Request {
  const method = incoming.method();
  const name = METHODS[method.tag] ?? method.val ?? 'GET';
  const url = `http://${incoming.authority() ?? 'localhost'}${incoming.pathWithQuery() ?? '/'}`;
  const headers = new Headers();
  const fields = incoming.headers();
  for (const [key, value] of fields.entries()) headers.append(key, text.decode(value));
  fields[Symbol.dispose]();
  const whole = name === 'GET' || name === 'HEAD' ? undefined : uploaded(incoming, held);
  return new Request(url, whole ? { method: name, headers, body: whole as BodyInit } : { method: name, headers });
}

function uploaded(incoming: IncomingRequest, held: Held): Uint8Array {
  const input = incoming.consume();
  held.push(input);
  const from = input.stream();
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    let piece: Uint8Array;
    try {
      piece = from.blockingRead(PIECE);
    } catch (error) {
      if ((error as { payload?: { tag?: string } }).payload?.tag === 'closed') break;
      throw new Error('the request ended before its body did');
    }
    length += piece.length;
    if (length > BODY_MAX) throw new RangeError(`the request body is over ${BODY_MAX} bytes`);
    pieces.push(piece);
  }
  from[Symbol.dispose]();
  if (pieces.length === 1) return pieces[0] as Uint8Array;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** All of an answer's body; none where it has none. */
async function body(response: Response): Promise<Uint8Array | undefined> {
  const known = knownText(response);
  if (known !== undefined) return bytes.encode(known);
  return response.body === null ? undefined : new Uint8Array(await response.arrayBuffer());
}

async function send(response: Response, out: ResponseOutparam): Promise<void> {
  const live = isStreamed(response) && response.body !== null;
  const whole = live ? undefined : await body(response);
  const headers = new Fields();
  for (const [name, value] of response.headers) {
    if (name !== 'content-length' && name !== 'transfer-encoding') headers.append(name, bytes.encode(value));
  }
  if (whole) headers.append('content-length', bytes.encode(String(whole.length)));
  const outgoing = new OutgoingResponse(headers);
  outgoing.setStatusCode(response.status);
  const sending = outgoing.body();
  ResponseOutparam.set(out, { tag: 'ok', val: outgoing });
  const to = sending.write();
  const write = (piece: Uint8Array) => {
    for (let at = 0; at < piece.length; at += WRITE_MAX) to.blockingWriteAndFlush(piece.subarray(at, at + WRITE_MAX));
  };
  if (whole) write(whole);
  if (live) {
    const reader = (response.body as ReadableStream<Uint8Array | string>).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      write(typeof next.value === 'string' ? bytes.encode(next.value) : next.value);
    }
  }
  to[Symbol.dispose]();
  OutgoingBody.finish(sending, undefined);
}
