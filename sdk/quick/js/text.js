// Text and bytes.
const encodeText = (text) => native.encode(text.isWellFormed() ? text : text.toWellFormed());

class TextEncoder {
  get encoding() {
    return 'utf-8';
  }

  encode(text = '') {
    return encodeText(String(text));
  }

  encodeInto(text, into) {
    let [read, written] = [0, 0];
    for (const letter of String(text)) {
      const bytes = encodeText(letter);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      read += letter.length;
      written += bytes.length;
    }
    return { read, written };
  }
}

const UTF8 = ['utf-8', 'utf8', 'unicode-1-1-utf-8', 'x-unicode20utf8'];

class TextDecoder {
  #fatal;
  #keepsMark;
  /** The beginning of a character whose rest comes later, of a stream. */
  #rest = new Uint8Array(0);
  #isBegun = false;

  constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
    if (!UTF8.includes(String(label).trim().toLowerCase())) throw new RangeError(`the quick engine decodes UTF-8 only, not ${label}`);
    this.#fatal = Boolean(fatal);
    this.#keepsMark = Boolean(ignoreBOM);
  }

  get encoding() {
    return 'utf-8';
  }

  get fatal() {
    return this.#fatal;
  }

  get ignoreBOM() {
    return this.#keepsMark;
  }

  decode(source, { stream = false } = {}) {
    let bytes = source === undefined ? new Uint8Array(0) : bytesOf(source);
    if (this.#rest.length > 0) bytes = joinBytes([this.#rest, bytes]);
    const whole = stream ? bytes.length - unfinished(bytes) : bytes.length;
    this.#rest = bytes.slice(whole);
    const text = native.decode(whole === bytes.length ? bytes : bytes.subarray(0, whole), this.#fatal);
    if (text === undefined) {
      this.#rest = new Uint8Array(0);
      throw new TypeError('the bytes are not valid UTF-8');
    }
    const marked = !this.#isBegun && !this.#keepsMark && text.charCodeAt(0) === 0xfeff;
    this.#isBegun = stream && (this.#isBegun || whole > 0);
    return marked ? text.slice(1) : text;
  }
}

/** How many bytes at the end begin a character that is not whole yet. */
function unfinished(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

function joinBytes(pieces) {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
