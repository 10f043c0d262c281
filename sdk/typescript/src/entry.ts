// Between the host and the web's types: a request in, the response out, and what becomes of a failure. Whole requests
// come by the quick door, as values; those whose bodies are on their way, and those of a route with `stream`, by WASI
// HTTP. The build makes a component of this file and the service's own module.
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam, type IncomingRequest } from 'wasi:http/types@0.2.10';
import { knownText } from './json.ts';
import { isStreamed } from './serve.ts';
import { isBodiless, served } from './served.ts';

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

/** A request as the quick door has it, and the answer: `archipel:http`. */
interface Given {
  method: string;
  authority: string;
  target: string;
  /** A line for each header. */
  fields: Uint8Array;
  body: Uint8Array;
}
interface Answer {
  response: { status: number; headers: [string, Uint8Array][]; body: Uint8Array };
  retire: boolean;
}

/** Answers one request with what the module exports: by WASI HTTP. */
export async function handle(exported: unknown, incoming: IncomingRequest, out: ResponseOutparam): Promise<void> {
  const held: Held = [incoming];
  const { response, failure } = await served(exported, () => received(incoming, held));
  // Who holds on to a request or its body is not asked a second one: what failed in a way that nobody foresaw, out of
  // memory perhaps, begins anew.
  while (!failure?.isUnforeseen && held.length > 0) held.pop()?.[Symbol.dispose]();
  await send(response, out);
}

/** The same by the quick door. What is a stream goes out when it has ended. */
export async function answer(exported: unknown, given: Given): Promise<Answer> {
  const { response, failure } = await served(exported, () => asked(given, named(given.fields)));
  const whole = await body(response);
  const headers = fields(response);
  if (whole) headers.push(['content-length', bytes.encode(String(whole.length))]);
  const said = { status: response.status, headers, body: whole ?? new Uint8Array() };
  return { response: said, retire: failure?.isUnforeseen ?? false };
}

/** What is the host's of a request, each before what it came from. */
type Held = { [Symbol.dispose](): void }[];

function received(incoming: IncomingRequest, held: Held): Request {
  const method = incoming.method();
  const name = METHODS[method.tag] ?? method.val ?? 'GET';
  const told = incoming.headers();
  const headers = new Headers();
  for (const [name, value] of told.entries()) headers.append(name, text.decode(value));
  told[Symbol.dispose]();
  const authority = incoming.authority() ?? 'localhost';
  const target = incoming.pathWithQuery() ?? '/';
  const body = isBodiless(name) ? new Uint8Array() : uploaded(incoming, held);
  return asked({ method: name, authority, target, body }, headers);
}

/** The headers of a block: `name: value` and a line's end for each. */
function named(fields: Uint8Array): Headers {
  const headers = new Headers();
  for (const line of text.decode(fields).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1));
  }
  return headers;
}

function asked(given: Omit<Given, 'fields'>, headers: Headers): Request {
  const head = { method: given.method, headers };
  const whole = isBodiless(given.method) ? head : { ...head, body: given.body as BodyInit };
  return new Request(`http://${given.authority}${given.target}`, whole);
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

/** The headers of an answer, without those that say how long it is. */
function fields(response: Response): [string, Uint8Array][] {
  const said = [...response.headers].filter(([name]) => name !== 'content-length' && name !== 'transfer-encoding');
  return said.map(([name, value]) => [name, bytes.encode(value)]);
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
  for (const [name, value] of fields(response)) headers.append(name, value);
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
