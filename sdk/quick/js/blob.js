// Files and forms.
class Blob {
  #bytes;
  #type;

  constructor(parts = [], { type = '' } = {}) {
    const pieces = [...parts].map((part) => (part instanceof Blob ? part.#bytes : typeof part === 'string' ? encodeText(part) : bytesOf(part)));
    this.#bytes = joinBytes(pieces);
    this.#type = textOf(type).toLowerCase();
  }

  get size() {
    return this.#bytes.length;
  }

  get type() {
    return this.#type;
  }

  slice(from = 0, to = this.size, type = '') {
    return new Blob([this.#bytes.slice(from, to)], { type });
  }

  async bytes() {
    return this.#bytes.slice();
  }

  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }

  async text() {
    return native.decode(this.#bytes, false);
  }

  stream() {
    return bytesStream(this.#bytes);
  }
}

class File extends Blob {
  constructor(parts, name, options = {}) {
    super(parts, options);
    this.name = textOf(name);
    this.lastModified = options.lastModified ?? Date.now();
  }
}

function bytesStream(bytes) {
  return new ReadableStream({
    pull(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  }, { highWaterMark: 0 });
}

class FormData {
  #list = [];

  #entry(name, value, file) {
    if (!(value instanceof Blob)) return [textOf(name), textOf(value)];
    const named = value instanceof File && file === undefined ? value : undefined;
    return [textOf(name), named ?? new File([value], file ?? 'blob', { type: value.type })];
  }

  append(name, value, file) {
    this.#list.push(this.#entry(name, value, file));
  }

  set(name, value, file) {
    const first = this.#list.findIndex(([known]) => known === name);
    if (first < 0) return this.append(name, value, file);
    this.#list[first] = this.#entry(name, value, file);
    this.#list = this.#list.filter(([known], at) => at <= first || known !== name);
  }

  get(name) {
    return this.#list.find(([known]) => known === name)?.[1] ?? null;
  }

  getAll(name) {
    return this.#list.filter(([known]) => known === name).map(([, value]) => value);
  }

  has(name) {
    return this.#list.some(([known]) => known === name);
  }

  delete(name) {
    this.#list = this.#list.filter(([known]) => known !== name);
  }

  forEach(each, self) {
    for (const [name, value] of this) each.call(self, value, name, this);
  }

  *entries() {
    yield* this.#list;
  }

  *keys() {
    for (const [name] of this.#list) yield name;
  }

  *values() {
    for (const [, value] of this.#list) yield value;
  }
}
FormData.prototype[Symbol.iterator] = FormData.prototype.entries;

/** A form as it was sent, by its type. */
function formOf(type, bytes) {
  const form = new FormData();
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) {
    for (const [name, value] of new URLSearchParams(native.decode(bytes, false))) form.append(name, value);
    return form;
  }
  const boundary = /^multipart\/form-data\b.*;\s*boundary="?([^";]+)"?/i.exec(type)?.[1];
  if (!boundary) throw new TypeError(`a body of type \`${type}\` is no form`);
  // A letter a byte: what is between the boundaries can be cut as text and is bytes again.
  const letters = latin(bytes);
  for (const part of letters.split(`--${boundary}`).slice(1, -1)) {
    const end = part.indexOf('\r\n\r\n');
    if (end < 0 || !part.startsWith('\r\n')) throw new TypeError('the multipart body is broken');
    const [head, content] = [native.decode(unlatin(part.slice(0, end)), false), unlatin(part.slice(end + 4, -2))];
    const name = /^content-disposition:.*?[; ]name="([^"]*)"/im.exec(head)?.[1];
    const file = /^content-disposition:.*?[; ]filename="([^"]*)"/im.exec(head)?.[1];
    const kind = /^content-type:\s*(\S+)/im.exec(head)?.[1];
    if (name === undefined) throw new TypeError('a part of the form has no name');
    if (file === undefined) form.append(name, native.decode(content, false));
    else form.append(name, new File([content], file, { type: kind ?? 'application/octet-stream' }));
  }
  return form;
}

function latin(bytes) {
  let letters = '';
  for (let at = 0; at < bytes.length; at += 4096) letters += String.fromCharCode.apply(null, bytes.subarray(at, at + 4096));
  return letters;
}

function unlatin(letters) {
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/** A form as it is sent: its bytes and their type. */
function formBytes(form) {
  const boundary = `form-${native.random(12).toHex?.() ?? [...native.random(12)].map((byte) => byte.toString(16)).join('')}`;
  const quoted = (text) => text.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
  const pieces = [];
  for (const [name, value] of form) {
    const isFile = value instanceof File;
    const file = isFile ? `; filename="${quoted(value.name)}"\r\ncontent-type: ${value.type || 'application/octet-stream'}` : '';
    pieces.push(`--${boundary}\r\ncontent-disposition: form-data; name="${quoted(name)}"${file}\r\n\r\n`, value, '\r\n');
  }
  return { blob: new Blob([...pieces, `--${boundary}--\r\n`]), type: `multipart/form-data; boundary=${boundary}` };
}
