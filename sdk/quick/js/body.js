// Requests and responses. A body is a text, bytes or a stream, and stays what it was until somebody asks for another.
const NONE = { text: undefined, bytes: undefined, stream: undefined, type: undefined };

function bodyOf(from) {
  if (from === undefined || from === null) return NONE;
  if (typeof from === 'string') return { ...NONE, text: from, type: 'text/plain;charset=UTF-8' };
  if (from instanceof ReadableStream) {
    if (from.locked) throw new TypeError('the stream is locked');
    return { ...NONE, stream: from };
  }
  if (from instanceof URLSearchParams) return { ...NONE, text: from.toString(), type: 'application/x-www-form-urlencoded;charset=UTF-8' };
  if (from instanceof Blob) return { ...NONE, stream: from.stream(), type: from.type || undefined };
  if (from instanceof FormData) {
    const { blob, type } = formBytes(from);
    return { ...NONE, stream: blob.stream(), type };
  }
  if (from instanceof ArrayBuffer || ArrayBuffer.isView(from)) return { ...NONE, bytes: bytesOf(from).slice() };
  return { ...NONE, text: textOf(from), type: 'text/plain;charset=UTF-8' };
}

let partsOf;
let takeOf;

class Body {
  #body;
  #used = false;

  static {
    partsOf = (owner) => owner.#body;
    takeOf = (owner) => {
      if (owner.bodyUsed || owner.#body.stream?.locked) throw new TypeError('the body was read already');
      if (owner.#body !== NONE) owner.#used = true;
      return owner.#body;
    };
  }

  constructor(body) {
    this.#body = body;
  }

  get bodyUsed() {
    return this.#used || (this.#body.stream !== undefined && this.#body.stream._.isRead === true);
  }

  get body() {
    if (this.#body === NONE) return null;
    if (this.#body.stream === undefined) {
      const { text, bytes, type } = this.#body;
      const stream = bytesStream(bytes ?? encodeText(text));
      if (this.#used) stream.getReader();
      this.#body = { ...NONE, stream, type };
    }
    return this.#body.stream;
  }

  async bytes() {
    const { text, bytes, stream } = takeOf(this);
    if (bytes !== undefined) return bytes;
    if (text !== undefined) return encodeText(text);
    return stream === undefined ? new Uint8Array(0) : drained(stream);
  }

  async text() {
    const { text, bytes, stream } = takeOf(this);
    if (text !== undefined) return text;
    const all = bytes ?? (stream === undefined ? undefined : await drained(stream));
    return all === undefined ? '' : unmarked(native.decode(all, false));
  }

  async json() {
    return JSON.parse(await this.text());
  }

  async arrayBuffer() {
    const bytes = await this.bytes();
    return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
  }

  async blob() {
    return new Blob([await this.bytes()], { type: this.headers.get('content-type') ?? '' });
  }

  async formData() {
    return formOf(this.headers.get('content-type') ?? '', await this.bytes());
  }

  /** The same body for another owner: both can be read. */
  _copy() {
    if (this.bodyUsed) throw new TypeError('the body was read already');
    if (this.#body.stream === undefined) return this.#body;
    const [mine, yours] = this.#body.stream.tee();
    this.#body = { ...this.#body, stream: mine };
    return { ...this.#body, stream: yours };
  }
}

const unmarked = (text) => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);

async function drained(stream) {
  const pieces = [];
  for await (const piece of stream) {
    if (!(piece instanceof Uint8Array)) throw new TypeError('a body is a stream of bytes');
    pieces.push(piece);
  }
  return pieces.length === 1 ? pieces[0] : joinBytes(pieces);
}

const METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'];
const noSignal = new AbortController().signal;
let requestOf;

class Request extends Body {
  #method;
  #url;
  #headers;
  #signal;
  #redirect;

  static {
    requestOf = (method, url, list, bytes) => new Request(requestOf, { method, url, list, bytes });
  }

  constructor(input, init = {}) {
    if (input === requestOf) {
      super(init.bytes === undefined ? NONE : { ...NONE, bytes: init.bytes });
      this.#method = init.method;
      this.#url = init.url;
      this.#headers = headersOf(init.list);
      this.#signal = noSignal;
      this.#redirect = 'follow';
      return;
    }
    const from = input instanceof Request ? input : undefined;
    const named = init.method === undefined ? (from?.method ?? 'GET') : textOf(init.method);
    const method = METHODS.includes(named.toUpperCase()) ? named.toUpperCase() : named;
    const hasBody = init.body !== undefined && init.body !== null;
    if (hasBody && (method === 'GET' || method === 'HEAD')) throw new TypeError(`a request with ${method} has no body`);
    const body = hasBody ? bodyOf(init.body) : from && from.body !== null ? takenFrom(from) : NONE;
    super(body);
    this.#method = method;
    this.#url = from ? from.url : new URL(input).href;
    this.#headers = new Headers(init.headers ?? from?.headers);
    this.#signal = init.signal ?? from?.signal ?? noSignal;
    this.#redirect = init.redirect ?? from?.redirect ?? 'follow';
    if (hasBody && body.type && !this.#headers.has('content-type')) this.#headers.set('content-type', body.type);
  }

  get method() {
    return this.#method;
  }

  get url() {
    return this.#url;
  }

  get headers() {
    return this.#headers;
  }

  get signal() {
    return this.#signal;
  }

  get redirect() {
    return this.#redirect;
  }

  clone() {
    const body = this._copy();
    const same = requestOf(this.#method, this.#url, listOf(this.#headers).slice(), undefined);
    return body === NONE ? same : new Request(same, { method: this.#method, body: body.stream ?? body.bytes ?? body.text });
  }
}

function takenFrom(request) {
  const body = partsOf(request);
  takeOf(request);
  return body;
}

const REDIRECTS = [301, 302, 303, 307, 308];
const EMPTY = [101, 103, 204, 205, 304];

class Response extends Body {
  #status;
  #statusText;
  #headers;
  #url = '';
  #isRedirected = false;
  #type = 'default';

  constructor(from, { status = 200, statusText = '', headers } = {}) {
    const body = bodyOf(from);
    super(body);
    const code = Math.trunc(Number(status));
    if (!(code >= 200 && code <= 599)) throw new RangeError(`${status} is no status of a response`);
    if (body !== NONE && EMPTY.includes(code)) throw new TypeError(`a response with status ${code} has no body`);
    this.#status = code;
    this.#statusText = statusText;
    this.#headers = new Headers(headers);
    if (body.type && !this.#headers.has('content-type')) this.#headers.append('content-type', body.type);
  }

  static json(value, init = {}) {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError('this value has no JSON');
    const headers = new Headers(init.headers);
    if (!headers.has('content-type')) headers.set('content-type', 'application/json');
    return new Response(text, { ...init, headers });
  }

  static redirect(url, status = 302) {
    if (!REDIRECTS.includes(status)) throw new RangeError(`${status} is no status of a redirect`);
    return new Response(null, { status, headers: { location: new URL(url).href } });
  }

  static error() {
    const response = new Response(null);
    response.#status = 0;
    response.#type = 'error';
    return response;
  }

  static _came(status, list, bytes, url, isRedirected) {
    const response = new Response(bytes.length === 0 && EMPTY.includes(status) ? null : bytes);
    response.#status = status;
    response.#headers = headersOf(list);
    response.#url = url;
    response.#isRedirected = isRedirected;
    response.#type = 'basic';
    return response;
  }

  get status() {
    return this.#status;
  }

  get statusText() {
    return this.#statusText;
  }

  get ok() {
    return this.#status >= 200 && this.#status <= 299;
  }

  get headers() {
    return this.#headers;
  }

  get url() {
    return this.#url;
  }

  get redirected() {
    return this.#isRedirected;
  }

  get type() {
    return this.#type;
  }

  clone() {
    const body = this._copy();
    const from = body.stream ?? body.bytes ?? body.text ?? null;
    return new Response(from, { status: this.#status, statusText: this.#statusText, headers: this.#headers });
  }
}
